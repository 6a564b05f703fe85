// SPDX-License-Identifier: BSD-3-Clause
// Whether a subject gives the right answers: what is wrong may be as fast as it likes.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/extents/benchmark/workloads.h"
#include "engine/oracle/oracles.h"

namespace nbdspec::engine::speed {

// Compares all of `bounds`, the type at its first byte, and a walk that stops after two extents.
template <typename Subject, typename Oracle>
std::optional<std::string> Difference(const Subject& subject, const Oracle& oracle, ByteRange bounds) {
  const auto expected = oracle.Extents(bounds);
  std::vector<Extent> visited;
  const bool went_on = subject.ForEach(bounds, [&](Extent extent) {
    visited.push_back(extent);
    return true;
  });
  const std::string where = " of [" + std::to_string(bounds.begin) + ", " + std::to_string(bounds.end) + ")";
  if (!went_on || !std::ranges::equal(visited, expected)) {
    return std::string(Subject::kName) + ": the extents" + where + " differ from the oracle's";
  }
  std::size_t calls = 0;
  const bool to_end = subject.ForEach(bounds, [&](Extent) { return ++calls < 2; });
  if (calls != std::min<std::size_t>(2, expected.size()) || to_end != (expected.size() < 2)) {
    return std::string(Subject::kName) + ": a walk" + where + " does not stop when told";
  }
  if constexpr (Subject::kOverwrites) {
    if (subject.TypeAt(bounds.begin) != oracle.TypeAt(bounds.begin)) {
      return std::string(Subject::kName) + ": the type at the first byte" + where + " differs from the oracle's";
    }
  }
  return {};
}

// An append-only list does not know what the rest is, so it would not join a hole with it.
template <typename Subject>
ExtentType SomeType(Numbers& numbers) {
  const auto type = static_cast<ExtentType>(numbers.Below(kExtentTypeCount));
  return !Subject::kOverwrites && type == ExtentType::kHole ? ExtentType::kData : type;
}

struct ScriptShape {
  std::uint64_t size;  // Of the space, in bytes.
  std::uint64_t unit = 1;
  std::uint64_t steps = 48;
  std::uint64_t reach;       // The most units of an add: short, so that a script leaves many extents, but
  std::uint64_t long_reach;  // once in a while it may cover them.
  bool is_large = false;     // Compared at the end only, then from random places on as well.
};

// One random script of adds, compared after every step around what it changed, as a whole, and after a Clear.
template <typename Subject, typename Oracle>
std::optional<std::string> DifferenceInScript(std::uint64_t seed, const ScriptShape& shape) {
  const auto [size, unit, steps, reach, long_reach, is_large] = shape;
  Numbers numbers(seed);
  Subject subject(size);
  Oracle oracle(size);
  const std::uint64_t units = size / unit;
  std::uint64_t end = 0;
  for (std::uint64_t step = 0; step < steps; ++step) {
    const std::uint64_t length_max = numbers.Below(8) == 0 ? long_reach : reach;
    const std::uint64_t begin = Subject::kOverwrites ? numbers.Below(units) : end;
    if (begin == units) {
      break;
    }
    end = std::min(begin + 1 + numbers.Below(length_max), units);
    const ByteRange range{.begin = begin * unit, .end = end * unit};
    const ExtentType type = SomeType<Subject>(numbers);
    subject.Add(range, type);
    if (!oracle.Add(range.begin, range.length(), type)) {
      return "the oracle refuses a step";
    }
    const ByteRange around{.begin = range.begin - std::min(range.begin, unit), .end = std::min(range.end + unit, size)};
    if (auto difference = is_large ? std::nullopt : Difference(subject, oracle, around)) {
      return difference;
    }
  }
  auto difference = Difference(subject, oracle, {.begin = 0, .end = size});
  for (int i = 0; is_large && i < 64 && !difference; ++i) {
    difference = Difference(subject, oracle, {.begin = numbers.Below(size), .end = size});
  }
  subject.Clear();
  oracle.Clear();
  return difference ? difference : Difference(subject, oracle, {.begin = 0, .end = size});
}

// Too large for the oracle of bytes, and small enough to walk a bitmap of its blocks.
inline constexpr std::uint64_t kBlockSpace = (std::uint64_t{1} << 32) + (std::uint64_t{1} << 20);

// Spaces of bytes and of blocks, and one with so many extents that trees have several levels.
template <typename Subject>
std::optional<std::string> DifferenceFromOracle(std::uint64_t scripts) {
  for (std::uint64_t seed = 1; seed <= scripts; ++seed) {
    const std::uint64_t small = 1 + Numbers(seed).Below(kFuzzSpace);
    auto difference =
        DifferenceInScript<Subject, BitmapOracle>(seed, {.size = small, .reach = small / 16 + 1, .long_reach = small});
    if (!difference && seed % 8 == 1) {
      constexpr std::uint64_t kBlocks = kBlockSpace / kBlock;
      difference = DifferenceInScript<Subject, LastWriterOracle>(
          seed, {.size = kBlockSpace, .unit = kBlock, .reach = kBlocks / 16 + 1, .long_reach = kBlocks});
    }
    if (difference) {
      return *difference + " (seed " + std::to_string(seed) + ")";
    }
  }
  return DifferenceInScript<Subject, BitmapOracle>(
      scripts, {.size = BitmapOracle::kSizeMax, .steps = 20'000, .reach = 50, .long_reach = 64, .is_large = true});
}

}  // namespace nbdspec::engine::speed
