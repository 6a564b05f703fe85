// SPDX-License-Identifier: BSD-3-Clause
// What keeps nbdspec in CI, from outside: lists of expected failures, and every server of a list in one run.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

constexpr char kFailing[] =
    "check nbd-server -j 1 handshake.client-flags.drop-unknown handshake.client-flags.drop-unknown/high ";

TEST(Expected, AListThatComesWithNbdspecMakesAKnownFailureNoNews) {
  const std::string json = FileFor("expected.json");
  EXPECT_EQ(Nbdspec(std::string(kFailing) + "-q").exit, 1);
  const Result result = Nbdspec(std::string(kFailing) + "--expected nbd-server --json " + json);
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(result.Says("Exit 0: nothing new failed, 2 expected.")) << result.output;
  const auto run = nlohmann::json::parse(Contents(json));
  EXPECT_EQ(run["failures"]["expected"], 2);
  EXPECT_EQ(run["outcomes"][0]["expected"]["overlay"], "xfail");
}

TEST(Expected, AnEntryThatHoldsNoLongerIsExitCode4) {
  const std::string list = FileFor("stale.expected");
  Write(list, "handshake.magic fail\n    It was so.\n");
  const Result result = Nbdspec("check reference handshake.magic -q --expected " + list);
  EXPECT_EQ(result.exit, 4) << result.output;
  EXPECT_TRUE(result.Says("1 expected failure no longer holds")) << result.output;
  EXPECT_EQ(Nbdspec(std::string(kFailing) + "--expected " + list).exit, 1) << "a new failure matters more";
}

TEST(Expected, AListThatCannotBeReadIsUsage) {
  const std::string list = FileFor("bad.expected");
  Write(list, "# Mine.\nhandshake.magik fail\n");
  const Result unknown = Nbdspec("check reference handshake.magic --expected " + list);
  EXPECT_EQ(unknown.exit, 2);
  EXPECT_TRUE(unknown.Says("bad.expected:2: there is no check \"handshake.magik\"")) << unknown.output;
  const Result missing = Nbdspec("check reference handshake.magic --expected /no/such");
  EXPECT_EQ(missing.exit, 2);
  EXPECT_TRUE(missing.Says("With nbdspec come the lists nbd-server, nbdkit, qemu-nbd, fio, nbd-client"))
      << missing.output;
}

TEST(Expected, FailFastEndsWithTheFirstFailureThatIsNotExpected) {
  const std::string words = std::string(kFailing) + "--fail-fast ";
  const Result first = Nbdspec(words);
  EXPECT_EQ(first.exit, 1);
  EXPECT_TRUE(first.Says("the run had failed before this check (1)")) << first.output;
  EXPECT_FALSE(Nbdspec(words + "--expected nbd-server").Says("the run had failed"));
}

TEST(Expected, AListIsMadeOfARunAndWantsReasons) {
  const std::string json = FileFor("update.json");
  const std::string list = FileFor("update.expected");
  ASSERT_EQ(Nbdspec(std::string(kFailing) + "-q --json " + json).exit, 1);
  const Result made = Nbdspec("expected update " + list + " " + json);
  EXPECT_EQ(made.exit, 0);
  EXPECT_TRUE(made.Says("+ handshake.client-flags.drop-unknown/high  fail\n")) << made.output;
  EXPECT_TRUE(made.Says("put the reasons in place of \"say why\"")) << made.output;
  const Result refused = Nbdspec(std::string(kFailing) + "--expected " + list);
  EXPECT_EQ(refused.exit, 2);
  EXPECT_TRUE(refused.Says("update.expected:5: handshake.client-flags.drop-unknown has no reason")) << refused.output;
  Shell("sed -i 's/say why/It looks at no flag but one./' " + list);
  const Result expected = Nbdspec(std::string(kFailing) + "--expected " + list);
  EXPECT_EQ(expected.exit, 0) << expected.output;
  EXPECT_TRUE(expected.Says("  It looks at no flag but one.\n")) << expected.output;
  EXPECT_TRUE(Nbdspec("expected update " + list + " " + json).Says("it is up to date"));
}

TEST(Expected, AListThatComesWithNbdspecIsShownToBeReadAndCopied) {
  const Result shown = Nbdspec("expected show nbdkit");
  EXPECT_EQ(shown.exit, 0);
  EXPECT_TRUE(shown.Says("[nbdkit]\n")) << shown.output;
  EXPECT_EQ(Nbdspec("expected show nosuch").exit, 2);
  EXPECT_EQ(Nbdspec("expected forget nbdkit").exit, 2);
}

// The lists that come with nbdspec have what the clients of this machine do wrong, and no more. Where a rule of the
// wire is broken somewhere in all scenarios only a run of all shows it: that takes minutes, and is left to people.
TEST(Expected, OfStockClientsTheListsThatComeWithNbdspecHold) {
  struct Stock {
    std::string words;  // The client, and checks that each have a scenario.
    int expected_count;
  };
  const std::vector<Stock> all = {
      {"nbdinfo structured.client.inconsistent uri.tls.verify option.export-name.client-fall", 3},
      {"nbdcopy uri.tls.verify block-size.client.abide/ *has_small_maximum", 3},
      {"nbdkit-nbd block-size.client.abide/ *has_small_maximum", 2},
      {"qemu-img interop.flush-fua.client/fails", 1},
      {"fio baseline.read.client baseline.disc.client", 1},
      {"nbd-client", 2},
  };
  const std::size_t step = std::getenv("NBDSPEC_LIVE_CHECKS") == nullptr ? 1 : 3;
  for (std::size_t i = 0; i < all.size(); i += step) {
    const auto& [words, expected_count] = all[i];
    const std::string client = words.substr(0, words.find(' '));
    const std::string json = FileFor(client + ".json");
    std::string line = "client " + words;
    line.append(" --json ").append(json).append(" --expected ").append(client);
    const Result result = Nbdspec(line);
    EXPECT_EQ(result.exit, 0) << client << "\n" << result.output;
    EXPECT_EQ(nlohmann::json::parse(Contents(json))["failures"]["expected"], expected_count) << client;
  }
}

TEST(Expected, AListIsMadeOfARunOfAClient) {
  const std::string json = FileFor("client.json");
  const std::string list = FileFor("client.expected");
  const std::string words = "client fio baseline.read.client baseline.disc.client ";
  ASSERT_EQ(Nbdspec(words + "-q --json " + json).exit, 1);
  const Result made = Nbdspec("expected update " + list + " " + json);
  EXPECT_EQ(made.exit, 0);
  EXPECT_TRUE(made.Says("+ baseline.disc.client  fail\n")) << made.output;
  EXPECT_TRUE(Contents(list).contains("[fio]\n")) << Contents(list);
  Shell("sed -i 's/say why/It never says goodbye./' " + list);
  EXPECT_EQ(Nbdspec(words + "--expected " + list).exit, 0);
  EXPECT_EQ(Nbdspec("client reference baseline.read.client baseline.disc.client --expected " + list).exit, 0)
      << "it is of fio";
  Shell("sed -i 's/fio/reference/' " + list);
  EXPECT_EQ(Nbdspec("client reference baseline.read.client baseline.disc.client --expected " + list).exit, 4);
}

// --- Matrix ---

Result Matrix(const std::string& text, const std::string& words = "") {
  const std::string file = FileFor("servers.txt");
  Write(file, text);
  return Nbdspec("matrix " + file + " " + words);
}

TEST(Matrix, AListThatIsNotUnderstoodNamesItsLine) {
  struct Wrong {
    const char* text;
    const char* says;
  };
  for (const auto& [text, says] : {
           Wrong{"", "names no server"},
           Wrong{"# nothing\n\n", "names no server"},
           Wrong{"reference\n", ":1: a line is a name, a colon"},
           Wrong{"# one\na: nosuch\n", ":2: no check and no known target"},
           Wrong{"a: reference --no-such-flag\n", ":1: The following argument was not expected"},
           Wrong{"a: --spawn 'true'\n", ":1: The command \"true\" has no {socket}"},
           Wrong{"a: reference\na: nbdkit\n", ":2: \"a\" stands above already"},
           Wrong{"a: reference --json x\n", ":1: reports are of all lines"},
           Wrong{"a: reference 'x\n", ":1: "},
       }) {
    const Result result = Matrix(text);
    EXPECT_EQ(result.exit, 2) << text;
    EXPECT_TRUE(result.Says(says)) << result.output;
  }
  EXPECT_EQ(Nbdspec("matrix /no/such/file").exit, 2);
}

TEST(Matrix, TheTroubleOfOneServerLosesNoOther) {
  const std::string json = FileFor("matrix.json");
  const Result result = Matrix(
      "gone:  nbd+unix:///?socket=/no/such\nfirst: reference\n"
      "dies:  --spawn 'sh -c \"echo no licence >&2; exit 3\" {socket}'\nlast:  reference block-status\n",
      "handshake --json " + json);
  EXPECT_EQ(result.exit, 3) << result.output;
  EXPECT_TRUE(result.Says("no licence")) << result.output;
  EXPECT_TRUE(result.Says("Exit 3: 4 targets in ")) << result.output;
  EXPECT_TRUE(result.Says("2 unusable targets.")) << result.output;
  const auto matrix = nlohmann::json::parse(Contents(json));
  ASSERT_EQ(matrix["targets"].size(), 4U);
  EXPECT_EQ(matrix["targets"][0]["run"]["exit"], 3);
  EXPECT_EQ(matrix["targets"][1]["run"]["exit"], 0);
  EXPECT_GT(matrix["targets"][1]["run"]["tally"]["pass"], 8);
  EXPECT_GT(matrix["targets"][3]["run"]["tally"]["pass"], matrix["targets"][1]["run"]["tally"]["pass"]);
}

// All checks on the servers of this machine, or those of NBDSPEC_LIVE_CHECKS: the lists that come with nbdspec have
// what these do wrong, and no more.
TEST(Matrix, OfStockServersTheListsThatComeWithNbdspecHold) {
  const std::string json = FileFor("stock.json");
  const char* const given = std::getenv("NBDSPEC_LIVE_CHECKS");
  const Result result = Matrix(
      "nbdkit:     nbdkit --expected nbdkit\n"
      "qemu-nbd:   qemu-nbd --expected qemu-nbd\n"
      "qcow2:      qemu-nbd:qcow2 --expected qemu-nbd\n"
      "nbd-server: nbd-server --expected nbd-server\n",
      (given != nullptr ? given : "") + std::string(" --json ") + json);
  EXPECT_EQ(result.exit, 0) << result.output;
  for (const auto& target : nlohmann::json::parse(Contents(json))["targets"]) {
    EXPECT_GT(target["run"]["failures"]["expected"], given != nullptr ? -1 : 5) << target["name"];
    EXPECT_GT(target["run"]["tally"]["pass"], given != nullptr ? 10 : 100) << target["name"];
  }
}

}  // namespace
}  // namespace nbdspec::command
