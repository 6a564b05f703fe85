// SPDX-License-Identifier: BSD-3-Clause
// Live: what was found in real servers. Each file says what its server does wrong; one that does not is stale.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "engine/script/script.h"
#include "fuzz/live/run/known_bugs.h"
#include "fuzz/live/run/live_server.h"
#include "fuzz/live/run/reproduce.h"

namespace nbdspec::fuzz {
namespace {

struct Regression {
  std::string text;
  engine::Script script;

  // What follows "# Key: ".
  [[nodiscard]] std::string Header(const std::string& key) const {
    const std::size_t at = text.find("\n# " + key + ": ");
    const std::size_t begin = at == std::string::npos ? at : text.find(": ", at) + 2;
    return at == std::string::npos ? "" : text.substr(begin, text.find('\n', begin) - begin);
  }
};

Regression Read(const std::string& name) {
  std::ifstream file("corpus/regressions/live/" + name + ".script");
  Regression regression{.text = {std::istreambuf_iterator<char>(file), {}}, .script = {}};
  auto script = engine::ParseScript(regression.text);
  EXPECT_TRUE(script.has_value()) << name << ": " << script.error().sentence;
  regression.script = script.value_or(engine::Script{});
  return regression;
}

constexpr std::chrono::seconds kPatience{60};  // A busy disk is no finding.

// What the answers to `script` show, by its public name; "" when all are allowed.
std::string ShownBy(conformance::Target& target, const engine::Script& script) {
  const auto ran = RunOnFreshServer(
      target, script, {.in_flight = kInFlightMax, .reply_timeout = kPatience, .start_timeout = kPatience});
  if (!ran) {
    return "trouble: " + ran.error().sentence;
  }
  if (!ran->known.empty()) {
    return ran->known.begin()->first;
  }
  return ran->finding ? KeyOf(*ran->finding) + ": " + ran->finding->saw : "";
}

class LiveRegression : public testing::TestWithParam<std::string> {};

TEST_P(LiveRegression, SaysWhatWhenAndWhy) {
  const Regression regression = Read(GetParam());
  for (const char* key : {"What", "When", "Why", "Server", "Known", "Shows"}) {
    EXPECT_NE(regression.Header(key), "") << key;
  }
}

TEST_P(LiveRegression, IsAnsweredRightlyByTheReferenceServer) {
  const auto reference = conformance::ReferenceTarget();
  const Regression regression = Read(GetParam());
  EXPECT_EQ(ShownBy(*reference, regression.script), "");
  EXPECT_EQ(ShownBy(*reference, OneAtATime(regression.script)), "");
}

// Not of what shows rarely: who would wait for that?
TEST_P(LiveRegression, ShowsOnItsServer) {
  constexpr int kTries = 20;
  const Regression regression = Read(GetParam());
  const auto server = conformance::TargetFromSpawn(regression.Header("Server"), "");
  ASSERT_TRUE(server) << server.error().sentence;
  const std::string known = regression.Header("Known");
  const std::string shows = regression.Header("Shows");
  const bool is_race = shows.starts_with("a race");
  EXPECT_EQ(IsRace(known), is_race);
  EXPECT_EQ(ShownBy(**server, OneAtATime(regression.script)), is_race ? "" : known);
  if (!is_race || shows.ends_with("20 of 20 runs")) {
    std::string shown;
    for (int i = 0; i < kTries && shown.empty(); ++i) {
      shown = ShownBy(**server, regression.script);
    }
    EXPECT_EQ(shown, known);
  }
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("corpus/regressions/live")) {
    names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Files, LiveRegression, testing::ValuesIn(Names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace nbdspec::fuzz
