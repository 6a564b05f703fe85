// SPDX-License-Identifier: BSD-3-Clause
// Script: what to do to an export, step by step, as a value that prints, parses and replays.
//
// The text form is for people: bug reports, corpus/regressions, corpus/scripts. It is one step a line:
//
//   # nbdspec script
//   size 64                      first; at most 8E-1
//   initial hole,zero            data, hole, zero or hole,zero; hole when left out
//   add 4096 +8K hole,zero       offset, +length, type; a type with unknown bits is written 0x84
//   clear
//   foreach 0 +64                bounds; `stop 2` after them: the visitor refuses its second call
//   lookup 4G-1
//
// Numbers are decimal, may have a unit (K M G T P E: powers of 1024) and then +N or -N. # begins a comment.
// The bytes form is in script_bytes.h. A new kind of step joins Step, and then the compiler names what must learn it.

#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine {

// The first line that Print writes, by which a file of text is told from bytes.
inline constexpr std::string_view kScriptHeader = "# nbdspec script";

// ExtentMap::Add: every offset, length and type bits, legal or not.
struct AddStep {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  ExtentType type = ExtentType::kData;
  bool operator==(const AddStep&) const = default;
};

// ExtentMap::Clear.
struct ClearStep {
  bool operator==(const ClearStep&) const = default;
};

// ExtentMap::ForEach.
struct ForEachStep {
  ByteRange bounds;
  std::uint8_t stop_at = 0;  // Which call the visitor refuses, from 1; 0 when it refuses none.
  bool operator==(const ForEachStep&) const = default;
};

// ExtentMap::Lookup. An offset outside the export means: skip this step.
struct LookupStep {
  std::uint64_t offset = 0;
  bool operator==(const LookupStep&) const = default;
};

using Step = std::variant<AddStep, ClearStep, ForEachStep, LookupStep>;

struct Script {
  std::uint64_t size = 0;  // At most kExportBytesMax.
  ExtentType initial = ExtentType::kHole;
  std::vector<Step> steps = {};
  bool operator==(const Script&) const = default;
};

// The text form, kScriptHeader included. Parse(Print(script)) is `script` again.
std::string Print(const Script& script);
std::string Print(const Step& step);           // One line without its end.
std::string Print(ExtentType type);            // "hole,zero"
std::string Print(Extent extent);              // "[0, 4K) hole,zero"
std::string PrintNumber(std::uint64_t bytes);  // "4G-1"

// Reads the text form. Errors: a sentence that begins with line and column, for the first mistake.
std::expected<Script, Trouble> ParseScript(std::string_view text);

}  // namespace nbdspec::engine
