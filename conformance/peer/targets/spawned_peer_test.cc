// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/target.h"
#include "conformance/peer/testdata/peer_fixture.h"

namespace nbdspec::conformance {
namespace {

using engine::Trouble;
using std::chrono::milliseconds;

std::expected<std::unique_ptr<Peer>, Trouble> Spawn(const std::string& words, Transport::Clock::time_point deadline) {
  return TargetFromSpawn("conformance/peer/hostile_server {socket} " + words, "")
      .value()
      ->Start(Setup::kWritable, deadline);
}

class SpawnedPeer : public PeerFixture {
 protected:
  // Starts a server that is expected to come up.
  static std::unique_ptr<Peer> MustSpawn(const std::string& words) {
    auto peer = Spawn(words, Soon());
    if (!peer) {
      ADD_FAILURE() << peer.error().sentence;
      return nullptr;
    }
    return *std::move(peer);
  }

  // How it ended, waiting as long as a loaded machine may need to notice.
  static std::string EndOf(Peer& peer) {
    const auto patience = Soon();
    while (Transport::Clock::now() < patience) {
      if (const auto ended = peer.Ended()) {
        return *ended;
      }
    }
    return "still runs";
  }

  static std::set<pid_t> Children() {
    std::ifstream list("/proc/self/task/" + std::to_string(getpid()) + "/children");
    return {std::istream_iterator<pid_t>(list), {}};
  }
};

TEST_F(SpawnedPeer, GreetsItsClients) {
  const auto peer = MustSpawn("serve");
  ASSERT_NE(peer, nullptr);
  for (int i = 0; i < 3; ++i) {
    const auto transport = peer->Connect(Soon());
    ASSERT_TRUE(transport.has_value()) << transport.error().sentence;
    const engine::Bytes greeting = ReceiveBytes(**transport, 18);
    EXPECT_EQ(std::string(greeting.begin(), greeting.end()), std::string("NBDMAGICIHAVEOPT\x00\x03", 18));
  }
  EXPECT_EQ(peer->Ended(), std::nullopt);
  EXPECT_EQ(peer->StandardError(), "");
}

// In place of a signal.
std::atomic<bool> are_waits_cancelled = false;

TEST_F(SpawnedPeer, IsNotWaitedForAnyMoreOnceThatIsCancelled) {
  EndWaitsForServersWhen(are_waits_cancelled);
  for (const char* words : {"hang", "never-accept", "accept-and-close"}) {
    std::thread later([] {
      std::this_thread::sleep_for(milliseconds(50));
      are_waits_cancelled = true;
    });
    const auto never = Transport::Clock::now() + std::chrono::hours(10);
    const auto peer = Spawn(words, never);
    for (int i = 0; peer && i < 100; ++i) {  // More than wait in line.
      (void)(*peer)->Connect(never);
    }
    later.join();
    EXPECT_EQ(Children().size(), peer ? 1U : 0U) << words;
    are_waits_cancelled = false;
  }
}

TEST_F(SpawnedPeer, IsStartedInACleanState) {
  // What nbdspec itself ignores, blocks and holds open must not reach the server.
  const FileDescriptor held(open("/dev/null", O_RDONLY));
  signal(SIGUSR1, SIG_IGN);
  sigset_t usr2;
  sigset_t before;
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  sigprocmask(SIG_BLOCK, &usr2, &before);
  const auto peer = MustSpawn("report serve");
  sigset_t after;
  sigprocmask(SIG_SETMASK, &before, &after);
  signal(SIGUSR1, SIG_DFL);
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(peer->StandardError(), "own group 1, odd signals 0, descriptors 3, input ends 1\n");
  EXPECT_EQ(sigismember(&after, SIGUSR2), 1);
  EXPECT_EQ(sigismember(&after, SIGTERM), 0);
}

TEST_F(SpawnedPeer, ThatExitsAtOnceIsTroubleWithItsLastWords) {
  const auto peer = Spawn("exit", Soon());
  ASSERT_FALSE(peer.has_value());
  EXPECT_TRUE(peer.error().sentence.contains("exited with status 3 when it was started")) << peer.error().sentence;
  EXPECT_TRUE(peer.error().sentence.contains("no such\\x1b option")) << peer.error().sentence;
}

TEST_F(SpawnedPeer, ThatEndsAtOnceIsStartedOnceMore) {
  const std::string starts = testing::TempDir() + "starts";
  std::ofstream(starts).close();
  const std::string fails_at_every_second =
      "echo x >> " + starts + "; [ $(($(wc -l < " + starts + ") % 2)) = 1 ] || exit 1; exec \"$0\" \"$1\" serve";
  const auto target =
      TargetFromSpawn("sh -c " + QuoteWord(fails_at_every_second) + " conformance/peer/hostile_server {socket}", "");
  ASSERT_TRUE(target) << target.error().sentence;
  const auto peer = (*target)->Start(Setup::kWritable, Soon());
  ASSERT_TRUE(peer) << peer.error().sentence;
  for (int i = 0; i < 4; ++i) {
    const auto restarted = (*peer)->Restart();
    EXPECT_TRUE(restarted) << i << ": " << restarted.error().sentence;
  }
  EXPECT_TRUE((*peer)->Connect(Soon()));
}

TEST_F(SpawnedPeer, ThatSucceedsAtOnceIsTroubleToo) {
  const auto peer = Spawn("", Soon());
  ASSERT_FALSE(peer.has_value());
  EXPECT_TRUE(peer.error().sentence.contains("exited with status 0 when it was started. It said nothing."))
      << peer.error().sentence;
}

TEST_F(SpawnedPeer, ThatNeverListensIsTroubleAtTheDeadline) {
  const auto deadline = Transport::Clock::now() + milliseconds(100);
  const auto peer = Spawn("hang", deadline);
  EXPECT_GE(Transport::Clock::now(), deadline);
  ASSERT_FALSE(peer.has_value());
  EXPECT_TRUE(peer.error().sentence.contains("does not listen on its unix socket")) << peer.error().sentence;
}

TEST_F(SpawnedPeer, ThatCannotBeRunIsTrouble) {
  const auto unknown = TargetFromSpawn("no-such-command-here {socket}", "").value()->Start(Setup::kWritable, Soon());
  ASSERT_FALSE(unknown.has_value());
  EXPECT_TRUE(unknown.error().sentence.contains("no such command")) << unknown.error().sentence;

  const std::string script = tmpdir() + "/script";
  std::ofstream(script) << "#!/no/such/interpreter\n";
  ASSERT_EQ(chmod(script.c_str(), 0700), 0);
  const auto bad = TargetFromSpawn(script + " {socket}", "").value()->Start(Setup::kWritable, Soon());
  ASSERT_FALSE(bad.has_value());
  EXPECT_TRUE(bad.error().sentence.contains("could not be run: No such file or directory")) << bad.error().sentence;
  EXPECT_EQ(unlink(script.c_str()), 0);
}

TEST_F(SpawnedPeer, IsFoundInPath) {
  const auto peer = TargetFromSpawn("sh -c 'exec conformance/peer/hostile_server \"$1\" serve' sh {socket}", "")
                        .value()
                        ->Start(Setup::kWritable, Soon());
  EXPECT_TRUE(peer.has_value()) << peer.error().sentence;
}

TEST_F(SpawnedPeer, IsGivenTheImage) {
  // The words keep their blanks, and each placeholder is replaced wherever it stands.
  const auto peer = TargetFromSpawn(
                        "sh -c 'printf \"%s|\" \"$@\" >&2; wc -c <\"${4#f=}\" >&2; "
                        "exec conformance/peer/hostile_server \"$1\" serve' sh {socket} 'a  b' {}{ f={image}",
                        "")
                        .value()
                        ->Start(Setup::kWritable, Soon());
  ASSERT_TRUE(peer.has_value()) << peer.error().sentence;
  const std::string words = (*peer)->StandardError();
  EXPECT_TRUE(words.contains("/socket|a  b|{}{|f=" + tmpdir())) << words;
  EXPECT_TRUE(words.ends_with("/image|8388608\n")) << words;
}

TEST_F(SpawnedPeer, NeedNotAcceptNorGreetToBeUp) {
  for (const std::string words : {"never-accept", "accept-and-close", "flood"}) {
    const auto peer = MustSpawn(words);
    ASSERT_NE(peer, nullptr) << words;
    EXPECT_EQ(peer->Ended(), std::nullopt) << words;
  }
}

TEST_F(SpawnedPeer, ThatCrashesSaysSo) {
  const auto peer = MustSpawn("crash-at-second");
  ASSERT_NE(peer, nullptr);
  const auto transport = peer->Connect(Soon());
  ASSERT_TRUE(transport.has_value());
  EXPECT_EQ(ReceiveBytes(**transport, 18).size(), 0U);
  EXPECT_TRUE(EndOf(*peer).starts_with("was killed by SIGABRT")) << EndOf(*peer);
  EXPECT_EQ(peer->StandardError(), "an assertion failed\n");

  const auto refused = peer->Connect(Soon());
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().sentence.contains("Connection refused. It was killed by SIGABRT"))
      << refused.error().sentence;

  const auto restarted = peer->Restart();
  ASSERT_TRUE(restarted.has_value()) << restarted.error().sentence;
  EXPECT_EQ(peer->Ended(), std::nullopt);
  EXPECT_EQ(peer->StandardError(), "");
}

TEST_F(SpawnedPeer, ThatExitsSaysSo) {
  const auto peer = MustSpawn("exit-at-second");
  ASSERT_NE(peer, nullptr);
  const auto transport = peer->Connect(Soon());
  EXPECT_EQ(EndOf(*peer), "exited with status 7");
}

TEST_F(SpawnedPeer, ThatDaemonisesIsWatchedAndStopped) {
  for (const std::string words :
       {"daemonise serve", "daemonise ignore-sigterm serve", "daemonise leave-children serve"}) {
    const auto peer = MustSpawn(words);
    ASSERT_NE(peer, nullptr) << words;
    EXPECT_EQ(peer->Ended(), std::nullopt) << words;
  }
  const auto peer = MustSpawn("daemonise leave-children crash-at-second");
  ASSERT_NE(peer, nullptr);
  const auto transport = peer->Connect(Soon());
  EXPECT_TRUE(EndOf(*peer).starts_with("was killed by SIGABRT")) << EndOf(*peer);
}

TEST_F(SpawnedPeer, ThatIsAskedToEndDoesAndIsStartedForTheNextClient) {
  for (const char* const words : {"serve", "daemonise serve"}) {
    const auto peer = MustSpawn(words);
    ASSERT_NE(peer, nullptr);
    ASSERT_TRUE(peer->ShutDown().has_value());
    EXPECT_TRUE(peer->HasShutDown(Soon())) << words;
    EXPECT_EQ(peer->Ended(), std::nullopt) << words;
    const auto transport = peer->Connect(Soon());
    ASSERT_TRUE(transport.has_value()) << transport.error().sentence;
    EXPECT_EQ(ReceiveBytes(**transport, 18).size(), 18U) << words;
    EXPECT_FALSE(peer->HasShutDown(Transport::Clock::now()));
  }
}

TEST_F(SpawnedPeer, ThatIgnoresSigtermIsStoppedWithItsChildren) {
  const auto peer = MustSpawn("ignore-sigterm leave-children serve");
  ASSERT_NE(peer, nullptr);
  const auto transport = peer->Connect(Soon());
  EXPECT_TRUE(transport.has_value());
}

TEST_F(SpawnedPeer, KeepsOnlyTheLastOfWhatItSays) {
  const auto peer = MustSpawn("chatter serve");
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(peer->StandardError().size(), 4096U);
  EXPECT_TRUE(peer->StandardError().ends_with("x\nthe last line\n"));
}

TEST_F(SpawnedPeer, GoesWhenItsOwnerIsKilled) {
  // Two of them: neither guardian may hold the other's channel open.
  const auto two_peers = [] {
    std::vector<std::unique_ptr<Peer>> peers;
    peers.push_back(MustSpawn("ignore-sigterm leave-children serve"));
    peers.push_back(MustSpawn("daemonise ignore-sigterm leave-children serve"));
    return peers;
  };
  for (const int number : {SIGKILL, SIGINT, SIGTERM}) {
    KillOwnerOfPeers(two_peers, number);
    EXPECT_EQ(FileCount(tmpdir()), 0U) << number;
  }
}

TEST_F(SpawnedPeer, GoesWhenItsGuardianIsKilled) {
  const auto peer = MustSpawn("serve");
  ASSERT_NE(peer, nullptr);
  const std::set<pid_t> children = Children();
  ASSERT_EQ(children.size(), 1U);
  // A terminal's signals do not reach the guardian, nor do they move it.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    EXPECT_EQ(kill(*children.begin(), number), 0);
  }
  EXPECT_EQ(peer->Ended(), std::nullopt);
  EXPECT_NE(getsid(*children.begin()), getsid(0));

  const std::string directory = [this] {
    for (const auto& entry : std::filesystem::directory_iterator(tmpdir())) {
      return entry.path().string();
    }
    return std::string();
  }();
  EXPECT_EQ(kill(*children.begin(), SIGKILL), 0);
  EXPECT_EQ(EndOf(*peer), "was stopped by the end of the process that watches it");
  // Nobody was left to remove its directory.
  EXPECT_GT(std::filesystem::remove_all(directory), 0U);
  // The orphaned server was killed by the kernel, and is ours to reap.
  const auto patience = Soon();
  int status = 0;
  pid_t reaped = 0;
  while (reaped <= 0 && Transport::Clock::now() < patience) {
    reaped = waitpid(-1, &status, WNOHANG);
    reaped = reaped == *children.begin() ? 0 : reaped;
  }
  ASSERT_GT(reaped, 0) << "the server outlives its guardian";
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

// TearDown asks whether anything is left.
TEST_F(SpawnedPeer, MayStopItsGuardian) {
  const auto target = TargetFromSpawn(
      "sh -c 'kill -STOP $PPID; exec conformance/peer/hostile_server \"$1\" leave-children serve' sh {socket}", "");
  ASSERT_TRUE(target) << target.error().sentence;
  auto peer = (*target)->Start(Setup::kWritable, Soon());
  ASSERT_TRUE(peer) << peer.error().sentence;
  EXPECT_TRUE((*peer)->Connect(Soon()));
  EXPECT_EQ((*peer)->StandardError(), "");
}

TEST_F(SpawnedPeer, MayKillItsGuardian) {
  const auto target = TargetFromSpawn("sh -c 'setsid sleep 7654 & kill -KILL $PPID; exec sleep 7654' sh {socket}", "");
  ASSERT_TRUE(target) << target.error().sentence;
  const auto peer = (*target)->Start(Setup::kWritable, Soon());
  ASSERT_FALSE(peer);
  EXPECT_TRUE(peer.error().sentence.contains("was stopped by the end of the process that watches it"))
      << peer.error().sentence;
  EXPECT_TRUE(Children().empty());
}

// It wrote as much as it could until somebody looked, a second later.
TEST_F(SpawnedPeer, FillsNoDiskByWhatItSays) {
  const auto target =
      TargetFromSpawn("sh -c 'yes flood & exec conformance/peer/hostile_server \"$1\" serve' sh {socket}", "");
  ASSERT_TRUE(target) << target.error().sentence;
  const auto peer = (*target)->Start(Setup::kWritable, Soon());
  ASSERT_TRUE(peer) << peer.error().sentence;
  std::uintmax_t most = 0;
  for (int i = 0; i < 200; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(tmpdir())) {
      most = std::max(most, std::filesystem::file_size(entry.path() / "log"));
    }
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_GT(most, 1U << 20);
  EXPECT_LE(most, 16U << 20);
  EXPECT_TRUE((*peer)->StandardError().contains("flood\n"));
}

TEST_F(SpawnedPeer, StartsAndStopsInManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> up_count = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&up_count] {
      for (int round = 0; round < 5; ++round) {
        const auto peer = Spawn("serve", Soon());
        up_count += peer.has_value() && !(*peer)->Ended() && (*peer)->Connect(Soon()).has_value() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(up_count, 20);
}

TEST_F(SpawnedPeer, StartsWhenNbdspecHasNoStandardStreams) {
  const FileDescriptor saved[] = {FileDescriptor(dup(0)), FileDescriptor(dup(1)), FileDescriptor(dup(2))};
  for (int fd = 0; fd < 3; ++fd) {
    close(fd);
  }
  auto peer = Spawn("report serve", Soon());
  const std::string words = peer ? (*peer)->StandardError() : peer.error().sentence;
  if (peer) {
    peer->reset();
  }
  for (int fd = 0; fd < 3; ++fd) {
    dup2(saved[fd].get(), fd);
  }
  EXPECT_EQ(words, "own group 1, odd signals 0, descriptors 3, input ends 1\n");
}

TEST(SpawnTarget, NeedsASocketPlaceholder) {
  for (const std::string_view command : {"nbdkit -f", "nbdkit {image}", "nbdkit { socket }"}) {
    const auto target = TargetFromSpawn(command, "");
    ASSERT_FALSE(target.has_value()) << command;
    EXPECT_TRUE(target.error().sentence.contains("has no {socket}")) << target.error().sentence;
  }
  EXPECT_FALSE(TargetFromSpawn("a '{socket}", "").has_value());
}

TEST(SpawnTarget, SaysHowToNameItAgain) {
  const auto target = TargetFromSpawn("srv -x 'a b' {socket}", "my disk");
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ((*target)->CommandLine(), "--spawn 'srv -x '\\''a b'\\'' {socket}' --export 'my disk'");
  EXPECT_EQ((*target)->Describe(), "srv -x 'a b' {socket}");
  EXPECT_EQ((*target)->ExportName(), "my disk");
  EXPECT_TRUE((*target)->IsOurs());
  EXPECT_TRUE((*target)->CanSetUp(Setup::kWritable));
  EXPECT_FALSE((*target)->CanSetUp(Setup::kReadOnly));
  EXPECT_FALSE((*target)->Start(Setup::kReadOnly, Transport::Clock::now()).has_value());
}

}  // namespace
}  // namespace nbdspec::conformance
