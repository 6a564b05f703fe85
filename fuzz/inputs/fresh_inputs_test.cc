// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/fresh_inputs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <variant>

#include "engine/extents/extent_map.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "engine/wire/decoders.h"
#include "fuzz/findings/finding.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;

constexpr int kInputs = 400;

std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

TEST(FreshInputs, ScriptTextsParse) {
  Random random(1);
  int texts = 0;
  int bytes = 0;
  for (int i = 0; i < kInputs; ++i) {
    const std::string text = Text(FreshScriptText(random));
    if (text.starts_with(engine::kScriptHeader)) {
      ++texts;
      EXPECT_TRUE(engine::ParseScript(text)) << text;
    } else {
      ++bytes;
    }
  }
  EXPECT_GT(texts, kInputs / 3);
  EXPECT_GT(bytes, kInputs / 3);
}

TEST(FreshInputs, WireInputsOfBothSidesAreMessages) {
  Random random(1);
  int client_messages = 0;
  int server_messages = 0;
  for (int i = 0; i < kInputs; ++i) {
    const Bytes input = FreshWireInput(random);
    const engine::ByteView stream = engine::ByteView(input).subspan(4);
    const bool in_transmission = (input[0] & 4) != 0;
    if ((input[0] & 1) == 0) {
      engine::ClientDecoder decoder;
      if (in_transmission) {
        decoder.EnterTransmission();
      }
      decoder.Feed(stream);
      for (auto next = decoder.Next(); next; next = decoder.Next()) {
        const bool is_message = std::holds_alternative<engine::ClientMessage>(*next);
        client_messages += is_message ? 1 : 0;
        if (!is_message) {
          break;
        }
      }
    } else if (!in_transmission) {
      engine::ServerDecoder decoder;
      decoder.Feed(stream);
      server_messages += decoder.Next() ? 1 : 0;
    }
  }
  EXPECT_GT(client_messages, kInputs / 2);
  EXPECT_GT(server_messages, kInputs / 8);
}

TEST(FreshInputs, ReportTextsAreOfEveryKind) {
  Random random(1);
  std::set<bool> are_cases;
  int abouts = 0;
  for (int i = 0; i < kInputs; ++i) {
    const std::string text = Text(FreshReportText(random));
    are_cases.insert(text.starts_with(engine::kScriptHeader));
    abouts += ParseAbout(text) ? 1 : 0;
  }
  EXPECT_GT(abouts, kInputs / 12);
  EXPECT_EQ(are_cases.size(), 2U);
}

TEST(FreshInput, MapsGetLarge) {
  const InputKind kind = {.script = engine::ScriptLimits{.steps_max = 64}};
  Random random(1);
  std::uint64_t extents_most = 0;
  for (int i = 0; i < kInputs; ++i) {
    const engine::Script script = engine::DecodeScript(FreshInput(kind, random), *kind.script);
    engine::ExtentMap map(script.size, script.initial);
    for (const engine::Step& step : script.steps) {
      if (const auto* add = std::get_if<engine::AddStep>(&step)) {
        (void)map.Add(add->offset, add->length, add->type);
        extents_most = std::max(extents_most, map.extent_count());
      }
    }
  }
  EXPECT_GT(extents_most, 65U);
}

TEST(LikelyInputs, AreTheSameForTheSameSeedAndKeepToTheirLimit) {
  for (const InputKind& kind : {InputKind{.bytes_max = 40}, InputKind{.bytes_max = 40, .fresh = FreshSessionInput},
                                InputKind{.bytes_max = 89, .script = engine::ScriptLimits{.steps_max = 4}}}) {
    LikelyInputs one(kind, 7);
    LikelyInputs same(kind, 7);
    LikelyInputs other(kind, 8);
    std::set<std::size_t> sizes;
    int differ = 0;
    for (int i = 0; i < kInputs; ++i) {
      const Bytes input = one.Next();
      EXPECT_EQ(input, same.Next());
      EXPECT_LE(input.size(), kind.bytes_max);
      differ += input != other.Next() ? 1 : 0;
      sizes.insert(input.size());
    }
    EXPECT_GT(differ, kInputs / 2);
    EXPECT_GE(sizes.size(), 4U);
  }
}

TEST(InputMutator, MakesSomethingOfNothingWithinItsRoom) {
  Bytes data(64, 0xee);
  std::size_t longest = 0;
  for (unsigned seed = 0; seed < kInputs; ++seed) {
    const std::size_t size = InputMutator({.bytes_max = 100}).Mutate(data.data(), 0, 60, seed);
    EXPECT_LE(size, 60U);
    longest = std::max(longest, size);
  }
  EXPECT_EQ(longest, 60U);
  EXPECT_EQ(data[60], 0xee);
}

}  // namespace
}  // namespace nbdspec::fuzz
