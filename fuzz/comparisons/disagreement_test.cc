// SPDX-License-Identifier: BSD-3-Clause
// A finding must end the process, whatever a fuzzer does with return values, and must say how to see it again.

#include "fuzz/comparisons/disagreement.h"

#include <gtest/gtest.h>

namespace nbdspec::fuzz {
namespace {

using engine::Script;

const Script kScript = {.size = 64,
                        .steps = {engine::ClearStep{}, engine::LookupStep{.offset = 5}, engine::ClearStep{}}};

std::optional<Disagreement> DislikeLookups(const Script& script) {
  for (const engine::Step& step : script.steps) {
    if (std::holds_alternative<engine::LookupStep>(step)) {
      return Disagreement{.where = "here", .expected = "no lookup", .saw = "a lookup"};
    }
  }
  return std::nullopt;
}

std::optional<Disagreement> DislikeZeroBytes(engine::ByteView input) {
  for (const std::uint8_t byte : input) {
    if (byte == 0) {
      return Disagreement{.where = "there", .expected = "no zero byte", .saw = "a zero byte"};
    }
  }
  return std::nullopt;
}

TEST(AbortOnDisagreementDeathTest, AScriptIsShrunkAndPrintedWithItsReplay) {
  EXPECT_DEATH(AbortOnDisagreement("some_target", kScript, DislikeLookups),
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
               "bazel run //fuzz/targets:some_target_fuzz -- \\$PWD/corpus/regressions/some_target/NAME.script\n");
}

TEST(AbortOnDisagreementDeathTest, BytesArePrintedAsAShellTakesThem) {
  const engine::Bytes input = {0x00, '\'', 0xff};
  EXPECT_DEATH(AbortOnDisagreement("some_target", input, DislikeZeroBytes),
               "printf '\\\\000\\\\047\\\\377' > corpus/regressions/some_target/NAME\n");
}

TEST(AbortOnDisagreement, ReturnsWhenThereIsNone) {
  AbortOnDisagreement("some_target", Script{.size = 64}, DislikeLookups);
  AbortOnDisagreement("some_target", engine::Bytes{1, 2}, DislikeZeroBytes);
  SUCCEED();
}

}  // namespace
}  // namespace nbdspec::fuzz
