// SPDX-License-Identifier: BSD-3-Clause
// Fault: one named way for a server to be wrong, and everything that must detect it.
//
// A fault is the reference server with a change between it and its wire. It shows that its detectors can fail: checks
// (`nbdspec selftest` runs each against its faults), fuzz targets (fuzz/canary) and `nbdspec fuzz` (fuzz/live). Names
// say who and how: server_sends_... docs/howto/add_a_fault.md shows how to write one.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/faults/change.h"

namespace nbdspec::engine::faults {

// What kind of mistake a fault, or a bug planted elsewhere, is.
enum class Family : std::uint8_t {
  kBits,        // A flag or type is another one.
  kClip,        // What is outside counts, or what is inside does not.
  kCoalesce,    // What is one comes as two, or two as one.
  kEdge,        // Off by one.
  kError,       // The wrong error, none, or what is left after it.
  kLost,        // Something is missing.
  kMemory,      // What happens when there is none, and who frees it.
  kOrder,       // Right, but in the wrong order or place.
  kReqOne,      // REQ_ONE is misread.
  kRule,        // Some rule of the interface is broken.
  kShape,       // Wrong only once the subject has a certain size or shape.
  kStale,       // Something of before survives.
  kWidth,       // A number is cut to fewer bits.
  kEquivalent,  // No bug: other code with the same behaviour. Nobody may find it.
};
std::string_view NameOf(Family family);

// The fuzz targets that have a server as their subject.
inline constexpr std::string_view kServerSession = "server_session";
inline constexpr std::string_view kMetaContext = "meta_context";
inline constexpr std::string_view kBlockStatusExchange = "block_status_exchange";

// The kinds of finding of `nbdspec fuzz`, as fuzz/findings names them.
inline constexpr std::string_view kWrongData = "wrong-data";
inline constexpr std::string_view kFalseClaim = "false-claim";
inline constexpr std::string_view kBrokenRule = "broken-rule";
inline constexpr std::string_view kWrongSuccess = "wrong-success";
inline constexpr std::string_view kWrongError = "wrong-error";
inline constexpr std::string_view kDisconnect = "disconnect";
inline constexpr std::string_view kHang = "hang";

// What must detect a fault.
struct Detector {
  enum class Kind : std::uint8_t { kCheck, kTarget, kFuzz };
  Kind kind = Kind::kCheck;
  std::string_view id = {};       // Of the check; of the fuzz target; of the requirement that `nbdspec fuzz` reports.
  std::string_view finding = {};  // The kind of finding that `nbdspec fuzz` reports.
  Family family = Family::kRule;  // Of a target.
  std::uint64_t inputs_max = 0;   // Inputs within which the target detects it, for each of three seeds.
};
constexpr Detector Target(std::string_view name, Family family, std::uint64_t inputs_max) {
  return {.kind = Detector::Kind::kTarget, .id = name, .family = family, .inputs_max = inputs_max};
}
constexpr Detector Session(Family family, std::uint64_t inputs) { return Target(kServerSession, family, inputs); }
constexpr Detector Contexts(Family family, std::uint64_t inputs) { return Target(kMetaContext, family, inputs); }
constexpr Detector Exchange(Family family, std::uint64_t inputs) {
  return Target(kBlockStatusExchange, family, inputs);
}
constexpr Detector Fuzz(std::string_view finding, std::string_view id) {
  return {.kind = Detector::Kind::kFuzz, .id = id, .finding = finding};
}

// A check by its id alone, or any number of detectors of any kind.
struct Detectors : std::vector<Detector> {
  Detectors(std::string_view check) : Detectors(Detector{.id = check}) {}                   // Implicit on purpose.
  Detectors(const Detector& detector) : std::vector<Detector>(std::size_t{1}, detector) {}  // Implicit on purpose.
};
template <typename... Each>
Detectors By(const Detectors& first, const Each&... others) {
  Detectors all = first;
  (all.push_back(Detectors(others).front()), ...);
  return all;
}

struct Fault {
  std::string_view name;  // "server_sends_zero_length_descriptor"
  Detectors detectors;
  Change change;
  ServerOptions server = {};  // Of the reference server that it changes.
};

// The catalogue: every fault, made once.
std::span<const Fault> AllFaults();

// Range: a name in the catalogue.
const Fault& FaultNamed(std::string_view name);

// A fault and one of its detectors.
struct Detection {
  const Fault& fault;
  const Detector& detector;
};
// In the order of the catalogue; all that `id` detects, or every one of `kind` without it.
std::vector<Detection> DetectionsBy(Detector::Kind kind, std::string_view id = "");

}  // namespace nbdspec::engine::faults
