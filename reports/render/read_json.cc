// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/read_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/quoted.h"
#include "reports/render/json_members.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

using Json = nlohmann::ordered_json;  // Its objects keep their order; they look a member up from the front.

// --- From bytes to JSON ---

// Thrown through the parser, to stop it.
struct Unreasonable {};

// Stops what no report has, and what would cost more than its bytes: deep nesting, objects of many members, each of
// which is looked up among all before it, and many small values, each of which takes more memory than text.
class Bounds {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& /*parsed*/) {
    constexpr int kDepthMax = 32;
    constexpr int kMembersMax = 1000;
    constexpr int kEventsMax = 2'000'000;  // Fifteen times as many as the longest report has.
    if (event == Json::parse_event_t::object_start) {
      counts_.resize(static_cast<std::size_t>(depth) + 1);
      counts_.push_back(0);  // Of the keys one deeper.
    }
    const bool is_key = event == Json::parse_event_t::key;
    if (depth > kDepthMax || ++events_ > kEventsMax ||
        (is_key && ++counts_[static_cast<std::size_t>(depth)] > kMembersMax)) {
      throw Unreasonable();
    }
    return true;
  }

 private:
  int events_ = 0;
  std::vector<int> counts_;  // By depth: the keys of the object there so far.
};

// "line 3, column 14" of the byte at `index`.
std::string PlaceOf(std::string_view text, std::size_t index) {
  const std::string_view before = text.substr(0, index);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t column = index - (before.find_last_of('\n') + 1) + 1;  // npos + 1 is 0.
  return fmt::format("line {}, column {}", line, column);
}

std::expected<Json, std::string> Parse(std::string_view text) {
  try {
    return Json::parse(text, Bounds());
  } catch (const Json::parse_error& error) {
    const std::size_t index = error.byte == 0 ? 0 : error.byte - 1;  // The library counts from 1.
    return std::unexpected(index >= text.size() ? "it ends in the middle; was it cut off, or is it still being written?"
                                                : PlaceOf(text, index) + " is no JSON; name a file that --json wrote");
  } catch (const Json::exception&) {
    return std::unexpected("it has a number that is too large");
  } catch (const Unreasonable&) {
    return std::unexpected("it has deeper, larger or more values than any report of nbdspec");
  }
}

// --- From JSON to a run ---

// Reads the members of one object, and keeps the first thing that is wrong.
class Reader {
 public:
  // `path` names the object, and ends in "." unless it is empty.
  Reader(const Json& object, std::string path, std::string& error)
      : object_(object), path_(std::move(path)), error_(error) {}

  template <typename Member>
  void operator()(const char* name, Member& member) const {
    const auto found = object_.find(name);
    const bool is_there = found != object_.end();
    if (!is_there && IsNeeded<Member>()) {
      Complain(name, "is missing");
    } else if (is_there && error_.empty()) {
      Read(path_ + name, *found, member);
    } else {
      member = {};
    }
  }

  void Complain(std::string_view name, std::string_view what) const {
    if (error_.empty()) {
      error_ = fmt::format("{}{} {}", path_, name, what);
    }
  }

 private:
  // Whether there is no word that means "not known". Reports of before clients were judged do not say whom.
  template <typename Member>
  static constexpr bool IsNeeded() {
    if constexpr (Worded<Member> && !std::same_as<Member, spec::Role>) {
      return !Word(Member{}).empty();
    }
    return false;
  }

  void Expect(bool is_right, const std::string& path, std::string_view what) const {
    if (!is_right && error_.empty()) {
      error_ = fmt::format("{} {}", path, what);
    }
  }

  // Each reads `json`, which `path` names, into `member`.
  void Read(const std::string& path, const Json& json, std::string& member) const {
    Expect(json.is_string(), path, "is no string");
    member = json.is_string() ? json.get<std::string>() : "";
  }

  void Read(const std::string& path, const Json& json, bool& member) const {
    Expect(json.is_boolean(), path, "is neither true nor false");
    member = json.is_boolean() && json.get<bool>();
  }

  void Read(const std::string& path, const Json& json, int& member) const {
    constexpr int kMax = std::numeric_limits<int>::max();
    const bool is_right = json.is_number_unsigned() && json.get<std::uint64_t>() <= kMax;
    Expect(is_right, path, fmt::format("is no integer from 0 to {}", kMax));
    member = is_right ? json.get<int>() : 0;
  }

  void Read(const std::string& path, const Json& json, std::uint64_t& member) const {
    Expect(json.is_number_unsigned(), path,
           "is no integer of [0, 2^64); a program that wrote the report again may have rounded it");
    member = json.is_number_unsigned() ? json.get<std::uint64_t>() : 0;
  }

  void Read(const std::string& path, const Json& json, double& member) const {
    Expect(json.is_number(), path, "is no number");
    member = json.is_number() ? json.get<double>() : 0;
  }

  void Read(const std::string& path, const Json& json, Advertised& member) const {
    Expect(json.is_object(), path, "is no object");
    member.clear();
    for (const auto& [name, value] : json.is_object() ? json.items() : none_.items()) {
      Read(fmt::format("{}[{}]", path, engine::Quoted(name)), value, member.emplace_back(name, "").second);
    }
  }

  template <Worded Enum>
  void Read(const std::string& path, const Json& json, Enum& member) const {
    Expect(json.is_string(), path, "is no string");
    const std::string word = json.is_string() ? json.get<std::string>() : "";
    std::string known;
    for (int i = 0; i < kWordCount<Enum>; ++i) {
      member = static_cast<Enum>(i);
      if (Word(member) == word) {
        return;
      }
      known += fmt::format("{}{}", known.empty() ? "" : ", ", Word(member));
    }
    Expect(false, path, fmt::format("is {}, which is none of {}", engine::Quoted(word), known));
  }

  template <Membered Thing>
  void Read(const std::string& path, const Json& json, Thing& member) const {
    Expect(json.is_object(), path, "is no object");
    VisitMembers(member, Reader(json.is_object() ? json : none_, path + ".", error_));
  }

  template <typename Element>
  void Read(const std::string& path, const Json& json, std::vector<Element>& member) const {
    Expect(json.is_array(), path, "is no array");
    member.clear();
    for (std::size_t i = 0; json.is_array() && i < json.size() && error_.empty(); ++i) {
      Read(fmt::format("{}[{}]", path, i), json[i], member.emplace_back());
    }
  }

  const Json& object_;
  std::string path_;
  std::string& error_;
  Json none_ = Json::object();
};

std::optional<std::string> WhyNoReport(const Json& json) {
  const bool is_object = json.is_object();
  if (!is_object || !json.contains("format") || !json.contains("outcomes")) {
    return "it has no `outcomes`; name a report that `nbdspec check --json` wrote";
  }
  if (json["format"] != kJsonFormat) {
    return fmt::format("its `format` is not {}, the only one that this nbdspec reads; run the nbdspec that wrote it",
                       kJsonFormat);
  }
  return {};
}

std::expected<Run, std::string> ReadRun(const Json& json) {
  if (auto why = WhyNoReport(json)) {
    return std::unexpected(*std::move(why));
  }
  Run run;
  std::string error;
  const Reader reader(json, "", error);
  VisitMembers(run, reader);
  for (std::size_t i = 0; i < run.outcomes.size(); ++i) {
    if (run.outcomes[i].id.empty()) {
      reader.Complain(fmt::format("outcomes[{}].id", i), "is missing or empty");
    }
  }
  if (!error.empty()) {
    return std::unexpected(error);
  }
  return run;
}

}  // namespace

std::expected<Run, engine::Trouble> ReadJson(std::string_view text, std::string_view name) {
  const auto refuse = [&](const std::string& why) {
    return std::unexpected(engine::Trouble{fmt::format("cannot read {}: {}", name, why)});
  };
  if (text.size() > kJsonBytesMax) {
    return refuse(fmt::format("it has more than {} bytes", kJsonBytesMax));
  }
  const auto json = Parse(text);
  auto run = json ? ReadRun(*json) : std::unexpected(json.error());
  if (!run) {
    return refuse(run.error());
  }
  return *std::move(run);
}

}  // namespace nbdspec::reports
