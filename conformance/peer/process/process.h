// SPDX-License-Identifier: BSD-3-Clause
// Servers as processes: their command lines as text, the directory of each, and its process from start to complete
// removal. See guardian.h for how nothing is left behind.

#pragma once

#include <sys/types.h>

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// Splits `command` into words as a POSIX shell does with blanks, '...', "..." and backslashes; at least one word.
// Errors: no word, an open quote, a last backslash, NUL, or an unquoted character that only a shell gives a meaning
// to ($ ` | & ; < > and parentheses): no shell ever runs it, so it would silently not have it here.
// Example: a 'b c' "d\"e" f\ g -> a, b c, d"e, f g
std::expected<std::vector<std::string>, engine::Trouble> SplitCommand(std::string_view command);

// `text` with `value` in each place of `placeholder`, "{socket}". What stands in `value` is no placeholder.
std::string Filled(std::string text, std::string_view placeholder, const std::string& value);

// What a server said last, as a sentence: the last lines of `words`, each quoted, or that there are none.
std::string TellLastWords(std::string_view words);

// `word` as a shell, and SplitCommand, read it back: quoted only when it has to be.
std::string QuoteWord(std::string_view word);

// A directory of our own for one server: its socket, image, configuration and log. Nobody else may look into it.
class PrivateDirectory {
 public:
  // Makes a new one with mode 0700 in $TMPDIR, or in /tmp.
  // Errors: it cannot be made, or a unix socket's path in it would be too long.
  static std::expected<PrivateDirectory, engine::Trouble> Make();

  // Only chooses where it is to be: ServerProcess::Start makes it, and a process that removes it, whatever becomes of
  // nbdspec, with it. Errors: as of Make; that it cannot be made is Start's.
  static std::expected<PrivateDirectory, engine::Trouble> Choose();

  // Removes it with all that is in it, unless released, or not made.
  ~PrivateDirectory();
  PrivateDirectory(PrivateDirectory&& other) noexcept : is_made_(other.is_made_), path_(other.Release()) {}
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;

  // Absolute.
  [[nodiscard]] const std::string& path() const { return path_; }

  // The path of a file in it.
  [[nodiscard]] std::string PathOf(std::string_view name) const { return path_ + "/" + std::string(name); }

  // The unix socket in it: short enough for one.
  [[nodiscard]] std::string socket_path() const { return PathOf("socket"); }

  // Where a process may mount a file: a ServerProcess unmounts it when it stops.
  [[nodiscard]] std::string mount_path() const { return PathOf("mounted"); }

  // Whether it is there, and not only chosen.
  [[nodiscard]] bool is_made() const { return is_made_; }

  // Leaves its removal to the caller; returns its path.
  std::string Release();

 private:
  PrivateDirectory(std::string path, bool is_made) : is_made_(is_made), path_(std::move(path)) {}

  bool is_made_;
  std::string path_;  // Empty when released.
};

// Makes a file with mode 0600. Errors: it is there already, or cannot be written.
std::expected<void, engine::Trouble> WriteNewFile(const std::string& path, std::string_view text);

// The file that `name` runs: itself when it has a slash, else the first in PATH. Nothing when there is none.
std::optional<std::string> FindExecutable(const std::string& name);

// Whether daemons that a server becomes can be stopped: `children_file` lists children. Errors: it cannot be read.
std::expected<void, engine::Trouble> CanStopDaemons(const char* children_file);

// Whether `how`, of ServerProcess::EndedBy, is how a process ends that was asked to: not by another signal.
bool IsEndOnRequest(std::string_view how);

class ServerProcess {
 public:
  // Starts `words` (words[0] is looked up in PATH), with /dev/null as standard input. `directory` becomes the
  // process's own: it is removed when the process is gone, and when nbdspec is killed. `prepare` makes what there
  // is to be in it, before the process runs. That this does not run may be known only later, from Ended.
  // Errors: no such command, no directory, no more processes, or no /proc; those of `prepare`.
  static std::expected<std::unique_ptr<ServerProcess>, engine::Trouble> Start(
      const std::vector<std::string>& words, PrivateDirectory directory,
      const std::function<std::expected<void, engine::Trouble>()>& prepare =
          [] -> std::expected<void, engine::Trouble> { return {}; });

  // Starts nothing: only keeps `directory`, with what `prepare` makes in it, until the end of this, or of nbdspec.
  // Errors: there is no directory; those of `prepare`.
  static std::expected<std::unique_ptr<ServerProcess>, engine::Trouble> Keep(
      PrivateDirectory directory, const std::function<std::expected<void, engine::Trouble>()>& prepare);

  // Stops it, with everything it started, and removes its directory. Takes up to some seconds, also of a server that
  // has stopped or killed the process that watches it.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Asks it to end, by SIGTERM. Returns when no process of it has the signal before it any more, or soon after.
  void ShutDown();

  // Kills it, with everything it started, which have no time for a last write; then stops it.
  void Kill();

  // Waits for it to end of itself, until `deadline`: how it did ("exited with status 1"), or nothing.
  // A daemon has ended when one of its processes was killed, or when all of them are gone.
  std::optional<std::string> EndedBy(Transport::Clock::time_point deadline);

  // The same; not when nobody waits for servers any more (EndWaitsForServersWhen).
  std::optional<std::string> EndedUnlessCancelled(Transport::Clock::time_point deadline);

  [[nodiscard]] const PrivateDirectory& directory() const { return *directory_; }

  // Once it has ended: the status that it exited with; nothing where a signal killed it, or nobody knows.
  [[nodiscard]] std::optional<int> ExitStatus() const { return exit_status_; }

  // What it and all that it started use; nothing when it has ended, or that cannot be seen.
  [[nodiscard]] std::optional<Usage> ReadUsage() const;

  // The last bytes of its standard output and error, as they are.
  [[nodiscard]] std::string LastWords(std::size_t bytes_max = 4096);

 private:
  enum class News { kEnd, kAnswer, kNobodyThere };

  explicit ServerProcess(FileDescriptor channel) : channel_(std::move(channel)) {}

  static std::expected<std::unique_ptr<ServerProcess>, engine::Trouble> Prepare(
      const std::vector<std::string>& words, const std::string& executable, PrivateDirectory directory,
      const std::function<std::expected<void, engine::Trouble>()>& prepare);
  std::expected<void, engine::Trouble> Guard(const std::vector<std::string>& words, const std::string& executable,
                                             const PrivateDirectory& directory, FileDescriptor guardian_end);
  bool WaitForAnswer(Transport::Clock::time_point deadline);
  void Stop();
  News TakeNews();

  FileDescriptor channel_;
  FileDescriptor log_;
  std::optional<PrivateDirectory> directory_;
  pid_t guardian_ = -1;
  std::optional<std::string> ended_;
  std::optional<int> exit_status_;
};

}  // namespace nbdspec::conformance
