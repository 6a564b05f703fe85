// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/script_corpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/findings/script_file.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {

using engine::Trouble;

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWriting = ".writing";
constexpr std::string_view kEnd = ".script";
constexpr std::chrono::hours kForgottenAfter{1};  // What is written is there within seconds, unless its writer died.
constexpr std::size_t kPathShownMax = 200;

std::unexpected<Trouble> Unusable(const std::string& path, const std::string& why) {
  return std::unexpected(
      Trouble{"The corpus " + engine::Quoted(path, kPathShownMax) + " cannot be used: " + why + "."});
}

std::string Why(int error) { return std::generic_category().message(error); }

// The files of scripts, sorted. What was left half written long ago is removed.
std::expected<std::vector<std::string>, Trouble> FilesIn(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    std::error_code unseen;
    if (!name.starts_with('.')) {
      files.push_back(each->path().string());
    } else if (name.ends_with(kWriting) &&
               fs::file_time_type::clock::now() - each->last_write_time(unseen) > kForgottenAfter && !unseen) {
      fs::remove(each->path(), unseen);
    }
    if (files.size() > ScriptCorpus::kFilesMax) {
      return Unusable(directory, "it has more than " + std::to_string(ScriptCorpus::kFilesMax) +
                                     " files; name one with fewer scripts");
    }
  }
  if (error) {
    return Unusable(directory, error.message());
  }
  std::ranges::sort(files);
  return files;
}

std::expected<engine::Script, Trouble> ReadScriptFile(const std::string& path, std::uint64_t& bytes_left) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {  // Of a pipe the end may never come.
    return std::unexpected(Trouble{engine::Quoted(path, kPathShownMax) +
                                   " in the corpus is no file; name a directory that has only scripts in it."});
  }
  NBDSPEC_ASSIGN_OR_RETURN(text, ReadFile(path, ScriptCorpus::kFileBytesMax));
  if (text.size() > bytes_left) {
    return Unusable(fs::path(path).parent_path().string(), "its files have more than " +
                                                               engine::PrintNumber(ScriptCorpus::kBytesMax) +
                                                               " bytes; name one with fewer scripts");
  }
  bytes_left -= text.size();
  auto script = ParseScriptToSend(text);
  if (!script) {
    return std::unexpected(Trouble{engine::Quoted(path, kPathShownMax) + " in the corpus is no script: " +
                                   script.error().sentence + ". Mend or remove it, or name another directory."});
  }
  return script;
}

// Whether all of `text` is in a new file at `path`, and will be after a power cut. Else errno says why not.
bool WriteSynced(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) {
    return false;
  }
  bool is_written = true;
  while (is_written && !text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    is_written = count > 0;
    text.remove_prefix(is_written ? static_cast<std::size_t>(count) : 0);
  }
  is_written = is_written && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  errno = error;
  return is_written;
}

// That no other process, here or elsewhere, writes to the same name.
std::string OwnName(const std::string& name) {
  static std::atomic<std::uint64_t> count = 0;
  const auto now = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  return "." + name + "." + std::to_string(::getpid()) + "-" + std::to_string(now) + "-" + std::to_string(++count) +
         std::string(kWriting);
}

}  // namespace

std::string NameInCorpus(std::string_view text) {
  std::array<std::uint64_t, 2> hashes = {1, 2};
  for (std::uint64_t& hash : hashes) {
    hash = Mix({hash, text.size()});
    for (const char c : text) {
      hash = Mix({hash, static_cast<std::uint8_t>(c)});
    }
  }
  std::array<char, 33> name = {};
  std::snprintf(name.data(), name.size(), "%016jx%016jx", std::uintmax_t{hashes[0]}, std::uintmax_t{hashes[1]});
  return name.data() + std::string(kEnd);
}

std::expected<ScriptCorpus, Trouble> ScriptCorpus::Open(std::string directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error || ::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return Unusable(directory, (error ? error.message() : Why(errno)) + "; name another directory with --corpus");
  }
  NBDSPEC_ASSIGN_OR_RETURN(files, FilesIn(directory));
  ScriptCorpus corpus(std::move(directory));
  std::uint64_t bytes_left = kBytesMax;
  for (const std::string& file : files) {
    NBDSPEC_ASSIGN_OR_RETURN(script, ReadScriptFile(file, bytes_left));
    corpus.scripts_.push_back(std::move(script));
  }
  return corpus;
}

std::expected<void, Trouble> ScriptCorpus::Add(const engine::Script& script) {
  const std::string text = Print(script);
  const std::string name = NameInCorpus(text);
  const std::string path = directory_ + "/" + name;
  std::error_code error;
  if (added_count_ >= kFilesMax || text.size() > kFileBytesMax || fs::exists(path, error)) {
    return {};
  }
  const std::string written = directory_ + "/" + OwnName(name);
  if (!WriteSynced(written, text) || ::rename(written.c_str(), path.c_str()) != 0) {
    const int why = errno;
    ::unlink(written.c_str());
    return std::unexpected(Trouble{"Cannot write " + engine::Quoted(path, kPathShownMax) + " into the corpus: " +
                                   Why(why) + ". Name a directory with space left with --corpus."});
  }
  ++added_count_;
  return {};
}

}  // namespace nbdspec::fuzz
