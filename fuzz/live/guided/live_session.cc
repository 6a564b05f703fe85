// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/guided/live_session.h"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/exchange/status.h"
#include "fuzz/inputs/random.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {

using engine::Script;
using engine::Trouble;

namespace {

constexpr std::uint32_t kPayloadBytesMax = 64 << 10;
constexpr int kFreshStepsMax = static_cast<int>(kLiveStepsMax);
constexpr std::size_t kTypesShown = 6;
constexpr std::size_t kDescriptorsShown = 4;

// Whether a request of that legality is illegal for no other reason than that it reaches past the end.
bool IsOffered(const engine::Legality& legality) {
  using engine::Reason;
  constexpr Reason kReasons[] = {Reason::kUnknownCommand,   Reason::kNotOffered,     Reason::kUnknownFlag,
                                 Reason::kInapplicableFlag, Reason::kFlagNotOffered, Reason::kReadOnly,
                                 Reason::kNoContext,        Reason::kBadQuery,       Reason::kMisaligned,
                                 Reason::kTooLong};
  return std::ranges::none_of(kReasons, [&](Reason reason) { return legality.Has(reason); });
}

// --- Signatures ---

enum Domain : std::uint64_t { kKind, kShape, kExtent, kTransition };

std::uint32_t SignatureOf(std::initializer_list<std::uint64_t> facts) {
  return static_cast<std::uint32_t>(Mix(facts)) % kSignatureLimit;
}

// 0, 1, 2, 3, then the power of two below.
std::uint64_t Bucket(std::uint64_t count) {
  return count < 4 ? count : 2 + static_cast<std::uint64_t>(std::bit_width(count) - 1);
}

// Before, at or after.
std::uint64_t Side(std::uint64_t value, std::uint64_t mark) { return value < mark ? 0 : (value == mark ? 1 : 2); }

// Which messages with which error answer which kind of request: runs of one type count as one.
std::uint64_t KindOf(const engine::RequestStep& request, const engine::Answer& answer) {
  std::uint64_t kind = Mix(
      {kKind, static_cast<std::uint64_t>(request.command), request.flags, answer.error(), answer.simple().has_value()});
  std::size_t shown = 0;
  for (std::size_t i = 0; i < answer.chunks().size() && shown < kTypesShown; ++i) {
    if (i == 0 || answer.chunks()[i].type != answer.chunks()[i - 1].type) {
      kind = Mix({kind, answer.chunks()[i].type});
      ++shown;
    }
  }
  return kind;
}

void AddStatus(const engine::RequestStep& request, const engine::StatusChunk& chunk,
               std::vector<std::uint32_t>& found) {
  std::uint64_t described = 0;
  std::uint64_t shape = Mix({kShape, chunk.context_id(), request.flags});
  ForEachDescriptor(chunk, request.offset, [&](const engine::Located& each) {
    const auto [length, status] = each.descriptor();
    described += length;
    shape = each.index < kDescriptorsShown ? Mix({shape, status}) : shape;
    found.push_back(
        SignatureOf({kExtent, chunk.context_id(), status, Bucket(length), Side(described, request.length)}));
  });
  found.push_back(SignatureOf({shape, Bucket(chunk.descriptor_count()), Side(described, request.length)}));
}

// Those of the answers to `script`, sorted, each once.
std::vector<std::uint32_t> SignaturesOf(const Script& script, const RunResult& result) {
  std::vector<std::uint32_t> found;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < std::min(script.steps.size(), result.answers.size()); ++i) {
    const auto* request = std::get_if<engine::RequestStep>(&script.steps[i]);
    const engine::Answer& answer = result.answers[i];
    if (request == nullptr || !answer.is_complete()) {
      continue;
    }
    const std::uint64_t kind = KindOf(*request, answer);
    found.push_back(SignatureOf({kind}));
    found.push_back(SignatureOf({kTransition, before, kind}));
    before = kind;
    if (request->command == engine::Command::kRead) {
      found.push_back(
          SignatureOf({kShape, answer.error(), Bucket(answer.chunks().size() + (answer.simple() ? 1 : 0))}));
    }
    for (const engine::ReplyChunk& chunk : answer.chunks()) {
      if (const auto status = engine::StatusChunk::From(chunk)) {
        AddStatus(*request, *status, found);
      }
    }
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

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
  Outcome outcome{.signatures = SignaturesOf(polite, *ran), .command_count = ran->command_count};
  if (ran->finding && ran->finding->known.empty()) {
    outcome.finding = std::move(ran->finding);
  }
  return outcome;
}

}  // namespace nbdspec::fuzz
