// SPDX-License-Identifier: BSD-3-Clause
// Two servers and one script: where do they disagree, and does it matter?
//
// Each is judged by what is known of its own bytes, so their images may differ. Requests are sent one at a time: then
// every answer is determined, and two correct servers differ only in what the specification leaves open.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

enum class DifferenceKind {
  kSoundness,   // One returned data, a claim or a form of answer that is not allowed.
  kDisconnect,  // One ended the connection, or its process, or did not answer.
  kErrorCode,   // One did what the other refused, or they refused with different errors.
  kPrecision,   // One claims less of the same bytes.
};
inline constexpr int kDifferenceKindCount = 4;
std::string_view Name(DifferenceKind kind);  // "soundness"

struct Difference {
  DifferenceKind kind = DifferenceKind::kPrecision;
  std::uint64_t script_number = 0;
  std::string step = {};   // As text.
  std::string first = {};  // What the first server did, and the second.
  std::string second = {};
  FindingPicture picture = {};  // Of a failure of one of them, or of what both say of the bytes.
};

struct DiffOptions {
  std::uint64_t seed = 1;
  std::uint64_t scripts_max = 100;
  int steps_max = 32;
  std::optional<engine::Script> script = {};  // This one instead of random ones.
  LiveOptions live = {};                      // But for one request in flight.
};

struct DiffReport {
  std::vector<Difference> differences;  // At most kDifferencesMax of each kind.
  std::array<std::uint64_t, kDifferenceKindCount> counts = {};
  std::uint64_t script_count = 0;
  std::uint64_t command_count = 0;  // Of each server.
  std::array<Warnings, 2> warnings = {};
  std::optional<engine::Trouble> trouble;  // A server is of no use, or not any more.

  static constexpr std::size_t kDifferencesMax = 10;

  [[nodiscard]] std::uint64_t count(DifferenceKind kind) const { return counts[static_cast<std::size_t>(kind)]; }
};

// The caller may write to both targets.
DiffReport Diff(conformance::Target& first, conformance::Target& second, const DiffOptions& options);

}  // namespace nbdspec::fuzz
