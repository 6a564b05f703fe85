// SPDX-License-Identifier: BSD-3-Clause
// Scenarios of requests and a power cut, and whether what stands there afterwards was promised otherwise.
//
// The server's disk is ours (Setup::kOnStorage): it keeps of what was not made durable exactly what the cut says. Bytes
// are judged, never whether a flush reached the disk: a server may leave out one that nothing needs.

#pragma once

#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

// From now on the server's disk fails so; nothing: it works.
void SetDisk(CheckContext& context, const std::optional<engine::DiskFailure>& failure);

// Cuts the power and starts the server again. Errors: it does not start on what is left, or at all, or not within the
// time of the check.
std::expected<void, engine::Trouble> CutPowerOf(CheckContext& context, const engine::PowerCut& cut);

// One request of a scenario, or what becomes of the disk.
struct Act {
  enum class Disk : std::uint8_t { kIsAsItWas, kFails, kWorks };
  std::uint16_t command = 0;
  ByteRange place = {};  // From the begin of the stage.
  std::uint16_t flags = 0;
  std::uint8_t connection = 1;   // 1 or 2.
  bool is_awaited = true;        // Before the next is sent; else after the last.
  Disk disk = Disk::kIsAsItWas;  // Anything else is no request, and waits until all before it are answered.
};
using Acts = std::vector<Act>;

inline Act Put(std::uint64_t begin, std::uint64_t end, std::uint16_t flags = 0, std::uint8_t connection = 1) {
  return {
      .command = CommandType::kWrite, .place = {.begin = begin, .end = end}, .flags = flags, .connection = connection};
}
inline Act Zero(std::uint64_t begin, std::uint64_t end, std::uint16_t flags = 0) {
  return {.command = CommandType::kWriteZeroes, .place = {.begin = begin, .end = end}, .flags = flags};
}
inline Act Trim(std::uint64_t begin, std::uint64_t end, std::uint16_t flags = 0) {
  return {.command = CommandType::kTrim, .place = {.begin = begin, .end = end}, .flags = flags};
}
inline Act FlushOn(std::uint8_t connection) { return {.command = CommandType::kFlush, .connection = connection}; }
inline Act Flush() { return FlushOn(1); }
inline Act InFlight(Act act) {
  act.is_awaited = false;
  return act;
}
inline Act DiskFails() { return {.disk = Act::Disk::kFails}; }
inline Act DiskWorks() { return {.disk = Act::Disk::kWorks}; }

// Where a scenario takes place.
enum class Stage {
  kMiddle,  // Of the export.
  kEnd,     // Its last bytes, those past the last sector included.
};

// Plays `acts` on a stage of `stage_bytes` (at most 16 MiB), cuts the power, and looks at every byte of it; once for
// each of several ways to cut. Judges by RequestHistory.
CheckRun Survives(Acts acts, std::uint64_t stage_bytes, Stage stage = Stage::kMiddle);

// The same with a disk that fails like `failure` from DiskFails() to DiskWorks(), or to a power cut, which keeps
// `keeps`. Each request may be answered by an error; what was answered by success must be true.
CheckRun Tells(Acts acts, engine::DiskFailure failure, std::uint64_t stage_bytes,
               engine::PowerCut::Keeps keeps = engine::PowerCut::Keeps::kNothing);

// The same, once, where a FLUSH that succeeds has to cover what one that failed was to cover, too.
CheckRun MakesUpFor(Acts acts, engine::DiskFailure failure, std::uint64_t stage_bytes);

}  // namespace nbdspec::conformance
