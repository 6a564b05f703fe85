// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/replay.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/findings/script_file.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/run/reproduce.h"

namespace nbdspec::fuzz {

namespace fs = std::filesystem;
using engine::Quoted;
using engine::Trouble;

namespace {

constexpr std::size_t kPathShownMax = 200;
constexpr std::uint64_t kInputBytesMax = std::uint64_t{64} << 20;
constexpr std::string_view kLiveFolder = "live";       // Its scripts are for servers.
constexpr std::string_view kMapTarget = "extent_map";  // Of scripts that are for no server.

std::unexpected<Trouble> CannotUse(const std::string& path, const std::string& why) {
  return std::unexpected(Trouble{Quoted(path, kPathShownMax) + " " + why});
}

std::string TargetOf(const TargetInput& input) { return input.target.empty() ? "TARGET" : input.target; }

// `bazel run` starts its program elsewhere.
std::string AbsolutePathOf(const TargetInput& input) {
  std::error_code error;
  return fs::absolute(input.path, error).string();
}

// A step that is for either does not tell.
bool IsForServer(const engine::Script& script) {
  bool is_of_map = script.steps.empty();
  for (const engine::Step& step : script.steps) {
    if (std::holds_alternative<engine::RequestStep>(step) || std::holds_alternative<engine::OptionStep>(step)) {
      return true;
    }
    is_of_map = is_of_map || std::holds_alternative<engine::AddStep>(step) ||
                std::holds_alternative<engine::ClearStep>(step) || std::holds_alternative<engine::ForEachStep>(step) ||
                std::holds_alternative<engine::LookupStep>(step);
  }
  return !is_of_map;
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
    if (here->is_regular_file(error) && !here->path().filename().string().starts_with('.')) {  // Such as .lock.
      found.push_back(here->path().string());
    }
  }
  if (error || found.empty()) {
    return CannotUse(path, error ? "cannot be read: " + error.message() : "holds nothing to replay");
  }
  std::ranges::sort(found);
  return found;
}

std::expected<ReplaySubject, Trouble> ReadSubject(const std::string& path, bool for_server) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    NBDSPEC_ASSIGN_OR_RETURN(finding, ReadFinding(path));
    return FindingSubject{.path = path, .finding = std::move(finding)};
  }
  if (!fs::is_regular_file(path, error)) {
    return CannotUse(path, fs::exists(path, error) ? "is no file" : "is not there");
  }
  NBDSPEC_ASSIGN_OR_RETURN(text, ReadFile(path, kInputBytesMax));
  if (text.starts_with(kClientCaseHeader)) {
    auto met = ParseClientCase(text);
    return met ? std::expected<ReplaySubject, Trouble>(ClientCaseSubject{.path = path, .met = *std::move(met)})
               : CannotUse(path, "is no case: " + met.error().sentence);
  }
  const std::string folder = CorpusFolderOf(path);
  const bool is_of_target = !folder.empty() && folder != kLiveFolder;
  if (!text.starts_with(engine::kScriptHeader)) {
    return TargetInput{.path = path, .target = is_of_target ? folder : ""};
  }
  auto script = for_server || !is_of_target ? ParseScriptToSend(text) : engine::ParseScript(text);
  if (!script && !is_of_target) {
    return CannotUse(path, "is no script: " + script.error().sentence);
  }
  if (script && IsForServer(*script) && (for_server || !is_of_target)) {
    return ScriptSubject{.path = path, .script = *std::move(script), .header = CommentsOf(text)};
  }
  return TargetInput{.path = path, .target = is_of_target ? folder : std::string(kMapTarget)};
}

std::string DescribeInput(const TargetInput& input, const std::string& what, std::size_t more_count) {
  if (input.target.empty()) {
    return Quoted(input.path, kPathShownMax) +
           " is neither a finding's directory nor a script (whose first line is \"" +
           std::string(engine::kScriptHeader) + "\"). If it is an input of a fuzz target: ";
  }
  return input.path + (more_count == 0 ? " is an input" : " and " + std::to_string(more_count) + " more are inputs") +
         " of the fuzz target " + input.target + ", which the command does not link; " + what + " it with: ";
}

std::string TargetReplayLine(const TargetInput& input) {
  const std::string named = CorpusFolderOf(input.path).empty() ? "--target=" + TargetOf(input) + " " : "";
  return "bazel run //fuzz/targets:replay -- " + named + AbsolutePathOf(input);
}

std::string TargetShrinkLine(const TargetInput& input) {
  const std::string path = AbsolutePathOf(input);
  return "bazel run --config=fuzz //fuzz/targets:" + TargetOf(input) + "_fuzz -- -minimize_crash=1 -runs=100000 " +
         "-exact_artifact_path=" + path + ".small " + path;
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

// --- Replaying it ---

namespace {

constexpr std::array<std::string_view, kReplayVerdictCount> kNames = {"PASS",    "FAIL",      "REPRODUCED", "FIXED",
                                                                      "WARNING", "DIFFERENT", "UNUSABLE"};

std::string TriesText(int tries) { return std::to_string(tries) + (tries == 1 ? " try" : " tries"); }

using Clock = std::chrono::steady_clock;

// The same, where nothing may begin once the time of `options` is over.
LiveOptions WithDeadline(const ReplayOptions& options) {
  LiveOptions live = options.live;
  if (options.time.count() > 0) {
    live.deadline = Clock::now() + options.time;
  }
  return live;
}

bool IsLate(const LiveOptions& live) { return live.deadline && Clock::now() >= *live.deadline; }

Replayed NotJudged() {
  return {.verdict = ReplayVerdict::kUnusable,
          .now = "its time was over before it was tried as often as was asked for: give it more with --time"};
}

std::string NoteOn(int tried, const std::string& how) {
  std::string note = tried == 1 ? "" : "at try number " + std::to_string(tried);
  return note + (note.empty() || how.empty() ? "" : ", ") + how;
}

}  // namespace

std::string_view Name(ReplayVerdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options) {
  const Attempts attempts = AttemptsOf(finding);
  const int tries = std::max(1, options.tries);
  const LiveOptions live = WithDeadline(options);
  Shown seen;
  for (int number = 1; number <= tries + 1; ++number) {
    // What showed when an answer came just in time may need every answer in time.
    const bool is_one_at_a_time = number > tries;
    for (const Attempt& attempt : is_one_at_a_time ? attempts.one_at_a_time : attempts.overlapping) {
      auto shown = IsCancelled(live) || IsLate(live) ? Shown{} : RunFor(finding, target, attempt.script, live);
      if (!shown && IsLate(live)) {
        return NotJudged();
      }
      if (!shown) {
        return {.verdict = ReplayVerdict::kUnusable, .now = shown.error().sentence};
      }
      if (shown->wanted) {
        return {.verdict = ReplayVerdict::kReproduced,
                .now = SummaryOf(*shown->wanted),
                .note = NoteOn(is_one_at_a_time ? 1 : number, attempt.how),
                .seen = std::move(shown->wanted)};
      }
      if (!seen.other) {
        seen.other = std::move(shown->other);
      }
      if (!seen.warning) {
        seen.warning = std::move(shown->warning);
      }
    }
  }
  if (seen.other) {
    return {.verdict = ReplayVerdict::kDifferent, .now = SummaryOf(*seen.other), .seen = std::move(seen.other)};
  }
  if (IsLate(live)) {
    return NotJudged();
  }
  if (seen.warning) {
    return {.verdict = ReplayVerdict::kWarning,
            .now = finding.rule + ": expected " + seen.warning->expected + "; saw " + seen.warning->saw,
            .note = "the specification only advises this, so it is no finding any more"};
  }
  const bool was_reproduced = finding.state == FindingState::kReproduced;
  return {.verdict = ReplayVerdict::kFixed,
          .now = "every answer is allowed, in " + TriesText(tries) + " and in one with one request at a time",
          .note = was_reproduced ? "" : "it was not reproduced when it was found: it may need what was sent before"};
}

Replayed ReplayScript(conformance::Target& target, const engine::Script& script, const ReplayOptions& options) {
  const LiveOptions live = WithDeadline(options);
  Replayed replayed;
  for (int number = 1; number <= std::max(1, options.tries) && !replayed.seen; ++number) {
    auto ran = IsCancelled(live) || IsLate(live) ? RunResult{} : RunOnFreshServer(target, script, live);
    if (!ran && IsLate(live)) {
      return NotJudged();
    }
    if (!ran) {
      return {.verdict = ReplayVerdict::kUnusable, .now = ran.error().sentence};
    }
    AddWarnings(ran->warnings, /*script_number=*/0, replayed.warnings);
    if (auto found = FindingOf(*std::move(ran))) {
      replayed.verdict = ReplayVerdict::kFail;
      replayed.now = SummaryOf(*found);
      replayed.note = NoteOn(number, found->known.empty() ? "" : "public as " + found->known);
      replayed.seen = std::move(found);
    }
  }
  return !replayed.seen && IsLate(live) ? NotJudged() : replayed;
}

std::optional<Finding> FindingOf(RunResult ran) {
  if (!ran.finding && !ran.known.empty()) {
    return std::move(ran.known.begin()->second);
  }
  return std::move(ran.finding);
}

}  // namespace nbdspec::fuzz
