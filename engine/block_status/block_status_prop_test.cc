// SPDX-License-Identifier: BSD-3-Clause
// Builder and judge against each other: what is built is accused of nothing, nor is what a server may make of it.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <vector>

#include "engine/block_status/build.h"
#include "engine/exchange/testdata/status_exchanges.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

using Descriptors = std::vector<Descriptor>;

// Small counts of a unit: edges meet often, and with the largest unit lengths pass 32 bits.
constexpr std::array<std::uint64_t, 4> kUnits = {1, 511, 512, (std::uint64_t{1} << 31) - 512};
constexpr std::array<std::uint32_t, 5> kAlignments = {1, 2, 8, 512, 4096};
constexpr std::uint64_t kUnitCountMax = 40;

template <typename Container>
auto OneOf(const Container& container) {
  return container.at(*rc::gen::inRange<std::size_t>(0, container.size()));
}

std::uint64_t UpTo(std::uint64_t limit) { return *rc::gen::inRange<std::uint64_t>(0, limit + 1); }

ExtentType AnyType() { return static_cast<ExtentType>(UpTo(kExtentTypeCount - 1)); }

ExtentMap AnyMap(std::uint64_t unit) {
  ExtentMap map((1 + UpTo(kUnitCountMax - 1)) * unit + UpTo(std::min<std::uint64_t>(unit, 600) - 1), AnyType());
  const std::uint64_t add_count = UpTo(20);
  for (std::uint64_t i = 0; i < add_count; ++i) {
    RC_ASSERT(map.Add(UpTo(kUnitCountMax) * unit, UpTo(8) * unit + UpTo(1), AnyType()).has_value());
  }
  return map;
}

// A request inside `map` that begins at a multiple of `alignment`.
ByteRange AnyRequest(const ExtentMap& map, std::uint32_t alignment) {
  const std::uint64_t block_count = (map.size() - 1) / alignment;
  const std::uint64_t begin = UpTo(block_count) * alignment;
  const std::uint64_t length = 1 + UpTo(map.size() - begin - 1);
  const std::uint64_t blocks = (length + alignment - 1) / alignment * alignment;
  return {.begin = begin, .end = *rc::gen::arbitrary<bool>() ? begin + length : std::min(begin + blocks, map.size())};
}

struct Built {
  ExtentMap truth;
  BuildOptions options;
  StatusExchange exchange;
  Descriptors descriptors;
};

StatusExchange Answered(StatusExchange exchange, Descriptors descriptors) {
  exchange.chunks = {StatusChunkOf(kAllocationId, std::move(descriptors))};
  return exchange;
}

Built AnyBuilt() {
  ExtentMap truth = AnyMap(OneOf(kUnits));
  const BuildOptions options = {
      .req_one = *rc::gen::arbitrary<bool>(),
      .alignment = OneOf(kAlignments),
      .descriptor_count_max = *rc::gen::arbitrary<bool>() ? kDescriptorCountMax : *rc::gen::inRange(1U, 5U)};
  const ByteRange asked = AnyRequest(truth, options.alignment);
  Descriptors descriptors = BuildDescriptors(truth, asked, options);
  StatusExchange exchange = WithExportSize(AnswerTo(asked, {}), truth.size());
  exchange.req_one = options.req_one;
  exchange.agreed.block_size.minimum = options.alignment;
  exchange = Answered(std::move(exchange), descriptors);
  return {.truth = std::move(truth), .options = options, .exchange = exchange, .descriptors = descriptors};
}

std::uint64_t SumOf(const Descriptors& descriptors) {
  std::uint64_t sum = 0;
  for (const Descriptor descriptor : descriptors) {
    sum += descriptor.length;
  }
  return sum;
}

// That no rule but those in `allowed` accuses the exchange.
void AssertOnlyBreaks(const StatusExchange& exchange, const std::set<std::string_view>& allowed) {
  for (const Violation& violation : Judge(exchange)) {
    RC_LOG() << violation.requirement << ": " << violation.saw << '\n';
    RC_ASSERT(allowed.contains(violation.requirement));
  }
}

TEST(BlockStatusProperty, WhatIsBuiltIsAccusedOfNothing) {
  EXPECT_TRUE(rc::check([] {
    const Built built = AnyBuilt();
    // Below 512 the truth's own edges may stand anywhere.
    const bool is_fine_grained = built.options.alignment < 512;
    AssertOnlyBreaks(built.exchange, is_fine_grained ? std::set<std::string_view>{spec::kBlockStatusLengthMultipleOf512}
                                                     : std::set<std::string_view>{});
    RC_ASSERT(JudgeZeroClaims(built.exchange, built.truth).empty());
  }));
}

TEST(BlockStatusProperty, WhatIsBuiltCoversTheRequestUnlessItIsLimited) {
  EXPECT_TRUE(rc::check([] {
    const Built built = AnyBuilt();
    const std::uint64_t sum = SumOf(built.descriptors);
    const std::uint64_t count_max = built.options.req_one ? 1 : built.options.descriptor_count_max;
    RC_ASSERT(sum <= built.exchange.asked.length());
    RC_ASSERT(built.descriptors.size() <= count_max);
    RC_ASSERT(sum == built.exchange.asked.length() || built.descriptors.size() == count_max);
  }));
}

// The definition, one byte at a time. It knows no limit of length or count.
Descriptors NaiveDescriptors(const ExtentMap& truth, ByteRange asked, std::uint32_t alignment) {
  Descriptors descriptors;
  for (std::uint64_t offset = asked.begin; offset < asked.end; ++offset) {
    const std::uint64_t block_begin = offset / alignment * alignment;
    std::uint32_t status = AllocationFlag::kHole | AllocationFlag::kZero;
    for (std::uint64_t i = block_begin; i < std::min(block_begin + alignment, truth.size()); ++i) {
      status &= AllocationFlagsOf(truth.Lookup(i).type);
    }
    if (descriptors.empty() || descriptors.back().status != status) {
      descriptors.push_back({.length = 0, .status = status});
    }
    ++descriptors.back().length;
  }
  return descriptors;
}

TEST(BlockStatusProperty, WhatIsBuiltIsTheDefinitionCutToTheCount) {
  EXPECT_TRUE(rc::check([] {
    const ExtentMap truth = AnyMap(1);
    const std::uint32_t alignment = OneOf(std::array<std::uint32_t, 5>{1, 2, 4, 8, 64});
    const ByteRange asked = AnyRequest(truth, alignment);
    Descriptors expected = NaiveDescriptors(truth, asked, alignment);
    RC_ASSERT(BuildDescriptors(truth, asked, {.alignment = alignment}) == expected);
    const std::uint32_t count = *rc::gen::inRange(1U, 5U);
    expected.resize(std::min<std::size_t>(expected.size(), count));
    RC_ASSERT(BuildDescriptors(truth, asked, {.alignment = alignment, .descriptor_count_max = count}) == expected);
  }));
}

TEST(BlockStatusProperty, TheWireFormIsThatOfTheDescriptors) {
  EXPECT_TRUE(rc::check([] {
    const Built built = AnyBuilt();
    Bytes expected = EncodePayload(BlockStatus{.context_id = kAllocationId, .descriptors = built.descriptors});
    Bytes payload(expected.begin(), expected.begin() + 4);  // The id of the context: what is there stays.
    AppendDescriptors(built.truth, built.exchange.asked, built.options, payload);
    RC_ASSERT(payload == expected);
  }));
}

TEST(BlockStatusWireForm, OfManyExtentsOfAnyLengthIsThatOfTheDescriptors) {
  // Whole leaves of the map, narrow and wide; runs of more than 4 GiB; requests that begin and end inside of runs.
  for (const std::uint64_t unit : {std::uint64_t{1}, std::uint64_t{4096}, std::uint64_t{100'000'007}}) {
    ExtentMap truth(5000 * unit);
    for (std::uint64_t i = 0; i < 4000; ++i) {
      const std::uint64_t at = i * 1237 % 4900;
      ASSERT_TRUE(truth.Add(at * unit, (1 + i % 3) * unit, static_cast<ExtentType>(i * 7 % 4)));
    }
    ASSERT_GT(truth.extent_count(), 1000U);
    for (const ByteRange asked : {truth.range(), ByteRange{.begin = 1, .end = truth.size() - 1},
                                  ByteRange{.begin = 2000 * unit, .end = 2001 * unit}}) {
      for (const std::uint32_t count_max : {kDescriptorCountMax, 1U, 100U, 777U}) {
        const BuildOptions options = {.descriptor_count_max = count_max};
        const BlockStatus status = {.context_id = 0, .descriptors = BuildDescriptors(truth, asked, options)};
        Bytes payload(4);
        AppendDescriptors(truth, asked, options, payload);
        EXPECT_EQ(payload, EncodePayload(status)) << unit << " " << asked.begin << " " << count_max;
      }
    }
  }
}

// What a server may make of a right reply. `extend` may claim zeroes that are not there, but breaks no MUST.
struct Degraded {
  Descriptors descriptors;
  bool is_extended = false;
};

Degraded AnyDegradation(const Built& built) {
  Degraded degraded = {.descriptors = built.descriptors};
  Descriptors& descriptors = degraded.descriptors;
  for (Descriptor& descriptor : descriptors) {
    descriptor.status &= *rc::gen::arbitrary<bool>() ? 0U : ~0U;
  }
  descriptors.resize(1 + UpTo(descriptors.size() - 1));
  const std::size_t index = UpTo(descriptors.size() - 1);
  if (descriptors[index].length > 1 && !built.options.req_one && *rc::gen::arbitrary<bool>()) {
    Descriptor rest = descriptors[index];
    descriptors[index].length = 1 + static_cast<std::uint32_t>(UpTo(rest.length - 2));
    rest.length -= descriptors[index].length;
    descriptors.insert(descriptors.begin() + static_cast<std::ptrdiff_t>(index) + 1, rest);
  }
  if (!built.options.req_one && *rc::gen::arbitrary<bool>()) {
    degraded.is_extended = true;
    descriptors.back().length += static_cast<std::uint32_t>(UpTo(~descriptors.back().length));
  }
  return degraded;
}

TEST(BlockStatusProperty, LegalDegradationBreaksNoMust) {
  EXPECT_TRUE(rc::check([] {
    const Built built = AnyBuilt();
    const Degraded degraded = AnyDegradation(built);
    const StatusExchange exchange = Answered(built.exchange, degraded.descriptors);
    AssertOnlyBreaks(exchange, {spec::kBlockStatusExtentWithinExport, spec::kBlockStatusDistinctStatus,
                                spec::kBlockStatusLengthMultipleOf512, spec::kBlockStatusLengthMultipleOfMinBlock});
    RC_ASSERT(degraded.is_extended || JudgeZeroClaims(exchange, built.truth).empty());
  }));
}

TEST(BlockStatusProperty, ClaimsAreRefutedExactlyWhereTheTruthIsNotZero) {
  EXPECT_TRUE(rc::check([] {
    const ExtentMap truth = AnyMap(1);
    Descriptors descriptors;
    for (std::uint64_t i = UpTo(6); i > 0; --i) {
      descriptors.push_back(
          {.length = static_cast<std::uint32_t>(UpTo(12)), .status = static_cast<std::uint32_t>(UpTo(7))});
    }
    const StatusExchange exchange =
        WithExportSize(AnswerTo({.begin = UpTo(truth.size()), .end = truth.size() + 1}, descriptors), truth.size());
    std::set<std::uint64_t> claimed;
    std::uint64_t offset = exchange.asked.begin;
    for (const Descriptor descriptor : descriptors) {
      for (std::uint32_t i = 0; i < descriptor.length; ++i, ++offset) {
        if ((descriptor.status & AllocationFlag::kZero) != 0 && offset < truth.size()) {
          claimed.insert(offset);
        }
      }
    }
    const bool is_refuted =
        std::ranges::any_of(claimed, [&](std::uint64_t at) { return !IsZero(truth.Lookup(at).type); });
    RC_ASSERT(JudgeZeroClaims(exchange, truth).empty() == !is_refuted);

    std::set<std::uint64_t> listed;
    for (const ByteRange range : ClaimedZeroes(exchange, truth.range())) {
      for (std::uint64_t at = range.begin; at < range.end; ++at) {
        RC_ASSERT(listed.insert(at).second);
      }
    }
    RC_ASSERT(listed == claimed);
  }));
}

}  // namespace
}  // namespace nbdspec::engine
