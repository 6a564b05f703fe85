// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec replay` and `nbdspec shrink` from outside: what a faulty server did is found, saved, reproduced, minimised,
// and fixed once the server is correct. Runs the real program.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>

#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

// The finding is this test's own.
constexpr char kOurs[] = " --run-its-command";

TEST(Replay, AFindingIsReproducedThenDifferentThenFixed) {
  const FaultyServer server("replay", "server_forgets_writes");
  const Result fuzz = server.Fuzz("--scripts 20");
  ASSERT_EQ(fuzz.exit, 1) << fuzz.output;
  const std::string finding = server.Kept("wrong-data");

  const Result again = Nbdspec("replay " + finding + kOurs);
  EXPECT_EQ(again.exit, 1);
  EXPECT_TRUE(again.Says("starts    --spawn 'conformance/peer/faulty_server {socket} ")) << again.output;
  EXPECT_TRUE(again.Says("REPRODUCED  " + finding)) << again.output;
  EXPECT_TRUE(again.Says("then      wrong-data")) << again.output;
  EXPECT_TRUE(again.Says("now       wrong-data")) << again.output;

  server.Become("leaves-at-write");
  const Result otherwise = Nbdspec("replay " + finding + kOurs);
  EXPECT_EQ(otherwise.exit, 1);
  EXPECT_TRUE(otherwise.Says("DIFFERENT   " + finding)) << otherwise.output;
  EXPECT_TRUE(otherwise.Says("then      wrong-data")) << otherwise.output;
  EXPECT_TRUE(otherwise.Says("now       disconnect of ")) << otherwise.output;

  server.Become("none");
  const Result fixed = Nbdspec("replay " + finding + kOurs);
  EXPECT_EQ(fixed.exit, 0) << fixed.output;
  EXPECT_TRUE(fixed.Says("FIXED       " + finding)) << fixed.output;
  EXPECT_TRUE(fixed.Says("then      wrong-data")) << fixed.output;

  const Result elsewhere = Nbdspec("replay " + finding + " --target reference");
  EXPECT_EQ(elsewhere.exit, 0) << elsewhere.output;
  EXPECT_TRUE(elsewhere.Says(" then, nbdspec reference server (in process) now")) << elsewhere.output;
}

TEST(Replay, SeveralGetALineEachAndASummary) {
  const FaultyServer first("several-1", "leaves-at-write");
  const FaultyServer second("several-2", "dies-at-trim");
  ASSERT_EQ(first.Fuzz("--scripts 20 --steps 6").exit, 1);
  ASSERT_EQ(second.Fuzz("--scripts 20 --steps 6").exit, 1);
  second.Become("none");
  const Result result = Nbdspec("replay " + first.findings() + " " + second.findings() + kOurs);
  EXPECT_EQ(result.exit, 1);
  const std::size_t count = first.Kept().size() + second.Kept().size();
  EXPECT_TRUE(result.Says(std::to_string(count) + " replayed: ")) << result.output;
  EXPECT_TRUE(result.Says(" FIXED\n")) << result.output;
  // And one for each of the two servers that it starts.
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(result.output, '\n')), count + 3) << result.output;
  EXPECT_TRUE(result.Says("starts    --spawn 'conformance/peer/faulty_server {socket} " + first.fault_file()))
      << result.output;
}

TEST(Merge, MakesOneOfWhatTwoRunsHaveKept) {
  const FaultyServer server("merge", "leaves-at-write");
  ASSERT_EQ(server.Fuzz("--scripts 20 --steps 6").exit, 1);
  const std::string all = FileFor("merge-all");
  const std::string count = std::to_string(server.Kept().size());
  const Result first = Nbdspec("merge " + all + " " + server.findings());
  EXPECT_EQ(first.exit, 0) << first.output;
  EXPECT_TRUE(first.Says(count + " new, 0 the same as another; " + count + " now in " + all)) << first.output;
  const Result again = Nbdspec("merge " + all + " " + server.findings());
  EXPECT_TRUE(again.Says("0 new, " + count + " the same as another; " + count + " now in " + all)) << again.output;
  EXPECT_EQ(Nbdspec("replay " + all + kOurs).exit, 1);
  Write(server.Kept("disconnect") + "/sent.bin", "torn");
  const Result torn = Nbdspec("merge " + all + " " + server.findings());
  EXPECT_EQ(torn.exit, 2);
  EXPECT_TRUE(torn.Says("is torn")) << torn.output;
  EXPECT_EQ(Nbdspec("merge " + all + " " + FileFor("merge-nowhere")).exit, 2);
  EXPECT_EQ(Nbdspec("merge " + server.fault_file() + "/x " + all).exit, 5);
}

// Somebody else may have written it.
TEST(Replay, ACommandFromAFileIsStartedOnlyWhenTheUserSaysSo) {
  const std::string mark = FileFor("was-started");
  const FaultyServer server("stranger", "server_forgets_writes");
  ASSERT_EQ(server.Fuzz("--scripts 20").exit, 1);
  const std::string finding = server.Kept("wrong-data");
  const std::string about = finding + "/about.json";
  const std::string harmful = "--spawn 'touch " + mark + " {socket}'";
  Write(about, std::regex_replace(Contents(about), std::regex("\"target_words\": \".*\""),
                                  "\"target_words\": \"" + harmful + "\""));
  for (const std::string& words :
       {"replay " + finding, "replay " + server.findings() + " " + finding, "shrink " + finding}) {
    const Result refused = Nbdspec(words);
    EXPECT_EQ(refused.exit, 2) << refused.output;
    EXPECT_TRUE(refused.Says("it names the command \"touch " + mark + " {socket}\"")) << refused.output;
    EXPECT_TRUE(refused.Says("pass --run-its-command to start it, or --target")) << refused.output;
    EXPECT_FALSE(std::filesystem::exists(mark)) << words;
  }
  EXPECT_EQ(Nbdspec("replay " + finding + " --target reference").exit, 0);
  for (const std::string& words : {"replay " + finding, "replay " + finding + " " + finding, "shrink " + finding}) {
    const Result started = Nbdspec(words + kOurs);
    EXPECT_EQ(started.exit, 3) << started.output;
    EXPECT_TRUE(started.Says("starts")) << started.output;
    EXPECT_TRUE(started.Says(harmful)) << started.output;
    EXPECT_TRUE(std::filesystem::remove(mark)) << words;
  }
}

// It would be copied into a shell.
TEST(Replay, TheOptionsOfAStrangersFindingAreWordsAlone) {
  const FaultyServer server("options", "server_forgets_writes");
  ASSERT_EQ(server.Fuzz("--scripts 20").exit, 1);
  const std::string finding = server.Kept("wrong-data");
  const std::string about = finding + "/about.json";
  Write(about, std::regex_replace(Contents(about), std::regex("\"replay_options\": \".*\""),
                                  "\"replay_options\": \"; touch /tmp/x\""));
  const std::string page = FileFor("options.html");
  EXPECT_EQ(Nbdspec("replay " + finding + " --target " + server.command() + " --html " + page).exit, 1);
  EXPECT_NE(Contents(page).find("nbdspec replay " + finding), std::string::npos);
  EXPECT_EQ(Contents(page).find("touch /tmp/x"), std::string::npos);
}

// What a stranger wrote must not move the cursor.
TEST(Shrink, WordsOfOthersAreEscaped) {
  const std::string script = FileFor("escape.script");
  Write(script,
        "# nbdspec script\n# Why:  \x1b[2Jgr\xc3\xb6\xc3\x9f\nsize 64K\nwrite 0 +512 pattern 7\nwait\nread 0 +512\n");
  const FaultyServer server("escape", "server_forgets_writes");
  const Result result = Nbdspec("shrink " + script + " --tries 4 --target " + server.command());
  EXPECT_EQ(result.exit, 0) << result.output;
  EXPECT_FALSE(result.Says("\x1b"));
  EXPECT_TRUE(result.Says("# Why:  \\x1b[2Jgr\xc3\xb6\xc3\x9f\n")) << result.output;
  for (const char* const words :
       {"replay $'\\x1b[2J'", "check $'--\\x1b[2J'", "check $'\\x1b[2J'", "check --json $'/no/\\x1b[2J/x'",
        "replay --target $'\\x1b[2J' corpus/regressions/live", "$'\\x1b[2J'"}) {
    const Result refused = Shell("bash -c \"command/nbdspec " + std::string(words) + "\" 2>&1");
    EXPECT_EQ(refused.exit, 2) << words;
    EXPECT_FALSE(refused.Says("\x1b")) << words;
    EXPECT_TRUE(refused.Says("\\x1b[2J")) << words << ": " << refused.output;
  }
}

TEST(Replay, TheExportOfATargetIsTheOneThatIsNamed) {
  const FaultyServer server("export", "none");
  const std::string script = FileFor("export.script");
  Write(script, "# nbdspec script\nsize 1M\nread 0 +512\n");
  const std::string words = "replay " + script + " --target " + server.command();
  EXPECT_EQ(Nbdspec(words).exit, 0);
  for (const std::string& command : {"replay " + script, "shrink " + script}) {
    const Result refused = Nbdspec(command + " --export nosuch");
    EXPECT_EQ(refused.exit, 2) << refused.output;
    EXPECT_TRUE(refused.Says("--target")) << refused.output;
  }
  const Result result = Nbdspec(words + " --export nosuch");
  EXPECT_EQ(result.exit, 3) << result.output;
  EXPECT_TRUE(result.Says("cannot be entered")) << result.output;
}

TEST(Replay, AServerThatDoesNotStartIsUnusable) {
  const FaultyServer server("unusable", "dies-at-trim");
  ASSERT_EQ(server.Fuzz("--scripts 5").exit, 1);
  const Result result = Nbdspec("replay " + server.findings() + " --target '/bin/false {socket}'");
  EXPECT_EQ(result.exit, 3) << result.output;
  EXPECT_TRUE(result.Says("UNUSABLE")) << result.output;
  EXPECT_TRUE(result.Says("status 1")) << result.output;
}

TEST(Replay, ATornFindingIsRefusedAndTheOthersAreReplayed) {
  const FaultyServer server("torn", "dies-at-trim");
  ASSERT_EQ(server.Fuzz("--scripts 5").exit, 1);
  server.Become("none");
  const std::string torn = server.findings() + "/torn-1";
  std::filesystem::copy(server.Kept().front(), torn);
  Write(torn + "/script.txt", "cut");
  const Result result = Nbdspec("replay " + server.findings() + kOurs);
  EXPECT_EQ(result.exit, 2) << result.output;
  EXPECT_TRUE(result.Says("\"script.txt\" is not what was written")) << result.output;
  EXPECT_TRUE(result.Says("FIXED")) << result.output;
}

// Another program replays those: the command links nothing that only tests our code.
TEST(Replay, AnInputOfAFuzzTargetGetsTheLineThatReplaysIt) {
  const std::string file = "corpus/regressions/extent_map/clear_restores_the_initial_type.script";
  const Result one = Nbdspec("replay " + file);
  EXPECT_EQ(one.exit, 2) << one.output;
  EXPECT_TRUE(one.Says(file + " is an input of the fuzz target extent_map")) << one.output;
  EXPECT_TRUE(one.Says("bazel run //fuzz/targets:replay -- /")) << one.output;
  EXPECT_TRUE(one.Says("/" + file + "\n")) << one.output;
  EXPECT_EQ(std::ranges::count(one.output, '\n'), 1) << one.output;
  const Result all = Nbdspec("replay corpus/seeds");
  EXPECT_EQ(all.exit, 2) << all.output;
  EXPECT_TRUE(all.Says("more are inputs of the fuzz target wire_decode")) << all.output;
  EXPECT_TRUE(all.Says("0 replayed; ")) << all.output;

  const std::string map = FileFor("map.script");
  Write(map, "# nbdspec script\nsize 64K\nadd 0 +1K data\nforeach 0 +64K\n");
  const Result on_map = Nbdspec("replay " + map + " --target reference");
  EXPECT_EQ(on_map.exit, 2) << on_map.output;
  EXPECT_TRUE(on_map.Says("--target=extent_map " + map)) << on_map.output;
  const Result shrink = Nbdspec("shrink corpus/regressions/extent_map/length_zero_splits_nothing.script");
  EXPECT_EQ(shrink.exit, 2) << shrink.output;
  EXPECT_TRUE(shrink.Says("-minimize_crash=1")) << shrink.output;
}

TEST(Replay, ScriptsRunOnTheReferenceServerOrOnATarget) {
  const std::string wire = FileFor("wire.script");
  Write(wire, "# nbdspec script\n# Why:   writes are there\nsize 64K\nwrite 0 +1K pattern 3\nwait\nread 0 +64K\n");
  const Result on_reference = Nbdspec("replay " + wire);
  EXPECT_EQ(on_reference.exit, 0) << on_reference.output;
  EXPECT_TRUE(on_reference.Says("reference server")) << on_reference.output;
  EXPECT_TRUE(on_reference.Says("# Why:   writes are there")) << on_reference.output;
  const FaultyServer server("script", "server_forgets_writes");
  const Result on_faulty = Nbdspec("replay " + wire + " --target " + server.command());
  EXPECT_EQ(on_faulty.exit, 1) << on_faulty.output;
  EXPECT_TRUE(on_faulty.Says("FAIL")) << on_faulty.output;
  EXPECT_TRUE(on_faulty.Says("wrong-data")) << on_faulty.output;

  // A script of a fuzz target's corpus, on a server.
  const std::string folder = FileFor("corpus/regressions/block_status_exchange");
  std::filesystem::create_directories(folder);
  std::filesystem::copy(wire, folder + "/a.script");
  EXPECT_EQ(Nbdspec("replay " + folder).exit, 2);
  EXPECT_EQ(Nbdspec("replay " + folder + " --target reference").exit, 0);
}

TEST(Replay, AnythingElseGetsOneSentence) {
  const std::string bytes = FileFor("some_bytes");
  Write(bytes, "\x01\x02");
  const std::string broken = FileFor("broken.script");
  Write(broken, "# nbdspec script\nsize 64\nadd 0 1\n");
  const std::string longer = FileFor("longer.script");
  Write(longer, "# nbdspec script\nsize 64K\nwrite 0 +4294967295\n");
  const std::string flushes = FileFor("flushes.script");
  std::string text = "# nbdspec script\nsize 64K\n";
  for (int i = 0; i <= 200'000; ++i) {
    text += "flush\n";
  }
  Write(flushes, text);
  std::filesystem::create_directory(FileFor("empty"));
  std::filesystem::create_directories(FileFor("unreadable/one"));
  std::filesystem::create_symlink("/proc/self/mem", FileFor("unreadable/one/about.json"));  // Reading it is EIO.
  struct Refused {
    std::string words;
    std::string says;
  };
  for (const Refused& refused :
       {Refused{"", "paths"}, Refused{"/no/such/file", "is not there"},
        Refused{bytes,
                "If it is an input of a fuzz target: bazel run //fuzz/targets:replay -- --target=TARGET " + bytes},
        Refused{broken, "line 3, column"}, Refused{FileFor("empty"), "holds nothing"},
        Refused{longer, "\"write 0 +4G-1\": one write has at most 64M bytes"},
        Refused{flushes, "a script has at most 200000 steps"}, Refused{"/proc/self/mem", "Input/output error"},
        Refused{FileFor("unreadable"), "its about.json cannot be read"}}) {
    const Result result = Nbdspec("replay " + refused.words);
    EXPECT_EQ(result.exit, 2) << refused.words << ": " << result.output;
    EXPECT_TRUE(result.Says(refused.says)) << refused.words << ": " << result.output;
  }
}

TEST(Shrink, AScriptThatFailsOnAServerBecomesSmall) {
  const std::string script = FileFor("long.script");
  std::string text = "# nbdspec script\n# Why:  writes are there once they are answered\nsize 256K\n";
  for (int i = 0; i < 40; ++i) {
    text += "zero " + std::to_string(i) + "K +4K\nstatus 0 +64K\n";
  }
  Write(script, text + "write 70000 +512 pattern 7\nwait\nread 64K +64K\nflush\n");
  const FaultyServer server("shrink", "server_forgets_writes");
  const std::string out = FileFor("small.script");
  // As many tries as the steps take: engine/script:shrink_test has the numbers.
  const Result result = Nbdspec("shrink " + script + " --tries 60 --target " + server.command() + " -o " + out);
  ASSERT_EQ(result.exit, 0) << result.output;
  EXPECT_TRUE(result.Says("before  84 steps\nafter   3 steps\n")) << result.output;
  const std::string small = Contents(out);
  EXPECT_NE(small.find("# Why:  writes are there once they are answered"), std::string::npos) << small;
  EXPECT_EQ(Nbdspec("replay " + out + " --target " + server.command()).exit, 1);

  // The same again, to standard output.
  const Result again = Nbdspec("shrink " + script + " --tries 60 --target " + server.command(), "2>/dev/null");
  EXPECT_EQ(again.exit, 0);
  EXPECT_EQ(again.output, small);
}

TEST(Shrink, WhatPassesIsNotShrunk) {
  const std::string script = FileFor("right.script");
  Write(script, "# nbdspec script\nsize 64K\nread 0 +512\n");
  const std::string out = FileFor("not_written.script");
  const Result result = Nbdspec("shrink " + script + " -o " + out);
  EXPECT_EQ(result.exit, 1) << result.output;
  EXPECT_TRUE(result.Says("every answer is allowed")) << result.output;
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Shrink, WhatCannotBeReadGetsOneSentence) {
  const Result file = Nbdspec("shrink /proc/self/mem");  // It opens, and reading it is EIO.
  EXPECT_EQ(file.exit, 2) << file.output;
  EXPECT_TRUE(file.Says("cannot read \"/proc/self/mem\": Input/output error")) << file.output;
  const Result directory = Nbdspec("shrink /proc");
  EXPECT_EQ(directory.exit, 2) << directory.output;
  EXPECT_TRUE(directory.Says("There is no finding in \"/proc\"")) << directory.output;
}

TEST(Shrink, WhereNothingCanBeWrittenIsOurTrouble) {
  const FaultyServer server("nowhere", "server_forgets_writes");
  const std::string script = FileFor("nowhere.script");
  Write(script, "# nbdspec script\nsize 64K\nwrite 0 +512 pattern 7\nwait\nread 0 +512\n");
  const Result result = Nbdspec("shrink " + script + " --target " + server.command() + " --tries 2 -o /no/such/dir/x");
  EXPECT_EQ(result.exit, 5) << result.output;
  EXPECT_TRUE(result.Says("/no/such/dir/x")) << result.output;
  EXPECT_FALSE(result.Says("starts")) << "it was known before: " << result.output;
}

}  // namespace
}  // namespace nbdspec::command
