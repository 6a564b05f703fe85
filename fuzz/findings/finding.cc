// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/finding.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <variant>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::fuzz {

using engine::Trouble;

namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 10> kKinds = {"wrong-data",  "false-claim",  "broken-rule", "wrong-success",
                                                     "wrong-error", "disconnect",   "crash",       "hang",
                                                     "damage",      "wrong-failure"};
constexpr std::array<std::string_view, 3> kStates = {"observed", "reproduced", "not-reproduced"};

template <typename Enum, std::size_t count>
std::optional<Enum> ValueOf(std::string_view name, const std::array<std::string_view, count>& names) {
  const auto* const found = std::ranges::find(names, name);
  return found == names.end() ? std::nullopt : std::optional(static_cast<Enum>(found - names.begin()));
}

constexpr std::size_t kKeyBytesMax = 120;  // File systems allow 255, and more follows it.

// --- about.json ---

using Json = nlohmann::json;  // To read: a key is found without looking at each, however many there are.
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kConnectionsMax = 64;
constexpr std::size_t kFilesMax = 2 * kConnectionsMax + 4;
constexpr std::size_t kTimelineMax = 64;
constexpr std::size_t kSightingsMax = 10000;
constexpr int kDepthMax = 4;  // Of what is read: deeper there is nothing of ours.

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

// Options of a stranger's, as they are shown in a line to copy: what a shell takes for more than words is not.
std::string WithoutShell(std::string options) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(" -_./:,+@%=").contains(c);
  };
  return std::ranges::all_of(options, is_plain) ? options : "";
}

// The member `name` of an object; empty when it is missing or of another type, or `object` is none.
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
    streams.push_back({.sent_offset = ValueIn<std::uint64_t>(facts, "sent_offset"),
                       .received_offset = ValueIn<std::uint64_t>(facts, "received_offset")});
  }
  return streams;
}

std::vector<Sighting> SightingsIn(const Json& about) {
  std::vector<Sighting> sightings;
  const auto listed = about.find("seen_by");
  if (listed == about.end() || !listed->is_array()) {
    return sightings;
  }
  for (std::size_t i = 0; i < std::min(listed->size(), kSightingsMax); ++i) {
    const Json& facts = (*listed)[i];
    sightings.push_back({.run = ValueIn<std::string>(facts, "run"),
                         .seed = ValueIn<std::uint64_t>(facts, "seed"),
                         .shard = ValueIn<std::string>(facts, "shard"),
                         .script_number = ValueIn<std::uint64_t>(facts, "script_number"),
                         .count = ValueIn<std::uint64_t>(facts, "count")});
  }
  return sightings;
}

std::vector<std::string> TimelineIn(const Json& about) {
  std::vector<std::string> lines;
  const auto listed = about.find("timeline");
  for (std::size_t i = 0; listed != about.end() && listed->is_array() && i < listed->size(); ++i) {
    if ((*listed)[i].is_string() && lines.size() < kTimelineMax) {
      lines.push_back((*listed)[i].get<std::string>());
    }
  }
  return lines;
}

}  // namespace

std::string_view Name(FindingKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }
std::optional<FindingKind> FindingKindFrom(std::string_view name) { return ValueOf<FindingKind>(name, kKinds); }
std::string_view Name(FindingState state) { return kStates[static_cast<std::size_t>(state)]; }
std::optional<FindingState> FindingStateFrom(std::string_view name) { return ValueOf<FindingState>(name, kStates); }

std::string KeyOf(const Finding& finding) {
  std::string key(Name(finding.kind));
  for (const std::string* part : {&finding.rule, &finding.request_kind}) {
    key += part->empty() ? "" : "." + *part;
  }
  for (char& c : key) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    c = is_upper ? static_cast<char>(c - 'A' + 'a') : is_plain ? c : '-';
  }
  return key.substr(0, kKeyBytesMax);
}

std::string AssertionOf(const Finding& finding) {
  const std::string& words = finding.server_stderr;
  const std::size_t at = finding.kind == FindingKind::kCrash ? words.rfind("ssertion") : std::string::npos;
  if (at == std::string::npos) {
    return "";
  }
  // With the two words before it, which say where. In front of those another thread may have left a line without end.
  std::size_t begin = words.find_last_of(" \n", at) + 1;
  for (int i = 0; i < 2 && begin > 1 && words[begin - 1] == ' '; ++i) {
    begin = words.find_last_of(" \n", begin - 2) + 1;
  }
  return words.substr(begin, words.find('\n', at) - begin);
}

std::string SummaryOf(const Finding& finding) {
  return std::string(Name(finding.kind)) + (finding.rule.empty() ? "" : " of " + finding.rule) + ": expected " +
         finding.expected + "; saw " + finding.saw;
}

bool NamesACommand(std::string_view target_words) { return target_words.starts_with("--"); }

std::string ReplayLine(const Finding& finding, const std::string& directory) {
  return "nbdspec replay " + directory +
         (NamesACommand(finding.target_words) ? std::string(" ") + kRunItsCommand : "") +
         (finding.replay_options.empty() ? "" : " " + finding.replay_options);
}

std::expected<About, Trouble> ParseAbout(std::string_view text) {
  if (text.size() > kAboutBytesMax) {
    return Wrong("has more than " + std::to_string(kAboutBytesMax) + " bytes");
  }
  const auto is_ours = [](int depth, Json::parse_event_t event, const Json& /*parsed*/) {
    const bool begins = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    return !begins || depth < kDepthMax;
  };
  const Json about = Json::parse(text, is_ours, /*allow_exceptions=*/false);
  const auto kind = FindingKindFrom(ValueIn<std::string>(about, "kind"));
  const auto state = FindingStateFrom(ValueIn<std::string>(about, "state"));
  if (!kind || !state) {
    return Wrong("is no description of a finding");
  }
  NBDSPEC_ASSIGN_OR_RETURN(files, FilesIn(about));
  About parsed{.finding = {.kind = *kind,
                           .timeline = TimelineIn(about),
                           .state = *state,
                           .connections = StreamsIn(about),
                           .seen_by = SightingsIn(about)},
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
  const auto apart = about.find("apart");
  parsed.finding.is_apart = apart != about.end() && apart->is_boolean() && apart->get<bool>();
  parsed.finding.replay_options = WithoutShell(std::move(parsed.finding.replay_options));
  return parsed;
}

std::string Print(const About& about) {
  const Finding& finding = about.finding;
  OrderedJson json = {{"kind", Name(finding.kind)}, {"state", Name(finding.state)}, {"replay", about.replay}};
  for (const Field& field : kFields) {
    std::visit([&](auto member) { json[field.name] = finding.*member; }, field.member);
  }
  json["timeline"] = finding.timeline;
  json["apart"] = finding.is_apart;
  json["seen_by"] = OrderedJson::array();
  for (const Sighting& each : finding.seen_by) {
    json["seen_by"].push_back({{"run", each.run},
                               {"seed", each.seed},
                               {"shard", each.shard},
                               {"script_number", each.script_number},
                               {"count", each.count}});
  }
  json["connections"] = OrderedJson::array();
  json["files"] = OrderedJson::object();
  for (const FindingStream& stream : finding.connections) {
    json["connections"].push_back({{"sent_offset", stream.sent_offset}, {"received_offset", stream.received_offset}});
  }
  for (const auto& [name, facts] : about.files) {
    json["files"][name] = {{"bytes", facts.bytes}, {"fnv1a", facts.fnv1a}};
  }
  return json.dump(2, ' ', /*ensure_ascii=*/true, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace nbdspec::fuzz
