// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/live_diff.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/exchange/status.h"
#include "fuzz/live/run/random_script.h"
#include "reports/exchange/exchange_bars.h"

namespace nbdspec::fuzz {

using engine::ByteRange;

namespace {

constexpr std::array<std::string_view, kDifferenceKindCount> kNames = {"soundness", "disconnect", "error-code",
                                                                       "precision"};

// What both offer: a script for it is polite to both.
Offer CommonOffer(const Offer& a, const Offer& b) {
  Offer common = a;
  common.info.size = std::min(a.info.size, b.info.size);
  common.info.flags &= b.info.flags;
  common.block_size.minimum = std::max(a.block_size.minimum, b.block_size.minimum);
  common.block_size.maximum = std::min(a.block_size.maximum, b.block_size.maximum);
  common.structured_replies = a.structured_replies && b.structured_replies;
  common.contexts = common.structured_replies && !b.contexts.empty() ? a.contexts : std::vector<engine::MetaContext>{};
  return common;
}

// How the connections of both haggle.
std::vector<engine::OptionStep> Haggling(const Offer& common) {
  if (!common.structured_replies) {
    return {{.option = engine::OptionType::kGo}};
  }
  std::vector<engine::OptionStep> haggling = DefaultHaggling();
  if (common.contexts.empty()) {
    haggling.pop_back();
  }
  return haggling;
}

// What an answer to BLOCK_STATUS claims: how far it describes, and where ZERO and HOLE are.
struct Claims {
  std::uint64_t described_to = 0;  // From the beginning of the request.
  std::vector<std::pair<ByteRange, std::uint32_t>> parts = {};
};

Claims ClaimsOf(const engine::Answer& answer, const engine::RequestStep& request) {
  Claims claims{.described_to = request.offset};
  for (const engine::ReplyChunk& chunk : answer.chunks()) {
    if (const auto status = engine::StatusChunk::From(chunk)) {
      ForEachDescriptor(*status, claims.described_to, [&](const engine::Located& each) {
        claims.parts.emplace_back(each.range, each.descriptor().status & 3);
        claims.described_to = each.range.end;
      });
    }
  }
  return claims;
}

// How many bytes before `end` `a` claims `flag` for and `b` does not.
std::uint64_t MoreClaimed(const Claims& a, const Claims& b, std::uint32_t flag, std::uint64_t end) {
  std::uint64_t bytes = 0;
  for (const auto& [claimed, status] : a.parts) {
    const ByteRange before_end = {.begin = std::min(claimed.begin, end), .end = std::min(claimed.end, end)};
    bytes += (status & flag) != 0 ? before_end.length() : 0;
    for (const auto& [other, other_status] : b.parts) {
      bytes -= (status & other_status & flag) != 0 ? Intersect(before_end, other).length() : 0;
    }
  }
  return bytes;
}

std::string AnswerText(const engine::Answer& answer) {
  if (!answer.is_complete()) {
    return "no answer";
  }
  return answer.error() == engine::NbdError::kOk ? "success" : engine::ErrorName(answer.error());
}

std::string TextOf(const Finding& finding) {
  return std::string(Name(finding.kind)) + ": " + finding.saw + " (expected " + finding.expected + ")";
}

DifferenceKind KindOf(FindingKind kind) {
  switch (kind) {
    case FindingKind::kDisconnect:
    case FindingKind::kCrash:
    case FindingKind::kHang:
      return DifferenceKind::kDisconnect;
    case FindingKind::kWrongError:
    case FindingKind::kWrongSuccess:
      return DifferenceKind::kErrorCode;
    default:
      return DifferenceKind::kSoundness;
  }
}

class Differ {
 public:
  Differ(conformance::Target& first, conformance::Target& second, const DiffOptions& options)
      : targets_{&first, &second}, options_(options) {}

  DiffReport Run() {
    if (auto ran = RunScripts(); !ran && !IsCancelled(options_.live)) {
      report_.trouble = std::move(ran).error();
    }
    return std::move(report_);
  }

 private:
  std::expected<void, engine::Trouble> RunScripts() {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      LiveOptions live = options_.live;
      live.in_flight = 1;
      live.keep_answers = true;
      NBDSPEC_ASSIGN_OR_RETURN(server, LiveServer::Start(*targets_[i], live));
      servers_[i] = std::move(server);
      if (const auto& broken = servers_[i]->broken()) {
        const std::string saw = TextOf(broken->finding);
        Add(KindOf(broken->finding.kind), "before any script", i == 0 ? saw : "not asked", i == 0 ? "not asked" : saw,
            broken->finding.picture);
        return std::unexpected(broken->trouble);
      }
    }
    const Offer common = CommonOffer(servers_[0]->offer(), servers_[1]->offer());
    const std::uint64_t scripts = options_.script ? 1 : options_.scripts_max;
    if (common.info.size == 0 && !options_.script) {
      return std::unexpected(
          engine::Trouble{"An export is empty, so there is nothing to compare. Give a script with --script."});
    }
    const ByteRange window = {.begin = 0,
                              .end = std::min<std::uint64_t>(common.info.size, servers_[0]->windows()[0].end)};
    while (report_.script_count < scripts && !IsCancelled(options_.live)) {
      const engine::Script script =
          options_.script ? *options_.script
                          : RandomScript(options_.seed + report_.script_count * 0x9e37'79b9'7f4a'7c15, common, {window},
                                         {.steps_max = options_.steps_max, .haggling = Haggling(common)});
      NBDSPEC_RETURN_IF_ERROR(RunBoth(script));
    }
    return {};
  }

  std::expected<void, engine::Trouble> RunBoth(const engine::Script& script) {
    std::array<RunResult, 2> results;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      NBDSPEC_ASSIGN_OR_RETURN(ran, servers_[i]->Run(script));
      results[i] = std::move(ran);
      AddWarnings(results[i].warnings, report_.script_count, report_.warnings[i]);
    }
    if (IsCancelled(options_.live)) {
      return {};  // What was not asked any more is no disagreement.
    }
    Compare(script, results);
    ++report_.script_count;
    report_.command_count += results[0].command_count;
    // Otherwise what one has done since the other stopped would look like a disagreement.
    if (results[0].command_count != results[1].command_count || results[0].finding || results[1].finding) {
      for (const auto& server : servers_) {
        NBDSPEC_RETURN_IF_ERROR(server->Restart());
      }
    }
    return {};
  }

  void Compare(const engine::Script& script, const std::array<RunResult, 2>& results) {
    const auto text_of = [](const std::optional<Finding>& finding) {
      return finding ? TextOf(*finding) : std::string("an answer that is allowed");
    };
    std::size_t compared = script.steps.size();
    for (const RunResult& result : results) {
      if (result.finding) {
        compared = std::min(compared, result.finding->step);
      }
    }
    for (std::size_t i = 0; i < compared; ++i) {
      const auto* request = std::get_if<engine::RequestStep>(&script.steps[i]);
      const engine::Answer& first = results[0].answers[i];
      const engine::Answer& second = results[1].answers[i];
      if (request == nullptr || (!first.is_complete() && !second.is_complete())) {
        continue;
      }
      if (first.is_complete() != second.is_complete()) {
        Add(DifferenceKind::kDisconnect, Print(script.steps[i]), AnswerText(first), AnswerText(second));
        return;
      }
      if (first.error() != second.error()) {
        Add(DifferenceKind::kErrorCode, Print(script.steps[i]), AnswerText(first), AnswerText(second));
      } else if (request->command == engine::Command::kStatus && !first.has_failed()) {
        CompareStatus(*request, first, second);
      }
    }
    for (const RunResult& result : results) {
      if (result.finding) {
        const std::size_t step = std::min(result.finding->step, script.steps.size() - 1);
        Add(KindOf(result.finding->kind), script.steps.empty() ? "" : Print(script.steps[step]),
            text_of(results[0].finding), text_of(results[1].finding), result.finding->picture);
        return;
      }
    }
  }

  void CompareStatus(const engine::RequestStep& request, const engine::Answer& first, const engine::Answer& second) {
    const std::array claims = {ClaimsOf(first, request), ClaimsOf(second, request)};
    const std::uint64_t end =
        std::min({claims[0].described_to, claims[1].described_to, request.offset + request.length});
    std::array<std::string, 2> more;
    for (const auto& [flag, word] :
         {std::pair{engine::AllocationFlag::kZero, "zero"}, {engine::AllocationFlag::kHole, "hole"}}) {
      for (std::size_t i = 0; i < more.size(); ++i) {
        if (const std::uint64_t bytes = MoreClaimed(claims[i], claims[1 - i], flag, end); bytes > 0) {
          more[i] += (more[i].empty() ? "" : ", ") + std::string(word) + " for " + engine::PrintNumber(bytes) +
                     " bytes that the other does not claim";
        }
      }
    }
    if (!more[0].empty() || !more[1].empty()) {
      Add(DifferenceKind::kPrecision, Print(request), more[0].empty() ? "nothing more" : more[0],
          more[1].empty() ? "nothing more" : more[1], {.bars = BarsOf(request, claims)});
    }
  }

  // What both say, each stretch marked of which the other says something else.
  [[nodiscard]] std::vector<reports::Bar> BarsOf(const engine::RequestStep& request,
                                                 const std::array<Claims, 2>& claims) const {
    constexpr std::size_t kStretchesMax = 100;
    std::vector<reports::Bar> bars = {
        {.who = "asked", .stretches = {{.begin = request.offset, .end = request.offset + request.length, .said = ""}}}};
    for (std::size_t i = 0; i < claims.size(); ++i) {
      reports::Bar& bar = bars.emplace_back();
      bar.who = targets_[i]->Describe();
      for (const auto& [range, status] : claims[i].parts) {
        const bool is_disputed = std::ranges::any_of(claims[1 - i].parts, [&](const auto& other) {
          return !Intersect(range, other.first).empty() && status != other.second;
        });
        if (!range.empty() && bar.stretches.size() < kStretchesMax) {
          bar.stretches.push_back({.begin = range.begin,
                                   .end = range.end,
                                   .said = reports::AllocationWords(status),
                                   .is_judged = is_disputed});
        }
      }
    }
    return bars;
  }

  void Add(DifferenceKind kind, std::string step, std::string first, std::string second, FindingPicture picture = {}) {
    const std::uint64_t count = ++report_.counts[static_cast<std::size_t>(kind)];
    if (count <= DiffReport::kDifferencesMax) {
      report_.differences.push_back({.kind = kind,
                                     .script_number = report_.script_count,
                                     .step = std::move(step),
                                     .first = std::move(first),
                                     .second = std::move(second),
                                     .picture = std::move(picture)});
    }
  }

  std::array<conformance::Target*, 2> targets_;
  const DiffOptions& options_;
  std::array<std::unique_ptr<LiveServer>, 2> servers_;
  DiffReport report_;
};

}  // namespace

std::string_view Name(DifferenceKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

DiffReport Diff(conformance::Target& first, conformance::Target& second, const DiffOptions& options) {
  return Differ(first, second, options).Run();
}

}  // namespace nbdspec::fuzz
