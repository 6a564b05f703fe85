// SPDX-License-Identifier: BSD-3-Clause
// Real processes as clients: what a run says of them, and that nothing of them is left.
#include "conformance/peer/clients/client_process.h"

#include <gtest/gtest.h>

#include <string>

#include "conformance/peer/testdata/peer_fixture.h"
#include "engine/layers/plugins.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;

class ClientProcess : public PeerFixture {
 protected:
  ClientRun Run(const std::string& command, std::chrono::milliseconds time = std::chrono::seconds(20)) {
    engine::Export served{.options = {.name = ""}, .disk = engine::Disk(1 << 20)};
    const Serving serving{.exports = {&served}};
    const Bytes input(1 << 20, 7);
    const auto made = ClientCommand::From(command);
    EXPECT_TRUE(made.has_value()) << command;
    return RunClientProcess(*made, serving, {.scenario = "a/scenario", .input = &input, .time = time}).value();
  }
};

TEST(ClientCommand, SaysWhatItIsAskedToDo) {
  EXPECT_EQ(ClientCommand::From("copy {uri} {output}")->tasks(), ClientTask::kCopiesOut);
  EXPECT_EQ(ClientCommand::From("copy {input} {socket}")->tasks(), ClientTask::kCopiesIn);
  EXPECT_EQ(ClientCommand::From("sh -c 'map \"$0\" > {map}' {port}")->tasks(), ClientTask::kMaps);
  EXPECT_EQ(ClientCommand::From("info {uri}")->tasks(), ClientTask::kVisits);
}

TEST(ClientCommand, NamesTheServerOnce) {
  EXPECT_FALSE(ClientCommand::From("copy {output}").has_value());
  EXPECT_FALSE(ClientCommand::From("copy {uri} {socket}").has_value());
  EXPECT_FALSE(ClientCommand::From("copy '{uri}").has_value());
}

TEST(ReadMap, TakesBothForms) {
  using Extents = std::vector<ClaimedExtent>;
  EXPECT_EQ(*ReadMap(R"([{"offset": 0, "length": 512, "type": 3, "description": "hole,zero"}])"),
            Extents({{.offset = 0, .length = 512, .is_zero = true}}));
  EXPECT_EQ(*ReadMap(R"([{"start": 0, "length": 512, "depth": 0, "zero": false, "data": true, "offset": 8192}])"),
            Extents({{.offset = 0, .length = 512, .is_zero = false}}));
  EXPECT_EQ(*ReadMap(R"([{"start": 0, "length": 512, "zero": "yes"}])"),
            Extents({{.offset = 0, .length = 512, .is_zero = false}}));
  for (const char* wrong : {"", "{}", "[1]", R"([{"start": 0}])", R"([{"start": -1, "length": 1}])", "[{\"start\":"}) {
    EXPECT_FALSE(ReadMap(wrong).has_value()) << wrong;
  }
}

TEST_F(ClientProcess, CopiesAndIsWrittenDown) {
  const ClientRun run = Run("nbdcopy {input} {uri}");
  EXPECT_EQ(run.exit_status, 0) << run.words;
  ASSERT_FALSE(run.records.empty());
  EXPECT_GT(run.records.front().seen.size(), 4U);
  EXPECT_EQ(Run("nbdcopy {uri} {output}").output, Bytes(1 << 20));
}

TEST_F(ClientProcess, EndsAsItEnds) {
  EXPECT_EQ(Run("sh -c 'echo \"$NBDSPEC_SCENARIO\"; exit 89' {uri}").exit_status, 89);
  EXPECT_EQ(Run("sh -c 'echo \"$NBDSPEC_SCENARIO\"' {uri}").words, "a/scenario\n");
  EXPECT_TRUE(Run("sh -c 'kill -SEGV $$' {uri}").has_crashed());
  EXPECT_TRUE(Run("sh -c 'sleep 100 & sleep 100' {uri}", std::chrono::milliseconds(300)).has_hung());
}

TEST_F(ClientProcess, LeavesNothingToFollow) {
  EXPECT_FALSE(Run("sh -c 'ln -s /etc/passwd {output}' {uri}").output.has_value());
  EXPECT_FALSE(Run("sh -c 'mkfifo {output}' {uri}").output.has_value());
  EXPECT_EQ(Run("sh -c 'truncate -s 1T {output}' {uri}").output->size(), std::size_t{64} << 20);
}

}  // namespace
}  // namespace nbdspec::conformance
