// SPDX-License-Identifier: BSD-3-Clause
// How functions fail: an ErrorCode inside the engine, a Trouble with a sentence outside of it.

#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace nbdspec::engine {

// Why an operation of the engine was refused. The operation had no effect.
enum class ErrorCode {
  kInvalidType,  // Extent type bits other than HOLE and ZERO.
  kOutOfRange,   // offset + length passes 2^64, or a size passes 2^63-1.
  kOutOfMemory,  // An allocation failed.
};

// Says `code` as a short phrase for people, such as "out of memory".
constexpr std::string_view Describe(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidType:
      return "unknown extent type bits";
    case ErrorCode::kOutOfRange:
      return "offset and length out of range";
    case ErrorCode::kOutOfMemory:
      return "out of memory";
  }
  std::unreachable();
}

// Trouble around us: a file, a process, a socket, a line of input. Never a peer's protocol error.
struct Trouble {
  std::string sentence;  // What went wrong, on what, and what to do about it.
};

}  // namespace nbdspec::engine
