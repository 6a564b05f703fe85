// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/nbdkit_case.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "conformance/peer/targets/nbdkit_module.h"
#include "engine/base/byte_range.h"
#include "engine/base/quoted.h"
#include "engine/wire/messages.h"

namespace nbdspec::fuzz {
namespace {

using Kind = Layer::Kind;
using Words = std::vector<std::string>;

struct KindName {
  Kind kind;
  std::string_view name;    // In a case's text.
  std::string_view filter;  // nbdkit's.
  int number_count;
};
constexpr std::array<KindName, 9> kKindNames = {{
    {Kind::kOffset, "offset", "offset", 1},
    {Kind::kOwnOffset, "nbdspec-offset", "", 1},
    {Kind::kTruncate, "truncate", "truncate", 1},
    {Kind::kRoundUp, "round-up", "truncate", 1},
    {Kind::kBlockSize, "minblock", "blocksize", 1},
    {Kind::kCacheExtents, "cacheextents", "cacheextents", 0},
    {Kind::kCow, "cow", "cow", 0},
    {Kind::kNoExtents, "noextents", "noextents", 0},
    {Kind::kPartition, "partition", "partition", 2},
}};

const KindName& NameOf(Kind kind) { return *std::ranges::find(kKindNames, kind, &KindName::kind); }

constexpr std::uint64_t kSectorBytes = 512;
// Where an MBR has its first entry and its signature; between them are the other entries.
constexpr engine::ByteRange kMbrTable = {.begin = 446, .end = 512};

// The partition table of a kPartition layer, as the plugin's `write` parameter.
std::string MbrParameter(const Layer& layer) {
  std::array<std::uint8_t, kMbrTable.end - kMbrTable.begin> table{};
  table[4] = 0x83;  // Type: Linux. The addresses by cylinder are not looked at.
  for (std::size_t i = 0; i < 4; ++i) {
    table[8 + i] = static_cast<std::uint8_t>(layer.a / kSectorBytes >> (8 * i));
    table[12 + i] = static_cast<std::uint8_t>(layer.b / kSectorBytes >> (8 * i));
  }
  table[64] = 0x55;
  table[65] = 0xaa;
  std::string text = "write=446:";
  for (const std::uint8_t byte : table) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

// Whether `layer` can be put on a disk of `size` bytes, as nbdkit sees it.
bool Fits(const Layer& layer, std::uint64_t size) {
  switch (layer.kind) {
    case Kind::kOffset:
    case Kind::kOwnOffset:
      return layer.a <= size;
    case Kind::kTruncate:
      return layer.a <= engine::kExportBytesMax;
    case Kind::kRoundUp:
      return layer.a > 0 && size <= engine::kExportBytesMax - layer.a;
    case Kind::kBlockSize:
      return layer.a > 0;
    case Kind::kCow:
      return size <= kWalkedBytesMax;  // It keeps two bits for each block.
    case Kind::kPartition:
      return size >= 2 * kSectorBytes && layer.b > 0 && layer.a <= size && layer.b <= size - layer.a &&
             layer.a / kSectorBytes <= UINT32_MAX && layer.b / kSectorBytes <= UINT32_MAX;
    case Kind::kCacheExtents:
    case Kind::kNoExtents:
      return true;
  }
  return false;
}

Truth Through(const Layer& layer, const Truth& below) {
  switch (layer.kind) {
    case Kind::kOffset:
    case Kind::kOwnOffset:
      return below.Part({.begin = layer.a, .end = below.size()});
    case Kind::kTruncate:
      return below.Resized(layer.a);
    case Kind::kRoundUp:
      return below.Resized((below.size() + layer.a - 1) / layer.a * layer.a);
    case Kind::kBlockSize:
      return below.InBlocks(layer.a);
    case Kind::kNoExtents:
      return below.WithoutClaims();
    case Kind::kPartition:
      return below.With(kMbrTable, engine::ExtentType::kData).Part({.begin = layer.a, .end = layer.a + layer.b});
    case Kind::kCacheExtents:
    case Kind::kCow:
      return below;
  }
  return below;
}

std::string Print(const Layer& layer) {
  const KindName& name = NameOf(layer.kind);
  std::string text(name.name);
  if (name.number_count > 0) {
    text += "=" + std::to_string(layer.a);
  }
  if (name.number_count > 1) {
    text += "+" + std::to_string(layer.b);
  }
  return text;
}

// Takes a number off the front of `text`.
std::optional<std::uint64_t> TakeNumber(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) {
    return {};
  }
  text.remove_prefix(static_cast<std::size_t>(stopped - text.data()));
  return number;
}

std::optional<Layer> ParseLayer(std::string_view text) {
  const std::string_view word = text.substr(0, text.find('='));
  const auto* const name = std::ranges::find(kKindNames, word, &KindName::name);
  if (name == kKindNames.end()) {
    return {};
  }
  Layer layer = {.kind = name->kind};
  text.remove_prefix(word.size());
  std::uint64_t* const numbers[] = {&layer.a, &layer.b};
  for (int i = 0; i < name->number_count; ++i) {
    if (!text.starts_with(i == 0 ? '=' : '+')) {
      return {};
    }
    text.remove_prefix(1);
    const auto number = TakeNumber(text);
    if (!number) {
      return {};
    }
    *numbers[i] = *number;
  }
  return text.empty() ? std::optional(layer) : std::nullopt;
}

}  // namespace

bool IsUsable(const NbdkitCase& test_case) {
  Truth truth = Truth::Of(test_case.script);
  for (const Layer& layer : test_case.stack) {
    const bool is_first = &layer == test_case.stack.data();
    if (!Fits(layer, truth.size()) || (layer.kind == Kind::kPartition && !is_first)) {
      return false;
    }
    truth = Through(layer, truth);
  }
  return true;
}

Truth TruthOf(const NbdkitCase& test_case) {
  Truth truth = Truth::Of(test_case.script);
  for (const Layer& layer : test_case.stack) {
    truth = Through(layer, truth);
  }
  return truth;
}

std::expected<Words, engine::Trouble> NbdkitWords(const NbdkitCase& test_case) {
  const auto plugin = conformance::FindNbdkitModule(conformance::kExtentsPlugin);
  const auto own_filter = conformance::FindNbdkitModule(conformance::kOffsetFilter);
  if (!plugin || !own_filter) {
    return std::unexpected(plugin ? own_filter.error() : plugin.error());
  }
  Words words = {"nbdkit", "-f", "--threads=1"};
  Words parameters = {"script-text=" + engine::Print(test_case.script), "reach=" + test_case.reach};
  for (auto layer = test_case.stack.rbegin(); layer != test_case.stack.rend(); ++layer) {  // nbdkit's first is on top.
    const KindName& name = NameOf(layer->kind);
    words.push_back("--filter=" + (layer->kind == Kind::kOwnOffset ? *own_filter : std::string(name.filter)));
    if (layer->kind == Kind::kPartition) {
      parameters.insert(parameters.end(), {MbrParameter(*layer), "partition=1"});
    } else if (name.number_count > 0) {
      parameters.push_back(Print(*layer));
    }
  }
  words.push_back(*plugin);
  words.insert(words.end(), parameters.begin(), parameters.end());
  return words;
}

std::string Print(const NbdkitCase& test_case) {
  std::string text(engine::kScriptHeader);
  text += "\n# stack:";
  for (const Layer& layer : test_case.stack) {
    text += " " + Print(layer);
  }
  text += "\n# reach: " + test_case.reach + "\n";
  if (!test_case.deviates.empty()) {
    text += "# deviates: " + test_case.deviates + "\n";
  }
  return text + engine::Print(test_case.script).substr(engine::kScriptHeader.size() + 1);
}

std::expected<NbdkitCase, engine::Trouble> ParseNbdkitCase(std::string_view text) {
  auto script = engine::ParseScript(text);
  if (!script) {
    return std::unexpected(script.error());
  }
  NbdkitCase test_case = {.script = *std::move(script)};
  std::size_t stack_line = 1;
  const auto trouble = [&](const std::string& what) {
    return std::unexpected(engine::Trouble{"line " + std::to_string(stack_line) + ": " + what});
  };
  for (std::size_t line_number = 1; !text.empty(); ++line_number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    constexpr std::string_view kStack = "# stack:";
    constexpr std::string_view kReach = "# reach: ";
    constexpr std::string_view kDeviates = "# deviates: ";
    if (line.starts_with(kReach)) {
      test_case.reach = line.substr(kReach.size());
    } else if (line.starts_with(kDeviates)) {
      test_case.deviates = line.substr(kDeviates.size());
    } else if (line.starts_with(kStack)) {
      stack_line = line_number;
      std::string_view rest = line.substr(kStack.size());
      while (!rest.empty()) {
        const std::string_view word = rest.substr(0, rest.find(' ', 1));
        const auto layer = word.starts_with(' ') ? ParseLayer(word.substr(1)) : std::nullopt;
        if (!layer) {
          return trouble(engine::Quoted(word) + " in the stack is no layer");
        }
        test_case.stack.push_back(*layer);
        rest.remove_prefix(word.size());
      }
    }
  }
  if (!IsUsable(test_case)) {
    return trouble("a layer of the stack does not fit on what is below it");
  }
  return test_case;
}

}  // namespace nbdspec::fuzz
