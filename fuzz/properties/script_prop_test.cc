// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <set>

#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/properties/script_generators.h"

namespace nbdspec::fuzz {
namespace {

// The same scripts in every run, unless RC_PARAMS asks for others. RapidCheck prints what it uses.
const int kParamsAreSet = setenv("RC_PARAMS", "seed=1 max_success=500", /*replace=*/0);

TEST(ScriptProperty, ParseIsTheInverseOfPrint) {
  ASSERT_EQ(kParamsAreSet, 0);
  std::set<std::size_t> kinds_seen;
  EXPECT_TRUE(rc::check("a script parses from what it prints", [&] {
    const engine::Script script = *GenScript();
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
    const engine::Script script = *GenScript();
    RC_ASSERT(engine::DecodeScript(engine::EncodeScript(script), engine::kNoScriptLimits) == script);
  }));
}

}  // namespace
}  // namespace nbdspec::fuzz
