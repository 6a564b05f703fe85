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

// Each ends in a verdict, and nothing of it is left.
TEST(Client, ThatDoesNotEndWellEndsInAVerdict) {
  struct Bad {
    std::string script;  // $1 is the port.
    std::string saw;
  };
  const std::string hung = "the client did not end in its time";
  const std::string script = FileFor("bad_client.sh");
  for (const auto& [text, saw] : {
           Bad{"exec -a $0 sleep 60", hung},
           Bad{"trap '' TERM INT HUP; while :; do sleep 1; done", hung},
           Bad{"setsid bash -c \"exec -a $0 sleep 60\" & sleep 60", hung},
           Bad{"yes", hung},                                                       // Floods us with words,
           Bad{"cat /dev/zero >/dev/tcp/127.0.0.1/$1; sleep 60", hung},            // with bytes that are no messages,
           Bad{"while :; do : 2>/dev/null 4<>/dev/tcp/127.0.0.1/$1; done", hung},  // with connections.
           Bad{"kill -SEGV $$", "killed by SIGSEGV"},
       }) {
    Write(script, ": 3<>/dev/tcp/127.0.0.1/$1\n" + text + "\n");
    const Result result = Nbdspec("client --run 'bash " + script + " {port}' --case-timeout 0.5 baseline.notls.client");
    EXPECT_EQ(result.exit, 1) << text << result.output;
    EXPECT_TRUE(result.Says(saw)) << text << result.output;
    EXPECT_EQ(ProcessesWith(script), "") << text;
  }
}

// A client without a library, by --run alone: docs/howto/check_a_client.md has it as its example.
TEST(Client, InPythonIsRight) {
  const std::string client = "python3 command/testdata/small_client.py";
  const Result result = Nbdspec("client --run '" + client + " get {socket} {export} {output}' --run '" + client +
                                " put {socket} {export} {input}' baseline handshake transmission disc '!*/*'");
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(Nbdspec("client --run '" + client + " get {socket} {export} {output}'" + kFew).Says("2 pass"));
}

TEST(Client, IsALineOfAMatrix) {
  const std::string list = FileFor("clients.txt");
  Write(list, "reference:  client reference\ncopies: client --run 'nbdcopy {uri} {output}'\n");
  const std::string json = FileFor("clients.json");
  const Result grid = Nbdspec("matrix " + list + kFew + "--json " + json);
  EXPECT_EQ(grid.exit, 0) << grid.output;
  EXPECT_TRUE(grid.Says("2 targets")) << grid.output;
  EXPECT_EQ(nlohmann::json::parse(Contents(json))["targets"].size(), 2U);
  Write(list, "nobody: client no-such-client\n");
  EXPECT_EQ(Nbdspec("matrix " + list).exit, 2);
}

// Somebody starts clients by hand, until an interruption says that there are no more.
TEST(Client, ThatIsStartedByHandIsJudgedByItsWire) {
  const std::string log = FileFor("listen.log");
  const std::string script = FileFor("by_hand.sh");
  Write(script, R"sh(log=$1
    command/nbdspec client --listen --tcp 'baseline.*.client' '!*/*' --json "$log.json" >"$log" 2>&1 & p=$!
    uri() { sed -n "s/^.*\b$1\. .*start the client on \([^ ]*\) .*$/\1/p" "$log"; }
    for n in 1 2 3 4; do
      until [ -n "$(uri $n)" ]; do kill -0 $p || exit 9; sleep 0.05; done
      [ $n = 4 ] || nbdinfo "$(uri $n)" >/dev/null
    done
    kill -INT $p; wait $p)sh");
  const Result result = Shell("bash " + script + " " + log);
  const std::string said = Contents(log);
  EXPECT_EQ(result.exit, 0) << said;
  const auto outcomes = nlohmann::json::parse(Contents(log + ".json"))["outcomes"];
  int passed = 0;
  int skipped = 0;
  for (const auto& outcome : outcomes) {
    passed += outcome["verdict"] == "pass" ? 1 : 0;
    skipped += outcome["verdict"] == "skip" ? 1 : 0;
    EXPECT_NE(outcome["verdict"], "fail") << outcome.dump();
  }
  EXPECT_GT(passed, 0) << said;   // Rules of the wire.
  EXPECT_GT(skipped, 0) << said;  // What was not played.
  EXPECT_EQ(Nbdspec("client --listen nbdcopy").exit, 2);
}

}  // namespace
}  // namespace nbdspec::command
