// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/finding_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/fold.h"
#include "fuzz/findings/script_file.h"

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
// Of one finding that is read. Its streams are only compared with their checksums; the rest is kept in memory.
constexpr std::uint64_t kTextsBytesMax = std::uint64_t{64} << 20;
constexpr std::uint64_t kStreamsBytesMax = std::uint64_t{2} << 30;
constexpr std::size_t kTranscriptLinesMax = 100000;  // The last ones.
constexpr std::string_view kStreamEnd = ".bin";

// FNV-1a. It is for files torn by accident, not by an enemy.
class Checksum {
 public:
  void Add(std::string_view text) {
    facts_.bytes += text.size();
    for (const char c : text) {
      facts_.fnv1a = (facts_.fnv1a ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    }
  }
  [[nodiscard]] const FileFacts& facts() const { return facts_; }

 private:
  FileFacts facts_ = {.bytes = 0, .fnv1a = 0xcbf29ce484222325};
};

std::string Text(engine::ByteView bytes) { return {bytes.begin(), bytes.end()}; }

std::string Numbered(std::string_view name, std::size_t index) {
  return std::string(name) + (index == 0 ? "" : "-" + std::to_string(index + 1)) + std::string(kStreamEnd);
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

FileFacts FactsOf(std::string_view text) {
  Checksum sum;
  sum.Add(text);
  return sum.facts();
}

// For people, who look at it on a terminal.
std::string EscapedLines(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const bool stays = c == '\n' || c == '\t' || c == '"' || c == '\\';
    escaped += stays ? std::string(1, c) : engine::Escaped(static_cast<std::uint8_t>(c));
  }
  return escaped;
}

Files FilesOf(const Finding& finding) {
  Files files = {{kStderr, EscapedLines(finding.server_stderr)}};
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

std::unexpected<Trouble> Torn(const std::string& path, std::string_view why) {
  return std::unexpected(Trouble{"The finding " + engine::Quoted(path, 200) + " is torn: " + std::string(why) +
                                 ". Something other than nbdspec has cut or changed it; restore it from a copy."});
}

std::unexpected<Trouble> TooLarge(const std::string& path, const std::string& what, std::uint64_t most) {
  return std::unexpected(Trouble{"The finding " + engine::Quoted(path, 200) + " is not read: " + what + " more than " +
                                 std::to_string(most) + " bytes, and nbdspec keeps none like that."});
}

// Of the file at `path`: what it is, and its bytes where `keeps` says so; no more than `bytes_max` and a piece are
// read. Nothing: it cannot be read.
struct Taken {
  FileFacts facts;
  std::string text;
};
std::optional<Taken> TakeFile(const std::string& path, std::uint64_t bytes_max, bool keeps) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {  // Of a pipe the end may never come.
    return {};
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) {
    return {};
  }
  Checksum sum;
  std::string text;
  std::array<char, 65536> piece{};
  for (std::size_t got = piece.size(); got == piece.size() && sum.facts().bytes <= bytes_max;) {
    got = std::fread(piece.data(), 1, piece.size(), file.get());
    sum.Add({piece.data(), got});
    text.append(piece.data(), keeps ? got : 0);
  }
  return std::ferror(file.get()) != 0 ? std::nullopt : std::optional(Taken{sum.facts(), std::move(text)});
}

bool IsStream(std::string_view name) { return name.ends_with(kStreamEnd); }

// Whether it is not too much, by what about.json says: nothing is read that it does not say.
std::expected<void, Trouble> CheckSizes(const std::string& directory, const About& about) {
  std::uint64_t texts = 0;
  std::uint64_t streams = 0;
  for (const auto& [name, facts] : about.files) {
    std::uint64_t& sum = IsStream(name) ? streams : texts;
    sum += std::min(facts.bytes, kStreamsBytesMax + 1);  // There are few: it does not overflow.
  }
  if (texts > kTextsBytesMax) {
    return TooLarge(directory, "its texts have", kTextsBytesMax);
  }
  if (streams > kStreamsBytesMax) {
    return TooLarge(directory, "what was sent and received has", kStreamsBytesMax);
  }
  return {};
}

// The contents of every file that about.json names; of streams where `keeps_streams` says so.
// Errors: one is missing, or is not what was written; they are too large.
std::expected<Files, Trouble> ReadFiles(const std::string& directory, const About& about, bool keeps_streams) {
  NBDSPEC_RETURN_IF_ERROR(CheckSizes(directory, about));
  Files files;
  for (const auto& [name, facts] : about.files) {
    auto taken = TakeFile(directory + "/" + name, facts.bytes, keeps_streams || !IsStream(name));
    if (!taken) {
      return Torn(directory, engine::Quoted(name) + " cannot be read");
    }
    if (taken->facts != facts) {
      return Torn(directory, engine::Quoted(name) + " is not what was written");
    }
    files.emplace(name, std::move(taken->text));
  }
  return files;
}

// The last lines.
std::vector<std::string> LinesIn(const std::string& text) {
  std::deque<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(std::move(line));
    if (lines.size() > kTranscriptLinesMax) {
      lines.pop_front();
    }
  }
  return {std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end())};
}

std::expected<About, Trouble> ReadAbout(const std::string& directory) {
  const auto text = TakeFile(directory + "/" + kAbout, kAboutBytesMax, /*keeps=*/true);
  if (!text) {
    return std::unexpected(Trouble{"There is no finding in " + engine::Quoted(directory, 200) +
                                   ": its about.json cannot be read. Name the directory of one."});
  }
  auto about = ParseAbout(text->text);
  if (!about) {
    return Torn(directory, about.error().sentence);
  }
  return about;
}

engine::Bytes BytesOf(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

bool HoldsFinding(const std::string& directory) {
  std::error_code error;
  return std::filesystem::exists(directory + "/" + kAbout, error);
}

bool SyncDirectory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) {
    ::close(fd);
  }
  return is_synced;
}

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

bool WriteSightings(const std::string& directory, const std::vector<Sighting>& sightings) {
  auto about = ReadAbout(directory);
  if (!about) {
    errno = EIO;
    return false;
  }
  about->finding.seen_by = sightings;
  about->finding.count = CountOf(sightings);
  const std::string written = directory + "/." + kAbout;
  return WriteSynced(written, Print(*about)) && ::rename(written.c_str(), (directory + "/" + kAbout).c_str()) == 0 &&
         SyncDirectory(directory);
}

std::expected<Finding, Trouble> ReadFinding(const std::string& directory, bool keeps_streams) {
  NBDSPEC_ASSIGN_OR_RETURN(about, ReadAbout(directory));
  NBDSPEC_ASSIGN_OR_RETURN(files, ReadFiles(directory, about, keeps_streams));
  Finding& finding = about.finding;
  finding.client_case = files[kCase];
  for (const char* const name : {kScript, kWhole}) {
    if ((name == kWhole || !finding.client_case.empty()) && !files.contains(name)) {
      continue;
    }
    auto script = ParseScriptToSend(files[name]);
    if (!script) {
      return Torn(directory, std::string(name) + ", " + script.error().sentence);
    }
    (name == kWhole ? finding.whole.emplace() : finding.script) = *std::move(script);
  }
  finding.transcript = LinesIn(files[kTranscript]);
  finding.server_stderr = files[kStderr];
  for (std::size_t i = 0; keeps_streams && i < finding.connections.size(); ++i) {
    finding.connections[i].sent = BytesOf(files[Numbered("sent", i)]);
    finding.connections[i].received = BytesOf(files[Numbered("received", i)]);
  }
  return std::move(finding);
}

}  // namespace nbdspec::fuzz
