// SPDX-License-Identifier: BSD-3-Clause
// The words of the text form: what prints those that stand for numbers, and what parses them, share one table.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

#include "engine/script/script.h"

namespace nbdspec::engine {

template <typename Number>
struct NamedNumber {
  std::string_view name;
  Number number;
};

inline constexpr NamedNumber<ExtentType> kTypeWords[] = {{"data", ExtentType::kData},
                                                         {"hole", ExtentType::kHole},
                                                         {"zero", ExtentType::kZero},
                                                         {"hole,zero", ExtentType::kHoleZero}};

inline constexpr NamedNumber<Command> kCommandWords[] = {
    {"read", Command::kRead},   {"write", Command::kWrite}, {"zero", Command::kZero},    {"trim", Command::kTrim},
    {"cache", Command::kCache}, {"flush", Command::kFlush}, {"status", Command::kStatus}};

inline constexpr NamedNumber<std::uint16_t> kFlagWords[] = {
    {"fua", CommandFlag::kFua},        {"no-hole", CommandFlag::kNoHole}, {"df", CommandFlag::kDf},
    {"req-one", CommandFlag::kReqOne}, {"fast", CommandFlag::kFastZero},  {"payload", CommandFlag::kPayloadLen}};

inline constexpr NamedNumber<NamedContexts> kContextsWords[] = {
    {"all", NamedContexts::kAll},     {"none", NamedContexts::kNone},       {"one", NamedContexts::kOne},
    {"twice", NamedContexts::kTwice}, {"unknown", NamedContexts::kUnknown}, {"ragged", NamedContexts::kRagged}};

inline constexpr NamedNumber<std::uint32_t> kOptionWords[] = {{"export-name", OptionType::kExportName},
                                                              {"abort", OptionType::kAbort},
                                                              {"list", OptionType::kList},
                                                              {"peek-export", OptionType::kPeekExport},
                                                              {"starttls", OptionType::kStarttls},
                                                              {"info", OptionType::kInfo},
                                                              {"go", OptionType::kGo},
                                                              {"structured-reply", OptionType::kStructuredReply},
                                                              {"list-meta-context", OptionType::kListMetaContext},
                                                              {"set-meta-context", OptionType::kSetMetaContext},
                                                              {"extended-headers", OptionType::kExtendedHeaders}};

inline constexpr NamedNumber<PowerCut::Keeps> kKeepsWords[] = {{"nothing", PowerCut::Keeps::kNothing},
                                                               {"everything", PowerCut::Keeps::kEverything},
                                                               {"all-but", PowerCut::Keeps::kAllButOne},
                                                               {"only", PowerCut::Keeps::kOnlyOne},
                                                               {"some", PowerCut::Keeps::kSome}};

inline constexpr NamedNumber<Visit> kVisitWords[] = {
    {"entered", Visit::kEnters}, {"greeted", Visit::kGreets}, {"silent", Visit::kSilent}};

template <typename Words, typename Number>
std::optional<std::string_view> NameOf(const Words& words, Number number) {
  const auto found = std::ranges::find(words, number, [](const auto& word) { return word.number; });
  return found == std::end(words) ? std::nullopt : std::optional(found->name);
}

template <typename Number, std::size_t kCount>
std::optional<Number> NumberOf(const NamedNumber<Number> (&words)[kCount], std::string_view name) {
  const auto found = std::ranges::find(words, name, [](const auto& word) { return word.name; });
  return found == std::end(words) ? std::nullopt : std::optional(found->number);
}

inline constexpr std::string_view kUnits = "KMGTPE";

// Wide enough for 16E, which 16E-1 passes through on its way to 2^64-1.
using Wide = unsigned __int128;

constexpr Wide UnitBytes(std::size_t unit_index) { return Wide{1} << (10 * (unit_index + 1)); }

// Whether a byte of a name stands for itself. The others are written \xNN: blanks end a word, # begins a comment,
// " and @ have a meaning at the begin of a word.
constexpr bool IsPlainInNames(char c) { return c > ' ' && c <= '~' && c != '#' && c != '\\' && c != '"' && c != '@'; }

// How a name of no bytes is written.
inline constexpr std::string_view kEmptyName = "\"\"";

}  // namespace nbdspec::engine
