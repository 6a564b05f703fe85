// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/guided/live_session.h"

#include <algorithm>
#include <utility>

#include "engine/base/or_return.h"
#include "fuzz/live/judge/reply_judge.h"
#include "fuzz/live/learn/learner.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {

using engine::Script;
using engine::Trouble;

namespace {

constexpr std::uint32_t kPayloadBytesMax = 64 << 10;
constexpr int kFreshStepsMax = static_cast<int>(kLiveStepsMax);

}  // namespace

std::expected<std::unique_ptr<LiveSession>, Trouble> LiveSession::Start(conformance::Target& target,
                                                                        LiveOptions options) {
  options.keep_answers = true;
  NBDSPEC_ASSIGN_OR_RETURN(server, LiveServer::Start(target, options));
  if (server->broken()) {
    return std::unexpected(server->broken()->trouble);
  }
  return std::unique_ptr<LiveSession>(new LiveSession(std::move(server)));
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
  return RandomScript(seed, server_->offer(), server_->windows(),
                      {.steps_max = kFreshStepsMax, .only_offered = true, .payload_bytes_max = kPayloadBytesMax});
}

std::expected<LiveSession::Outcome, Trouble> LiveSession::Run(const Script& script) {
  Script polite = script;
  std::erase_if(polite.steps, [this](const engine::Step& step) {
    const auto* request = std::get_if<engine::RequestStep>(&step);
    return request != nullptr && !IsOffered(LegalityOf(*request, server_->offer()));
  });
  auto ran = server_->Run(polite);
  if (!ran || ran->finding) {
    NBDSPEC_RETURN_IF_ERROR(server_->Restart());
  }
  if (!ran) {
    return Outcome{};
  }
  Outcome outcome{.signatures = SignaturesOf(polite, ran->answers), .command_count = ran->command_count};
  if (ran->finding && ran->finding->known.empty()) {
    outcome.finding = std::move(ran->finding);
  }
  return outcome;
}

}  // namespace nbdspec::fuzz
