// SPDX-License-Identifier: BSD-3-Clause
#include "engine/base/error.h"

#include "engine/base/check.h"

namespace nbdspec::engine {

std::string_view Describe(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidType:
      return "unknown extent type bits";
    case ErrorCode::kOutOfRange:
      return "offset and length out of range";
    case ErrorCode::kOutOfMemory:
      return "out of memory";
  }
  CheckFailed("unknown ErrorCode");
}

}  // namespace nbdspec::engine
