// SPDX-License-Identifier: BSD-3-Clause
// The command from outside: exit codes, sentences, reports. It runs the real program.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

TEST(Command, WithoutATargetChecksTheReferenceServer) {
  const Result result = Nbdspec("check");
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_NE(result.output.find("reference"), std::string::npos);
}

struct Refused {
  const char* words;
  int exit;
  const char* says;
};

class BadInput : public testing::TestWithParam<Refused> {};

TEST_P(BadInput, GetsOneSentenceAndItsExitCode) {
  const Result result = Nbdspec(GetParam().words);
  EXPECT_EQ(result.exit, GetParam().exit) << result.output;
  EXPECT_NE(result.output.find(GetParam().says), std::string::npos) << result.output;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadInput,
    testing::Values(Refused{"", 2, "subcommand"}, Refused{"frobnicate", 2, "frobnicate"},
                    Refused{"check handshake.magik", 2, "did you mean handshake.magic"},
                    Refused{"check reference nosuch", 2, "nosuch"}, Refused{"check '!*'", 2, "nothing is left"},
                    Refused{"check --seed x", 2, "--seed"}, Refused{"check -j 0", 2, "-j"},
                    Refused{"check --reply-timeout 0", 2, "--reply-timeout"},
                    Refused{"check --no-such-flag", 2, "--no-such-flag"}, Refused{"check nbd://h:99999", 2, "99999"},
                    Refused{"check nbd+unix:///?sock=/x", 2, "socket"},
                    Refused{"check nbds://127.0.0.1:1", 3, "127.0.0.1"},
                    Refused{"fuzz nbds://127.0.0.1:1 --allow-write", 3, "127.0.0.1"},
                    Refused{"check nbdkit --tls-certificates /no/such", 2, "/no/such/ca-cert.pem"},
                    Refused{"check nbdkit --tls-psk /no/such", 2, "/no/such"},
                    Refused{"check --tls --spawn 'true {socket}'", 2, "{certs}"},
                    Refused{"check --spawn 'true {socket} {certs}'", 2, "--tls"},
                    Refused{"check http://localhost", 2, "http"}, Refused{"check --spawn 'true'", 2, "{socket}"},
                    Refused{"check --spawn \"true '{socket}\"", 2, "quot"},
                    Refused{"check --json /no/such/directory/x.json handshake.magic", 2, "/no/such/directory"},
                    Refused{"check --json $(printf %05000d 0) handshake.magic", 2, "File name too long"},
                    Refused{"check --json - --junit - handshake.magic", 2, "--json and --junit name the same file"},
                    Refused{"check --tap x --ndjson x handshake.magic", 2, "--tap and --ndjson name the same file"},
                    Refused{"check --ndjson /no/such/directory/x handshake.magic", 2, "/no/such/directory"},
                    Refused{"check --ndjson /dev/full handshake.magic", 5, "No space left"},
                    Refused{"report /no/such.json", 2, "/no/such.json"}, Refused{"report /tmp", 2, "directory"},
                    Refused{"report - </dev/null", 2, "ends in the middle"},
                    Refused{"compare /dev/null /dev/null", 2, "ends in the middle"},
                    Refused{"compare /dev/null", 2, "files"}, Refused{"check --spawn '' handshake.magic", 2, "--spawn"},
                    Refused{"check --spawn 'true {socket}' nbdkit", 2, "both name a server"},
                    Refused{"check nbdkit --export d handshake.magic", 2, "--export goes with"},
                    Refused{"check nbd://127.0.0.1 --power-cut", 2, "--power-cut needs a server"},
                    Refused{"check --spawn 'true {socket}' --power-cut", 2, "{image}"},
                    Refused{"check --seed -1 handshake.magic", 2, "--seed"},
                    Refused{"check --seed 18446744073709551616 handshake.magic", 2, "--seed"},
                    Refused{"check handshake.magic --json /dev/full", 5, "No space left"},
                    Refused{"explain handshake.magik", 2, "did you mean handshake.magic?"},
                    Refused{"explain drop-unknown", 2, "did you mean handshake.client-flags.drop-unknown?"},
                    Refused{"explain ''", 2, "requirement \"\"."}, Refused{"explain handshake.magic/nosuch", 2, ""},
                    Refused{"list nosuch", 2, "nosuch"}, Refused{"selftest nosuch", 2, "nosuch"},
                    Refused{"check nbd+unix:///?socket=/no/such/socket", 3, "/no/such/socket"},
                    Refused{"check nbd://127.0.0.1:1", 3, "127.0.0.1"},
                    Refused{"check --spawn '/bin/false {socket}'", 3, "status 1"},
                    Refused{"check --spawn '/no/such/server {socket}'", 3, "/no/such/server"},
                    Refused{"check --spawn 'sleep 60 {socket}' --case-timeout 500ms", 3, ""}));

TEST(Command, JsonHoldsTheWholeRun) {
  const std::string file = FileFor("run.json");
  ASSERT_EQ(Nbdspec("check reference handshake --seed 9 --json " + file).exit, 0);
  const auto run = nlohmann::json::parse(Contents(file));
  EXPECT_EQ(run["tool"], "nbdspec");
  EXPECT_EQ(run["seed"], 9);
  EXPECT_EQ(run["exit"], 0);
  EXPECT_FALSE(run["advertised"].empty());
  ASSERT_FALSE(run["outcomes"].empty());
  int counted = 0;
  for (const auto& [verdict, count] : run["tally"].items()) {
    counted += count.get<int>();
  }
  EXPECT_EQ(counted, static_cast<int>(run["outcomes"].size()));
  for (const auto& outcome : run["outcomes"]) {
    for (const char* key : {"id", "requirement", "level", "verdict", "evidence", "replay", "duration_ms"}) {
      EXPECT_TRUE(outcome.contains(key)) << key;
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(std::getenv("TEST_TMPDIR"))) {
    EXPECT_NE(entry.path().extension(), ".tmp") << "a report half written was left";
  }
}

TEST(Command, WhatIsLeftOutStaysInTheReport) {
  const std::string file = FileFor("left_out.json");
  ASSERT_EQ(Nbdspec("check handshake '!handshake.flags' --json " + file).exit, 0);
  int left_out = 0;
  for (const auto& outcome : nlohmann::json::parse(Contents(file))["outcomes"]) {
    const bool is_left_out = outcome["id"].get<std::string>().starts_with("handshake.flags");
    EXPECT_EQ(outcome["verdict"] == "skip", is_left_out) << outcome["id"];
    EXPECT_TRUE(!is_left_out || outcome["evidence"]["saw"] == "left out by '!handshake.flags'") << outcome["evidence"];
    left_out += is_left_out ? 1 : 0;
  }
  EXPECT_GT(left_out, 0);
}

TEST(Command, ARunIsComparedWithAnother) {
  const std::string old_file = FileFor("old.json");
  const std::string new_file = FileFor("new.json");
  ASSERT_EQ(Nbdspec("check handshake.magic handshake.flags -q --json " + old_file).exit, 0);
  auto run = nlohmann::ordered_json::parse(Contents(old_file));
  run["outcomes"][0]["verdict"] = "fail";
  run["exit"] = 1;
  Write(new_file, run.dump());
  const std::string json = FileFor("differences.json");
  const Result worse = Nbdspec("compare " + old_file + " " + new_file + " --json " + json);
  EXPECT_EQ(worse.exit, 1) << worse.output;
  EXPECT_TRUE(worse.Says("new failure (1)")) << worse.output;
  EXPECT_EQ(nlohmann::json::parse(Contents(json))["counts"]["new failure"], 1);
  const Result better = Nbdspec("compare " + new_file + " - <" + old_file);
  EXPECT_EQ(better.exit, 0) << better.output;
  EXPECT_TRUE(better.Says("mended (1)")) << better.output;
  EXPECT_EQ(Nbdspec("report -q " + new_file).exit, 0) << "what the run found is not this command's failure";
  const Result again = Nbdspec("check --again " + new_file);
  EXPECT_TRUE(again.Says("1 check in ")) << again.output;
  EXPECT_TRUE(Nbdspec("check --again " + old_file).Says("nothing to run again"));
  EXPECT_EQ(Nbdspec("check handshake --again " + new_file).exit, 2);
  run["server"]["words"] = "nbdkit";
  Write(new_file, run.dump());
  EXPECT_TRUE(Nbdspec("check --again " + new_file).Says("name the server, too"));
}

TEST(Command, LinesOfARunAreThereWhileItGoes) {
  const std::string file = FileFor("lines.ndjson");
  const Result killed = Nbdspec("check --ndjson " + file + " & pid=$!; for i in $(seq 6000); do [ -s " + file +
                                " ] && break; sleep 0.01; done; kill -KILL $pid; wait $pid");
  EXPECT_EQ(killed.exit, 128 + SIGKILL) << "it ended before a line was there";
  const std::string lines = Contents(file);
  EXPECT_TRUE(nlohmann::json::parse(lines.substr(0, lines.find('\n'))).contains("verdict")) << lines.substr(0, 200);
}

TEST(Command, ListsAreWrittenForProgramsToo) {
  for (const char* words : {"list handshake", "coverage"}) {
    const Result result = Nbdspec(std::string(words) + " --json -");
    EXPECT_EQ(result.exit, 0) << words;
    const auto json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
    ASSERT_FALSE(json.is_discarded()) << words << ": " << result.output.substr(0, 200);
    EXPECT_EQ(json["format"], 1);
    const auto& rows = json.contains("checks") ? json["checks"] : json["clauses"];
    EXPECT_GT(rows.size(), 5U) << words;
    EXPECT_FALSE(rows[0]["id"].get<std::string>().empty()) << words;
  }
}

TEST(Command, HelpNamesTheWordsOfACommand) {
  EXPECT_TRUE(Nbdspec("check --help").Says("Usage: nbdspec check [OPTIONS] [TARGET] [SELECT...]\n"));
  EXPECT_TRUE(Nbdspec("explain --help").Says("Usage: nbdspec explain [OPTIONS] ID\n"));
  EXPECT_TRUE(Nbdspec("--help").Says("Usage: nbdspec [OPTIONS] SUBCOMMAND\n"));
}

TEST(Command, ListHasALineForEachCheckAsWideAsTheTerminal) {
  const Result whole = Nbdspec("list");
  const auto json = nlohmann::json::parse(Nbdspec("list --json -").output, nullptr, /*allow_exceptions=*/false);
  ASSERT_FALSE(json.is_discarded());
  std::istringstream lines(whole.output);
  std::string line;
  for (const auto& check : json["checks"]) {
    ASSERT_TRUE(std::getline(lines, line)) << whole.output;
    EXPECT_TRUE(line.starts_with(check["id"].get<std::string>() + " ")) << line;
    EXPECT_NE(line.find("  " + check["level"].get<std::string>() + " "), std::string::npos) << line;
    EXPECT_TRUE(line.ends_with("  " + check["claim"].get<std::string>())) << line;
  }
  EXPECT_FALSE(std::getline(lines, line)) << line;

  const Result narrow = Shell("script -qec 'stty cols 70; command/nbdspec list' /dev/null | tr -d '\\r'");
  std::istringstream cut(narrow.output);
  std::size_t count = 0;
  std::size_t shortened = 0;
  for (; std::getline(cut, line); ++count) {
    EXPECT_LE(line.size(), 70U) << line;
    shortened += line.ends_with("...") ? 1 : 0;
  }
  EXPECT_EQ(count, json["checks"].size());
  EXPECT_GT(shortened, 0U);
}

TEST(Command, ReportsAreWrittenWhenTheTargetWasNeverUsable) {
  const std::string json = FileFor("unusable.json");
  const std::string junit = FileFor("unusable.xml");
  EXPECT_EQ(Nbdspec("check nbd+unix:///?socket=/no/such/socket --json " + json + " --junit " + junit).exit, 3);
  const auto run = nlohmann::json::parse(Contents(json));
  EXPECT_EQ(run["exit"], 3);
  EXPECT_FALSE(run["trouble"].get<std::string>().empty());
  pugi::xml_document document;
  EXPECT_TRUE(document.load_string(Contents(junit).c_str()));
}

TEST(Command, JsonOnStandardOutputIsNothingButJson) {
  const Result result = Nbdspec("check reference handshake.magic --json -", "2>/dev/null");
  EXPECT_EQ(result.exit, 0);
  EXPECT_TRUE(nlohmann::json::accept(result.output)) << result.output;
}

TEST(Command, AFullStandardOutputIsAnErrorAndNeverACrash) {
  for (const char* words : {"check handshake.magic", "check handshake.magic --json -", "list", "coverage --markdown",
                            "explain handshake.magic", "selftest handshake.magic"}) {
    const Result result = Nbdspec(words, "2>&1 >/dev/full");
    EXPECT_EQ(result.exit, 5) << words;
    EXPECT_NE(result.output.find("No space left"), std::string::npos) << words << ": " << result.output;
  }
}

TEST(Command, AReaderThatLeavesEarlyIsNoError) {
  for (const char* words : {"check handshake -v", "list", "coverage --markdown"}) {
    // `true` reads nothing, so every write fails. The exit code goes around it.
    const Result result =
        Shell(std::string("{ { sleep 0.1; command/nbdspec ") + words + " 2>&3; echo $? >&3; } | true; } 3>&1");
    EXPECT_EQ(result.output, "0\n") << words;
  }
}

TEST(Command, AClosedStandardOutputIsNoError) {
  const Result result = Nbdspec("check handshake.magic", "2>&1 >&-");
  EXPECT_EQ(result.exit, 0) << result.output;
}

TEST(Command, WhatIsNoPlainFileIsWrittenOnceAndAsItIs) {
  const Result piped = Nbdspec("check handshake.magic --json /dev/stdout -q", "2>/dev/null | cat");
  EXPECT_EQ(piped.output.find("\"format\""), piped.output.rfind("\"format\"")) << piped.output;
  const std::string target = FileFor("target.json");
  const std::string link = FileFor("link.json");
  std::ofstream(target) << "old";
  std::filesystem::create_symlink(target, link);
  ASSERT_EQ(Nbdspec("check handshake.magic --json " + link).exit, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_TRUE(nlohmann::json::accept(Contents(target)));
}

TEST(Command, UnderBazelRunFilesAreWhereTheUserStands) {
  const std::string file = FileFor("here.json");
  const std::string command = "BUILD_WORKING_DIRECTORY=" + FileFor("") + " command/nbdspec ";
  ASSERT_EQ(Shell(command + "check handshake.magic -q --json here.json").exit, 0);
  EXPECT_TRUE(nlohmann::json::accept(Contents(file)));
}

TEST(Command, AnInterruptedRunStillReports) {
  const std::string file = FileFor("interrupted.json");
  const std::string started = FileFor("interrupted.started");
  const Result result = Nbdspec(
      "check --spawn \"sh -c 'touch " + started + "; exec nbdkit -f -U {socket} memory 8M'\" --json " + file +
      " & pid=$!; for i in $(seq 600); do [ -e " + started + " ] && break; sleep 0.1; done; kill -INT $pid; wait $pid");
  const auto run = nlohmann::json::parse(Contents(file), nullptr, /*allow_exceptions=*/false);
  ASSERT_FALSE(run.is_discarded());
  EXPECT_TRUE(result.exit == 130 || run["trouble"].get<std::string>().empty()) << result.exit;
  EXPECT_EQ(run["exit"], result.exit);
}

TEST(Command, UnderNohupAHangupDoesNotEndTheRun) {
  const std::string started = FileFor("nohup.started");
  const std::string told = FileFor("nohup.told");  // Until then there is no server, and the run is under way.
  const std::string server = "sh -c 'touch " + started + "; while [ ! -e " + told +
                             " ]; do sleep 0.05; done; exec nbdkit -f -U {socket} memory 8M'";
  const Result result = Shell("trap '' HUP; command/nbdspec check --spawn \"" + server +
                              "\" handshake.magic & pid=$!; for i in $(seq 600); do [ -e " + started +
                              " ] && break; sleep 0.1; done; kill -HUP $pid && touch " + told + "; wait $pid");
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(std::filesystem::exists(told)) << "it had ended before";
}

// The processes and files in `directory` that do not go within a bounded wait.
std::string LeftIn(const std::string& directory) {
  std::string left = "?";
  for (int i = 0; i < 600 && !left.empty(); ++i) {
    left = ProcessesWith(directory);
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      left += entry.path().string() + " ";
    }
    if (!left.empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  return left;
}

// nbdspec is killed while servers run; within a bounded wait nothing of them is left.
void KilledRunLeavesNothing(const std::string& signal) {
  std::string directory = "/tmp/nbdspec-test-XXXXXX";  // Short: of a long TMPDIR no socket can be made.
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  ::setenv("TMPDIR", directory.c_str(), 1);
  const std::string started = FileFor("started-" + signal);
  // All four servers are there.
  const Result result =
      Nbdspec("check -j 4 --spawn \"sh -c 'mkdir -p " + started + "; touch " + started +
              "/\\$\\$; exec nbdkit -f -U {socket} file {image}'\" & pid=$!; for i in $(seq 600); do [ \"$(ls " +
              started + " 2>&1 | wc -l)\" = 4 ] && break; sleep 0.1; done; kill -" + signal + " $pid; wait $pid");
  ::unsetenv("TMPDIR");
  EXPECT_TRUE(std::filesystem::exists(started)) << result.output;
  EXPECT_EQ(result.exit, signal == "KILL" ? 128 + SIGKILL : 128 + SIGINT) << result.output;
  EXPECT_EQ(LeftIn(directory), "") << "after SIG" << signal;
  std::filesystem::remove_all(directory);
}

TEST(Command, LeavesNoProcessAndNoFileWhenKilled) { KilledRunLeavesNothing("KILL"); }

TEST(Command, LeavesNoProcessAndNoFileWhenInterrupted) { KilledRunLeavesNothing("INT"); }

// Servers come and go: some of these moments are between the making of a directory and the start of who removes it.
TEST(Command, LeavesNothingWhenKilledAtAnyMoment) {
  std::string directory = "/tmp/nbdspec-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  Shell("for i in $(seq 30); do TMPDIR=" + directory + " command/nbdspec check nbdkit baseline -j 4 >" + directory +
        ".log 2>&1 & pid=$!; sleep 0.0$((i * 3 + 5)); "
        "kill -KILL $pid; wait $pid; done 2>&1");
  EXPECT_EQ(LeftIn(directory), "");
  std::filesystem::remove_all(directory);
  std::filesystem::remove(directory + ".log");
}

// It waited without end, and guardians and directories stayed.
TEST(Command, TooFewDescriptorsAreASentence) {
  std::string directory = "/tmp/nbdspec-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  for (const int limit : {16, 24, 64}) {
    const Result result = Shell("ulimit -n " + std::to_string(limit) + "; TMPDIR=" + directory +
                                " command/nbdspec check nbdkit -j 16 2>&1");
    EXPECT_EQ(result.exit, 5) << limit << ": " << result.output;
    EXPECT_TRUE(result.Says("raise the limit, as with ulimit -n 256")) << limit << ": " << result.output;
  }
  const std::string list = FileFor("few.txt");
  Write(list, "one: nbdkit\n");
  EXPECT_EQ(Shell("ulimit -n 24; command/nbdspec matrix " + list).exit, 5);
  // Of 64 workers only those that there is room for.
  const Result few = Shell("ulimit -n 200; TMPDIR=" + directory + " command/nbdspec check nbdkit handshake -j 64 2>&1");
  EXPECT_EQ(few.exit, 0) << few.output;
  // The soft limit is nbdspec's to raise.
  const Result raised = Shell("ulimit -S -n 24; TMPDIR=" + directory + " command/nbdspec check nbdkit handshake 2>&1");
  EXPECT_EQ(raised.exit, 0) << raised.output;
  EXPECT_EQ(LeftIn(directory), "");
  std::filesystem::remove_all(directory);
}

TEST(Command, TooLittleMemoryIsASentence) {
  if (__has_feature(address_sanitizer)) {
    GTEST_SKIP() << "the sanitizer wants terabytes of addresses";
  }
  const Result result = Shell("ulimit -v 150000; command/nbdspec check -j 64 2>&1");
  EXPECT_EQ(result.exit, 5) << result.output;
  EXPECT_TRUE(result.Says("there is not enough memory")) << result.output;
}

TEST(Command, NoColorWhereOutputIsNoTerminal) {
  EXPECT_EQ(Nbdspec("check reference handshake -v").output.find('\x1b'), std::string::npos);
}

TEST(Command, EveryRequirementIsAskedOrSaysWhyNot) {
  const Result result = Nbdspec("coverage --untested");
  EXPECT_EQ(result.exit, 0);
  EXPECT_EQ(result.output.find("\n           \n"), std::string::npos) << "a clause has neither a check nor a reason";
}

TEST(Command, ExplainShowsTheClauseItsCheckAndItsFaults) {
  const Result result = Nbdspec("explain handshake.magic");
  EXPECT_EQ(result.exit, 0);
  EXPECT_NE(result.output.find("MUST"), std::string::npos);
  EXPECT_NE(result.output.find("server_swaps_first_magic"), std::string::npos);
}

}  // namespace
}  // namespace nbdspec::command
