// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include <vector>

#include "command/commands.h"
#include "command/output.h"
#include "command/selection.h"
#include "conformance/checks/check.h"
#include "engine/base/quoted.h"
#include "engine/faults/fault.h"
#include "engine/spec/catalogue.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

using conformance::Check;

void PrintCheck(const Check& check) {
  fmt::print("\ncheck {}\n  {}\n", check.id, check.claim);
  for (int i = 0; i < conformance::kFeatureCount; ++i) {
    const auto feature = static_cast<conformance::Feature>(i);
    if (check.needs.Has(feature)) {
      fmt::print("  needs    {}\n", Describe(feature));
    }
  }
  for (const auto& caught : engine::faults::DetectionsBy(engine::faults::Detector::Kind::kCheck, check.id)) {
    fmt::print("  catches  {}\n", caught.fault.name);
  }
  fmt::print("  run it   nbdspec check TARGET '{}'\n", check.id);
}

int UnknownId(const std::string& id) {
  std::vector<std::string_view> ids;
  for (const spec::Requirement& requirement : spec::TheCatalogue().all()) {
    ids.push_back(requirement.id);
  }
  return Refuse(fmt::format("there is no check or requirement {}{}", engine::Quoted(id), DidYouMean(id, ids)),
                reports::ExitCode::kUsage);
}

}  // namespace

int ExplainCommand(const Options& options) {
  const std::string& id = options.words.front();
  const spec::Requirement* requirement = spec::TheCatalogue().Find(std::string_view(id).substr(0, id.find('/')));
  if (requirement == nullptr) {
    return UnknownId(id);
  }
  fmt::print("{}\n  {}: {}.\n", requirement->id, Word(requirement->level), requirement->statement);
  fmt::print("  binds    the {}, in {}\n", Word(requirement->role), Word(requirement->phase));
  fmt::print("  section  {} (proto.md of {})\n", requirement->section, spec::kSpecDate);
  fmt::print("  how      {}\n", requirement->how);
  if (requirement->ambiguous) {
    fmt::print("  note     the specification leaves this open: a breach is a warning, never a failure\n");
  }
  int found = 0;
  for (const Check& check : conformance::AllChecks()) {
    if (check.id == id || check.requirement() == id) {
      PrintCheck(check);
      ++found;
    }
  }
  if (found == 0 && id.find('/') != std::string::npos) {
    return UnknownId(id);
  }
  if (found == 0) {
    fmt::print("  no check asks it: {}\n", requirement->untested.empty() ? "not yet" : requirement->untested);
  }
  return reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
