// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <span>
#include <sstream>
#include <system_error>
#include <thread>

#include "conformance/peer/process/guardian.h"
#include "conformance/peer/process/process_files.h"
#include "conformance/peer/process/room.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kShellOnly = "$`|&;<>()";
constexpr std::string_view kShellOnlyInQuotes = "$`";      // Double ones; so the next.
constexpr std::string_view kEscapedInQuotes = "\\\"$`\n";  // Before others a backslash is itself.

constexpr std::string_view kExited = "exited with status ";
constexpr std::string_view kKilledBy = "was killed by ";
// How long a server has to take the signal that asks it to end, and between two looks at whether it has.
constexpr std::chrono::milliseconds kSignalWait{500};
constexpr std::chrono::milliseconds kSignalPause{1};
constexpr std::chrono::milliseconds kCancelLook{100};

bool NeedsNoQuotes(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-_./:,+@%=").contains(c);
}

bool IsExecutableFile(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && access(path.c_str(), X_OK) == 0;
}

Trouble CannotStart(const std::string& name) {
  return {"Cannot start " + engine::Quoted(name) + ": " + std::generic_category().message(errno) +
          ". Free some memory, descriptors or processes."};
}

bool Order(const FileDescriptor& channel, GuardianOrder order) {
  return send(channel.get(), &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof order;
}

std::string DescribeNews(const GuardianNews& news) {
  const int status = news.value;
  if (news.kind == GuardianNews::Kind::kCannotRun) {
    return "could not be run: " + std::generic_category().message(status);
  }
  if (!WIFSIGNALED(status)) {
    return std::string(kExited) + std::to_string(WEXITSTATUS(status));
  }
  const char* const name = sigabbrev_np(WTERMSIG(status));
  return std::string(kKilledBy) +
         (name == nullptr ? "signal " + std::to_string(WTERMSIG(status)) : "SIG" + std::string(name)) +
         (WCOREDUMP(status) ? " (core dumped)" : "");
}

// How long a guardian may take, whose own waits are all bounded: one that takes longer was stopped, again and again.
constexpr std::chrono::seconds kGuardianPatience{20};
constexpr std::chrono::milliseconds kGuardianLook{100};
constexpr std::chrono::milliseconds kOrphanPause{10};
constexpr int kOrphanRounds = 200;

// Forks the guardian; returns its process id, -1 on failure.
pid_t ForkGuardian(const GuardianPlan& plan) {
  // All signals stay blocked in the guardian: neither a terminal nor a handler of ours may touch it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t guardian = _Fork();  // Runs no handlers: those of sanitizers take milliseconds.
  if (guardian == 0) {
    RunGuardian(plan);
  }
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return guardian;
}

// Those that there are. A server may kill its own: what that leaves becomes ours.
class Guardians {
 public:
  pid_t Fork(const GuardianPlan& plan) {
    const std::lock_guard lock(mutex_);  // Over both: none is there and not known.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t guardian = ForkGuardian(plan);
    if (guardian > 0) {
      pids_.insert(guardian);
    }
    return guardian;
  }

  // Waits for its end. Returns whether it came to it by itself: then nothing is left.
  bool Wait(pid_t guardian) {
    const auto deadline = Transport::Clock::now() + kGuardianPatience;
    const FileDescriptor end(static_cast<int>(syscall(SYS_pidfd_open, guardian, 0)));  // Its header is not for C++.
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(guardian, &status, WNOHANG)) == 0) {
      kill(guardian, SIGCONT);  // Its server may have stopped it.
      if (Transport::Clock::now() >= deadline) {
        KillAll(ProcessesUnder(guardian));
        kill(guardian, SIGKILL);
      }
      PollUntil(end.get(), POLLIN, Transport::Clock::now() + kGuardianLook);
    }
    const std::lock_guard lock(mutex_);
    pids_.erase(guardian);
    return ended > 0 && WIFEXITED(status);
  }

  // What guardians have left that were killed: of our children those of another session that are no guardians.
  void KillOrphans() {
    const std::lock_guard lock(mutex_);
    const auto is_none = [this](pid_t child) { return pids_.contains(child) || getsid(child) == getsid(0); };
    for (int round = 0; round < kOrphanRounds; ++round) {
      std::vector<pid_t> orphans = ChildrenOf(getpid());
      std::erase_if(orphans, is_none);
      if (orphans.empty()) {
        return;
      }
      KillAll(orphans);
      std::this_thread::sleep_for(kOrphanPause);
      std::ranges::for_each(orphans, [](pid_t orphan) { waitpid(orphan, nullptr, WNOHANG); });
    }
  }

 private:
  static void KillAll(const std::vector<pid_t>& processes) {
    std::ranges::for_each(processes, [](pid_t process) { kill(process, SIGKILL); });
  }

  std::mutex mutex_;
  std::set<pid_t> pids_;
};

Guardians& TheGuardians() {
  static Guardians* const guardians = new Guardians;  // For servers that are stopped at the very end, too.
  return *guardians;
}

// A path in $TMPDIR, or in /tmp, with `end`. Errors: a unix socket's path in it would be too long.
std::expected<std::string, Trouble> TemporaryPath(std::string_view end) {
  const char* const tmpdir = std::getenv("TMPDIR");
  std::error_code error;
  const std::filesystem::path parent =
      std::filesystem::absolute(tmpdir != nullptr && *tmpdir != '\0' ? tmpdir : "/tmp", error);
  std::string path = (parent / end).string();
  if (path.size() + std::string_view("/socket").size() > kUnixPathBytesMax) {
    return std::unexpected(Trouble{"The directory for temporary files, " + engine::Quoted(parent.string(), 200) +
                                   ", has a path too long for a unix socket in it: set TMPDIR to a shorter one, " +
                                   "such as /tmp."});
  }
  return path;
}

Trouble CannotMakeDirectory(const std::string& path, int error) {
  return {"Cannot make a directory in " + engine::Quoted(std::filesystem::path(path).parent_path().string(), 200) +
          ": " + std::generic_category().message(error) + ". Set TMPDIR to a directory you may write to."};
}

}  // namespace

std::expected<std::vector<std::string>, Trouble> SplitCommand(std::string_view command) {
  const auto wrong = [&](const std::string& what) {
    return std::unexpected(Trouble{"The command " + engine::Quoted(command, 200) + " cannot be run: " + what + "."});
  };
  if (command.contains('\0')) {
    return wrong("it has a NUL character");
  }
  std::vector<std::string> words;
  bool in_word = false;
  const auto add = [&](std::string_view text) {
    if (!std::exchange(in_word, true)) {
      words.emplace_back();
    }
    words.back() += text;
  };
  char quote = '\0';  // The one that is open.
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\'') {
      add({&c, 1});
    } else if (c == '"' || (c == '\'' && quote == '\0')) {
      quote = c;
      add("");  // '' is a word too.
    } else if (quote == '\0' && kBlanks.contains(c)) {
      in_word = false;
    } else if ((quote == '\0' ? kShellOnly : kShellOnlyInQuotes).contains(c)) {
      return wrong(std::string("no shell runs it, so ") + c + " has no meaning; put it in single quotes, or write " +
                   "sh -c '...' around it all");
    } else if (c == '\\') {
      const bool escapes = quote == '\0' || (i + 1 < command.size() && kEscapedInQuotes.contains(command[i + 1]));
      if (escapes && ++i == command.size()) {
        return wrong("nothing follows its last backslash");
      }
      if (command[i] != '\n') {  // A shell joins the lines.
        add(command.substr(i, 1));
      }
    } else {
      add({&c, 1});
    }
  }
  if (quote != '\0') {
    return wrong(quote == '"' ? "a double quote is not closed" : "a single quote is not closed");
  }
  if (words.empty()) {
    return wrong("it has no words");
  }
  return words;
}

std::string Filled(std::string text, std::string_view placeholder, const std::string& value) {
  for (std::size_t at = text.find(placeholder); at != std::string::npos; at = text.find(placeholder, at)) {
    text.replace(at, placeholder.size(), value);
    at += value.size();
  }
  return text;
}

std::string TellLastWords(std::string_view words) {
  constexpr std::size_t kLinesMax = 4;
  constexpr std::size_t kLineBytesMax = 200;
  words = words.substr(0, words.find_last_not_of(" \t\r\n") + 1);
  if (words.empty()) {
    return "It said nothing.";
  }
  std::vector<std::string> lines;
  std::istringstream stream{std::string(words)};
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(engine::Quoted(line, kLineBytesMax));
  }
  std::string shown;
  for (const std::string& line : std::span(lines).last(std::min(lines.size(), kLinesMax))) {
    shown += (shown.empty() ? "" : ", ") + line;
  }
  return "Its last words: " + shown + ".";
}

std::string QuoteWord(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, NeedsNoQuotes)) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const char c : word) {
    // A quote ends the quotes, stands for itself behind a backslash, and begins them again.
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

std::expected<PrivateDirectory, Trouble> PrivateDirectory::Make() {
  NBDSPEC_ASSIGN_OR_RETURN(path, TemporaryPath("nbdspec-XXXXXX"));
  if (mkdtemp(path.data()) == nullptr) {
    return std::unexpected(CannotMakeDirectory(path, errno));
  }
  return PrivateDirectory(std::move(path), /*is_made=*/true);
}

std::expected<PrivateDirectory, Trouble> PrivateDirectory::Choose() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string end = "nbdspec-XXXXXX";
  for (char& c : std::span(end).last(6)) {
    std::uint32_t random = 0;
    (void)getrandom(&random, sizeof random, 0);  // Were they equal, the second could not be made.
    c = kLetters[random % kLetters.size()];
  }
  NBDSPEC_ASSIGN_OR_RETURN(path, TemporaryPath(end));
  return PrivateDirectory(std::move(path), /*is_made=*/false);
}

PrivateDirectory::~PrivateDirectory() {
  if (!path_.empty() && is_made_) {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
}

std::string PrivateDirectory::Release() { return std::exchange(path_, {}); }

std::expected<void, Trouble> WriteNewFile(const std::string& path, std::string_view text) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open() || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return std::unexpected(Trouble{"Cannot write " + engine::Quoted(path, 200) + ": " +
                                   std::generic_category().message(errno) +
                                   ". Set TMPDIR to a directory with space left."});
  }
  return {};
}

std::optional<std::string> FindExecutable(const std::string& name) {
  if (name.contains('/')) {
    return IsExecutableFile(name) ? std::optional(name) : std::nullopt;
  }
  const char* const path = std::getenv("PATH");
  std::istringstream folders((path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin") + std::string(":"));
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (IsExecutableFile(candidate)) {
      return candidate;
    }
  }
  return {};
}

std::expected<void, Trouble> CanStopDaemons(const char* children_file) {
  if (access(children_file, R_OK) == 0) {
    return {};
  }
  return std::unexpected(Trouble{std::string(children_file) + " cannot be read (" +
                                 std::generic_category().message(errno) +
                                 "): without it a server that becomes a daemon would be left running. Mount it: "
                                 "mount -t proc proc /proc"});
}

std::expected<std::unique_ptr<ServerProcess>, Trouble> ServerProcess::Start(
    const std::vector<std::string>& words, PrivateDirectory directory,
    const std::function<std::expected<void, Trouble>()>& prepare) {
  NBDSPEC_RETURN_IF_ERROR(CanStopDaemons(kChildrenFile));
  const std::optional<std::string> executable = FindExecutable(words.front());
  if (!executable) {
    return std::unexpected(Trouble{"Cannot start " + engine::Quoted(words.front()) +
                                   ": there is no such command. Check its spelling and PATH."});
  }
  NBDSPEC_ASSIGN_OR_RETURN(process, Prepare(words, *executable, std::move(directory), prepare));
  if (!Order(process->channel_, GuardianOrder::kStart)) {
    return std::unexpected(CannotStart(words.front()));
  }
  return std::move(process);
}

std::expected<std::unique_ptr<ServerProcess>, Trouble> ServerProcess::Keep(
    PrivateDirectory directory, const std::function<std::expected<void, Trouble>()>& prepare) {
  // Its guardian waits for an order to start what never comes.
  return Prepare({"what removes a directory"}, "", std::move(directory), prepare);
}

// All but the start: the guardian is there, and the directory with what is to be in it.
std::expected<std::unique_ptr<ServerProcess>, Trouble> ServerProcess::Prepare(
    const std::vector<std::string>& words, const std::string& executable, PrivateDirectory directory,
    const std::function<std::expected<void, Trouble>()>& prepare) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return std::unexpected(CannotStart(words.front()));
  }
  FileDescriptor guardian_end(ends[1]);
  // Not make_unique: the constructor is private.
  std::unique_ptr<ServerProcess> process(new ServerProcess(FileDescriptor(ends[0])));
  NBDSPEC_RETURN_IF_ERROR(process->Guard(words, executable, directory, std::move(guardian_end)));
  process->directory_.emplace(std::move(directory));
  NBDSPEC_RETURN_IF_ERROR(prepare());
  return process;
}

// Starts the guardian, which makes the directory and the log.
std::expected<void, Trouble> ServerProcess::Guard(const std::vector<std::string>& words, const std::string& executable,
                                                  const PrivateDirectory& directory, FileDescriptor guardian_end) {
  std::vector<char*> arguments;
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));  // execve's signature is older than const.
  }
  arguments.push_back(nullptr);
  const std::string mount_point = directory.mount_path();
  const std::string log = directory.PathOf("log");
  const std::optional<std::string> fusermount = FindExecutable("fusermount3");
  guardian_ = TheGuardians().Fork({.executable = executable.c_str(),
                                   .arguments = arguments.data(),
                                   .environment = environ,
                                   .directory = directory.path().c_str(),
                                   .makes_directory = !directory.is_made(),
                                   .log = log.c_str(),
                                   .mount_point = mount_point.c_str(),
                                   .fusermount = fusermount ? fusermount->c_str() : nullptr,
                                   .channel = guardian_end.get(),
                                   .descriptors = DescriptorsOfServers()});
  if (guardian_ < 0) {
    return std::unexpected(CannotStart(words.front()));
  }
  guardian_end = FileDescriptor();  // Else the guardian's end would not be seen here.
  GuardianNews news = {};
  const ssize_t got = recv(channel_.get(), &news, sizeof news, 0);
  if (got == sizeof news && news.kind == GuardianNews::Kind::kCannotMake) {
    return std::unexpected(CannotMakeDirectory(directory.path(), news.value));
  }
  log_ = FileDescriptor(got == sizeof news ? open(log.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  return log_.is_open() ? std::expected<void, Trouble>() : std::unexpected(CannotStart(words.front()));
}

bool IsEndOnRequest(std::string_view how) {
  return how.starts_with(kExited) || how == std::string(kKilledBy) + "SIGTERM";
}

ServerProcess::~ServerProcess() { Stop(); }

void ServerProcess::ShutDown() {
  const auto deadline = Transport::Clock::now() + kSignalWait;
  if (!Order(channel_, GuardianOrder::kShutDown)) {
    return;
  }
  WaitForAnswer(deadline);
  const auto has_signal = [](pid_t process) { return IsPending(process, SIGTERM); };
  while (std::ranges::any_of(ProcessesUnder(guardian_), has_signal) && Transport::Clock::now() < deadline) {
    std::this_thread::sleep_for(kSignalPause);
  }
}

void ServerProcess::Kill() {
  (void)Order(channel_, GuardianOrder::kKill);  // Fails only when all is gone already.
  Stop();
}

void ServerProcess::Stop() {
  if (guardian_ < 0) {
    return;
  }
  // Not close: a process forked elsewhere in the meantime may hold a copy of our end.
  shutdown(channel_.get(), SHUT_RDWR);
  if (!TheGuardians().Wait(guardian_)) {
    TheGuardians().KillOrphans();
    std::error_code ignored;
    std::filesystem::remove_all(directory_ ? directory_->path() : "", ignored);
  }
  guardian_ = -1;
}

std::optional<std::string> ServerProcess::EndedBy(Transport::Clock::time_point deadline) {
  while (!ended_ && PollUntil(channel_.get(), POLLIN, deadline) != 0) {
    TakeNews();
  }
  return ended_;
}

std::optional<std::string> ServerProcess::EndedUnlessCancelled(Transport::Clock::time_point deadline) {
  for (;;) {
    const auto now = Transport::Clock::now();
    const auto ended = EndedBy(std::min(deadline, now + kCancelLook));
    if (ended || now >= deadline || AreWaitsForServersOver()) {
      return ended;
    }
  }
}

// The news of an order, what comes before them included. Returns whether they came.
bool ServerProcess::WaitForAnswer(Transport::Clock::time_point deadline) {
  News news = News::kEnd;
  while (news == News::kEnd && PollUntil(channel_.get(), POLLIN, deadline) != 0) {
    news = TakeNews();
  }
  return news == News::kAnswer;
}

ServerProcess::News ServerProcess::TakeNews() {
  GuardianNews news = {};
  const bool is_told = recv(channel_.get(), &news, sizeof(news), MSG_DONTWAIT) == sizeof(news);
  if (is_told && news.kind == GuardianNews::Kind::kAnswered) {
    return News::kAnswer;
  }
  if (is_told && news.kind == GuardianNews::Kind::kEnded && WIFEXITED(news.value)) {
    exit_status_ = WEXITSTATUS(news.value);
  }
  if (!ended_) {
    ended_ = is_told ? DescribeNews(news) : "was stopped by the end of the process that watches it";
  }
  return is_told ? News::kEnd : News::kNobodyThere;
}

std::optional<Usage> ServerProcess::ReadUsage() const { return UsageUnder(guardian_); }

std::string ServerProcess::LastWords(std::size_t bytes_max) {
  if (guardian_ >= 0 && Order(channel_, GuardianOrder::kDrain)) {
    WaitForAnswer(Transport::Clock::now() + kSignalWait);
  }
  struct stat status = {};
  if (fstat(log_.get(), &status) != 0) {
    return {};
  }
  const off_t kept = std::min(status.st_size, static_cast<off_t>(bytes_max));
  std::string words(static_cast<std::size_t>(kept), '\0');
  const ssize_t got = pread(log_.get(), words.data(), words.size(), status.st_size - kept);
  words.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return words;
}

}  // namespace nbdspec::conformance
