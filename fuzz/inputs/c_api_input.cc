// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/c_api_input.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>

#include "engine/base/byte_reader.h"
#include "engine/extents/extents_c.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::size_t kStepsMax = 24;

class Reader : public engine::ByteReader {
 public:
  using ByteReader::ByteReader;

  CStep Step() {
    const std::uint8_t kind = Byte();
    const std::uint8_t how = Byte();
    const CCall call =
        engine::Pick(kind, {CCall::kAdd, CCall::kAdd, CCall::kAdd, CCall::kAdd, CCall::kForeach, CCall::kForeach,
                            CCall::kClear, CCall::kNewOfType, CCall::kAdd, CCall::kFill, CCall::kForeach,
                            CCall::kForeach, CCall::kNewOfType, CCall::kNew, CCall::kFree, CCall::kNewCompat});
    CStep step = {.call = call, .slot = kind >> 4 & 1U, .is_null = kind >= 248};
    step.allocations = (how & 7) < 4 ? how & 3 : -1;
    step.is_told = (how & 8) == 0;
    switch (step.call) {
      case CCall::kAdd:
        step.offset = Number(sizes_[step.slot]);
        step.length = Length(step);
        step.type = Bits();
        break;
      case CCall::kForeach:
        step.type = Flags();
        step.offset = Number(sizes_[step.slot]);
        step.length = Length(step);
        ReadCallback(step, how);
        break;
      case CCall::kNewOfType:
      case CCall::kNew:
        step.offset = Number(48) + ((how & 16) != 0 ? FillOffset(kFillCount) : 0);
        step.type = Bits();
        sizes_[step.slot] = step.offset;
        break;
      case CCall::kNewCompat:
        step.offset = NBDSPEC_EXTENTS_SIZE_MAX;
        sizes_[step.slot] = step.offset;
        break;
      case CCall::kFill:
        step.type = Bits() & 3U;
        step.allocations = -1;
        break;
      case CCall::kFree:
      case CCall::kClear:
        break;
    }
    return step;
  }

 private:
  // Mostly small: edges and overlaps need few bytes. The others are where something could be cut or wrap.
  std::uint64_t Number(std::uint64_t size) {
    const std::uint8_t byte = Byte();
    if (byte < 192) {
      return byte % 64U;
    }
    if (byte < 216) {
      return size + byte % 4 - 2;
    }
    return engine::Pick<std::uint64_t>(
        byte,
        {UINT32_MAX, 1ULL << 32, (1ULL << 32) + 1, (1ULL << 32) + 32, 1ULL << 62, NBDSPEC_EXTENTS_SIZE_MAX - 1,
         NBDSPEC_EXTENTS_SIZE_MAX, NBDSPEC_EXTENTS_SIZE_MAX + 1, UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, 1ULL << 31});
  }

  std::uint64_t Length(const CStep& step) {
    const std::uint64_t length = Number(sizes_[step.slot] - step.offset);
    const bool is_wrap = length == (1ULL << 31);  // Up to 2^64, or one byte less.
    return is_wrap ? (step.slot == 0 ? ~step.offset : 0 - step.offset) : length;
  }

  std::uint32_t Bits() {
    const std::uint8_t byte = Byte();
    return byte < 224 ? byte % 4U : engine::Pick<std::uint32_t>(byte, {4, 6, 256, 257, 1U << 16, 1U << 31, UINT32_MAX});
  }

  std::uint32_t Flags() {
    const std::uint8_t byte = Byte();
    return byte < 224 ? (byte % 4 == 0 ? 0U : 1U) : engine::Pick<std::uint32_t>(byte, {2, 3, 256, 1U << 31});
  }

  void ReadCallback(CStep& step, std::uint8_t how) {
    const std::uint8_t byte = Byte();
    step.no_callback = how >= 248;
    step.in_callback = static_cast<InCallback>(how >> 4 & 3U);
    step.stop_at = byte % 4;
    step.callback_error = engine::Pick(byte >> 2U, {EIO, ENOMEM, EINVAL, EBUSY, EOVERFLOW, 0, 9999, ENOSPC});
    step.callback_result = engine::Pick(byte >> 5U, {-1, 1, -2, 256, 1 << 30, -1});
  }

  std::array<std::uint64_t, kCSlotCount> sizes_ = {};
};

}  // namespace

std::vector<CStep> ReadCApiInput(engine::ByteView input) {
  Reader reader(input);
  std::vector<CStep> steps;
  while (!reader.empty() && steps.size() < kStepsMax) {
    steps.push_back(reader.Step());
  }
  return steps;
}

std::string Print(const CStep& step) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"new_of_type", "new", "nbdkit_extents_new", "free", "add", "clear", "foreach", "fill"});
  const bool is_walk = step.call == CCall::kForeach;
  std::string text = step.is_null ? "NULL" : fmt::format("map {}", step.slot);
  text += fmt::format(": {} {} +{} {} {}", kNames[static_cast<std::size_t>(step.call)], step.offset, step.length,
                      is_walk ? "flags" : "type", step.type);
  text += step.allocations < 0 ? "" : fmt::format(", memory for {} allocations", step.allocations);
  return !is_walk || step.stop_at == 0 ? text
                                       : fmt::format("{}, call {} returns {} with errno {}", text, step.stop_at,
                                                     step.callback_result, step.callback_error);
}

}  // namespace nbdspec::fuzz
