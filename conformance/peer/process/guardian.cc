// SPDX-License-Identifier: BSD-3-Clause
// Only async-signal-safe calls here, and no allocation: see GuardianPlan.
#include "conformance/peer/process/guardian.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

namespace nbdspec::conformance {

namespace {

// Long enough for a sanitizer's or a profiler's last words; servers that wait for their clients take all of it.
constexpr int kPoliteStopMs = 500;
// For what cannot be killed (a process inside the kernel), which is then left behind.
constexpr int kForcedStopMs = 5000;
constexpr int kForcedStopRoundMs = 20;
constexpr int kUnmountMs = 5000;
// A server that floods its log must not fill the disk: it is looked at this often, and emptied when it passes this.
constexpr int kLogLookMs = 1000;
constexpr off_t kLogBytesMax = 16 << 20;

void Tell(int channel, GuardianNews::Kind kind, int value) {
  const GuardianNews news = {.kind = kind, .value = value};
  send(channel, &news, sizeof(news), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::int64_t NowMs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Closes every descriptor but the standard ones, `a` and `b`. Nothing of nbdspec's may be held open: not its pipes
// (its reader would wait for us), not the channels of other guardians (they would not see nbdspec end).
void CloseAllBut(int a, int b) {
  const auto low = static_cast<unsigned>(std::min(a, b));
  const auto high = static_cast<unsigned>(std::max(a, b));
  if (low > 3) {
    close_range(3, low - 1, 0);
  }
  if (high > low + 1) {
    close_range(low + 1, high - 1, 0);
  }
  close_range(high + 1, ~0U, 0);
}

void StandardStreamsToNull() {
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) {
    dup2(null, fd);
  }
  if (null > 2) {
    close(null);
  }
}

[[noreturn]] void RunServer(const GuardianPlan& plan, pid_t guardian) {
  setpgid(0, 0);
  // Should someone kill the guardian itself, the server at least goes with it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != guardian) {
    _exit(127);
  }
  dup2(plan.log, 1);
  dup2(plan.log, 2);
  for (int number = 1; number < NSIG; ++number) {
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(plan.executable, plan.arguments, plan.environment);
  Tell(plan.channel, GuardianNews::Kind::kCannotRun, errno);
  _exit(127);
}

class Guardian {
 public:
  explicit Guardian(const GuardianPlan& plan) : plan_(plan) {}

  // Waits for the packet that says that the server's files are there. False when nbdspec ended before.
  [[nodiscard]] bool IsToldToStart() const {
    GuardianOrder start{};
    return recv(plan_.channel, &start, sizeof start, 0) > 0;
  }

  void StartServer() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    child_signal_ = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    const pid_t guardian = getpid();
    // Unlike fork, _Fork runs no handlers that may want locks.
    server_ = _Fork();
    if (server_ == 0) {
      RunServer(plan_, guardian);
    }
    if (server_ < 0) {
      Tell(plan_.channel, GuardianNews::Kind::kCannotRun, errno);
      is_server_reaped_ = true;
      return;
    }
    setpgid(server_, server_);  // As the server does itself: whichever comes first.
  }

  // Returns whether the server may have time for last writes.
  [[nodiscard]] bool WatchUntilToldToStop() {
    for (;;) {
      std::array<pollfd, 2> polled = {{{.fd = plan_.channel, .events = POLLIN, .revents = 0},
                                       {.fd = child_signal_, .events = POLLIN, .revents = 0}}};
      poll(polled.data(), polled.size(), kLogLookMs);
      WaitForChild(0);
      GuardianOrder order{};
      if (polled[0].revents != 0) {
        const bool has_order = recv(plan_.channel, &order, sizeof order, MSG_DONTWAIT) > 0;
        if (!has_order || order != GuardianOrder::kShutDown) {
          return !has_order;
        }
        SignalAll(SIGTERM);
        Tell(plan_.channel, GuardianNews::Kind::kAsked, 0);
      }
      struct stat log = {};
      if (fstat(plan_.log, &log) == 0 && log.st_size > kLogBytesMax && ftruncate(plan_.log, 0) != 0) {
        return true;  // A log that cannot be bounded: rather no server.
      }
    }
  }

  void StopAll(bool politely) {
    Reap();
    if (has_children_ && politely) {
      SignalAll(SIGTERM);
      WaitForAll(kPoliteStopMs);
    }
    // Killing a parent makes its children ours: rounds, until there are none.
    const std::int64_t deadline_ms = NowMs() + kForcedStopMs;
    while (has_children_ && NowMs() < deadline_ms) {
      SignalAll(SIGKILL);
      WaitForAll(kForcedStopRoundMs);
    }
  }

  // A mounted file system whose server is gone would keep the directory from being removed.
  void Unmount() {
    if (umount2(plan_.mount_point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno != EPERM ||
        plan_.fusermount == nullptr) {
      return;
    }
    const pid_t fusermount = _Fork();
    if (fusermount == 0) {
      const char* const words[] = {plan_.fusermount, "-u", "-z", "-q", "--", plan_.mount_point, nullptr};
      execve(plan_.fusermount, const_cast<char* const*>(words), plan_.environment);
      _exit(127);
    }
    if (fusermount > 0) {
      has_children_ = true;
      WaitForAll(kUnmountMs);
    }
  }

 private:
  // Reaps what has ended and tells nbdspec when that was the server.
  void Reap() {
    for (;;) {
      int status = 0;
      const pid_t ended = waitpid(-1, &status, WNOHANG);
      if (ended == 0) {
        return;
      }
      if (ended < 0) {
        has_children_ = errno != ECHILD;
        return;
      }
      // A first process that succeeds and leaves others is a daemon's parent: then the server is what it left.
      const bool was_daemon = is_server_reaped_;
      is_server_reaped_ = is_server_reaped_ || ended == server_;
      siginfo_t ignored;
      const bool was_last = waitid(P_ALL, 0, &ignored, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
      const bool is_end = was_last || (ended == server_ && status != 0) || (was_daemon && WIFSIGNALED(status));
      if (is_end && !has_told_end_) {
        has_told_end_ = true;
        Tell(plan_.channel, GuardianNews::Kind::kEnded, status);
      }
    }
  }

  void WaitForChild(int wait_ms) {
    pollfd polled = {.fd = child_signal_, .events = POLLIN, .revents = 0};
    poll(&polled, 1, wait_ms);
    signalfd_siginfo ignored;
    while (read(child_signal_, &ignored, sizeof(ignored)) > 0) {
    }
    Reap();
  }

  void WaitForAll(int wait_ms) {
    const std::int64_t deadline_ms = NowMs() + wait_ms;
    WaitForChild(0);
    for (std::int64_t now_ms = NowMs(); has_children_ && now_ms < deadline_ms; now_ms = NowMs()) {
      WaitForChild(static_cast<int>(deadline_ms - now_ms));
    }
  }

  void SignalAll(int number) const {
    // Once the server is reaped its number may belong to somebody else.
    if (!is_server_reaped_) {
      kill(-server_, number);
    }
    // Our children, except those that the signal to the server's group reaches.
    const int list = open(kChildrenFile, O_RDONLY | O_CLOEXEC);
    if (list < 0) {
      return;
    }
    std::array<char, 4096> text;
    const ssize_t text_bytes = read(list, text.data(), text.size());
    close(list);
    pid_t child = 0;
    // Each number has a blank behind it. One cut off at the end of the buffer is met in a later round.
    for (ssize_t i = 0; i < text_bytes; ++i) {
      const char c = text[static_cast<std::size_t>(i)];
      if (c >= '0' && c <= '9') {
        child = child * 10 + (c - '0');
        continue;
      }
      if (child > 0 && (is_server_reaped_ || getpgid(child) != server_)) {
        kill(child, number);
      }
      child = 0;
    }
  }

  const GuardianPlan& plan_;
  int child_signal_ = -1;
  pid_t server_ = -1;
  bool is_server_reaped_ = false;
  bool has_children_ = true;
  bool has_told_end_ = false;
};

}  // namespace

void RunGuardian(const GuardianPlan& given_plan) {
  GuardianPlan plan = given_plan;
  // Whoever started nbdspec may have closed its standard streams, and then ours may have their numbers.
  plan.channel = fcntl(given_plan.channel, F_DUPFD_CLOEXEC, 3);
  plan.log = fcntl(given_plan.log, F_DUPFD_CLOEXEC, 3);
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "nbdspec-guard");
  signal(SIGCHLD, SIG_DFL);
  StandardStreamsToNull();
  CloseAllBut(plan.channel, plan.log);
  Guardian guardian(plan);
  if (guardian.IsToldToStart()) {
    guardian.StartServer();
    guardian.StopAll(guardian.WatchUntilToldToStop());
    guardian.Unmount();
  }
  // The last act is to become rm: the removal of a directory takes more than async-signal-safe calls.
  const char* const words[] = {"rm", "-rf", "--", plan.directory, nullptr};
  const char* const no_environment[] = {nullptr};
  execve("/bin/rm", const_cast<char* const*>(words), const_cast<char* const*>(no_environment));
  _exit(1);
}

}  // namespace nbdspec::conformance
