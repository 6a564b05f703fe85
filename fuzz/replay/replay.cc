// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/replay.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "engine/script/shrink.h"

namespace nbdspec::fuzz {

using engine::Script;
using engine::Trouble;

namespace {

constexpr std::array<std::string_view, 6> kNames = {"PASS", "FAIL", "REPRODUCED", "FIXED", "DIFFERENT", "UNUSABLE"};
constexpr int kByteTriesMax = 20000;

std::string TextOf(const Disagreement& found) {
  return found.where + ": expected " + found.expected + "; saw " + found.saw;
}

// Whether the result of a run shows `wanted`, and what else it shows.
struct Shown {
  std::optional<Finding> wanted;
  std::optional<Finding> other;  // Without a public name: what is known is no news.
};

Shown ShownBy(RunResult ran, const Finding& wanted) {
  Shown shown;
  if (ran.finding && IsSameFinding(*ran.finding, wanted)) {
    shown.wanted = std::move(ran.finding);
    return shown;
  }
  for (auto& [name, known] : ran.known) {
    if (name == wanted.known && IsSameFinding(known, wanted)) {
      shown.wanted = std::move(known);
      return shown;
    }
  }
  if (ran.finding && ran.finding->known.empty()) {
    shown.other = std::move(ran.finding);
  }
  return shown;
}

bool IsCancelled(const LiveOptions& live) { return live.cancelled != nullptr && live.cancelled->load(); }

std::string TriesText(int tries) { return std::to_string(tries) + (tries == 1 ? " try" : " tries"); }

std::string NoteOn(int tried, const std::string& what) {
  std::string note = tried == 1 ? "" : "at the try number " + std::to_string(tried);
  return note + (note.empty() || what.empty() ? "" : ", ") + what;
}

struct Attempt {
  Script script;
  std::string what;  // What differs from the script that is kept.
};

std::vector<Attempt> AttemptsOf(const Finding& finding) {
  std::vector<Attempt> attempts = {{.script = finding.script, .what = ""}};
  if (finding.whole) {
    attempts.push_back({.script = *finding.whole, .what = "with what was sent to that server before"});
  }
  return attempts;
}

std::vector<Attempt> MadeOneAtATime(std::vector<Attempt> attempts) {
  for (Attempt& attempt : attempts) {
    attempt.script = OneAtATime(std::move(attempt.script));
    attempt.what += (attempt.what.empty() ? "" : ", ") + std::string("one request at a time");
  }
  return attempts;
}

// Leaves out pieces of `bytes`, halves first, then makes what is left zero, as long as it still fails.
engine::Bytes ShrinkBytes(engine::Bytes bytes, const std::function<bool(engine::ByteView)>& fails) {
  int tries_left = kByteTriesMax;
  const auto take = [&](engine::Bytes candidate) {
    if (tries_left-- <= 0 || candidate == bytes || !fails(candidate)) {
      return false;
    }
    bytes = std::move(candidate);
    return true;
  };
  for (std::size_t piece = (bytes.size() + 1) / 2; piece > 0 && tries_left > 0; piece /= 2) {
    for (std::size_t begin = 0; begin < bytes.size();) {
      engine::Bytes candidate = bytes;
      const auto from = candidate.begin() + static_cast<std::ptrdiff_t>(begin);
      candidate.erase(from, from + static_cast<std::ptrdiff_t>(std::min(piece, candidate.size() - begin)));
      begin += take(std::move(candidate)) ? 0 : piece;
    }
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    engine::Bytes candidate = bytes;
    candidate[i] = 0;
    take(std::move(candidate));
  }
  return bytes;
}

}  // namespace

std::string_view Name(ReplayVerdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

std::string WrongText(const Finding& finding) {
  return std::string(Name(finding.kind)) + (finding.rule.empty() ? "" : " of " + finding.rule) + ": expected " +
         finding.expected + "; saw " + finding.saw;
}

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options) {
  std::optional<Finding> other;
  const auto try_all = [&](const std::vector<Attempt>& all, int tried) -> std::optional<Replayed> {
    for (const Attempt& attempt : all) {
      auto ran = RunOnFreshServer(target, attempt.script, options.live);
      if (!ran) {
        return Replayed{.verdict = ReplayVerdict::kUnusable, .now = ran.error().sentence};
      }
      Shown shown = ShownBy(*std::move(ran), finding);
      if (shown.wanted) {
        return Replayed{.verdict = ReplayVerdict::kReproduced,
                        .now = WrongText(*shown.wanted),
                        .note = NoteOn(tried, attempt.what)};
      }
      if (!other) {
        other = std::move(shown.other);
      }
    }
    return {};
  };
  std::vector<Attempt> attempts = AttemptsOf(finding);
  const int tries = std::max(1, options.tries);
  for (int tried = 1; tried <= tries && !IsCancelled(options.live); ++tried) {
    if (auto replayed = try_all(attempts, tried)) {
      return *std::move(replayed);
    }
  }
  // What was seen when an answer came just in time may need every answer in time.
  if (!IsCancelled(options.live)) {
    if (auto replayed = try_all(MadeOneAtATime(std::move(attempts)), 1)) {
      return *std::move(replayed);
    }
  }
  if (other) {
    return {.verdict = ReplayVerdict::kDifferent, .now = WrongText(*other)};
  }
  return {.verdict = ReplayVerdict::kFixed,
          .now = "every answer is allowed, in " + TriesText(tries) + " and one of one request at a time",
          .note = finding.state == FindingState::kReproduced
                      ? ""
                      : "it was not reproduced when it was found either: it may need what was sent before"};
}

std::expected<Replayed, Trouble> ReplayInput(const CorpusSubject& subject) {
  const auto found = RunCorpusTarget(*subject.target, subject.input);
  if (!found) {
    return std::unexpected(found.error());
  }
  return *found ? Replayed{.verdict = ReplayVerdict::kFail, .now = TextOf(**found)} : Replayed{};
}

Replayed ReplayScript(conformance::Target& target, const Script& script, const ReplayOptions& options) {
  const auto found = FindingOf(target, script, options);
  if (!found) {
    return {.verdict = ReplayVerdict::kUnusable, .now = found.error().sentence};
  }
  if (!*found) {
    return {};
  }
  return {.verdict = ReplayVerdict::kFail,
          .now = WrongText(**found),
          .note = (*found)->known.empty() ? "" : "public as " + (*found)->known};
}

std::expected<std::optional<Finding>, Trouble> FindingOf(conformance::Target& target, const Script& script,
                                                         const ReplayOptions& options) {
  auto ran = RunOnFreshServer(target, script, options.live);
  if (!ran) {
    return std::unexpected(ran.error());
  }
  if (!ran->finding && !ran->known.empty()) {
    return std::move(ran->known.begin()->second);
  }
  return std::move(ran->finding);
}

std::expected<std::optional<Shrunk>, Trouble> ShrinkInput(const CorpusSubject& subject) {
  const CorpusTarget& target = *subject.target;
  auto found = RunCorpusTarget(target, subject.input);
  if (!found) {
    return std::unexpected(found.error());
  }
  if (!*found) {
    return std::nullopt;
  }
  Shrunk shrunk;
  if (target.find_in_script != nullptr) {
    shrunk.script = engine::Shrink(engine::ReadScript(subject.input, target.limits),
                                   [&](const Script& script) { return target.find_in_script(script).has_value(); });
    found = target.find_in_script(shrunk.script);
  } else {
    shrunk.bytes = ShrinkBytes(subject.input, [&](engine::ByteView bytes) {
      const auto still = RunCorpusTarget(target, bytes);
      return still && still->has_value();
    });
    found = RunCorpusTarget(target, shrunk.bytes);
  }
  shrunk.wrong = *found ? TextOf(**found) : "";
  return shrunk;
}

}  // namespace nbdspec::fuzz
