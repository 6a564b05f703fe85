// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec fuzz-client` as a program, and the replay of what it keeps. Clients are conformance/clients:faulty_client.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

std::string CopiesOut(const std::string& name) {
  return "'conformance/clients/faulty_client " + name + " {socket} out {output}'";
}

// Its lock stays.
bool HoldsFindings(const std::string& directory) {
  return std::ranges::any_of(std::filesystem::directory_iterator(directory),
                             [](const auto& entry) { return entry.path().filename() != ".lock"; });
}

TEST(FuzzClient, ARightClientIsASuccess) {
  const std::string findings = FileFor("right");
  const Result right =
      Nbdspec("fuzz-client --run " + CopiesOut("none") + " --cases 48 --seed 3 --findings " + findings);
  EXPECT_EQ(right.exit, 0) << right.output;
  EXPECT_TRUE(right.Says("seed 3: 48 cases in ")) << right.output;
  EXPECT_TRUE(right.Says("; 0 found\n")) << right.output;
  EXPECT_FALSE(HoldsFindings(findings));
}

TEST(FuzzClient, AFindingIsKeptReplayedEditedAndFixed) {
  const std::string findings = FileFor("found");
  const std::string json = FileFor("found.json");
  const Result found = Nbdspec("fuzz-client --run " + CopiesOut("client_copies_half") + " --cases 16 --findings " +
                               findings + " --json " + json);
  EXPECT_EQ(found.exit, 1) << found.output;
  EXPECT_TRUE(found.Says("FOUND  wrong-data.copy-out\n")) << found.output;
  EXPECT_TRUE(found.Says("  saw       exit status 0, and what it copied has ")) << found.output;
  const std::string kept = findings + "/wrong-data.copy-out-1";
  EXPECT_TRUE(found.Says("  replay    nbdspec replay " + kept + " --run-its-command\n")) << found.output;
  const auto report = nlohmann::json::parse(Contents(json), nullptr, false);
  ASSERT_EQ(report["findings"].size(), 1U) << report;
  EXPECT_EQ(report["findings"][0]["state"], "reproduced");
  EXPECT_EQ(report["cases"], 16);

  const Result unasked = Nbdspec("replay " + kept);
  EXPECT_EQ(unasked.exit, 2) << unasked.output;
  EXPECT_TRUE(unasked.Says("pass --run-its-command to start it, or --client or --run")) << unasked.output;
  const Result again = Nbdspec("replay " + kept + " --run-its-command");
  EXPECT_EQ(again.exit, 1) << again.output;
  EXPECT_TRUE(again.Says("starts    --run 'conformance/clients/faulty_client client_copies_half")) << again.output;
  EXPECT_TRUE(again.Says("REPRODUCED  " + kept)) << again.output;
  const Result otherwise = Nbdspec("replay " + kept + " --run " + CopiesOut("client_fails_though_all_went_well"));
  EXPECT_TRUE(otherwise.Says("DIFFERENT ")) << otherwise.output;
  const Result fixed = Nbdspec("replay " + kept + " --run " + CopiesOut("none"));
  EXPECT_EQ(fixed.exit, 0) << fixed.output;
  EXPECT_TRUE(fixed.Says("FIXED ")) << fixed.output;
  EXPECT_EQ(Nbdspec("replay " + kept + " --client reference").exit, 0);
  EXPECT_EQ(Nbdspec("shrink " + kept).exit, 2);

  const std::string mine = FileFor("mine.case");
  Write(mine, Contents(kept + "/case.txt") + "add 0 +1 zero\n");
  EXPECT_EQ(Nbdspec("replay " + mine).exit, 2);
  const Result edited = Nbdspec("replay " + mine + " --run-its-command");
  EXPECT_EQ(edited.exit, 1) << edited.output;
  EXPECT_TRUE(edited.Says("FAIL ")) << edited.output;
  EXPECT_TRUE(Nbdspec("replay " + mine + " --run " + CopiesOut("none")).Says("PASS "));
  Write(mine, Contents(kept + "/case.txt") + "ad 0 +1 zero\n");
  EXPECT_EQ(Nbdspec("replay " + mine + " --run-its-command").exit, 2);
}

TEST(FuzzClient, WhatShowsNothingIsNoSuccess) {
  const std::string findings = " --findings " + FileFor("none");
  EXPECT_EQ(Nbdspec("fuzz-client" + findings).exit, 2);
  EXPECT_EQ(Nbdspec("fuzz-client reference nbdcopy" + findings).exit, 2);
  EXPECT_EQ(Nbdspec("fuzz-client reference --align 0" + findings).exit, 2);
  EXPECT_EQ(Nbdspec("fuzz-client --run 'true {uri}' --cases 2" + findings).exit, 3);
  EXPECT_EQ(Nbdspec("fuzz-client reference --cases 2 --findings /proc/nowhere").exit, 5);
}

// What was seen is kept, no process stays, and no directory.
TEST(FuzzClient, ASignalEndsItInGoodOrder) {
  const std::string findings = FileFor("signal");
  const std::string said = FileFor("said");
  const Result ended =
      Shell("temporary=$(mktemp -d /tmp/nbdspec-test-XXXXXX); TMPDIR=$temporary command/nbdspec fuzz-client --run " +
            CopiesOut("hangs") + " --time 60 --case-timeout 1 --findings " + findings + " >" + said +
            " 2>&1 & program=$!; until grep -q ^saved " + said +
            "; do kill -0 $program || exit; sleep 0.1; done; kill -TERM $program; wait $program; echo exit $?; ls -A "
            "$temporary; rmdir $temporary && echo empty");
  EXPECT_EQ(ended.output, "exit 143\nempty\n") << Contents(said);
  EXPECT_TRUE(HoldsFindings(findings));
  EXPECT_EQ(Nbdspec("replay " + findings + " --run " + CopiesOut("none")).exit, 0);
  EXPECT_EQ(ProcessesWith("faulty_client hangs"), "");
}

}  // namespace
}  // namespace nbdspec::command
