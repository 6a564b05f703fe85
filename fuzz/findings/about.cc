// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/about.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/base/quoted.h"
#include "engine/wire/messages.h"

namespace nbdspec::fuzz {

namespace {

using engine::Trouble;
using Json = nlohmann::ordered_json;

constexpr std::size_t kConnectionsMax = 64;
constexpr std::size_t kFilesMax = 2 * kConnectionsMax + 4;
constexpr std::size_t kTextBytesMax = std::size_t{16} << 20;

std::unexpected<Trouble> Wrong(std::string_view what) {
  return std::unexpected(Trouble{"about.json " + std::string(what)});
}

std::string TextIn(const Json& about, const char* name) {
  const auto found = about.find(name);
  return found != about.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t NumberIn(const Json& about, const char* name) {
  const auto found = about.find(name);
  return found != about.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::expected<std::map<std::string, FileFacts>, Trouble> FilesIn(const Json& about) {
  const auto listed = about.find("files");
  if (listed == about.end() || !listed->is_object() || listed->size() > kFilesMax) {
    return Wrong("lists no files");
  }
  std::map<std::string, FileFacts> files;
  for (const auto& [name, facts] : listed->items()) {
    if (name.find('/') != std::string::npos || !facts.is_object()) {
      return Wrong("lists " + engine::Quoted(name));
    }
    files[name] = {.bytes = NumberIn(facts, "bytes"), .fnv1a = NumberIn(facts, "fnv1a")};
  }
  return files;
}

std::vector<FindingStream> StreamsIn(const Json& about) {
  std::vector<FindingStream> streams;
  const auto listed = about.find("connections");
  if (listed == about.end() || !listed->is_array()) {
    return streams;
  }
  for (std::size_t i = 0; i < std::min(listed->size(), kConnectionsMax); ++i) {
    const Json& facts = (*listed)[i];
    FindingStream& stream = streams.emplace_back();
    if (facts.is_object()) {
      stream.sent_offset = NumberIn(facts, "sent_offset");
      stream.received_offset = NumberIn(facts, "received_offset");
    }
  }
  return streams;
}

}  // namespace

std::expected<About, Trouble> ParseAbout(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return Wrong("is too long");
  }
  const Json about = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto kind = about.is_object() ? FindingKindFrom(TextIn(about, "kind")) : std::nullopt;
  const auto state = about.is_object() ? FindingStateFrom(TextIn(about, "state")) : std::nullopt;
  if (!kind || !state) {
    return Wrong("is no description of a finding");
  }
  auto files = FilesIn(about);
  if (!files) {
    return std::unexpected(files.error());
  }
  return About{.finding = {.kind = *kind,
                           .rule = TextIn(about, "rule"),
                           .request_kind = TextIn(about, "place"),
                           .expected = TextIn(about, "expected"),
                           .saw = TextIn(about, "saw"),
                           .known = TextIn(about, "known"),
                           .state = *state,
                           .step = static_cast<std::size_t>(NumberIn(about, "step")),
                           .connections = StreamsIn(about),
                           .server_ended = TextIn(about, "server_ended"),
                           .seed = NumberIn(about, "seed"),
                           .script_number = NumberIn(about, "script_number"),
                           .count = NumberIn(about, "count"),
                           .target = TextIn(about, "target"),
                           .target_words = TextIn(about, "target_words"),
                           .replay_options = TextIn(about, "replay_options"),
                           .version = TextIn(about, "version")},
               .replay = TextIn(about, "replay"),
               .files = *std::move(files)};
}

std::string Print(const About& about) {
  const Finding& finding = about.finding;
  Json json = {{"kind", Name(finding.kind)},
               {"rule", finding.rule},
               {"place", finding.request_kind},
               {"expected", finding.expected},
               {"saw", finding.saw},
               {"known", finding.known},
               {"state", Name(finding.state)},
               {"replay", about.replay},
               {"target", finding.target},
               {"target_words", finding.target_words},
               {"replay_options", finding.replay_options},
               {"version", finding.version},
               {"seed", finding.seed},
               {"script_number", finding.script_number},
               {"step", finding.step},
               {"count", finding.count},
               {"server_ended", finding.server_ended},
               {"connections", Json::array()},
               {"files", Json::object()}};
  for (const FindingStream& stream : finding.connections) {
    json["connections"].push_back({{"sent_offset", stream.sent_offset}, {"received_offset", stream.received_offset}});
  }
  for (const auto& [name, facts] : about.files) {
    json["files"][name] = {{"bytes", facts.bytes}, {"fnv1a", facts.fnv1a}};
  }
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace nbdspec::fuzz
