// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/guided/live_session.h"

#include <algorithm>
#include <set>
#include <utility>

#include "fuzz/inputs/script_mutator.h"
#include "fuzz/live/guided/answer_signature.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {

using engine::Script;
using engine::Trouble;

namespace {

constexpr std::uint32_t kPayloadBytesMax = 64 << 10;
constexpr int kFreshStepsMax = static_cast<int>(kLiveStepsMax);

// Whether a request of that legality is illegal for no other reason than that it reaches past the end.
bool IsOffered(const engine::Legality& legality) {
  using engine::Reason;
  constexpr Reason kReasons[] = {Reason::kUnknownCommand,   Reason::kNotOffered,     Reason::kUnknownFlag,
                                 Reason::kInapplicableFlag, Reason::kFlagNotOffered, Reason::kReadOnly,
                                 Reason::kNoContext,        Reason::kMisaligned,     Reason::kTooLong};
  return std::ranges::none_of(kReasons, [&](Reason reason) { return legality.Has(reason); });
}

}  // namespace

std::expected<std::unique_ptr<LiveSession>, Trouble> LiveSession::Start(conformance::Target& target, Options options) {
  options.live.keep_answers = true;
  auto server = LiveServer::Start(target, options.live);
  if (!server) {
    return std::unexpected(server.error());
  }
  return std::unique_ptr<LiveSession>(new LiveSession(*std::move(server), options));
}

engine::ScriptLimits LiveSession::limits() const {
  return {.export_bytes_max = server_->offer().info.size,
          .steps_max = kLiveStepsMax,
          .kinds = engine::kWireSteps,
          .payload_bytes_max = kPayloadBytesMax};
}

Script LiveSession::ScriptOf(engine::ByteView input) const {
  const Script text = engine::ReadScript(input, limits());
  if (text.size == server_->offer().info.size) {
    return text;
  }
  // The export is what it is: only the steps are the input's.
  engine::Bytes bytes = engine::EncodeScript({.size = server_->offer().info.size});
  const auto steps = input.subspan(std::min(input.size(), engine::kScriptHeadBytes));
  bytes.insert(bytes.end(), steps.begin(), steps.end());
  return engine::DecodeScript(bytes, limits());
}

Script LiveSession::Fresh(std::uint64_t seed) const {
  return RandomScript(
      seed, server_->offer(), server_->windows(),
      {.steps_max = kFreshStepsMax, .only_offered = options_.only_offered, .payload_bytes_max = kPayloadBytesMax});
}

std::expected<LiveSession::Outcome, Trouble> LiveSession::Run(const Script& script) {
  Script polite = script;
  if (options_.only_offered) {
    std::erase_if(polite.steps, [this](const engine::Step& step) {
      const auto* request = std::get_if<engine::RequestStep>(&step);
      return request != nullptr && !IsOffered(LegalityOf(*request, server_->offer()));
    });
  }
  auto ran = server_->Run(polite);
  if (!ran || ran->finding) {
    if (const auto restarted = server_->Restart(); !restarted) {
      return std::unexpected(restarted.error());
    }
  }
  if (!ran) {
    return Outcome{};
  }
  Outcome outcome{.signatures = SignaturesOf(polite, *ran), .command_count = ran->command_count};
  if (ran->finding && ran->finding->known.empty()) {
    outcome.finding = std::move(ran->finding);
  }
  return outcome;
}

std::expected<FeedbackReport, Trouble> RunFeedback(LiveSession& session, const FeedbackOptions& options) {
  FeedbackReport report;
  std::set<std::uint32_t> seen;
  std::vector<Script> kept;
  Random random(options.seed);
  ScriptMutator mutator(session.limits(), options.seed);
  const std::uint64_t size = session.limits().export_bytes_max;
  while (report.seen.size() < options.runs && report.command_count < options.commands_max && !report.finding) {
    const bool is_fresh = kept.empty() || random.Below(8) == 0;
    Script script = is_fresh ? session.Fresh(random()) : kept[random.Below(kept.size())];
    if (!is_fresh && random.Below(4) == 0) {
      script = mutator.Cross(script, kept[random.Below(kept.size())]);
    } else if (!is_fresh) {
      mutator.Mutate(script);
    }
    script.size = size;
    auto outcome = session.Run(script);
    if (!outcome) {
      return std::unexpected(outcome.error());
    }
    const std::size_t before = seen.size();
    seen.insert(outcome->signatures.begin(), outcome->signatures.end());
    if (options.keep == Keep::kAll || (options.keep == Keep::kNew && seen.size() > before)) {
      kept.push_back(std::move(script));
    }
    report.seen.push_back(seen.size());
    report.command_count += outcome->command_count;
    report.finding = std::move(outcome->finding);
  }
  return report;
}

}  // namespace nbdspec::fuzz
