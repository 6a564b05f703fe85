// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <set>

#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

// The same scripts in every run, unless RC_PARAMS asks for others. RapidCheck prints what it uses.
const int kParamsAreSet = setenv("RC_PARAMS", "seed=1 max_success=500", /*replace=*/0);

// Every kind of step, legal or not, and names of any bytes.
engine::Script AnyScript() {
  ScriptMutator mutator(engine::kNoScriptLimits, *rc::gen::arbitrary<std::uint64_t>());
  engine::Script script = mutator.Fresh(*rc::gen::inRange<std::size_t>(0, 24));
  for (int left = *rc::gen::inRange(0, 8); left > 0; --left) {
    mutator.Mutate(script);
  }
  script.steps.emplace_back(engine::OptionStep{
      .option = *rc::gen::arbitrary<std::uint32_t>(),
      .names = *rc::gen::container<std::vector<std::string>>(
          rc::gen::oneOf(rc::gen::string<std::string>(), rc::gen::container<std::string>(rc::gen::arbitrary<char>()),
                         rc::gen::element<std::string>("base:allocation", "", "\"\"", "@", "#", "\\x41"))),
      .export_name = *rc::gen::string<std::string>()});
  return script;
}

TEST(ScriptProperty, ParseIsTheInverseOfPrint) {
  ASSERT_EQ(kParamsAreSet, 0);
  std::set<std::size_t> kinds_seen;
  EXPECT_TRUE(rc::check("a script parses from what it prints", [&] {
    const engine::Script script = AnyScript();
    RC_LOG() << engine::Print(script);
    const auto parsed = engine::ParseScript(engine::Print(script));
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(*parsed == script);
    for (const engine::Step& step : script.steps) {
      kinds_seen.insert(step.index());
    }
  }));
  EXPECT_EQ(kinds_seen.size(), std::variant_size_v<engine::Step>);
}

TEST(ScriptProperty, DecodeIsTheInverseOfEncode) {
  EXPECT_TRUE(rc::check("a script decodes from what it encodes", [] {
    const engine::Script script = AnyScript();
    RC_LOG() << engine::Print(script);
    RC_ASSERT(engine::DecodeScript(engine::EncodeScript(script), engine::kNoScriptLimits) == script);
  }));
}

}  // namespace
}  // namespace nbdspec::fuzz
