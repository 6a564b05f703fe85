// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "engine/wire/messages.h"

namespace nbdspec::fuzz {

namespace {

using engine::Trouble;
using Files = std::map<std::string, std::string>;  // Contents by name.
using Json = nlohmann::ordered_json;

constexpr const char* kAbout = "about.json";
constexpr const char* kScript = "script.txt";
constexpr const char* kWhole = "whole.txt";
constexpr const char* kTranscript = "transcript.txt";
constexpr const char* kStderr = "stderr.txt";
constexpr std::string_view kBefore = ".before";
constexpr int kNamesMax = 100000;
constexpr std::size_t kConnectionsMax = 64;
constexpr std::uintmax_t kFileBytesMax = std::uintmax_t{1} << 30;

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

bool WriteSynced(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    return false;
  }
  bool is_written = true;
  while (is_written && !text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    is_written = wrote >= 0 || errno == EINTR;
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(wrote, 0)));
  }
  is_written = is_written && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
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

Json AboutOf(const Finding& finding, const Files& files, const std::string& directory) {
  Json about = {{"kind", Name(finding.kind)},
                {"rule", finding.rule},
                {"place", finding.place},
                {"expected", finding.expected},
                {"saw", finding.saw},
                {"known", finding.known},
                {"state", Name(finding.state)},
                {"replay", "nbdspec replay " + directory},
                {"target", finding.target},
                {"target_words", finding.target_words},
                {"version", finding.version},
                {"seed", finding.seed},
                {"script_number", finding.script_number},
                {"step", finding.step},
                {"count", finding.count},
                {"server_ended", finding.server_ended},
                {"connections", Json::array()},
                {"files", Json::object()}};
  for (const FindingStream& stream : finding.connections) {
    about["connections"].push_back({{"sent_offset", stream.sent_offset}, {"received_offset", stream.received_offset}});
  }
  for (const auto& [name, text] : files) {
    about["files"][name] = {{"bytes", text.size()}, {"fnv1a", Checksum(text)}};
  }
  return about;
}

Files FilesOf(const Finding& finding) {
  Files files = {{kScript, Print(finding.script)}, {kStderr, finding.server_stderr}};
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
  const Files files = FilesOf(finding);
  for (const auto& [file, text] : files) {
    if (!WriteSynced(path + "/" + file, text)) {
      return false;
    }
  }
  // What a server said is no valid UTF-8 unless it wants to.
  const std::string about =
      AboutOf(finding, files, name).dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return WriteSynced(path + "/" + kAbout, about + "\n") && SyncDirectory(path);
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
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kFileBytesMax) {
    return {};
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  return stream.bad() ? std::nullopt : std::optional(std::move(text));
}

// --- about.json, whatever stands in it ---

std::string TextIn(const Json& about, const char* name) {
  const auto found = about.find(name);
  return found != about.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t NumberIn(const Json& about, const char* name) {
  const auto found = about.find(name);
  return found != about.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// The contents of every file that about.json names. Errors: one is missing, or is not what was written.
std::expected<Files, Trouble> ReadFiles(const std::string& directory, const Json& about) {
  const auto listed = about.find("files");
  if (listed == about.end() || !listed->is_object() || listed->size() > 2 * kConnectionsMax + 4) {
    return Torn(directory, "about.json lists no files");
  }
  Files files;
  for (const auto& [name, facts] : listed->items()) {
    if (name.find('/') != std::string::npos || !facts.is_object()) {
      return Torn(directory, "about.json lists " + engine::Quoted(name));
    }
    auto text = ReadWhole(directory + "/" + name);
    if (!text) {
      return Torn(directory, name + " cannot be read");
    }
    if (text->size() != NumberIn(facts, "bytes") || Checksum(*text) != NumberIn(facts, "fnv1a")) {
      return Torn(directory, name + " is not what was written");
    }
    files.emplace(name, std::move(*text));
  }
  return files;
}

std::vector<FindingStream> StreamsIn(const Json& about, Files& files) {
  std::vector<FindingStream> streams;
  const auto listed = about.find("connections");
  if (listed == about.end() || !listed->is_array()) {
    return streams;
  }
  for (std::size_t i = 0; i < std::min(listed->size(), kConnectionsMax); ++i) {
    const Json& facts = (*listed)[i];
    FindingStream& stream = streams.emplace_back(FindingStream{.sent = BytesOf(files[Numbered("sent", i)]),
                                                               .received = BytesOf(files[Numbered("received", i)])});
    if (facts.is_object()) {
      stream.sent_offset = NumberIn(facts, "sent_offset");
      stream.received_offset = NumberIn(facts, "received_offset");
    }
  }
  return streams;
}

std::vector<std::string> LinesIn(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
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
      return CannotWrite(written);
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
    return CannotWrite(saved);
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
  std::error_code error;
  std::filesystem::remove_all(saved, error);
}

std::expected<Finding, Trouble> ReadFinding(const std::string& directory) {
  const auto text = ReadWhole(directory + "/" + kAbout);
  if (!text) {
    return std::unexpected(Trouble{"There is no finding in " + engine::Quoted(directory, 200) +
                                   ": its about.json cannot be read. Name the directory of one."});
  }
  const Json about = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto kind = about.is_object() ? FindingKindFrom(TextIn(about, "kind")) : std::nullopt;
  const auto state = about.is_object() ? FindingStateFrom(TextIn(about, "state")) : std::nullopt;
  if (!kind || !state) {
    return Torn(directory, "about.json is no description of a finding");
  }
  auto files = ReadFiles(directory, about);
  if (!files) {
    return std::unexpected(files.error());
  }
  auto script = engine::ParseScript((*files)[kScript]);
  if (!script) {
    return Torn(directory, "script.txt, " + script.error().sentence);
  }
  std::optional<engine::Script> whole;
  if (const auto text_of_whole = files->find(kWhole); text_of_whole != files->end()) {
    auto parsed = engine::ParseScript(text_of_whole->second);
    if (!parsed) {
      return Torn(directory, "whole.txt, " + parsed.error().sentence);
    }
    whole = *std::move(parsed);
  }
  return Finding{.kind = *kind,
                 .rule = TextIn(about, "rule"),
                 .place = TextIn(about, "place"),
                 .expected = TextIn(about, "expected"),
                 .saw = TextIn(about, "saw"),
                 .known = TextIn(about, "known"),
                 .state = *state,
                 .script = *std::move(script),
                 .whole = std::move(whole),
                 .step = static_cast<std::size_t>(NumberIn(about, "step")),
                 .transcript = LinesIn((*files)[kTranscript]),
                 .connections = StreamsIn(about, *files),
                 .server_ended = TextIn(about, "server_ended"),
                 .server_stderr = (*files)[kStderr],
                 .seed = NumberIn(about, "seed"),
                 .script_number = NumberIn(about, "script_number"),
                 .count = NumberIn(about, "count"),
                 .target = TextIn(about, "target"),
                 .target_words = TextIn(about, "target_words"),
                 .version = TextIn(about, "version")};
}

std::vector<std::string> ListFindings(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    const bool is_whole = !name.starts_with(".");
    // While one is replaced the older is beside it; it counts when the newer did not get its place.
    const bool is_replaced = name.ends_with(kBefore) && std::filesystem::exists(each->path().string().substr(
                                                            0, each->path().string().size() - kBefore.size()));
    if (is_whole && !is_replaced && std::filesystem::exists(each->path() / kAbout, error)) {
      found.push_back(each->path().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace nbdspec::fuzz
