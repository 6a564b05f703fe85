// SPDX-License-Identifier: BSD-3-Clause
// A finding must end the process, whatever a fuzzer does with return values, and must say how to see it again.

#include "fuzz/comparisons/fuzz_target.h"

#include <gtest/gtest.h>

#include "engine/script/script_bytes.h"

namespace nbdspec::fuzz {
namespace {

using engine::Script;

const Script kScript = {.size = 64,
                        .steps = {engine::ClearStep{}, engine::LookupStep{.offset = 5}, engine::ClearStep{}}};

Found DislikeLookups(const Script& script) {
  for (const engine::Step& step : script.steps) {
    if (std::holds_alternative<engine::LookupStep>(step)) {
      return Disagreement{.where = "here", .expected = "no lookup", .saw = "a lookup"};
    }
  }
  return std::nullopt;
}

Found DislikeZeroBytes(engine::ByteView input) {
  for (const std::uint8_t byte : input) {
    if (byte == 0) {
      return Disagreement{.where = "there", .expected = "no zero byte", .saw = "a zero byte"};
    }
  }
  return std::nullopt;
}

const FuzzTarget kScripts = {
    .name = "some_target", .inputs = ScriptKind({.steps_max = 8}), .find_in_script = DislikeLookups};
const FuzzTarget kBytes = {.name = "some_target", .find_in_bytes = DislikeZeroBytes};

TEST(AbortOnDisagreementDeathTest, AScriptIsShrunkAndPrintedWithItsReplay) {
  EXPECT_DEATH(AbortOnDisagreement(kScripts, engine::EncodeScript(kScript)),
               "where     here\n"
               "  expected  no lookup\n"
               "  saw       a lookup\n"
               "(.|\n)*"
               "cat > corpus/regressions/some_target/NAME.script <<'END'\n"
               "# nbdspec script\n"
               "size 0\n"
               "initial hole\n"
               "lookup 0\n"
               "END\n"
               "bazel run //fuzz/targets:replay -- \\$PWD/corpus/regressions/some_target/NAME.script\n");
}

TEST(AbortOnDisagreementDeathTest, BytesArePrintedAsAShellTakesThem) {
  const engine::Bytes input = {0x00, '\'', 0xff};
  EXPECT_DEATH(AbortOnDisagreement(kBytes, input),
               "printf '\\\\000\\\\047\\\\377' > corpus/regressions/some_target/NAME\n");
}

TEST(AbortOnDisagreement, ReturnsWhenThereIsNone) {
  AbortOnDisagreement(kScripts, engine::EncodeScript({.size = 64}));
  AbortOnDisagreement(kBytes, engine::Bytes{1, 2});
  SUCCEED();
}

}  // namespace
}  // namespace nbdspec::fuzz
