// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec client` as a program, on real clients and on commands that are none.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

constexpr char kFew[] = " baseline.read.client baseline.write.client baseline.disc.client ";

TEST(Client, ThatIsRightPasses) {
  const Result reference = Nbdspec("client reference -q");
  EXPECT_EQ(reference.exit, 0) << reference.output;
  const Result nbdcopy = Nbdspec(
      std::string("client --run 'nbdcopy {uri} {output}' --run 'nbdcopy --flush {input} {uri}'") + kFew + "'!*/*'");
  EXPECT_TRUE(nbdcopy.Says("3 pass")) << nbdcopy.output;  // It leaves without DISC where it fails: nowhere here.
}

TEST(Client, ThatCopiesWrongBytesFailsAndIsShown) {
  const std::string json = FileFor("wrong.json");
  const Result wrong = Nbdspec(
      R"(client --run "sh -c 'nbdcopy {uri} - | tr 1 2 > {output}' {uri}" baseline.read.client --json )" + json);
  EXPECT_EQ(wrong.exit, 1) << wrong.output;
  EXPECT_TRUE(wrong.Says("it exited with status 0, and what it copied has 0x32 at byte 48, and not 0x31"))
      << wrong.output;
  const auto outcome = nlohmann::json::parse(Contents(json))["outcomes"][0];
  EXPECT_EQ(outcome["verdict"], "fail");
  EXPECT_FALSE(outcome["evidence"]["transcript"].empty());
  EXPECT_EQ(outcome["binds"], "client");
  EXPECT_EQ(outcome["harm"], "data");
  ASSERT_EQ(outcome["evidence"]["bars"].size(), 3U);
  EXPECT_EQ(outcome["evidence"]["bars"][1]["who"], "copied");
  EXPECT_TRUE(wrong.Says("  harm     data: ")) << wrong.output;
}

TEST(Client, ThatSaysSomethingWrongIsShownWithThePlaceOfIt) {
  const std::string json = FileFor("place.json");
  const std::string page = FileFor("place.html");
  EXPECT_EQ(Nbdspec("client fio baseline.read.client baseline.disc.client -q --json " + json + " --html " + page).exit,
            1);
  const auto run = nlohmann::json::parse(Contents(json));
  std::map<std::string, std::uint64_t> ends;  // Of what each side sent, as far as it is shown.
  for (const auto& outcome : run["outcomes"]) {
    for (const auto& message : outcome["evidence"]["messages"]) {
      if (const std::string from = message["from"]; !from.empty()) {
        const std::string side = from + message["connection"].dump();
        const auto [end, is_first] = ends.try_emplace(side, message["offset"].get<std::uint64_t>());
        EXPECT_EQ(message["offset"], end->second) << message;
        EXPECT_GT(message["length"], 0) << message;
        end->second += message["length"].get<std::uint64_t>();
      }
    }
  }
  EXPECT_GE(ends.size(), 2U);
  EXPECT_TRUE(Contents(page).contains("nbdspec, the server</span>"));
  EXPECT_FALSE(Contents(page).contains("The server's standard error"));
}

TEST(Client, RunsAreCompared) {
  const std::string before = FileFor("before.json");
  const std::string after = FileFor("after.json");
  const std::string page = FileFor("compared.html");
  EXPECT_EQ(Nbdspec("client reference baseline.read.client baseline.disc.client -q --json " + before).exit, 0);
  EXPECT_EQ(Nbdspec("client fio baseline.read.client baseline.disc.client -q --json " + after).exit, 1);
  const Result compared = Nbdspec("compare " + before + " " + after + " --html " + page);
  EXPECT_EQ(compared.exit, 1) << compared.output;
  EXPECT_TRUE(compared.Says("  baseline.disc.client  pass -> fail")) << compared.output;
  EXPECT_TRUE(Contents(page).contains("nbdspec, the server</span>"));
}

TEST(Client, ThatNeverConnectsIsNoSuccess) {
  const Result none = Nbdspec("client --run 'false {uri}'" + std::string(kFew));
  EXPECT_EQ(none.exit, 3) << none.output;
  EXPECT_TRUE(none.Says("never connected; it exited with status 1")) << none.output;
}

TEST(Client, ThatCannotBeRunIsASentence) {
  EXPECT_EQ(Nbdspec("client").exit, 2);
  EXPECT_EQ(Nbdspec("client nbdcopy --run 'x {uri}'").exit, 2);
  const Result nowhere = Nbdspec("client --run 'copy {output}'");
  EXPECT_EQ(nowhere.exit, 2);
  EXPECT_TRUE(nowhere.Says("does not say where the server is")) << nowhere.output;
  EXPECT_EQ(Nbdspec("client reference no.such.check").exit, 2);
}

TEST(Client, ThatHangsIsStopped) {
  const Result hangs = Nbdspec("client --run 'nbdsh-that-hangs {uri}' --case-timeout 1 baseline.notls.client");
  EXPECT_NE(hangs.exit, 0) << hangs.output;
  const Result sleeps = Nbdspec("client --run 'sleep 60 {uri}' --case-timeout 0.3 baseline.notls.client");
  EXPECT_NE(sleeps.exit, 0) << sleeps.output;
}

}  // namespace
}  // namespace nbdspec::command
