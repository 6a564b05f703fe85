// SPDX-License-Identifier: BSD-3-Clause
// Only async-signal-safe calls here, and no allocation: see GuardianPlan.
#include "conformance/peer/process/guardian.h"

#include <dirent.h>
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
// What is taken from the server's outputs at once; also what the pipe of a server that has ended holds at most.
constexpr std::size_t kWordsBytes = 1 << 16;
// Deeper than that rm removes directories, which takes more than async-signal-safe calls.
constexpr int kDepthMax = 16;

void Tell(int channel, GuardianNews::Kind kind, int value) {
  const GuardianNews news = {.kind = kind, .value = value};
  send(channel, &news, sizeof(news), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::int64_t NowMs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Closes every descriptor but the standard ones and `kept`. Nothing of nbdspec's may be held open: not its pipes
// (its reader would wait for us), not the channels of other guardians (they would not see nbdspec end).
void CloseAllBut(int kept) {
  const auto first = static_cast<unsigned>(std::max(kept, STDERR_FILENO)) + 1;
  if (kept > STDERR_FILENO + 1) {
    close_range(STDERR_FILENO + 1, static_cast<unsigned>(kept) - 1, 0);
  }
  close_range(first, ~0U, 0);
}

// Removes the file or directory `name` in the directory `parent`, as far as it can be. Returns whether it is gone.
bool Remove(int parent, const char* name, int depth) {
  if (unlinkat(parent, name, 0) == 0) {
    return true;
  }
  if (errno != EISDIR && errno != EPERM) {
    return errno == ENOENT;
  }
  constexpr int kHow = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int directory = openat(parent, name, kHow);
  if (directory < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0) {
    directory = openat(parent, name, kHow);
  }
  // What goes makes what comes after it move: again, until nothing went.
  for (bool any_went = directory >= 0 && depth > 0; any_went;) {
    any_went = false;
    lseek(directory, 0, SEEK_SET);
    alignas(dirent64) std::array<char, 4096> entries;
    for (ssize_t got = 0; (got = getdents64(directory, entries.data(), entries.size())) > 0;) {
      for (ssize_t at = 0; at < got;) {
        const auto* const entry = reinterpret_cast<const dirent64*>(entries.data() + at);
        at += entry->d_reclen;
        const bool is_dots = entry->d_name[0] == '.' &&
                             (entry->d_name[1] == '\0' || (entry->d_name[1] == '.' && entry->d_name[2] == '\0'));
        any_went = (!is_dots && Remove(directory, entry->d_name, depth - 1)) || any_went;
      }
    }
  }
  if (directory >= 0) {
    close(directory);
  }
  return unlinkat(parent, name, AT_REMOVEDIR) == 0;
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

[[noreturn]] void RunServer(const GuardianPlan& plan, int words, pid_t guardian) {
  setpgid(0, 0);
  // Should someone kill the guardian itself, the server at least goes with it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != guardian) {
    _exit(127);
  }
  dup2(words, 1);
  dup2(words, 2);
  if (plan.descriptors != nullptr) {
    setrlimit(RLIMIT_NOFILE, plan.descriptors);
  }
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

  // Makes the directory, and the log in it, and tells. Returns whether there is a directory to remove.
  [[nodiscard]] bool MakeDirectory() {
    const bool is_there = !plan_.makes_directory || mkdir(plan_.directory, 0700) == 0;
    log_ = is_there ? open(plan_.log, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND | O_CLOEXEC, 0600) : -1;
    Tell(plan_.channel, log_ < 0 ? GuardianNews::Kind::kCannotMake : GuardianNews::Kind::kMade, errno);
    return is_there;
  }

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
    std::array<int, 2> words = {-1, -1};
    const bool has_all = child_signal_ >= 0 && pipe2(words.data(), O_CLOEXEC) == 0;
    const pid_t guardian = getpid();
    // Unlike fork, _Fork runs no handlers that may want locks.
    server_ = has_all ? _Fork() : -1;
    if (server_ == 0) {
      RunServer(plan_, words[1], guardian);
    }
    const int error = errno;
    close(words[1]);
    words_ = words[0];
    fcntl(words_, F_SETFL, O_NONBLOCK);
    errno = error;
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
      std::array<pollfd, 3> polled = {{{.fd = plan_.channel, .events = POLLIN, .revents = 0},
                                       {.fd = child_signal_, .events = POLLIN, .revents = 0},
                                       {.fd = words_, .events = POLLIN, .revents = 0}}};
      poll(polled.data(), polled.size(), -1);
      WaitForChild(0);
      GuardianOrder order{};
      if (polled[0].revents == 0) {
        continue;
      }
      const bool has_order = recv(plan_.channel, &order, sizeof order, MSG_DONTWAIT) > 0;
      if (!has_order || (order != GuardianOrder::kShutDown && order != GuardianOrder::kDrain)) {
        return !has_order;
      }
      if (order == GuardianOrder::kShutDown) {
        SignalAll(SIGTERM);
      } else {
        TakeAllWords();
      }
      Tell(plan_.channel, GuardianNews::Kind::kAnswered, 0);
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
        TakeAllWords();
        Tell(plan_.channel, GuardianNews::Kind::kEnded, status);
      }
    }
  }

  // Moves what the server has said into the log. Returns whether there was any.
  bool TakeWords() {
    const ssize_t got = read(words_, piece_.data(), piece_.size());
    if (got == 0) {  // Nobody holds the other end any more.
      close(words_);
      words_ = -1;
    }
    if (got <= 0) {
      return false;
    }
    if (log_bytes_ + got > kLogBytesMax) {
      log_bytes_ = ftruncate(log_, 0) == 0 ? 0 : log_bytes_;
    }
    if (log_bytes_ + got <= kLogBytesMax) {
      log_bytes_ += std::max<ssize_t>(write(log_, piece_.data(), static_cast<std::size_t>(got)), 0);
    }
    return true;
  }

  // Also of a server that goes on and on: what it had said until now.
  void TakeAllWords() {
    for (std::size_t taken = 0; taken <= kWordsBytes && TakeWords(); taken += piece_.size()) {
    }
  }

  void WaitForChild(int wait_ms) {
    std::array<pollfd, 2> polled = {
        {{.fd = child_signal_, .events = POLLIN, .revents = 0}, {.fd = words_, .events = POLLIN, .revents = 0}}};
    poll(polled.data(), polled.size(), wait_ms);
    TakeWords();
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
  int log_ = -1;
  std::int64_t log_bytes_ = 0;
  int words_ = -1;  // The end of the pipe where the server's outputs are read.
  std::array<char, kWordsBytes> piece_ = {};
  int child_signal_ = -1;
  pid_t server_ = -1;
  bool is_server_reaped_ = false;
  bool has_children_ = true;
  bool has_told_end_ = false;
};

}  // namespace

void RunGuardian(const GuardianPlan& given_plan) {
  GuardianPlan plan = given_plan;
  CloseAllBut(plan.channel);  // First: nbdspec may hold as many as it may have, and we need some.
  // Whoever started nbdspec may have closed its standard streams, and then ours may have their numbers.
  if (plan.channel <= STDERR_FILENO) {
    plan.channel = fcntl(given_plan.channel, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  }
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "nbdspec-guard");
  signal(SIGCHLD, SIG_DFL);
  StandardStreamsToNull();
  Guardian guardian(plan);
  const bool is_to_remove = guardian.MakeDirectory();
  if (guardian.IsToldToStart()) {
    guardian.StartServer();
    guardian.StopAll(guardian.WatchUntilToldToStop());
    guardian.Unmount();
  }
  if (!is_to_remove || Remove(AT_FDCWD, plan.directory, kDepthMax)) {
    _exit(0);
  }
  const char* const words[] = {"rm", "-rf", "--", plan.directory, nullptr};
  const char* const no_environment[] = {nullptr};
  execve("/bin/rm", const_cast<char* const*>(words), const_cast<char* const*>(no_environment));
  _exit(1);
}

}  // namespace nbdspec::conformance
