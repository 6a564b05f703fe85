// SPDX-License-Identifier: BSD-3-Clause
// Checks of what a server says of requests that its disk could not carry out. Spec: proto.md, "Request types",
// "Ordering of messages and writes", "NBD_CMD_FLUSH".
//
// What was answered by success must be true when the disk works again, and after a power cut where that was promised.
// A server may try again, keep bytes in memory, or zero in another way; an error more than was needed is allowed.
#include "conformance/checks/durability/power_cuts.h"

namespace nbdspec::conformance {

namespace {

using engine::DiskFailure;

constexpr std::uint16_t kFua = CommandFlag::kFua;
constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;
constexpr std::uint64_t kStage = 64 * kKiB;

constexpr std::uint8_t kWrites = DiskFailure::kWrites;
constexpr std::uint8_t kFlushes = DiskFailure::kFlushes;
// All by which bytes may become zeroes.
constexpr std::uint8_t kChanges = DiskFailure::kWrites | DiskFailure::kZeroes | DiskFailure::kTrims;

DiskFailure Always(std::uint8_t operations, std::uint32_t error = NbdError::kEio) {
  return {.operations = operations, .error = error};
}

DiskFailure Once(std::uint8_t operations, std::uint64_t succeed_first = 0) {
  return {.operations = operations, .error = NbdError::kEio, .succeed_first = succeed_first, .count = 1};
}

// A sync fails once, and with it goes what it was to make durable.
constexpr DiskFailure kLosesOnce = {.operations = kFlushes, .error = NbdError::kEio, .count = 1, .loses = true};

// Each fails after `bytes_done`.
DiskFailure HalfWay(std::uint8_t operations, std::uint64_t bytes_done) {
  return {.operations = operations, .error = NbdError::kEio, .bytes_done = bytes_done};
}

// The disk fails while `acts` are done; then it works again, and FLUSH brings to it what the server kept: a server that
// writes later than it answers may still say there that it could not. The power cut keeps all that the disk has, so
// that a FLUSH that makes nothing durable is not taken for a hidden error.
CheckRun ToldWhileItFails(const Acts& acts, const DiskFailure& failure, std::uint64_t stage_bytes = kStage) {
  Acts all = {Put(0, stage_bytes), Flush(), DiskFails()};
  all.insert(all.end(), acts.begin(), acts.end());
  all.insert(all.end(), {DiskWorks(), Flush()});
  return Tells(all, failure, stage_bytes, engine::PowerCut::Keeps::kEverything);
}

}  // namespace

std::vector<Check> FailingDiskChecks() {
  constexpr Features kFlushed = kWritable | Feature::kFlush;
  constexpr Features kForced = kWritable | Feature::kFua;
  const auto check = [](std::string_view id, Features needs, std::string_view claim, CheckRun run) {
    return Check{id, claim, std::move(run), needs, Setup::kOnStorage};
  };
  const Acts writes = {Put(4 * kKiB, 12 * kKiB), Put(16 * kKiB, 20 * kKiB)};
  const Acts zeroing = {Zero(4 * kKiB, 12 * kKiB), Zero(16 * kKiB, 20 * kKiB)};
  const Acts allocated_zeroing = {Zero(4 * kKiB, 12 * kKiB, kNoHole)};
  return {
      check(kSub<kTransmissionWriteErrorCode, "failing-disk">, kFlushed,
            "A WRITE that the disk fails once gets an error, or is done.", ToldWhileItFails(writes, Once(kWrites))),
      check(kSub<kTransmissionWriteErrorCode, "broken-disk">, kFlushed,
            "Each WRITE to a disk that fails from then on gets an error, or is done.",
            ToldWhileItFails(writes, Always(kWrites))),
      check(kSub<kTransmissionWriteErrorCode, "full-disk">, kFlushed,
            "Each WRITE to a disk without space gets an error, or is done.",
            ToldWhileItFails(writes, Always(kWrites, NbdError::kEnospc))),
      check(kSub<kTransmissionWriteErrorCode, "half-done">, kFlushed,
            "A WRITE of which the disk does 1024 bytes gets an error, or is done.",
            ToldWhileItFails(writes, HalfWay(kWrites, 1024))),
      check(kSub<kTransmissionWriteErrorCode, "in-flight">, kFlushed,
            "Of four WRITEs in flight those that succeed are done, though the disk fails one.",
            ToldWhileItFails({InFlight(Put(0, 4 * kKiB)), InFlight(Put(8 * kKiB, 12 * kKiB)),
                              InFlight(Put(16 * kKiB, 20 * kKiB)), InFlight(Put(24 * kKiB, 28 * kKiB))},
                             Once(kWrites, 1))),
      check(kSub<kTransmissionWriteErrorCode, "long">, kFlushed,
            "A WRITE of 1 MiB that the disk fails after 64 KiB gets an error, or is done.",
            ToldWhileItFails({Put(0, kMiB)}, HalfWay(kWrites, 64 * kKiB), kMiB)),
      check(kSub<kWriteZeroesErrorCode, "failing-disk">, kFlushed | Feature::kWriteZeroes,
            "A WRITE_ZEROES that the disk fails once gets an error, or is done.",
            ToldWhileItFails(zeroing, Once(kChanges))),
      check(kSub<kWriteZeroesErrorCode, "broken-disk">, kFlushed | Feature::kWriteZeroes,
            "Each WRITE_ZEROES to a disk that fails from then on gets an error, or is done.",
            ToldWhileItFails(zeroing, Always(kChanges))),
      check(kSub<kWriteZeroesErrorCode, "zeroing-alone">, kFlushed | Feature::kWriteZeroes,
            "WRITE_ZEROES to a disk that can write but not zero gets an error, or is done.",
            ToldWhileItFails(zeroing, Always(DiskFailure::kZeroes | DiskFailure::kTrims))),
      check(kSub<kWriteZeroesErrorCode, "half-done">, kFlushed | Feature::kWriteZeroes,
            "A WRITE_ZEROES of which the disk does 1024 bytes gets an error, or is done.",
            ToldWhileItFails(zeroing, HalfWay(kChanges, 1024))),
      check(kSub<kWriteZeroesErrorCode, "no-hole">, kFlushed | Feature::kWriteZeroes,
            "WRITE_ZEROES with NO_HOLE to a disk without space gets an error, or is done.",
            ToldWhileItFails(allocated_zeroing, Always(kChanges, NbdError::kEnospc))),
      check(kSub<kFlushNoEarlySuccess, "failing-sync">, kFlushed,
            "FLUSH does not succeed while the disk cannot make a WRITE durable.",
            Tells({Put(0, 4 * kKiB), DiskFails(), Flush()}, Always(kFlushes), kStage)),
      check(kSub<kFlushNoEarlySuccess, "failing-sync-once">, kFlushed,
            "FLUSH that the disk fails once gets an error, or is done.",
            Tells({Put(0, 4 * kKiB), DiskFails(), Flush()}, Once(kFlushes), kStage)),
      check(kSub<kFlushNoEarlySuccess, "full-disk">, kFlushed,
            "FLUSH does not succeed while the disk has no space to make a WRITE durable.",
            Tells({Put(0, 4 * kKiB), DiskFails(), Flush()}, Always(kFlushes, NbdError::kEnospc), kStage)),
      check(kSub<kFlushNoEarlySuccess, "failing-writes">, kFlushed,
            "FLUSH does not succeed while the disk fails the WRITE that was answered before.",
            Tells({DiskFails(), Put(0, 4 * kKiB), Flush()}, Always(kWrites), kStage)),
      check(kSub<kTransmissionFlushCoversCompleted, "after-failing-sync">, kFlushed,
            "A FLUSH after one that failed covers the WRITEs between them.",
            Tells({Put(0, 4 * kKiB), DiskFails(), Flush(), DiskWorks(), Put(8 * kKiB, 12 * kKiB), Flush()},
                  Always(kFlushes), kStage)),
      check(kSub<kTransmissionFlushCoversCompleted, "failing-sync-zeroes">, kFlushed | Feature::kWriteZeroes,
            "FLUSH does not succeed while the disk cannot make a WRITE_ZEROES durable.",
            Tells({Put(0, 8 * kKiB), Flush(), Zero(0, 4 * kKiB), DiskFails(), Flush()}, Always(kFlushes), kStage)),
      check(kFlushNoSuccessAfterLoss, kFlushed,
            "A FLUSH after one that failed does not succeed while what that was to cover is lost.",
            MakesUpFor({Put(0, 4 * kKiB), DiskFails(), Flush(), DiskWorks(), Flush()}, kLosesOnce, kStage)),
      check(kSub<kFlushNoSuccessAfterLoss, "other-connection">, kFlushed | Feature::kMultiConn,
            "With CAN_MULTI_CONN, neither does one on another connection.",
            MakesUpFor({Put(0, 4 * kKiB), DiskFails(), Flush(), DiskWorks(), FlushOn(2)}, kLosesOnce, kStage)),
      check(
          kSub<kTransmissionFlushCoversCompleted, "failing-sync-other-connection">, kFlushed | Feature::kMultiConn,
          "With CAN_MULTI_CONN, FLUSH does not succeed while the disk cannot make another connection's WRITE durable.",
          Tells({Put(0, 4 * kKiB, 0, 2), DiskFails(), FlushOn(1)}, Always(kFlushes), kStage)),
      check(kSub<kTransmissionFuaNoEarlyReply, "failing-sync">, kForced,
            "A WRITE with FUA does not succeed while the disk cannot make it durable.",
            Tells({DiskFails(), Put(0, 4 * kKiB, kFua)}, Always(kFlushes), kStage)),
      check(kSub<kTransmissionFuaNoEarlyReply, "failing-sync-once">, kForced,
            "A WRITE with FUA whose sync the disk fails once gets an error, or is durable.",
            Tells({DiskFails(), Put(0, 4 * kKiB, kFua), Put(8 * kKiB, 12 * kKiB, kFua)}, Once(kFlushes, 1), kStage)),
      check(kSub<kTransmissionFuaNoEarlyReply, "failing-disk">, kForced,
            "A WRITE with FUA that the disk fails does not succeed.",
            Tells({DiskFails(), Put(0, 4 * kKiB, kFua)}, Always(kWrites), kStage)),
      check(kSub<kTransmissionFuaNoEarlyReply, "failing-sync-zeroes">, kForced | Feature::kWriteZeroes,
            "A WRITE_ZEROES with FUA does not succeed while the disk cannot make it durable.",
            Tells({Put(0, 8 * kKiB, kFua), DiskFails(), Zero(0, 4 * kKiB, kFua)}, Always(kFlushes), kStage)),
  };
}

}  // namespace nbdspec::conformance
