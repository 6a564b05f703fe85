// SPDX-License-Identifier: BSD-3-Clause
// Random cases: exports of some bytes, of some blocks and of terabytes; edges near each other, near blocks and sectors.
#include <algorithm>
#include <array>
#include <iterator>
#include <random>

#include "engine/base/byte_range.h"
#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {
namespace {

using Kind = Layer::Kind;

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
