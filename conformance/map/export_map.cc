// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/map/export_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "conformance/checks/check.h"
#include "conformance/session/probe.h"
#include "conformance/session/transcript.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;
using reports::ExtentMap;

// Servers of compact headers have been known to fail on requests near 4 GiB.
constexpr std::uint64_t kCompactBytesMax = std::uint64_t{1} << 30;

// What is to be asked at `offset`: whole blocks, but for the end of the export.
Request AskAt(const Entered& entered, std::uint64_t offset) {
  const std::uint64_t rest = entered.size() - offset;
  const bool is_extended = entered.agreed->headers == HeaderForm::kExtended;
  return {.type = CommandType::kBlockStatus,
          .offset = offset,
          .length = is_extended ? rest : std::min(rest, kCompactBytesMax)};
}

// Takes the descriptors of `answer` to `map`. Returns what is wrong with it; empty when it says something.
std::string Take(const Answer& answer, std::uint32_t context, ExtentMap& map) {
  if (answer.error() != NbdError::kOk) {
    return "NBD_CMD_BLOCK_STATUS fails: " + ErrorName(answer.error());
  }
  const std::uint64_t known = map.extents.empty() ? 0 : map.extents.back().end;
  for (const Chunk& chunk : answer.chunks) {
    const auto status = engine::DecodeBlockStatus(chunk.type, chunk.payload);
    if (!status || status->context_id != context) {
      continue;
    }
    for (const engine::Descriptor& descriptor : status->descriptors) {
      Append(map, descriptor.length, descriptor.status);
    }
  }
  const bool has_more = !map.extents.empty() && map.extents.back().end > known;
  return has_more ? "" : "an answer to NBD_CMD_BLOCK_STATUS says nothing of the bytes that were asked about";
}

void AskForAll(Entered& entered, std::uint32_t context, const MapOptions& options, ExtentMap& map) {
  for (std::uint64_t known = 0; known < map.size && map.trouble.empty(); known = map.extents.back().end) {
    const auto answer = entered.session.Ask(AskAt(entered, known));
    map.trouble = answer ? Take(*answer, context, map) : answer.error().text;
    if (options.limits.cancelled != nullptr && *options.limits.cancelled) {
      map.trouble = "it was interrupted";  // Then nothing was waited for.
    }
    if (map.extents.size() > options.extents_max) {
      map.extents.resize(options.extents_max);
      map.trouble = fmt::format("it has more than {} extents", options.extents_max);
    }
    if (map.extents.empty()) {
      return;
    }
  }
}

}  // namespace

std::expected<ExtentMap, Trouble> MapExport(Target& target, const MapOptions& options) {
  const auto peer = target.Start(Setup::kWritable, Transport::Clock::now() + options.limits.reply_timeout);
  if (!peer) {
    return std::unexpected(Trouble{peer.error().sentence});
  }
  Transcript transcript;
  const ProbeOptions asking = {.export_name = target.ExportName(), .asks_extended = true, .limits = options.limits};
  const auto profile = Probe(**peer, asking, transcript);
  if (!profile) {
    return std::unexpected(Trouble{profile.error().sentence});
  }
  CheckContext context{.peer = **peer,
                       .profile = *profile,
                       .export_name = asking.export_name,
                       .limits = options.limits,
                       .requirement = {},
                       .random = {},
                       .transcript = transcript};
  context.headers = profile->Offers(Feature::kExtendedHeaders) ? HeaderForm::kExtended : HeaderForm::kCompact;
  auto entered = context.EnterWithAll();
  if (!entered) {
    return std::unexpected(
        Trouble{profile->refusal.empty() ? entered.error().saw : "the export cannot be entered: " + profile->refusal});
  }
  const auto& contexts = entered->agreed->contexts;
  const auto base = std::ranges::find(contexts, kBaseAllocation, &engine::MetaContext::name);
  if (base == contexts.end()) {
    return std::unexpected(Trouble{"the server does not offer base:allocation, in which it would say what it stores"});
  }
  ExtentMap map{.target = target.Describe(), .export_name = asking.export_name, .size = entered->size()};
  AskForAll(*entered, base->id, options, map);
  entered->session.Disconnect();
  return map;
}

}  // namespace nbdspec::conformance
