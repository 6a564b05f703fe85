// SPDX-License-Identifier: BSD-3-Clause
// Canaries: planted bugs, and how many inputs each may survive. A target that misses one is blind, however green.
//
// The bugs of servers are faults of the catalogue: docs/howto/add_a_fault.md. Here are those of maps, codecs, parsers,
// layers and filters.
//
// To add canaries to the target wire_decode:
// 1. Make a subject that is wrong in named ways, best as a thin wrapper of the right one (extent_map_canaries.cc): who
//    and how, one name and one line of code each. Nothing of it goes into the engine.
// 2. wire_decode_canaries.cc has a row for it: its name, its family, and the bug's own limit, about five times what the
//    slowest seed needed. What the row looks for is the target's comparison, the function that LLVMFuzzerTestOneInput
//    calls, with that subject.
// 3. tools/canaries measures it, and writes docs/canaries.md anew.
// canaries_test then asks that each be found in time, and that the right subject be accused of nothing in as many runs.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/faults/fault.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

using engine::faults::Family;

struct Canary {
  std::string name;  // Who and how.
  Family family = Family::kRule;
  std::uint64_t inputs_max = 0;  // Inputs of LikelyInputs within which it is found, for each of three seeds.
  FindBytesDisagreement find;
  std::function<void()> property = {};  // What RapidCheck tries. Without it: `find`, with any bytes.
  bool has_notes = false;               // Whether the subject says when its bug is reached and triggered.
};

struct CanaryTarget {
  std::string name;
  InputKind inputs;
  std::vector<FindBytesDisagreement> right;  // The unmodified subjects: they are not accused.
  std::uint64_t right_runs = 5000;
  bool counts_states = false;  // Whether the subjects count theirs (fuzz/comparisons/extent_map_differential.h).
  std::vector<Canary> canaries = {};
};

// A planted bug by its name, so that it can stand in a switch: "ClearMakesAHole"_bug.
using Bug = std::uint64_t;
inline constexpr Bug kNoBug = 0;
constexpr Bug BugNamed(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a.
  for (const char c : name) {
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  }
  return hash;
}
consteval Bug operator""_bug(const char* name, std::size_t length) { return BugNamed({name, length}); }

// A row of a table of wrong subjects, each a value of its own.
template <typename Subject>
struct WrongSubject {
  std::string_view name;
  Family family;
  std::uint64_t inputs_max;
  Subject subject;
};

// A row of a table of canaries that differ in the bug of one subject: the one of its name.
struct NamedBug {
  std::string_view name;
  Family family;
  std::uint64_t inputs_max;
  Bug subject = BugNamed(name);
};

// The rows as canaries; `find` is the comparison with one of their subjects.
template <typename Rows, typename Subject>
std::vector<Canary> CanariesOf(const Rows& rows, Found (*find)(engine::ByteView, const Subject&)) {
  std::vector<Canary> canaries;
  for (const auto& [name, family, inputs_max, subject] : rows) {
    canaries.push_back({.name = std::string(name),
                        .family = family,
                        .inputs_max = inputs_max,
                        .find = [find, subject](engine::ByteView input) { return find(input, subject); }});
  }
  return canaries;
}

// The canaries of `target`, whose own subject is not accused.
inline CanaryTarget CanariesFor(const FuzzTarget& target, std::vector<Canary> canaries) {
  return {.name = std::string(target.name),
          .inputs = target.inputs,
          .right = {[target](engine::ByteView input) { return Find(target, input); }},
          .canaries = std::move(canaries)};
}

// What a subject says of its bug, in one run of one thread: whether its code ran, and whether that made a difference.
struct CanaryNotes {
  bool is_reached = false;
  bool is_triggered = false;
};
inline CanaryNotes canary_notes;

// Those of each target that has some: WireDecodeCanaries() is in wire_decode_canaries.cc, those of servers are in
// faulty_server_canaries.cc. Made once.
const std::vector<CanaryTarget>& CanaryTargets();

struct Planted {
  const CanaryTarget* target;
  const Canary* canary;

  [[nodiscard]] std::string name() const { return target->name + "/" + canary->name; }
};
std::vector<Planted> AllPlanted();

}  // namespace nbdspec::fuzz
