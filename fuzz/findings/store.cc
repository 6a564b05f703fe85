// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/read_file.h"

namespace nbdspec::fuzz {

namespace {

using engine::Trouble;
using Files = std::map<std::string, std::string>;  // Contents by name.

constexpr const char* kAbout = "about.json";
constexpr const char* kScript = "script.txt";
constexpr const char* kCase = "case.txt";
constexpr const char* kWhole = "whole.txt";
constexpr const char* kTranscript = "transcript.txt";
constexpr const char* kStderr = "stderr.txt";
constexpr std::string_view kBefore = ".before";
constexpr int kNamesMax = 100000;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 30;

// FNV-1a. It is for files torn by accident, not by an enemy.
std::uint64_t Checksum(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  }
  return hash;
}

std::string Text(engine::ByteView bytes) { return {bytes.begin(), bytes.end()}; }
engine::Bytes BytesOf(std::string_view text) { return {text.begin(), text.end()}; }

std::string Numbered(std::string_view name, std::size_t index) {
  return std::string(name) + (index == 0 ? "" : "-" + std::to_string(index + 1)) + ".bin";
}

std::unexpected<Trouble> CannotWrite(const std::string& path) {
  return std::unexpected(Trouble{"Cannot write the finding " + engine::Quoted(path, 200) + ": " +
                                 std::generic_category().message(errno) +
                                 ". Name a directory with space left with --findings."});
}

// The same, and what was written of it is removed.
std::unexpected<Trouble> CannotWriteAll(const std::string& path) {
  auto trouble = CannotWrite(path);
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  return trouble;
}

bool WriteSynced(const std::string& path, std::string_view text) {
  std::FILE* const file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    return false;
  }
  const bool is_written = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 &&
                          ::fsync(::fileno(file)) == 0;
  const int error = errno;
  std::fclose(file);
  errno = error;
  return is_written;
}

bool SyncDirectory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) {
    ::close(fd);
  }
  return is_synced;
}

FileFacts FactsOf(std::string_view text) { return {.bytes = text.size(), .fnv1a = Checksum(text)}; }

Files FilesOf(const Finding& finding) {
  Files files = {{kStderr, finding.server_stderr}};
  if (finding.client_case.empty()) {
    files[kScript] = Print(finding.script);
  } else {
    files[kCase] = finding.client_case;
  }
  if (finding.whole) {
    files[kWhole] = Print(*finding.whole);
  }
  std::string& transcript = files[kTranscript];
  for (const std::string& line : finding.transcript) {
    transcript += line + "\n";
  }
  for (std::size_t i = 0; i < finding.connections.size(); ++i) {
    files[Numbered("sent", i)] = Text(finding.connections[i].sent);
    files[Numbered("received", i)] = Text(finding.connections[i].received);
  }
  return files;
}

// Writes all of `finding` as the new directory `path`, to be called `name`.
bool WriteFiles(const Finding& finding, const std::string& path, const std::string& name) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (::mkdir(path.c_str(), 0755) != 0) {
    return false;
  }
  About about = {.finding = finding, .replay = ReplayLine(finding, name)};
  for (const auto& [file, text] : FilesOf(finding)) {
    if (!WriteSynced(path + "/" + file, text)) {
      return false;
    }
    about.files[file] = FactsOf(text);
  }
  return WriteSynced(path + "/" + kAbout, Print(about)) && SyncDirectory(path);
}

std::string InProgress(const std::string& name) {
  const std::filesystem::path path(name);
  return (path.parent_path() / ("." + path.filename().string() + ".writing")).string();
}

std::unexpected<Trouble> Torn(const std::string& path, std::string_view why) {
  return std::unexpected(Trouble{"The finding " + engine::Quoted(path, 200) + " is torn: " + std::string(why) +
                                 ". Something other than nbdspec has cut or changed it; restore it from a copy."});
}

std::optional<std::string> ReadWhole(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {  // Of a pipe the end may never come.
    return {};
  }
  auto text = ReadFile(path, kFileBytesMax);
  return text ? std::optional(*std::move(text)) : std::nullopt;
}

// The contents of every file that about.json names. Errors: one is missing, or is not what was written.
std::expected<Files, Trouble> ReadFiles(const std::string& directory, const About& about) {
  Files files;
  for (const auto& [name, facts] : about.files) {
    auto text = ReadWhole(directory + "/" + name);
    if (!text) {
      return Torn(directory, engine::Quoted(name) + " cannot be read");
    }
    if (FactsOf(*text) != facts) {
      return Torn(directory, engine::Quoted(name) + " is not what was written");
    }
    files.emplace(name, std::move(*text));
  }
  return files;
}

std::vector<std::string> LinesIn(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::expected<FindingStore, Trouble> FindingStore::Open(std::string directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || ::access(directory.c_str(), W_OK | X_OK) != 0) {
    const std::string why = error ? error.message() : std::generic_category().message(errno);
    return std::unexpected(Trouble{"Cannot keep findings in " + engine::Quoted(directory, 200) + ": " + why +
                                   ". Name another directory with --findings."});
  }
  return FindingStore(std::move(directory));
}

std::expected<std::string, Trouble> FindingStore::Save(const Finding& finding) {
  for (int number = 1; number < kNamesMax; ++number) {
    const std::string name = directory_ + "/" + KeyOf(finding) + "-" + std::to_string(number);
    std::error_code error;
    if (std::filesystem::exists(name, error)) {
      continue;
    }
    const std::string written = directory_ + "/." + KeyOf(finding) + "." + std::to_string(::getpid()) + ".writing";
    if (!WriteFiles(finding, written, name)) {
      return CannotWriteAll(written);
    }
    if (::rename(written.c_str(), name.c_str()) == 0) {
      SyncDirectory(directory_);
      return name;
    }
    if (errno != EEXIST && errno != ENOTEMPTY) {  // Another run took the name meanwhile.
      return CannotWrite(name);
    }
  }
  errno = EEXIST;
  return CannotWrite(directory_);
}

std::expected<void, Trouble> FindingStore::Replace(const std::string& saved, const Finding& finding) {
  const std::string written = InProgress(saved);
  const std::string before = saved + std::string(kBefore);
  std::error_code error;
  if (!WriteFiles(finding, written, saved)) {
    return CannotWriteAll(written);
  }
  std::filesystem::remove_all(before, error);  // Left by a crash: `saved` is the newer one.
  if (::rename(saved.c_str(), before.c_str()) != 0 || ::rename(written.c_str(), saved.c_str()) != 0) {
    return CannotWrite(saved);
  }
  SyncDirectory(directory_);
  std::filesystem::remove_all(before, error);
  return {};
}

void FindingStore::Remove(const std::string& saved) {
  const std::string unseen = InProgress(saved);  // Half of it would look like a torn finding after a kill.
  std::error_code error;
  std::filesystem::remove_all(unseen, error);
  std::filesystem::rename(saved, unseen, error);
  std::filesystem::remove_all(unseen, error);
}

std::expected<FindingKeeper, Trouble> FindingKeeper::Open(const std::string& directory) {
  FindingKeeper keeper;
  if (!directory.empty()) {
    NBDSPEC_ASSIGN_OR_RETURN(store, FindingStore::Open(directory));
    keeper.store_ = std::move(store);
  }
  return keeper;
}

std::string FindingKeeper::Save(const Finding& finding) {
  if (!store_) {
    return {};
  }
  if (auto saved = store_->Save(finding); saved) {
    return *std::move(saved);
  } else {
    Stop(std::move(saved).error());
    return {};
  }
}

void FindingKeeper::Replace(const std::string& saved, const Finding& finding) {
  if (!store_ || saved.empty()) {
    return;
  }
  if (auto replaced = store_->Replace(saved, finding); !replaced) {
    Stop(std::move(replaced).error());
  }
}

void FindingKeeper::Remove(const std::string& saved) {
  if (store_ && !saved.empty()) {
    store_->Remove(saved);
  }
}

void FindingKeeper::Stop(Trouble why) {
  trouble_ = std::move(why);
  store_.reset();
}

std::chrono::milliseconds TimeForOne(std::chrono::milliseconds limit, std::chrono::milliseconds left,
                                     std::chrono::milliseconds most) {
  constexpr std::chrono::milliseconds kGraceMin{1000};  // What the last one may take after the time is over,
  constexpr int kGraceShare = 10;                       // and as a share of all.
  if (limit.count() == 0) {
    return most;
  }
  const auto grace = std::max(kGraceMin, limit / kGraceShare);
  return std::clamp((left.count() > 0 ? left / 2 : left) + grace, std::chrono::milliseconds(0), most);
}

std::expected<Finding, Trouble> ReadFinding(const std::string& directory) {
  const auto text = ReadWhole(directory + "/" + kAbout);
  if (!text) {
    return std::unexpected(Trouble{"There is no finding in " + engine::Quoted(directory, 200) +
                                   ": its about.json cannot be read. Name the directory of one."});
  }
  auto about = ParseAbout(*text);
  if (!about) {
    return Torn(directory, about.error().sentence);
  }
  NBDSPEC_ASSIGN_OR_RETURN(files, ReadFiles(directory, *about));
  Finding& finding = about->finding;
  finding.client_case = files[kCase];
  for (const char* const name : {kScript, kWhole}) {
    if ((name == kWhole || !finding.client_case.empty()) && !files.contains(name)) {
      continue;
    }
    auto script = engine::ParseScript(files[name]);
    if (!script) {
      return Torn(directory, std::string(name) + ", " + script.error().sentence);
    }
    (name == kWhole ? finding.whole.emplace() : finding.script) = *std::move(script);
  }
  finding.transcript = LinesIn(files[kTranscript]);
  finding.server_stderr = files[kStderr];
  for (std::size_t i = 0; i < finding.connections.size(); ++i) {
    finding.connections[i].sent = BytesOf(files[Numbered("sent", i)]);
    finding.connections[i].received = BytesOf(files[Numbered("received", i)]);
  }
  return std::move(about->finding);
}

std::vector<std::string> ListFindings(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    const bool is_whole = !name.starts_with(".");
    // While one is replaced the older is beside it; it counts when the newer did not get its place.
    const std::string path = each->path().string();
    std::error_code unseen;
    const bool is_replaced =
        name.ends_with(kBefore) && std::filesystem::exists(path.substr(0, path.size() - kBefore.size()), unseen);
    if (is_whole && !is_replaced && std::filesystem::exists(each->path() / kAbout, unseen)) {
      found.push_back(path);
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace nbdspec::fuzz
