// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/corpus_target.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/extents/extent_map.h"
#include "engine/script/shrink.h"
#include "fuzz/comparisons/block_status_differential.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/comparisons/layer_stack_differential.h"
#include "fuzz/comparisons/meta_context_differential.h"
#include "fuzz/comparisons/report_input_differential.h"
#include "fuzz/comparisons/script_shrink_differential.h"
#include "fuzz/comparisons/script_text_differential.h"
#include "fuzz/comparisons/server_session_differential.h"
#include "fuzz/comparisons/session_decode_differential.h"
#include "fuzz/comparisons/wire_decode_differential.h"
#include "fuzz/exchange/block_status_exchange.h"
#include "fuzz/nbdkit/nbdkit_case.h"
#include "fuzz/nbdkit/nbdkit_differential.h"

namespace nbdspec::fuzz {

namespace {

using engine::ByteView;
using engine::Script;
using Found = std::optional<Disagreement>;

constexpr std::string_view kNbdkitExtents = "nbdkit_extents";

std::string_view TextOf(ByteView input) { return {reinterpret_cast<const char*>(input.data()), input.size()}; }

// A case inside real nbdkit. One that says how nbdkit deviates passes when nbdkit does.
Found FindInNbdkitCase(ByteView input) {
  const auto test_case = ParseNbdkitCase(TextOf(input));
  NBDSPEC_CHECK(test_case.has_value());  // RunCorpusTarget has looked.
  auto found = FindNbdkitDisagreement(*test_case);
  if (test_case->deviates.empty()) {
    return found;
  }
  const std::string saw = found ? found->where + ": " + found->expected + ": " + found->saw : "no deviation";
  if (saw.find(test_case->deviates) != std::string::npos) {
    return {};
  }
  return Disagreement{.where = "how nbdkit deviates", .expected = test_case->deviates, .saw = saw};
}

std::vector<CorpusTarget> MakeTargets() {
  return {
      {.name = "block_status_exchange",
       .find_in_script = [](const Script& script) { return FindBlockStatusExchangeDisagreement(script); },
       .limits = kExchangeLimits},
      {.name = "block_status_reply",
       .find_in_bytes = [](ByteView input) { return FindBlockStatusDisagreement(input); }},
      {.name = "boundary_tree", .elsewhere = "the nodes of its map are small, which is for tests only"},
      {.name = "c_api", .elsewhere = "it replaces operator new"},
      {.name = "extent_map",
       .find_in_script =
           [](const Script& script) {
             return FindExtentMapDisagreement(script, engine::ExtentMap(script.size, script.initial));
           },
       .limits = kExtentMapLimits},
      {.name = "layer_stack", .find_in_bytes = [](ByteView input) { return FindLayerStackDisagreement(input); }},
      {.name = "libnbd_client", .elsewhere = "it needs libnbd"},
      {.name = "meta_context", .find_in_bytes = [](ByteView input) { return FindMetaContextDisagreement(input); }},
      {.name = kNbdkitExtents, .find_in_bytes = FindInNbdkitCase},
      {.name = "report_input", .find_in_bytes = [](ByteView input) { return FindReportInputDisagreement(input); }},
      {.name = "script_shrink",
       .find_in_script = [](const Script& script) { return FindScriptShrinkDisagreement(script, engine::Shrink); },
       .limits = kShrinkLimits},
      {.name = "script_text", .find_in_bytes = [](ByteView input) { return FindScriptTextDisagreement(input); }},
      {.name = "server_session", .find_in_bytes = [](ByteView input) { return FindServerSessionDisagreement(input); }},
      {.name = "session_decode", .find_in_bytes = [](ByteView input) { return FindSessionDecodeDisagreement(input); }},
      {.name = "wire_decode", .find_in_bytes = [](ByteView input) { return FindWireDecodeDisagreement(input); }},
  };
}

}  // namespace

const std::vector<CorpusTarget>& CorpusTargets() {
  static const std::vector<CorpusTarget> targets = MakeTargets();
  return targets;
}

const CorpusTarget* CorpusTargetNamed(std::string_view name) {
  const auto& targets = CorpusTargets();
  const auto found = std::ranges::find(targets, name, &CorpusTarget::name);
  return found == targets.end() ? nullptr : &*found;
}

std::string_view CorpusFolderOf(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) {
      parts.push_back(path.substr(0, end));
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  const std::size_t count = parts.size();
  const bool is_corpus = count >= 3 && (parts[count - 3] == "regressions" || parts[count - 3] == "seeds");
  return is_corpus ? parts[count - 2] : std::string_view();
}

std::expected<Found, engine::Trouble> RunCorpusTarget(const CorpusTarget& target, ByteView input) {
  NBDSPEC_CHECK(target.elsewhere.empty());
  const bool is_text = TextOf(input).starts_with(engine::kScriptHeader);
  if (target.name == kNbdkitExtents) {
    if (const auto test_case = ParseNbdkitCase(TextOf(input)); !test_case) {
      return std::unexpected(test_case.error());
    }
  }
  if (target.find_in_script == nullptr) {
    return target.find_in_bytes(input);
  }
  if (is_text) {  // As bytes it would prove nothing.
    if (const auto script = engine::ParseScript(TextOf(input)); !script) {
      return std::unexpected(script.error());
    }
  }
  return target.find_in_script(engine::ReadScript(input, target.limits));
}

}  // namespace nbdspec::fuzz
