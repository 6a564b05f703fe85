// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/replay_subject.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "engine/base/quoted.h"
#include "engine/wire/messages.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/findings/store.h"

namespace nbdspec::fuzz {

namespace fs = std::filesystem;
using engine::Quoted;
using engine::Trouble;

namespace {

constexpr std::size_t kPathShownMax = 200;
constexpr std::uint64_t kInputBytesMax = std::uint64_t{64} << 20;

std::unexpected<Trouble> CannotUse(const std::string& path, const std::string& why) {
  return std::unexpected(Trouble{Quoted(path, kPathShownMax) + " " + why});
}

// Errors: why it cannot be read.
std::expected<engine::Bytes, Trouble> ReadInput(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return CannotUse(path, fs::exists(path, error) ? "is no file" : "is not there");
  }
  const auto text = ReadFile(path, kInputBytesMax);
  if (!text) {
    return std::unexpected(text.error());
  }
  return engine::Bytes(text->begin(), text->end());
}

std::string NamesOfTargets() {
  std::string names;
  for (const CorpusTarget& target : CorpusTargets()) {
    names += (names.empty() ? "" : ", ") + std::string(target.name);
  }
  return names;
}

std::expected<ReplaySubject, Trouble> ReadScriptSubject(const std::string& path, engine::Bytes input,
                                                        std::string_view text) {
  auto script = engine::ParseScript(text);
  if (!script) {
    return CannotUse(path, "is no script: " + script.error().sentence);
  }
  std::vector<std::string> comments = CommentsOf(text);
  if (HasRequests(*script)) {
    return ScriptSubject{.path = path, .script = *std::move(script), .header = std::move(comments)};
  }
  return CorpusSubject{.path = path,
                       .target = CorpusTargetNamed("extent_map"),
                       .input = std::move(input),
                       .header = std::move(comments)};
}

}  // namespace

std::expected<std::vector<std::string>, Trouble> SubjectsIn(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return CannotUse(path, "is not there");
  }
  const bool is_finding = fs::exists(fs::path(path) / "about.json", error);
  if (!fs::is_directory(path, error) || is_finding) {
    return std::vector{path};
  }
  std::vector<std::string> found = ListFindings(path);
  if (!found.empty()) {
    return found;
  }
  for (fs::recursive_directory_iterator here(path, error), end; !error && here != end; here.increment(error)) {
    if (here->is_regular_file(error)) {
      found.push_back(here->path().string());
    }
  }
  if (error || found.empty()) {
    return CannotUse(path, error ? "cannot be read: " + error.message() : "holds nothing to replay");
  }
  std::ranges::sort(found);
  return found;
}

std::expected<ReplaySubject, Trouble> ReadSubject(const std::string& path, std::string_view as) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    auto finding = ReadFinding(path);
    if (!finding) {
      return std::unexpected(finding.error());
    }
    return FindingSubject{.path = path, .finding = *std::move(finding)};
  }
  auto input = ReadInput(path);
  if (!input) {
    return std::unexpected(input.error());
  }
  const std::string text(input->begin(), input->end());
  const bool is_text = text.starts_with(engine::kScriptHeader);
  const std::string absolute = fs::absolute(path, error).string();
  const std::string_view folder = as.empty() ? CorpusFolderOf(absolute) : as;
  if (is_text && (folder.empty() || folder == kLiveFolder)) {
    return ReadScriptSubject(path, *std::move(input), text);
  }
  if (folder.empty()) {
    return CannotUse(path,
                     "is neither a finding's directory, nor a script (whose first line is \"" +
                         std::string(engine::kScriptHeader) +
                         "\"), nor in corpus/regressions or corpus/seeds. Name the target whose input it is: --as " +
                         "NAME, one of " + NamesOfTargets() + ".");
  }
  const CorpusTarget* const target = CorpusTargetNamed(folder);
  if (target == nullptr) {
    return CannotUse(path, "is for the target " + Quoted(folder) + ", which is none of " + NamesOfTargets() + ".");
  }
  return CorpusSubject{.path = path,
                       .target = target,
                       .input = *std::move(input),
                       .header = is_text ? CommentsOf(text) : std::vector<std::string>{}};
}

std::vector<std::string> CommentsOf(std::string_view text) {
  std::vector<std::string> comments;
  bool is_first = true;
  while (text.starts_with('#')) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!is_first || line != engine::kScriptHeader) {
      line.remove_prefix(line.starts_with("# ") ? 2 : 1);
      comments.emplace_back(line);
    }
    is_first = false;
  }
  return comments;
}

std::string PrintWithComments(const engine::Script& script, const std::vector<std::string>& comments) {
  std::string text = Print(script);
  std::string added;
  for (std::string line : comments) {
    std::ranges::replace(line, '\n', ' ');
    added += "# " + line + "\n";
  }
  return text.insert(text.find('\n') + 1, added);
}

bool HasRequests(const engine::Script& script) {
  return std::ranges::any_of(script.steps, [](const engine::Step& step) {
    return std::holds_alternative<engine::RequestStep>(step) || std::holds_alternative<engine::OptionStep>(step);
  });
}

}  // namespace nbdspec::fuzz
