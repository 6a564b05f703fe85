// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec check` on servers that treat their clients oddly (conformance/peer:odd_server): the right ones are not
// accused, and of the wrong ones the culprit is named.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "command/testdata/program.h"
#include "engine/spec/ids.h"

namespace nbdspec::command {
namespace {

struct Checked {
  int exit = -1;
  std::string output;
  std::string trouble;
  std::map<std::string, std::string> verdicts;  // By id.
  std::map<std::string, std::string> saw;

  [[nodiscard]] std::set<std::string> With(const std::string& verdict) const {
    std::set<std::string> ids;
    for (const auto& [id, each] : verdicts) {
      if (each == verdict) {
        ids.insert(id + ": " + saw.at(id));
      }
    }
    return ids;
  }
};

Checked Read(const Result& result, const std::string& json) {
  Checked checked{.exit = result.exit, .output = result.output};
  const auto run = nlohmann::json::parse(Contents(json), nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(run.is_discarded()) << result.output;
  if (!run.is_discarded()) {
    checked.trouble = run["trouble"];
    for (const auto& outcome : run["outcomes"]) {
      checked.verdicts[outcome["id"]] = outcome["verdict"];
      checked.saw[outcome["id"]] = outcome["evidence"].value("saw", "");
    }
  }
  return checked;
}

std::string Odd(const std::string& words) { return "conformance/peer/odd_server {socket} " + words; }

// Checks a server that nbdspec starts.
Checked Check(const std::string& command, const std::string& words = "") {
  const std::string json = FileFor("run.json");
  return Read(Nbdspec("check --spawn \"" + command + "\" " + words + " --json " + json), json);
}

// Checks an odd server that is there already.
Checked CheckByUri(const std::string& odd, const std::string& words) {
  const std::string json = FileFor("uri.json");
  std::string directory = "/tmp/nbdspec-test-XXXXXX";  // Short: of a long TMPDIR no socket can be made.
  EXPECT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string socket = directory + "/s";
  const Result result =
      Shell("conformance/peer/odd_server " + socket + " " + odd + " & pid=$!; while [ ! -e " + socket +
            " ]; do sleep 0.05; done; command/nbdspec check 'nbd+unix:///?socket=" + socket + "' " + words +
            " --json " + json + " 2>&1; exit=$?; kill $pid; wait $pid; rm -r " + directory + "; exit $exit");
  return Read(result, json);
}

void ExpectNothingAmiss(const Checked& checked) {
  EXPECT_EQ(checked.exit, 0) << checked.output;
  for (const char* const verdict : {"fail", "inconclusive", "flaky"}) {
    EXPECT_EQ(checked.With(verdict), std::set<std::string>()) << verdict;
  }
}

// --- Odd and right ---

class RightServer : public testing::TestWithParam<const char*> {};

// NBDSPEC_LIVE_CHECKS: only these, a word for each. What is started for each client takes ten times as long.
TEST_P(RightServer, IsNotAccused) {
  const bool is_started_often = std::string_view(GetParam()).starts_with("ends-");
  const char* const all = "handshake option baseline block-status transmission structured disc";
  const char* const given = std::getenv("NBDSPEC_LIVE_CHECKS");
  const Checked checked = Check(Odd(GetParam()), given != nullptr   ? given
                                                 : is_started_often ? "handshake baseline disc structured"
                                                                    : all);
  ExpectNothingAmiss(checked);
  EXPECT_GT(checked.With("pass").size(), given != nullptr ? 10U : is_started_often ? 30U : 60U) << checked.output;
}

INSTANTIATE_TEST_SUITE_P(All, RightServer,
                         testing::Values("queues-clients", "refuses-second", "ends-with-client", "ends-with-entered",
                                         "simple", "refuses-caching"));

TEST(OddServers, OneThatIsFarAwayHasTheTimeItTakes) {
  ExpectNothingAmiss(
      Check(Odd("delay=300"), "handshake.magic disc.no-reply transmission.write.then-reply --reply-timeout 200ms"));
}

TEST(OddServers, OneOnOneImageIsAskedOnItsOwn) {
  const std::string image = FileFor("image");
  std::ofstream(image) << std::string(8 << 20, 'x');
  ExpectNothingAmiss(
      Check("nbdkit -f --threads=1 -U {socket} file " + image, "-j 4 base-allocation write-zeroes.reads-zero"));
  // This one locks it.
  ExpectNothingAmiss(
      Check("qemu-nbd -t --shared=0 -k {socket} -x '' -f raw " + image, "-j 4 base-allocation handshake"));
}

TEST(OddServers, OneOfAnOlderHandshakeFailsForThatAlone) {
  for (const std::string how : {"not-fixed", "oldstyle"}) {
    const Checked checked = Check(Odd(how), "handshake option baseline eflags transmission disc");
    const auto failed = checked.With("fail");
    ASSERT_EQ(failed.size(), 1U) << how << "\n" << checked.output;
    EXPECT_TRUE(failed.begin()->starts_with(spec::kBaselineFixedNewstyleServer)) << *failed.begin();
    for (const char* const verdict : {"inconclusive", "flaky"}) {
      EXPECT_EQ(checked.With(verdict), std::set<std::string>()) << how;
    }
    EXPECT_GT(checked.With("pass").size(), 30U) << how;
  }
}

// --- Wrong: who did it ---

constexpr char kSuspects[] = "-j 1 handshake.magic cache transmission.write.then-reply structured.read.chunks";

TEST(OddServers, ALateDeathIsTheFailureOfTheCheckThatCausedIt) {
  for (const char* const words : {kSuspects, "-j 1 handshake.magic cache"}) {
    const Checked checked = Check(Odd("aborts-after-cache"), words);
    EXPECT_EQ(checked.exit, 1);
    EXPECT_EQ(checked.With("flaky"), std::set<std::string>());
    EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>());
    EXPECT_FALSE(checked.With("fail").empty()) << checked.output;
    // Whichever check it is found to be of: that of a check of bytes is worse already.
    EXPECT_TRUE(checked.output.contains("  harm     denial of service: ") ||
                checked.output.contains("  harm     data: "))
        << checked.output;
    for (const std::string& failed : checked.With("fail")) {
      EXPECT_TRUE(failed.contains("SIGABRT")) << failed;
      EXPECT_FALSE(failed.starts_with("handshake")) << failed;
      EXPECT_FALSE(failed.starts_with("sanity")) << failed;
    }
  }
}

TEST(OddServers, ADeathThatDoesNotComeAgainIsAFailureAllTheSame) {
  const Checked checked = Check(Odd("aborts-once file=" + FileFor("aborted")), kSuspects);
  const auto failed = checked.With("fail");
  ASSERT_EQ(failed.size(), 1U) << checked.output;
  EXPECT_TRUE(failed.begin()->contains("SIGABRT")) << *failed.begin();
  EXPECT_EQ(checked.With("flaky"), std::set<std::string>());
}

TEST(OddServers, ALockThatStaysIsTheFailureOfTheCheckThatTookIt) {
  for (const char* const how : {"locks-after-cache", "stops-after-cache"}) {
    const Checked checked = Check(Odd(how), std::string(kSuspects) + " --reply-timeout 300ms");
    EXPECT_FALSE(checked.With("fail").empty()) << checked.output;
    for (const std::string& failed : checked.With("fail")) {
      EXPECT_TRUE(failed.contains("afterwards the server")) << failed;
      EXPECT_FALSE(failed.starts_with("handshake")) << failed;
    }
    EXPECT_EQ(checked.With("flaky"), std::set<std::string>()) << how;
    EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>()) << how;
  }
}

TEST(OddServers, OfAServerThatIsThereTheLastCheckIsNamed) {
  // Of these more than a hundred come after the first that sends CACHE: the server's death finds one of them.
  const Checked checked = CheckByUri("aborts-after-cache", "cache write-zeroes transmission structured --allow-write");
  const auto failed = checked.With("fail");
  EXPECT_EQ(checked.exit, 1) << checked.output;
  EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>());
  ASSERT_GE(failed.size(), 1U) << checked.output;
  EXPECT_TRUE(failed.begin()->contains("takes no clients")) << *failed.begin();
  EXPECT_FALSE(checked.With("skip").empty());
}

TEST(OddServers, ALoneCommandThatEndsTheConnectionIsAFailureWithoutStructuredRepliesToo) {
  for (const std::string words : {"hangs-up-on-zeroing", "hangs-up-on-zeroing simple"}) {
    const Checked checked = Check(Odd(words), "transmission.disconnect");
    EXPECT_EQ(checked.verdicts.at(std::string(spec::kTransmissionDisconnectOnlyAllowedServer)), "fail")
        << checked.output;
  }
}

TEST(OddServers, WhatClientsLeaveBehindIsSeenFromOutside) {
  const std::string id(spec::kSessionDepartedNoGrowth);
  const Checked keeps = Check(Odd("keeps-descriptors"), id);
  EXPECT_EQ(keeps.exit, 0) << keeps.output;
  EXPECT_EQ(keeps.verdicts.at(id), "warn") << keeps.output;
  EXPECT_TRUE(keeps.saw.at(id).contains("descriptors after")) << keeps.saw.at(id);
  EXPECT_NE(Check(Odd("queues-clients"), id).verdicts.at(id), "warn");
}

// --- One thread for all ---

// While it waits for us to take what it says on one connection it hears nothing on another. At this seed two scripts of
// these come there.
TEST(OddServers, OneOfOneThreadIsNotSaidToHang) {
  const Result result = Nbdspec("fuzz --spawn '" + Odd("") + "' --scripts 60 --seed 5");
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(result.Says("; 0 found, 0 known\n")) << result.output;
}

// --- Nobody enters ---

TEST(OddServers, WithoutADefaultExportTheFirstOneThatIsListedIsEntered) {
  const Checked checked = Check(Odd("named"), "handshake baseline");
  ExpectNothingAmiss(checked);
  EXPECT_TRUE(checked.output.contains("entered \"d\"")) << checked.output;
}

TEST(OddServers, AnExportThatCannotBeEnteredIsOneSentence) {
  const Checked checked = Check(Odd("named"), "--export nosuch");
  EXPECT_EQ(checked.exit, 3) << checked.output;
  EXPECT_TRUE(checked.trouble.contains("cannot be entered")) << checked.trouble;
  EXPECT_TRUE(checked.trouble.contains("It lists \"d\"")) << checked.trouble;
  EXPECT_EQ(checked.With("fail"), std::set<std::string>());
  EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>());
  EXPECT_GT(checked.With("pass").size(), 40U);
  EXPECT_FALSE(checked.With("skip").empty());
  EXPECT_LT(std::ranges::count(checked.output, '\n'), 64) << checked.output;
}

TEST(OddServers, WhatNobodyNamedIsNotWrittenTo) {
  const Checked checked = CheckByUri("named", "transmission.write --allow-write");
  EXPECT_EQ(checked.exit, 3) << checked.output;
  EXPECT_TRUE(checked.trouble.contains("It lists \"d\"")) << checked.trouble;
}

// --- Few servers at once, or none ---

TEST(OddServers, OneThatCannotRunTwiceIsRunOnce) {
  const Checked checked =
      Check("flock --nonblock " + FileFor("lock") + " " + Odd("") + " {image}", "-j 4 handshake transmission");
  ExpectNothingAmiss(checked);
  EXPECT_GT(checked.With("pass").size(), 40U) << checked.output;
}

TEST(OddServers, OneThatDoesNotStartAgainIsOneSentence) {
  const std::string flag = FileFor("started");
  const Checked checked = Check("sh -c 'test -e " + flag + " && { echo lock is taken >&2; exit 9; }; touch " + flag +
                                    "; exec " + Odd("aborts-after-cache") + " {image}'",
                                "cache handshake transmission -j 1");
  EXPECT_EQ(checked.exit, 3) << checked.output;
  EXPECT_TRUE(checked.trouble.contains("could not be started when it was needed")) << checked.trouble;
  EXPECT_TRUE(checked.trouble.contains("exited with status 9")) << checked.trouble;
  EXPECT_TRUE(checked.trouble.contains("\"lock is taken\"")) << checked.trouble;
  EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>());
  EXPECT_LE(checked.With("fail").size(), 1U) << checked.output;  // What ended the first one.
  EXPECT_LT(std::ranges::count(checked.output, '\n'), 64) << checked.output;
}

// Six of ten, whatever it is started for: in a check that starts it again, too, by asking it to end or by a power cut.
TEST(OddServers, OneWhoseStartsFailIsNotAccused) {
  const std::string flag = FileFor("once");
  const std::string script = FileFor("now_and_then");
  std::ofstream(script) << "if [ -e " << flag << " ] && [ $(($(od -An -N1 -tu1 /dev/urandom) % 10)) -lt 6 ]; then\n"
                        << "  echo the port is taken >&2; exit 9\nfi\ntouch " << flag << "\nexec \"$@\"\n";
  const Checked checked = Check("sh " + script + " nbdkit -f -U {socket} nbd uri={image-uri}",
                                "-j 4 --power-cut handshake.magic transmission.flush.covers-completed "
                                "transmission.shutdown session.shutdown baseline.read");
  for (const char* const verdict : {"fail", "inconclusive", "flaky"}) {
    EXPECT_EQ(checked.With(verdict), std::set<std::string>()) << verdict;
  }
  EXPECT_GT(checked.With("pass").size(), 8U) << checked.output;
  EXPECT_TRUE(checked.exit == 0 || checked.exit == 3) << checked.output;
}

TEST(OddServers, OneThatEndsWithItsClientAndWhoseStartsFailIsNotAccused) {
  const std::string flag = FileFor("first");
  const std::string script = FileFor("seldom");
  std::ofstream(script) << "if [ -e " << flag << " ] && [ $(($(od -An -N1 -tu1 /dev/urandom) % 10)) -lt 4 ]; then\n"
                        << "  exit 9\nfi\ntouch " << flag << "\nexec \"$@\"\n";
  const Checked checked = Check("sh " + script + " " + Odd("ends-with-client"), "handshake option.abort baseline.read");
  for (const char* const verdict : {"fail", "inconclusive", "flaky"}) {
    EXPECT_EQ(checked.With(verdict), std::set<std::string>()) << verdict;
  }
  EXPECT_GT(checked.With("pass").size(), 10U) << checked.output;
}

TEST(OddServers, OneThatDiesOfAnOrdinaryClientIsOneSentence) {
  const Checked checked = Check(Odd("aborts-at-options"));
  EXPECT_EQ(checked.exit, 1) << checked.output;
  const auto failed = checked.With("fail");
  ASSERT_EQ(failed.size(), 1U) << checked.output;
  EXPECT_TRUE(failed.begin()->starts_with("sanity.before: ")) << *failed.begin();
  EXPECT_TRUE(failed.begin()->contains("NBD_OPT_LIST got no answer")) << *failed.begin();
  EXPECT_TRUE(failed.begin()->contains("killed by SIGABRT")) << *failed.begin();
  for (const char* const said : {"\n  sent     NBD_OPT_LIST\n", "\n  stderr   odd_server: no options\n",
                                 "\nExit 1: the server serves no ordinary client, 1 failed.\n"}) {
    EXPECT_TRUE(checked.output.contains(said)) << checked.output;
  }
  EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>());
  EXPECT_LT(std::ranges::count(checked.output, '\n'), 64) << checked.output;
}

TEST(OddServers, OneThatDiesOfEveryWriteFailsAFewTimesForThat) {
  const Checked checked = Check(Odd("aborts-at-writes"), "transmission structured");
  EXPECT_EQ(checked.exit, 1);
  EXPECT_FALSE(checked.With("fail").empty());
  EXPECT_LT(checked.With("fail").size(), 10U) << checked.output;
  EXPECT_GT(std::ranges::count_if(
                checked.With("skip"),
                [](const std::string& each) { return each.contains("killed by SIGABRT after NBD_CMD_WRITE, as in "); }),
            10)
      << checked.output;
  EXPECT_EQ(checked.With("inconclusive"), std::set<std::string>());
  EXPECT_EQ(checked.With("flaky"), std::set<std::string>());
}

TEST(OddServers, OneOnTcpAloneIsMetThere) {
  const Checked checked = Check("nbdkit -f -i 127.0.0.1 -p {port} memory {size}", "handshake baseline.read");
  ExpectNothingAmiss(checked);
  EXPECT_FALSE(checked.With("pass").empty());
}

TEST(OddServers, WhatWouldWriteIsSkippedWithoutPermission) {
  const Checked checked = CheckByUri("", "write-zeroes transmission.write");
  EXPECT_EQ(checked.exit, 0) << checked.output;
  const auto skipped = checked.With("skip");
  ASSERT_FALSE(skipped.empty()) << checked.output;
  for (const std::string& each : skipped) {
    EXPECT_TRUE(each.contains("--allow-write")) << each;
  }
  for (const std::string& each : checked.With("n/a")) {
    EXPECT_FALSE(each.contains("may be written to")) << each;
  }
}

}  // namespace
}  // namespace nbdspec::command
