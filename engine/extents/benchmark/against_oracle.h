// SPDX-License-Identifier: BSD-3-Clause
// Whether a subject gives the right answers: what is wrong may be as fast as it likes.

#pragma once

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
  const std::vector<Extent> expected = oracle.Extents(bounds);
  std::vector<Extent> visited;
  const bool went_on = subject.ForEach(bounds, [&](Extent extent) {
    visited.push_back(extent);
    return true;
  });
  const std::string where = " of [" + std::to_string(bounds.begin) + ", " + std::to_string(bounds.end) + ")";
  if (!went_on || visited != expected) {
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

// One random script on a space of `size` bytes in units of `unit`. Every step is compared around what it changed,
// and the whole at the end and after a Clear.
template <typename Subject, typename Oracle>
std::optional<std::string> DifferenceInScript(std::uint64_t seed, std::uint64_t size, std::uint64_t unit) {
  Numbers numbers(seed);
  Subject subject(size);
  Oracle oracle(size);
  const std::uint64_t units = size / unit;
  std::uint64_t end = 0;
  for (std::uint64_t step = 0; step < 48; ++step) {
    // Short ones, so that a script leaves many extents, and once in a while one that covers them.
    const std::uint64_t reach = numbers.Below(8) == 0 ? units : units / 16 + 1;
    const std::uint64_t begin = Subject::kOverwrites ? numbers.Below(units) : end;
    if (begin == units) {
      break;
    }
    end = std::min(begin + 1 + numbers.Below(reach), units);
    const ByteRange range{.begin = begin * unit, .end = end * unit};
    const ExtentType type = SomeType<Subject>(numbers);
    subject.Add(range, type);
    if (!oracle.Add(range.begin, range.length(), type)) {
      return "the oracle refuses a step";
    }
    const ByteRange around{.begin = range.begin - std::min(range.begin, unit), .end = std::min(range.end + unit, size)};
    if (auto difference = Difference(subject, oracle, around)) {
      return difference;
    }
  }
  if (auto difference = Difference(subject, oracle, {.begin = 0, .end = size})) {
    return difference;
  }
  subject.Clear();
  oracle.Clear();
  return Difference(subject, oracle, {.begin = 0, .end = size});
}

// Too large for the oracle of bytes, and small enough to walk a bitmap of its blocks.
inline constexpr std::uint64_t kBlockSpace = (std::uint64_t{1} << 32) + (std::uint64_t{1} << 20);

// Spaces of bytes and of blocks, and one with so many extents that trees have several levels.
template <typename Subject>
std::optional<std::string> DifferenceFromOracle(std::uint64_t scripts) {
  for (std::uint64_t seed = 1; seed <= scripts; ++seed) {
    const std::uint64_t small = 1 + Numbers(seed).Below(kFuzzSpace);
    auto difference = DifferenceInScript<Subject, BitmapOracle>(seed, small, 1);
    if (!difference && seed % 8 == 1) {
      difference = DifferenceInScript<Subject, LastWriterOracle>(seed, kBlockSpace, kBlock);
    }
    if (difference) {
      return *difference + " (seed " + std::to_string(seed) + ")";
    }
  }
  Subject subject(BitmapOracle::kSizeMax);
  BitmapOracle oracle(BitmapOracle::kSizeMax);
  Numbers numbers(scripts);
  for (std::uint64_t step = 0, end = 0; step < 20'000; ++step) {
    const std::uint64_t begin = Subject::kOverwrites ? numbers.Below(BitmapOracle::kSizeMax - 64) : end;
    end = begin + 1 + numbers.Below(Subject::kOverwrites ? 64 : 50);
    const ExtentType type = SomeType<Subject>(numbers);
    subject.Add({.begin = begin, .end = end}, type);
    if (!oracle.Add(begin, end - begin, type)) {
      return "the oracle refuses a step";
    }
  }
  for (std::uint64_t i = 0; i < 64; ++i) {
    const std::uint64_t begin = numbers.Below(BitmapOracle::kSizeMax);
    if (auto difference = Difference(subject, oracle, {.begin = begin, .end = BitmapOracle::kSizeMax})) {
      return difference;
    }
  }
  return Difference(subject, oracle, {.begin = 0, .end = BitmapOracle::kSizeMax});
}

}  // namespace nbdspec::engine::speed
