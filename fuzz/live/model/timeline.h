// SPDX-License-Identifier: BSD-3-Clause
// The requests that had to do with one byte, as a picture in time: why what a request showed cannot be.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/script/script.h"
#include "fuzz/live/model/disputed_bytes.h"
#include "fuzz/live/model/known_bytes.h"

namespace nbdspec::fuzz {

// What one request does with the bytes of the export.
struct Access {
  enum class Kind { kNone, kLooks, kWrites, kFlushes };
  Kind kind = Kind::kNone;
  engine::ByteRange range = {};  // Clipped to the export.
  Effect effect = {};            // Of kWrites, when it succeeds.
  bool is_durable = false;       // kWrites with FUA.
  bool is_proof = true;          // kLooks, and the specification says what a success of it is.
  std::uint8_t connection = 1;
  engine::RequestStep request = {};  // For people.
};

// A request, from when it is sent until it is answered.
struct TimedAccess {
  Ticket ticket = 0;
  Access access = {};
  Time sent_at = 0;
  Time answered_at = kNever;
  bool succeeded = false;
  std::vector<SeenRun> shown = {};  // Of kLooks, where there were several possibilities.
};

// The smallest part of `history` that contradicts `looking`, which showed `byte` at `offset`: a line for each request,
// in the order they were sent. `history` is in that order, and has `looking`.
// Example: "write 4096 +512 pattern 7 on 2      |---|    leaves byte 131"
std::vector<std::string> Timeline(const std::vector<TimedAccess>& history, const TimedAccess& looking,
                                  std::uint64_t offset, std::uint8_t byte);

// The last write to `offset` that was answered, with success, before `looking` was sent; null when there is none.
const TimedAccess* LastWriteBefore(const std::vector<TimedAccess>& history, const TimedAccess& looking,
                                   std::uint64_t offset);

}  // namespace nbdspec::fuzz
