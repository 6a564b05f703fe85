// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec fuzz` and `nbdspec diff` from outside: exit codes, reports, what is on the disk when, and what a kill
// leaves. Runs the real program.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

struct Refused {
  std::string words;
  int exit;
  std::string says;
};

void ExpectRefused(const std::vector<Refused>& all) {
  for (const Refused& refused : all) {
    const Result result = Nbdspec(refused.words);
    EXPECT_EQ(result.exit, refused.exit) << refused.words << ": " << result.output;
    EXPECT_TRUE(result.Says(refused.says)) << refused.words << ": " << result.output;
  }
}

void ExpectHelp(const std::string& command, const std::vector<std::string>& all) {
  const Result result = Nbdspec(command + " --help");
  EXPECT_EQ(result.exit, 0);
  for (const std::string& each : all) {
    EXPECT_TRUE(result.Says(each)) << each;
  }
}

// "seed 7: 20 scripts, 612 commands", without how long it took.
std::string SummaryOf(const Result& result) {
  const std::size_t begin = result.output.rfind("seed ");
  return begin == std::string::npos ? "" : result.output.substr(begin, result.output.find(" in ", begin) - begin);
}

TEST(Fuzz, OfACorrectServerFindsNothing) {
  const FaultyServer server("right", "none");
  const Result result = server.Fuzz("--scripts 20");
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(result.Says("seed 1: 20 scripts, ")) << result.output;
  EXPECT_TRUE(result.Says("; 0 found, 0 known\n")) << result.output;
  EXPECT_TRUE(server.Kept().empty());
}

TEST(Fuzz, AShardSaysWhichItIsAndTakesItsPart) {
  const FaultyServer server("shard", "none");
  const std::string file = FileFor("shard.json");
  const Result result = server.Fuzz("--scripts 64 --shard 2/4 --json " + file);
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(result.Says("seed 1, shard 2/4: 16 scripts, ")) << result.output;
  EXPECT_EQ(nlohmann::json::parse(Contents(file), nullptr, false)["shard"], "2/4");
}

// The line after "replay", of the first finding.
std::string ReplayLineOf(const Result& result) {
  const std::string before = "\n  replay    ";
  const std::size_t begin = result.output.find(before);
  EXPECT_NE(begin, std::string::npos) << result.output;
  const std::size_t end = result.output.find('\n', begin + before.size());
  return begin == std::string::npos ? "" : result.output.substr(begin + before.size(), end - begin - before.size());
}

TEST(Fuzz, JsonHoldsFindingsAndWarnings) {
  const FaultyServer server("json", "dies-at-trim");
  const std::string file = FileFor("fuzz.json");
  const Result result = server.Fuzz("--scripts 5 --json " + file);
  EXPECT_EQ(result.exit, 1) << result.output;
  const auto report = nlohmann::json::parse(Contents(file), nullptr, false);
  ASSERT_FALSE(report.is_discarded());
  EXPECT_EQ(report["exit"], 1);
  EXPECT_EQ(report["scripts"], 5);
  ASSERT_EQ(report["findings"].size(), 1U);
  EXPECT_EQ(report["findings"][0]["kind"], "crash");
  EXPECT_EQ(report["findings"][0]["directory"], server.Kept().front());
  EXPECT_TRUE(report["warnings"].is_array());
  const Result only = Nbdspec("fuzz reference --scripts 1 --json - --findings " + FileFor("f4"), "2>/dev/null");
  EXPECT_TRUE(nlohmann::json::accept(only.output)) << only.output;
}

TEST(Fuzz, AdviceThatIsNotFollowedIsCountedAndChangesNoExitCode) {
  const std::string file = FileFor("warnings.json");
  const FaultyServer server("warnings", "server_repeats_error_offset");
  const Result result = server.Fuzz("--scripts 60 --json " + file);
  EXPECT_EQ(result.exit, 0) << result.output;
  const auto report = nlohmann::json::parse(Contents(file), nullptr, false);
  ASSERT_FALSE(report.is_discarded());
  ASSERT_FALSE(report["warnings"].empty()) << result.output;
  for (const auto& warning : report["warnings"]) {
    EXPECT_TRUE(result.Says("warn  " + warning["requirement"].get<std::string>() + ", ")) << result.output;
    EXPECT_GT(warning["count"], 0);
    for (const char* key : {"level", "step", "expected", "saw"}) {
      EXPECT_FALSE(warning[key].get<std::string>().empty()) << key;
    }
  }
}

TEST(Fuzz, TheReplayLineHasTheOptionsThatMatter) {
  const FaultyServer server("replay-line", "dies-at-trim");
  struct Row {
    std::string given;
    std::string kept;
  };
  for (const Row& row :
       {Row{"--in-flight 16 --reply-timeout 5s", ""}, Row{"--in-flight 3", " --in-flight 3"},
        Row{"--reply-timeout 5500ms --connections 2", " --reply-timeout 5.5s"},
        Row{"--allow-write --reply-timeout 1m --in-flight 64", " --in-flight 64 --reply-timeout 60s --allow-write"}}) {
    std::filesystem::remove_all(server.findings());
    const Result result = server.Fuzz("--scripts 5 " + row.given);
    ASSERT_EQ(result.exit, 1) << result.output;
    const std::string line = ReplayLineOf(result);
    EXPECT_EQ(line, "nbdspec replay " + server.Kept().front() + " --run-its-command" + row.kept);
    const auto about = nlohmann::json::parse(Contents(server.Kept().front() + "/about.json"), nullptr, false);
    ASSERT_FALSE(about.is_discarded());
    EXPECT_EQ(about["replay"], line);
    const Result replay = Nbdspec(line.substr(std::string("nbdspec ").size()));
    EXPECT_TRUE(replay.Says("REPRODUCED")) << line << "\n" << replay.output;
  }
}

// The null plugin keeps nothing of what is written.
TEST(Fuzz, InsideTlsAFindingIsReplayedInsideTls) {
  const std::string findings = FileFor("inside-tls");
  const Result result = Nbdspec(
      "fuzz --tls --spawn 'nbdkit -f -U {socket} --tls=require --tls-certificates={certs} null 64K' "
      "--only-fresh --only-offered --tries 8 --scripts 40 --steps 8 --findings " +
      findings);
  EXPECT_EQ(result.exit, 1) << result.output;
  const std::string line = ReplayLineOf(result);
  EXPECT_TRUE(line.ends_with(" --tls")) << line;
  const Result replay = Nbdspec(line.substr(std::string("nbdspec ").size()));
  EXPECT_TRUE(replay.Says("REPRODUCED")) << line << "\n" << replay.output;
}

TEST(Diff, InsideTlsTheSameServerIsTheSame) {
  const Result result = Nbdspec("diff reference reference --tls --scripts 3");
  EXPECT_EQ(result.exit, 0) << result.output;
}

// TRIM with FUA, TRIM among others: the assertion that failed shows that it is one bug.
TEST(Fuzz, OneAssertionIsOneFinding) {
  const FaultyServer server("assertion", "dies-at-trim");
  const Result result = server.Fuzz("--scripts 20");
  EXPECT_EQ(result.exit, 1) << result.output;
  EXPECT_TRUE(result.Says("; 1 found, 0 known\n")) << result.output;
  EXPECT_EQ(server.Kept().size(), 1U);
}

TEST(Fuzz, ACorpusIsReadAndGrows) {
  const FaultyServer server("corpus", "none");
  const std::string corpus = FileFor("scripts");
  const Result first = server.Fuzz("--scripts 10 --corpus " + corpus);
  EXPECT_EQ(first.exit, 0) << first.output;
  EXPECT_TRUE(first.Says("corpus: 0 scripts read, ")) << first.output;
  const auto count = std::distance(std::filesystem::directory_iterator(corpus), {});
  EXPECT_GT(count, 1);
  const Result second = server.Fuzz("--scripts 1 --corpus " + corpus);
  EXPECT_TRUE(second.Says("corpus: " + std::to_string(count) + " scripts read, ")) << second.output;
  EXPECT_TRUE(second.Says(": " + std::to_string(count + 1) + " scripts, ")) << second.output;
}

TEST(Fuzz, EachWayToRefuseHasItsExitCode) {
  const std::string taken = FileFor("taken");
  Write(taken, "a file where a directory should be");
  std::filesystem::create_directories(FileFor("bad-corpus"));
  Write(FileFor("bad-corpus") + "/bad.script", "size 1M\nraed 0 +512\n");
  ExpectRefused({
      {"fuzz", 2, "fuzz needs a TARGET"},
      {"fuzz nosuch", 2, "nosuch"},
      {"fuzz reference qemu-nbd", 2, "qemu-nbd"},
      {"fuzz reference --no-such-flag", 2, "--no-such-flag"},
      {"fuzz reference --seed -1", 2, "--seed"},
      {"fuzz reference --time -1", 2, "--time"},
      {"fuzz reference --scripts x", 2, "--scripts"},
      {"fuzz reference --steps 0", 2, "--steps"},
      {"fuzz reference --tries -1", 2, "--tries"},
      {"fuzz reference --in-flight 65", 2, "--in-flight"},
      {"fuzz reference --shard 0/4", 2, "--shard"},
      {"fuzz reference --shard 5/4", 2, "I in [1, N]"},
      {"fuzz reference --shard 1", 2, "--shard"},
      {"fuzz reference --shard 1/2x", 2, "--shard"},
      {"fuzz reference --scripts 16 --shard 2/2 --findings " + FileFor("f4"), 3, "none of the 16 scripts"},
      {"fuzz-client reference --cases 1 --shard 2/2 --findings " + FileFor("f5"), 3, "none of the 1 cases"},
      {"fuzz reference --connections 9", 2, "--connections"},
      {"fuzz reference --reply-timeout 0", 2, "--reply-timeout"},
      {"fuzz reference --findings ''", 2, "--findings"},
      {"fuzz reference --scripts 1 --corpus " + taken, 2, taken},
      {"fuzz reference --scripts 1 --corpus " + FileFor("bad-corpus"), 2, "bad.script\" in the corpus is no script: "},
      {"fuzz --spawn true", 2, "{socket}"},
      {"fuzz --spawn 'true {socket}' reference", 2, "both name a server"},
      {"fuzz 'nbd+unix:///?socket=/no/such'", 2, "pass --allow-write to permit this"},
      {"fuzz 'nbd+unix:///?socket=/no/such' --allow-write --findings " + FileFor("f1"), 3, "/no/such"},
      {"fuzz 'nbd+unix:///?socket=/no/such' --allow-write --coverage", 2,
       "--coverage needs a server that nbdspec starts"},
      {"fuzz reference --coverage --scripts 9 --findings " + FileFor("f6"), 3, "The server shows none of its code"},
      {"fuzz --spawn '/bin/false {socket}' --findings " + FileFor("f2"), 3, "status 1"},
      {"fuzz reference --scripts 1 --findings " + taken, 5, taken},
      {"fuzz reference --scripts 1 --json /no/such/dir/x --findings " + FileFor("f3"), 5, "/no/such/dir/x"},
  });
}

TEST(Fuzz, WithFewDescriptorsSaysWhatToDo) {
  for (const std::string& command :
       {"fuzz nbdkit --scripts 1 --findings " + FileFor("few"), std::string("diff nbdkit nbdkit")}) {
    const Result result = Shell("ulimit -n 12; command/nbdspec " + command + " 2>&1");
    EXPECT_EQ(result.exit, 5) << result.output;
    EXPECT_TRUE(result.Says("ulimit -n 64")) << result.output;
  }
}

TEST(Fuzz, WithLittleMemoryEndsWithASentenceAndNoAbort) {
  if (__has_feature(address_sanitizer)) {
    GTEST_SKIP() << "the sanitizer wants terabytes of addresses";
  }
  bool has_missed = false;
  for (int mib = 30; mib <= 130; mib += 10) {
    const Result result =
        Shell("ulimit -v " + std::to_string(mib * 1024) +
              "; command/nbdspec fuzz reference --scripts 2 --steps 10000 --in-flight 64 --findings " +
              FileFor("little") + " 2>&1");
    has_missed = has_missed || (result.exit == 5 && result.Says("not enough memory"));
    EXPECT_LT(result.exit, 126) << mib << ": " << result.output;
  }
  EXPECT_TRUE(has_missed);
}

TEST(Fuzz, HelpListsEveryOptionAndExitCode) {
  ExpectHelp("fuzz",
             {"TARGET",        "--spawn COMMAND", "--export NAME",  "--seed",          "--time",         "--scripts",
              "--steps",       "--in-flight",     "--connections",  "--reply-timeout", "--findings DIR", "--corpus DIR",
              "--json FILE",   "--allow-write",   "--only-offered", "--only-fresh",    "--coverage",     "--tries",
              "0 nothing new", "1 a finding",     "2 usage",        "3 the server",    "5 nbdspec's"});
}

// --- What a kill leaves ---

// `nbdspec WORDS`, whose lines are read as they come, and which is killed in between.
class RunToKill {
 public:
  explicit RunToKill(const std::string& words)
      : pipe_(::popen(("echo $$; exec command/nbdspec " + words + " 2>&1").c_str(), "r")) {
    pid_ = std::stoi(NextLine());
  }
  ~RunToKill() { Kill(); }
  RunToKill(const RunToKill&) = delete;
  RunToKill& operator=(const RunToKill&) = delete;

  // Without its end; "" when there is none any more.
  std::string NextLine() {
    std::string line;
    for (int c = std::fgetc(pipe_); c != EOF && c != '\n'; c = std::fgetc(pipe_)) {
      line += static_cast<char>(c);
    }
    return line;
  }

  // The lines that were still on their way come too.
  std::vector<std::string> Kill() {
    std::vector<std::string> rest;
    if (pipe_ != nullptr) {
      ::kill(pid_, SIGKILL);
      for (std::string line = NextLine(); !line.empty(); line = NextLine()) {
        rest.push_back(line);
      }
      ::pclose(pipe_);
      pipe_ = nullptr;
    }
    return rest;
  }

 private:
  std::FILE* pipe_;
  pid_t pid_ = 0;
};

// Of "saved  KEY  DIRECTORY".
std::string DirectoryIn(const std::string& line) { return line.substr(line.rfind(' ') + 1); }

// The directory of the finding of a line "saved": OTHER of "same  KEY  DIRECTORY, as OTHER", else where it was saved.
std::string DirectoryOf(const std::string& saved, const std::vector<std::string>& lines) {
  const auto names_other = [&](const std::string& line) {
    return line.starts_with("same  ") && line.find("  " + saved + ", as ") != std::string::npos;
  };
  const auto same = std::ranges::find_if(lines, names_other);
  return same == lines.end() ? saved : DirectoryIn(*same);
}

std::string LeftOf(const FaultyServer& server) {
  std::string left = "?";
  for (int i = 0; i < 600 && !left.empty(); ++i) {
    left = ProcessesWith(server.fault_file());
    if (!left.empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  return left;
}

// The second server never comes up, so nothing can be tried again when the line has been read.
TEST(Fuzz, AFindingIsSavedBeforeItIsMinimised) {
  const FaultyServer server("first", "server_forgets_writes");
  const std::string only_one = "sh -c \"mkdir " + FileFor("once") +
                               " && exec conformance/peer/faulty_server {socket} " + server.fault_file() +
                               " || exec sleep 600\"";
  RunToKill run("fuzz --spawn '" + only_one + "' --only-offered --findings " + server.findings());
  const std::string line = run.NextLine();
  ASSERT_TRUE(line.starts_with("saved  ")) << line;
  run.Kill();
  const auto about = nlohmann::json::parse(Contents(DirectoryIn(line) + "/about.json"), nullptr, false);
  ASSERT_FALSE(about.is_discarded());
  EXPECT_EQ(about["state"], "observed");
  EXPECT_EQ(LeftOf(server), "");
  const Result replay = Nbdspec("replay " + DirectoryIn(line) + " --target " + server.command());
  EXPECT_TRUE(replay.Says("REPRODUCED")) << replay.output;
}

// One request at a time, so that nothing depends on which of two comes first.
TEST(Fuzz, TheSeedItPrintsGivesTheSameRunAgain) {
  const std::string words = "--scripts 20 --in-flight 1 --connections 1 --seed ";
  const FaultyServer right("seed-right", "none");
  const std::string summary = SummaryOf(right.Fuzz(words + "7"));
  ASSERT_TRUE(summary.starts_with("seed 7: 20 scripts, ")) << summary;
  const std::string printed = summary.substr(5, summary.find(':') - 5);
  EXPECT_EQ(SummaryOf(right.Fuzz(words + printed)), summary);
  const std::string other = SummaryOf(right.Fuzz(words + "8"));
  EXPECT_NE(other.substr(other.find(':')), summary.substr(summary.find(':')));

  const auto first_finding = [&](const std::string& name) {
    const FaultyServer wrong(name, "server_forgets_writes");
    RunToKill run(wrong.FuzzWords(words + printed));
    const std::string line = run.NextLine();
    run.Kill();
    return line.substr(0, line.rfind(' ')) + "\n" + Contents(DirectoryIn(line) + "/script.txt");
  };
  const std::string found = first_finding("seed-1");
  EXPECT_TRUE(found.starts_with("saved  ")) << found;
  EXPECT_EQ(first_finding("seed-2"), found);
}

// In the tenth script a status with REQ_ONE shows what one without it had shown before: small, they are the same.
TEST(Fuzz, EachSavedFindingIsKeptOrNamesTheOneThatIs) {
  const FaultyServer server("same-as", "server_forgets_writes");
  const Result result = server.Fuzz("--scripts 10 --in-flight 1 --connections 1 --seed 7");
  std::vector<std::string> lines;
  std::istringstream text(result.output);
  for (std::string line; std::getline(text, line);) {
    lines.push_back(line);
  }
  std::vector<std::string> directories;
  for (const std::string& line : lines) {
    if (line.starts_with("saved  ")) {
      directories.push_back(DirectoryOf(DirectoryIn(line), lines));
    }
  }
  std::ranges::sort(directories);
  const auto again = std::ranges::unique(directories);
  directories.erase(again.begin(), again.end());
  EXPECT_EQ(directories, server.Kept()) << result.output;
}

struct Moment {
  int lines;     // Killed when so many have been read,
  int pause_ms;  // and so long after.
};

// One request at a time: what was seen by luck of timing shows again by the same luck only.
constexpr const char* kNoRace = " --in-flight 1";

class KilledFuzz : public testing::TestWithParam<Moment> {};

TEST_P(KilledFuzz, LosesNothingItReportedAndLeavesNoServer) {
  const std::string name = "killed-" + std::to_string(GetParam().lines) + "-" + std::to_string(GetParam().pause_ms);
  const FaultyServer server(name, "server_forgets_writes");
  RunToKill run(server.FuzzWords(std::string("--time 60m --connections 1") + kNoRace));
  std::vector<std::string> lines;
  while (std::ssize(lines) < GetParam().lines) {
    lines.push_back(run.NextLine());
    ASSERT_NE(lines.back(), "") << "it ended by itself after " << lines.size() << " lines";
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(GetParam().pause_ms));
  const std::vector<std::string> rest = run.Kill();
  lines.insert(lines.end(), rest.begin(), rest.end());
  EXPECT_EQ(LeftOf(server), "");

  ASSERT_TRUE(lines.front().starts_with("saved  ")) << lines.front();
  const Result replay = Nbdspec("replay " + server.findings() + " --run-its-command" + kNoRace);
  EXPECT_EQ(replay.exit, 1) << replay.output;  // Nothing is torn, something shows.
  EXPECT_FALSE(replay.Says("could not be replayed")) << replay.output;
  for (const std::string& line : lines) {
    if (line.starts_with("saved  ")) {  // While it is replaced it is DIRECTORY.before.
      EXPECT_TRUE(replay.Says("REPRODUCED  " + DirectoryOf(DirectoryIn(line), lines))) << line << "\n" << replay.output;
    }
  }
  EXPECT_TRUE(replay.Says("REPRODUCED"));
}

INSTANTIATE_TEST_SUITE_P(Moments, KilledFuzz,
                         testing::Values(Moment{1, 0}, Moment{1, 2}, Moment{1, 10}, Moment{1, 50}, Moment{1, 200},
                                         Moment{2, 0}, Moment{3, 0}),
                         [](const auto& param) {
                           return std::to_string(param.param.lines) + "LinesAnd" +
                                  std::to_string(param.param.pause_ms) + "Ms";
                         });

// --- diff ---

TEST(Diff, OfTheSameServerFindsNothing) {
  const FaultyServer server("same", "none");
  const Result result = Nbdspec("diff " + server.command() + " " + server.command() + " --scripts 5 --seed 3");
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(result.Says("5 scripts, ")) << result.output;
  EXPECT_TRUE(result.Says(": 0 soundness, 0 disconnect, 0 error-code, 0 precision\n")) << result.output;
  const Result again = Nbdspec("diff " + server.command() + " " + server.command() + " --scripts 5 --seed 3");
  EXPECT_EQ(again.output, result.output);
}

TEST(Diff, EachClassIsInTheJsonReportToo) {
  const FaultyServer right("diff-right", "none");
  struct Fault {
    const char* name;
    const char* kind;
  };
  for (const Fault& fault : {Fault{"server_forgets_writes", "soundness"}, Fault{"leaves-at-write", "disconnect"},
                             Fault{"refuses-writes", "error-code"}, Fault{"claims-nothing", "precision"}}) {
    const FaultyServer wrong(std::string("diff-") + fault.name, fault.name);
    const bool is_bad = fault.kind == std::string("soundness") || fault.kind == std::string("disconnect");
    const std::string json = FileFor(std::string(fault.name) + ".json");
    const Result result = Nbdspec("diff " + right.command() + " " + wrong.command() + " --scripts 10 --json " + json);
    EXPECT_EQ(result.exit, is_bad ? 1 : 0) << fault.name << ": " << result.output;
    EXPECT_TRUE(result.Says(std::string(fault.kind) + "  script ")) << fault.name << ": " << result.output;
    const auto report = nlohmann::json::parse(Contents(json), nullptr, false);
    ASSERT_FALSE(report.is_discarded()) << fault.name;
    EXPECT_EQ(report["exit"], result.exit);
    EXPECT_EQ(report["scripts"], 10);
    EXPECT_GT(report["counts"][fault.kind], 0) << fault.name;
    EXPECT_EQ(report["counts"].size(), 4U);
    EXPECT_EQ(report["warnings"].size(), 2U);
    ASSERT_FALSE(report["differences"].empty());
    for (const auto& difference : report["differences"]) {
      EXPECT_TRUE(report["counts"].contains(difference["kind"].get<std::string>()));
      EXPECT_LT(difference["script"], 10);
      for (const char* key : {"step", "first", "second"}) {
        EXPECT_FALSE(difference[key].get<std::string>().empty()) << key;
      }
    }
  }
}

TEST(Diff, JsonOnStandardOutputIsNothingButJson) {
  const Result result = Nbdspec("diff reference reference --scripts 1 --json -", "2>/dev/null");
  EXPECT_EQ(result.exit, 0);
  EXPECT_TRUE(nlohmann::json::accept(result.output)) << result.output;
}

TEST(Diff, JsonSaysWhyNothingCouldBeCompared) {
  const Result result = Nbdspec("diff reference '/bin/false {socket}' --json -", "2>/dev/null");
  EXPECT_EQ(result.exit, 3);
  const auto report = nlohmann::json::parse(result.output, nullptr, false);
  ASSERT_FALSE(report.is_discarded()) << result.output;
  EXPECT_EQ(report["exit"], 3);
  EXPECT_NE(report["trouble"], "");
}

TEST(Diff, EachWayToRefuseHasItsExitCode) {
  const std::string broken = FileFor("broken.script");
  Write(broken, "# nbdspec script\nsize 64\nread 0 1\n");
  const std::string longer = FileFor("longer.script");
  Write(longer, "# nbdspec script\nsize 64\nwrite 0 +4G-1\n");
  ExpectRefused({
      {"diff reference", 2, "targets"},
      {"diff reference nosuch", 2, "nosuch"},
      {"diff nosuch reference", 2, "nosuch"},
      {"diff reference reference --seed x", 2, "--seed"},
      {"diff reference reference --steps 0", 2, "--steps"},
      {"diff reference reference --scripts 0", 2, "--scripts"},
      {"diff reference reference --json ''", 2, "--json"},
      {"diff reference reference --script /no/such", 2, "/no/such"},
      {"diff reference reference --script /proc", 2, "Is a directory"},
      {"diff reference reference --script /proc/self/mem", 2, "Input/output error"},
      {"diff reference reference --script " + broken, 2, "line 3"},
      {"diff reference reference --script " + longer, 2, "longer.script: step 1, "},
      {"diff reference 'nbd+unix:///?socket=/no/such'", 2, "--allow-write"},
      {"diff reference '/bin/false {socket}'", 3, "status 1"},
      {"diff reference reference --scripts 1 --json /no/such/dir/x", 5, "/no/such/dir/x"},
  });
}

TEST(Diff, HelpListsEveryOptionAndExitCode) {
  ExpectHelp("diff",
             {"A B", "--script FILE", "--json FILE", "--seed", "--scripts", "--steps", "--reply-timeout",
              "--allow-write", "0 errors and precision", "1 one is unsound", "2 usage", "3 a server", "5 nbdspec's"});
}

}  // namespace
}  // namespace nbdspec::command
