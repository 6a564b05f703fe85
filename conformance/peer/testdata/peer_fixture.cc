// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/testdata/peer_fixture.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "conformance/peer/socket/socket_transport.h"

namespace nbdspec::conformance {

namespace {

// Whether this process has CAP_SYS_ADMIN, which root in a container may lack.
bool MayMount() {
  constexpr unsigned kSysAdmin = 21;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) {
      return (std::stoull(line.substr(7), nullptr, 16) >> kSysAdmin & 1) != 0;
    }
  }
  return false;
}

}  // namespace

bool PeerFixture::HasFuse() { return access("/dev/fuse", R_OK | W_OK) == 0 && (getuid() != 0 || MayMount()); }

void PeerFixture::SetUp() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  unsetenv("TMPDIR");
  directory_.emplace(PrivateDirectory::Make().value());
  setenv("TMPDIR", tmpdir().c_str(), 1);
}

void PeerFixture::TearDown() {
  EXPECT_EQ(FileCount(tmpdir()), 0U) << "a directory was left behind";
  EXPECT_TRUE(waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD) << "a process was left behind";
  unsetenv("TMPDIR");
}

std::size_t PeerFixture::FileCount(const std::string& directory) {
  const std::filesystem::directory_iterator files(directory);
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

void PeerFixture::KillOwnerOfPeers(const std::function<std::vector<std::unique_ptr<Peer>>()>& start_peers,
                                   int signal_number) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const FileDescriptor read_end(ends[0]);
  const pid_t owner = fork();
  if (owner == 0) {
    const auto peers = start_peers();
    const auto count = static_cast<char>(peers.size());
    if (write(ends[1], &count, 1) == 1) {
      sleep(600);
    }
    _exit(1);
  }
  close(ends[1]);
  char count = 0;
  ASSERT_EQ(read(read_end.get(), &count, 1), 1);
  ASSERT_GT(count, 0) << "no peer could be started";
  ASSERT_EQ(kill(owner, signal_number), 0);
  int status = 0;
  ASSERT_EQ(waitpid(owner, &status, 0), owner);
  ASSERT_TRUE(WIFSIGNALED(status));
  // The guardians, and whatever else is left, are our children now.
  const auto patience = Soon();
  while (waitpid(-1, nullptr, WNOHANG) >= 0) {
    ASSERT_LT(Transport::Clock::now(), patience) << "something outlives its owner";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

engine::Bytes ReceiveBytes(Transport& transport, std::size_t length) {
  engine::Bytes bytes;
  const auto deadline = Transport::Clock::now() + std::chrono::seconds(30);
  while (bytes.size() < length && transport.Receive(bytes, length - bytes.size(), deadline) == Ending::kNone) {
  }
  return bytes;
}

}  // namespace nbdspec::conformance
