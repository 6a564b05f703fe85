// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/nbdkit_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <random>
#include <utility>

#include "conformance/peer/targets/started_peer.h"
#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/base/quoted.h"

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
  return fmt::format("write=446:{:02x}", fmt::join(table, ""));
}

// What is true over `layer`; nothing if nbdkit does not put it on what is below.
std::optional<Truth> Over(const Truth& below, const Layer& layer) {
  const std::uint64_t size = below.size();
  const auto if_it = [](bool fits, auto&& truth) { return fits ? std::optional<Truth>(truth()) : std::nullopt; };
  switch (layer.kind) {
    case Kind::kOffset:
    case Kind::kOwnOffset:
      return if_it(layer.a <= size, [&] { return below.Part({.begin = layer.a, .end = size}); });
    case Kind::kTruncate:
      return if_it(layer.a <= engine::kExportBytesMax, [&] { return below.Resized(layer.a); });
    case Kind::kRoundUp:
      return if_it(layer.a > 0 && size <= engine::kExportBytesMax - layer.a,
                   [&] { return below.Resized((size + layer.a - 1) / layer.a * layer.a); });
    case Kind::kBlockSize:
      return if_it(layer.a > 0, [&] { return below.InBlocks(layer.a); });
    case Kind::kNoExtents:
      return below.WithoutClaims();
    case Kind::kPartition:
      return if_it(
          size >= 2 * kSectorBytes && layer.b > 0 && layer.a <= size && layer.b <= size - layer.a &&
              layer.a / kSectorBytes <= UINT32_MAX && layer.b / kSectorBytes <= UINT32_MAX,
          [&] {
            return below.With(kMbrTable, engine::ExtentType::kData).Part({.begin = layer.a, .end = layer.a + layer.b});
          });
    case Kind::kCow:  // It keeps two bits for each block.
      return if_it(size <= kWalkedBytesMax, [&] { return below; });
    case Kind::kCacheExtents:
      return below;
  }
  return {};
}

std::string Print(const Layer& layer) {
  const KindName& name = NameOf(layer.kind);
  return std::string(name.name) + (name.number_count > 0 ? "=" + std::to_string(layer.a) : "") +
         (name.number_count > 1 ? "+" + std::to_string(layer.b) : "");
}

std::optional<Layer> ParseLayer(std::string_view text) {
  const std::string_view word = text.substr(0, text.find('='));
  const auto* const name = std::ranges::find(kKindNames, word, &KindName::name);
  if (name == kKindNames.end()) {
    return {};
  }
  Layer layer = {.kind = name->kind};
  const std::string_view numbers = text.substr(std::min(text.size(), word.size() + 1));
  const char* const end = std::to_address(numbers.end());
  const auto [after_a, error] = std::from_chars(std::to_address(numbers.begin()), end, layer.a);
  if (after_a != end) {
    std::from_chars(std::next(after_a), end, layer.b);
  }
  return Print(layer) == text ? std::optional(layer) : std::nullopt;  // No other text stands for it.
}

// --- Random cases: exports of some bytes, of some blocks and of terabytes; edges near each other, near blocks and
// sectors

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  // Uniform enough in [0, limit); the standard's distributions differ between libraries.
  std::uint64_t Below(std::uint64_t limit) { return random_() % limit; }
  bool OneIn(std::uint64_t count) { return Below(count) == 0; }

  std::uint64_t Size() {
    switch (Below(8)) {
      case 0:
        return Below(9);
      case 1:
      case 2:
        return Near(1 + Below(4096));
      case 3:
        return Near(std::uint64_t{1} << (30 + Below(11)));
      case 4:
        return OneIn(4) ? engine::kExportBytesMax - Below(3) : Near(std::uint64_t{1} << 32);
      default:
        return Near((1 + Below(40)) * Unit());
    }
  }

  // A place in a disk of `size` bytes, or a little past its end: often on or beside one of `edges` or a block.
  std::uint64_t Place(std::uint64_t size, const std::vector<std::uint64_t>& edges) {
    switch (Below(4)) {
      case 0:
        return Near(edges[Below(edges.size())]);
      case 1:
        return Near(Below(size / 512 + 1) * 512);
      case 2:
        return Near(Below(size / 65536 + 1) * 65536);
      default:
        return Below(size + 1);
    }
  }

  std::uint64_t Unit() {
    constexpr std::array<std::uint64_t, 3> kUnits = {512, 4096, 65536};
    return kUnits[Below(kUnits.size())];
  }

 private:
  std::uint64_t Near(std::uint64_t number) {
    const std::uint64_t choice = Below(6);
    return choice == 0 ? number + 1 : choice == 1 && number > 0 ? number - 1 : number;
  }

  std::mt19937_64 random_;
};

engine::Script RandomScript(Dice& dice) {
  engine::Script script = {.size = std::min(dice.Size(), engine::kExportBytesMax),
                           .initial = static_cast<engine::ExtentType>(dice.Below(4))};
  std::vector<std::uint64_t> edges = {0, script.size};
  for (std::uint64_t left = dice.Below(24); left > 0; --left) {
    const std::uint64_t one = dice.Place(script.size, edges);
    const std::uint64_t other = dice.Place(script.size, edges);
    const auto [begin, end] = std::minmax(one, other);
    if (dice.OneIn(3)) {
      script.steps.push_back(dice.OneIn(3) ? engine::Step(engine::LookupStep{.offset = begin})
                                           : engine::ForEachStep{.bounds = {.begin = begin, .end = end}});
    } else if (dice.OneIn(40)) {
      script.steps.push_back(engine::ClearStep{});
    } else {
      script.steps.push_back(engine::AddStep{
          .offset = begin, .length = end - begin, .type = static_cast<engine::ExtentType>(dice.Below(4))});
      edges.insert(edges.end(), {begin, end});
    }
  }
  return script;
}

Layer RandomLayer(Dice& dice, std::uint64_t size, bool is_first) {
  const auto kind = static_cast<Kind>(dice.Below(is_first ? 9 : 8));
  const std::uint64_t place = dice.Place(size, {0, size});
  switch (kind) {
    case Kind::kPartition: {
      const std::uint64_t begin = place / 2 / 512 * 512;
      const std::uint64_t left = (size - std::min(size, begin)) / 512;
      return {.kind = kind, .a = begin, .b = (left - (left > 0 ? dice.Below(left) : 0)) * 512};
    }
    case Kind::kTruncate:
      return {.kind = kind, .a = dice.OneIn(2) ? place : size + dice.Below(100000)};
    case Kind::kRoundUp:
    case Kind::kBlockSize:
      return {.kind = kind, .a = dice.Unit()};
    default:
      return {.kind = kind, .a = kind == Kind::kOffset || kind == Kind::kOwnOffset ? place : 0};
  }
}

bool ShareAFilter(const Layer& one, const Layer& other) {
  const auto is_truncate = [](const Layer& layer) {
    return layer.kind == Kind::kTruncate || layer.kind == Kind::kRoundUp;
  };
  return one.kind == other.kind || (is_truncate(one) && is_truncate(other));
}

}  // namespace

std::optional<Truth> TruthIfUsable(const NbdkitCase& test_case) {
  std::optional<Truth> truth = Truth::Of(test_case.script);
  for (const Layer& layer : test_case.stack) {
    const bool is_first = &layer == test_case.stack.data();
    truth = truth && (is_first || layer.kind != Kind::kPartition) ? Over(*truth, layer) : std::nullopt;
  }
  return truth;
}

Truth TruthOf(const NbdkitCase& test_case) {
  auto truth = TruthIfUsable(test_case);
  NBDSPEC_CHECK(truth.has_value());
  return *std::move(truth);
}

std::expected<Words, engine::Trouble> NbdkitWords(const NbdkitCase& test_case, const std::string& socket_path) {
  const auto plugin = conformance::FindNbdkitModule(conformance::kExtentsPlugin);
  const auto own_filter = conformance::FindNbdkitModule(conformance::kOffsetFilter);
  if (!plugin || !own_filter) {
    return std::unexpected(plugin ? own_filter.error() : plugin.error());
  }
  Words words = {"nbdkit", "-U", socket_path, "-f", "--threads=1"};
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

NbdkitCase RandomNbdkitCase(std::uint64_t seed) {
  Dice dice(seed);
  constexpr std::array kReaches = {"request", "extent", "disk"};
  NbdkitCase test_case = {.script = RandomScript(dice), .reach = kReaches[dice.Below(kReaches.size())]};
  // Up to three filters; those that do not fit are left out.
  for (std::uint64_t tries = dice.Below(4); tries > 0; --tries) {
    NbdkitCase higher = test_case;
    const Layer layer = RandomLayer(dice, TruthOf(test_case).size(), test_case.stack.empty());
    higher.stack.push_back(layer);
    const bool is_twice =
        std::ranges::any_of(test_case.stack, [&](const Layer& below) { return ShareAFilter(below, layer); });
    if (!is_twice && IsUsable(higher)) {
      test_case = std::move(higher);
    }
  }
  return test_case;
}

}  // namespace nbdspec::fuzz
