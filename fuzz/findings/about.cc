// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/about.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <variant>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

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

// What stands in about.json as it is.
struct Field {
  const char* name;
  std::variant<std::string Finding::*, std::uint64_t Finding::*> member;
};
constexpr auto kFields = std::to_array<Field>({
    {"rule", &Finding::rule},
    {"place", &Finding::request_kind},
    {"expected", &Finding::expected},
    {"saw", &Finding::saw},
    {"known", &Finding::known},
    {"target", &Finding::target},
    {"target_words", &Finding::target_words},
    {"replay_options", &Finding::replay_options},
    {"version", &Finding::version},
    {"seed", &Finding::seed},
    {"script_number", &Finding::script_number},
    {"step", &Finding::step},
    {"count", &Finding::count},
    {"server_ended", &Finding::server_ended},
});

// The member `name` of an object; the same, empty, when it is missing or of another type.
template <typename Value>
Value ValueIn(const Json& object, const char* name) {
  const auto found = object.find(name);
  const bool has_type =
      found != object.end() && (std::is_same_v<Value, std::string> ? found->is_string() : found->is_number_unsigned());
  return has_type ? found->get<Value>() : Value{};
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
    files[name] = {.bytes = ValueIn<std::uint64_t>(facts, "bytes"), .fnv1a = ValueIn<std::uint64_t>(facts, "fnv1a")};
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
      stream.sent_offset = ValueIn<std::uint64_t>(facts, "sent_offset");
      stream.received_offset = ValueIn<std::uint64_t>(facts, "received_offset");
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
  const auto kind = about.is_object() ? FindingKindFrom(ValueIn<std::string>(about, "kind")) : std::nullopt;
  const auto state = about.is_object() ? FindingStateFrom(ValueIn<std::string>(about, "state")) : std::nullopt;
  if (!kind || !state) {
    return Wrong("is no description of a finding");
  }
  NBDSPEC_ASSIGN_OR_RETURN(files, FilesIn(about));
  About parsed{.finding = {.kind = *kind, .state = *state, .connections = StreamsIn(about)},
               .replay = ValueIn<std::string>(about, "replay"),
               .files = std::move(files)};
  for (const Field& field : kFields) {
    std::visit(
        [&](auto member) {
          auto& value = parsed.finding.*member;
          value = ValueIn<std::remove_reference_t<decltype(value)>>(about, field.name);
        },
        field.member);
  }
  return parsed;
}

std::string Print(const About& about) {
  const Finding& finding = about.finding;
  Json json = {{"kind", Name(finding.kind)}, {"state", Name(finding.state)}, {"replay", about.replay}};
  for (const Field& field : kFields) {
    std::visit([&](auto member) { json[field.name] = finding.*member; }, field.member);
  }
  json["connections"] = Json::array();
  json["files"] = Json::object();
  for (const FindingStream& stream : finding.connections) {
    json["connections"].push_back({{"sent_offset", stream.sent_offset}, {"received_offset", stream.received_offset}});
  }
  for (const auto& [name, facts] : about.files) {
    json["files"][name] = {{"bytes", facts.bytes}, {"fnv1a", facts.fnv1a}};
  }
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace nbdspec::fuzz
