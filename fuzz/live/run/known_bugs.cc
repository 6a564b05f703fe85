// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/known_bugs.h"

#include <algorithm>
#include <array>

#include "engine/spec/ids.h"

namespace nbdspec::fuzz {

namespace {

struct KnownBug {
  std::string_view name;
  std::string_view server;  // In the description of the target.
  FindingKind kind;
  std::string_view rule;     // Empty: any.
  std::string_view symptom;  // In the server's standard error; empty: any.
  bool is_race = false;
};

constexpr std::array kBugs = {
    // One descriptor too many after one that ends exactly where the request does; of 4 GiB extents, an assertion.
    KnownBug{"CVE-2025-47711", "nbdkit", FindingKind::kBrokenRule, spec::kBlockStatusSumBeforeLast, ""},
    KnownBug{"CVE-2025-47711", "nbdkit", FindingKind::kCrash, "", "extents->next <= extents->end"},
    // 1.32.4 to 1.33.10 abort when many requests are in flight and the client leaves without reading.
    KnownBug{"rhbz#2173054", "nbdkit", FindingKind::kCrash, "", "sock >= 0"},
    // Its extents are those of the file below, though the bytes are in the cache.
    KnownBug{"nbdkit-cache-extents", "--filter=cache ", FindingKind::kFalseClaim, spec::kBaseAllocationZeroReadsZero,
             ""},
    // A part of a block is read, changed and written back while all of it is written.
    KnownBug{"nbdkit-cow-lost-write", "--filter=cow ", FindingKind::kWrongData, spec::kTransmissionWriteThenReply, "",
             /*is_race=*/true},
    // Zeroing or discarding frees a cluster that a write in flight still holds: qemu's commit b8bfb1478d61.
    KnownBug{"qemu-b8bfb1478d61", "qcow2", FindingKind::kWrongData, spec::kTransmissionWriteThenReply, "",
             /*is_race=*/true},
    // The same after a power cut: the cluster shows what another one has, and counts as unused.
    KnownBug{"qemu-b8bfb1478d61", "qcow2", FindingKind::kWrongData, spec::kTransmissionFlushCoversCompleted, "",
             /*is_race=*/true},
    KnownBug{"qemu-b8bfb1478d61", "qcow2", FindingKind::kWrongData, spec::kTransmissionFuaNoEarlyReply, "",
             /*is_race=*/true},
    KnownBug{"qemu-b8bfb1478d61", "qcow2", FindingKind::kDamage, spec::kTransmissionFlushCoversCompleted, "",
             /*is_race=*/true},
};

}  // namespace

std::string PublicNameOf(const Finding& finding) {
  for (const KnownBug& bug : kBugs) {
    if (finding.kind == bug.kind && finding.target.find(bug.server) != std::string::npos &&
        (bug.rule.empty() || finding.rule == bug.rule) &&
        (bug.symptom.empty() || finding.server_stderr.find(bug.symptom) != std::string::npos)) {
      return std::string(bug.name);
    }
  }
  return {};
}

bool IsRace(std::string_view public_name) {
  return std::ranges::any_of(kBugs, [&](const KnownBug& bug) { return bug.is_race && bug.name == public_name; });
}

std::vector<std::string_view> RequirementsOfKnownBugs() {
  std::vector<std::string_view> requirements;
  for (const KnownBug& bug : kBugs) {
    if (!bug.rule.empty()) {
      requirements.push_back(bug.rule);
    }
  }
  return requirements;
}

}  // namespace nbdspec::fuzz
