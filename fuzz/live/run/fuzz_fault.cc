// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/fuzz_fault.h"

#include <atomic>

#include "conformance/peer/reference_target.h"
#include "engine/base/check.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::fuzz {

namespace {

bool IsShownByPowerCuts(const engine::faults::Detector& detector) {
  return detector.id == spec::kTransmissionFlushCoversCompleted || detector.id == spec::kTransmissionFuaNoEarlyReply;
}

}  // namespace

std::unique_ptr<conformance::Target> ReferenceWith(const engine::faults::Change& change) {
  return conformance::ReferenceTarget(
      {.interposers = [change, number = std::uint64_t{0}](engine::Layer& layer) mutable {
        return engine::faults::Interpose(change, number++, &layer);
      }});
}

FuzzedFault FuzzFault(const engine::faults::Detection& detection, std::uint64_t seed, bool only_fresh) {
  const auto& [fault, detector] = detection;
  const auto kind = FindingKindFrom(detector.finding);
  NBDSPEC_CHECK(kind);
  std::atomic<bool> is_found = false;
  FuzzedFault fuzzed;
  const FuzzOptions options = {
      .seed = seed,
      .scripts_max = kScriptsPerFault,
      .only_fresh = only_fresh,
      .tries_max = 0,
      .live = {.cancelled = &is_found, .power_cut = IsShownByPowerCuts(detector)},  // The first of the kind is enough.
      .on_finding = [&, id = detector.id](const Finding& finding, const std::string&) {
        fuzzed.seen += " " + KeyOf(finding);
        is_found = is_found || (finding.kind == *kind && finding.rule == id);
      }};
  fuzzed.report = Fuzz(*ReferenceWith(fault.change), options);
  fuzzed.is_found = spec::ServerSeverityOf(detector.id) == spec::Severity::kWarning
                        ? !is_found && fuzzed.report.warnings.contains(detector.id)
                        : is_found && !fuzzed.report.warnings.contains(detector.id);
  return fuzzed;
}

}  // namespace nbdspec::fuzz
