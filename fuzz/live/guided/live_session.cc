// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/guided/live_session.h"

#include <algorithm>
#include <utility>

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

}  // namespace nbdspec::fuzz
