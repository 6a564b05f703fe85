// SPDX-License-Identifier: BSD-3-Clause
// The words of the text form that stand for numbers: what prints them and what parses them have one table.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/script/script.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

inline constexpr std::string_view kUnits = "KMGTPE";

// Wide enough for 16E, which 16E-1 passes through on its way to 2^64-1.
using Wide = unsigned __int128;

constexpr Wide UnitBytes(std::size_t unit_index) { return Wide{1} << (10 * (unit_index + 1)); }

template <typename Number>
struct NamedNumber {
  std::string_view name;
  Number number;
};

inline constexpr auto kCommandWords = std::to_array<NamedNumber<Command>>({{"read", Command::kRead},
                                                                           {"write", Command::kWrite},
                                                                           {"zero", Command::kZero},
                                                                           {"trim", Command::kTrim},
                                                                           {"cache", Command::kCache},
                                                                           {"flush", Command::kFlush},
                                                                           {"status", Command::kStatus}});

inline constexpr auto kFlagWords = std::to_array<NamedNumber<std::uint16_t>>({{"fua", CommandFlag::kFua},
                                                                              {"no-hole", CommandFlag::kNoHole},
                                                                              {"df", CommandFlag::kDf},
                                                                              {"req-one", CommandFlag::kReqOne},
                                                                              {"fast", CommandFlag::kFastZero}});

inline constexpr auto kOptionWords =
    std::to_array<NamedNumber<std::uint32_t>>({{"export-name", OptionType::kExportName},
                                               {"abort", OptionType::kAbort},
                                               {"list", OptionType::kList},
                                               {"peek-export", OptionType::kPeekExport},
                                               {"starttls", OptionType::kStarttls},
                                               {"info", OptionType::kInfo},
                                               {"go", OptionType::kGo},
                                               {"structured-reply", OptionType::kStructuredReply},
                                               {"list-meta-context", OptionType::kListMetaContext},
                                               {"set-meta-context", OptionType::kSetMetaContext},
                                               {"extended-headers", OptionType::kExtendedHeaders}});

// Whether a byte of a name stands for itself. The others are written \xNN: blanks end a word, # begins a comment,
// " and @ have a meaning at the begin of a word.
constexpr bool IsPlainInNames(char c) { return c > ' ' && c <= '~' && c != '#' && c != '\\' && c != '"' && c != '@'; }

// How a name of no bytes is written.
inline constexpr std::string_view kEmptyName = "\"\"";

}  // namespace nbdspec::engine
