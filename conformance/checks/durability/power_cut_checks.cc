// SPDX-License-Identifier: BSD-3-Clause
// Checks of what FLUSH and FUA promise, by power cuts. Spec: proto.md, "Ordering of messages and writes",
// "NBD_CMD_FLUSH", "Command flags".
#include "conformance/checks/durability/power_cuts.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint16_t kFua = CommandFlag::kFua;
constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;

constexpr std::uint64_t kStage = 64 * kKiB;

// `count` WRITEs of 512 bytes, a page apart, with `flags`.
Acts Scattered(std::uint64_t count, std::uint16_t flags = 0) {
  Acts acts;
  for (std::uint64_t i = 0; i < count; ++i) {
    acts.push_back(Put(i * 4 * kKiB, i * 4 * kKiB + 512, flags));
  }
  return acts;
}

Acts Then(Acts acts, const Act& last) {
  acts.push_back(last);
  return acts;
}

}  // namespace

std::vector<Check> PowerCutChecks() {
  constexpr Features kFlushed = kWritable | Feature::kFlush;
  constexpr Features kForced = kWritable | Feature::kFua;
  const auto flush = [](std::string_view id, std::string_view claim, CheckRun run, Features needs = 0) {
    return Check{id, claim, std::move(run), kFlushed | needs, Setup::kOnStorage};
  };
  const auto fua = [](std::string_view id, std::string_view claim, CheckRun run, Features needs = 0) {
    return Check{id, claim, std::move(run), kForced | needs, Setup::kOnStorage};
  };
  return {
      flush(kTransmissionFlushCoversCompleted, "A WRITE that was answered before FLUSH survives a power cut after it.",
            Survives({Put(0, 4 * kKiB), Flush()}, kStage)),
      flush(kSub<kTransmissionFlushCoversCompleted, "long">, "So does every byte of a WRITE of 1 MiB.",
            Survives({Put(0, kMiB), Flush()}, kMiB)),
      flush(kSub<kTransmissionFlushCoversCompleted, "unaligned">, "So does a WRITE of 3 bytes at an odd offset.",
            Survives({Put(513, 516), Flush()}, kStage)),
      flush(kSub<kTransmissionFlushCoversCompleted, "end">, "So do the last bytes of the export.",
            Survives({Put(kStage - 1, kStage), Flush()}, kStage, Stage::kEnd)),
      flush(kSub<kTransmissionFlushCoversCompleted, "overwritten">,
            "Of two WRITEs to one place the later one survives.",
            Survives({Put(0, 4 * kKiB), Put(kKiB, 3 * kKiB), Flush()}, kStage)),
      flush(kSub<kTransmissionFlushCoversCompleted, "again">, "A second FLUSH covers what came after the first.",
            Survives({Put(0, 4 * kKiB), Flush(), Put(2 * kKiB, 8 * kKiB), Flush()}, kStage)),
      flush(kSub<kTransmissionFlushCoversCompleted, "zeroes">,
            "WRITE_ZEROES that was answered before FLUSH survives a power cut after it.",
            Survives({Put(0, 32 * kKiB), Flush(), Zero(4 * kKiB, 12 * kKiB), Flush()}, kStage), Feature::kWriteZeroes),
      flush(kSub<kTransmissionFlushCoversCompleted, "zeroes-no-hole">, "So does WRITE_ZEROES with NO_HOLE.",
            Survives({Put(0, 32 * kKiB), Flush(), Zero(4 * kKiB, 12 * kKiB, kNoHole), Flush()}, kStage),
            Feature::kWriteZeroes),
      flush(kSub<kTransmissionFlushCoversCompleted, "zeroes-then-write">,
            "A WRITE over zeroes, and the zeroes around it, survive a FLUSH together.",
            Survives({Put(0, 32 * kKiB), Flush(), Zero(0, 32 * kKiB), Put(8 * kKiB, 9 * kKiB), Flush()}, kStage),
            Feature::kWriteZeroes),
      flush(kSub<kTransmissionFlushCoversCompleted, "trim-beside">,
            "What stands beside a trimmed range survives a FLUSH.",
            Survives({Put(0, 8 * kKiB), Trim(8 * kKiB, 12 * kKiB), Put(12 * kKiB, 16 * kKiB), Flush()}, kStage),
            Feature::kTrim),
      flush(kSub<kTransmissionFlushCoversCompleted, "in-flight">,
            "FLUSH covers what was answered before it, while other WRITEs are in flight.",
            Survives({Put(0, 4 * kKiB), InFlight(Put(16 * kKiB, 32 * kKiB)), Flush()}, kStage)),
      flush(kSub<kTransmissionFlushCoversCompleted, "other-connection">,
            "With CAN_MULTI_CONN, FLUSH covers what was answered on another connection.",
            Survives({Put(0, 4 * kKiB, 0, 2), FlushOn(1)}, kStage), Feature::kMultiConn),
      flush(kFlushNoEarlySuccess, "FLUSH succeeds only once 2 MiB of answered WRITEs are on permanent storage.",
            Survives({Put(0, kMiB), Put(kMiB, 3 * kMiB / 2), Put(3 * kMiB / 2, 2 * kMiB), Flush()}, 2 * kMiB)),
      flush(kSub<kFlushNoEarlySuccess, "scattered">, "FLUSH succeeds only once 48 scattered WRITEs are there, too.",
            Survives(Then(Scattered(48), Flush()), 256 * kKiB)),
      fua(kTransmissionFuaNoEarlyReply, "A WRITE with FUA that was answered survives a power cut.",
          Survives({Put(0, 4 * kKiB, kFua)}, kStage)),
      fua(kSub<kTransmissionFuaNoEarlyReply, "long">, "So does every byte of a WRITE of 1 MiB with FUA.",
          Survives({Put(0, kMiB, kFua)}, kMiB)),
      fua(kSub<kTransmissionFuaNoEarlyReply, "unaligned">, "So does a WRITE with FUA of 3 bytes at an odd offset.",
          Survives({Put(513, 516, kFua)}, kStage)),
      fua(kSub<kTransmissionFuaNoEarlyReply, "overwriting">, "So does a WRITE with FUA over one without.",
          Survives({Put(0, 8 * kKiB), Put(2 * kKiB, 4 * kKiB, kFua)}, kStage)),
      fua(kSub<kTransmissionFuaNoEarlyReply, "scattered">, "So does each of 16 scattered WRITEs with FUA.",
          Survives(Scattered(16, kFua), kStage)),
      fua(kSub<kTransmissionFuaNoEarlyReply, "zeroes">, "WRITE_ZEROES with FUA that was answered survives a power cut.",
          Survives({Put(0, 16 * kKiB, kFua), Zero(4 * kKiB, 8 * kKiB, kFua)}, kStage), Feature::kWriteZeroes),
      fua(kSub<kTransmissionFuaNoEarlyReply, "zeroes-no-hole">, "So does WRITE_ZEROES with NO_HOLE and FUA.",
          Survives({Put(0, 16 * kKiB, kFua), Zero(4 * kKiB, 8 * kKiB, kFua | kNoHole)}, kStage), Feature::kWriteZeroes),
      fua(kSub<kTransmissionFuaNoEarlyReply, "trim">, "What stands beside a TRIM with FUA survives a power cut.",
          Survives({Put(0, 16 * kKiB, kFua), Trim(4 * kKiB, 8 * kKiB, kFua)}, kStage), Feature::kTrim),
      fua(kSub<kTransmissionFuaNoEarlyReply, "other-connection">,
          "A WRITE with FUA on a second connection survives a power cut, over one on the first.",
          Survives({Put(0, 8 * kKiB), Put(0, 4 * kKiB, kFua, 2)}, kStage)),
  };
}

}  // namespace nbdspec::conformance
