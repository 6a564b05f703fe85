// SPDX-License-Identifier: BSD-3-Clause
#include "engine/exchange/rules.h"

#include <algorithm>
#include <array>
#include <bit>

#include "engine/base/check.h"
#include "engine/exchange/rule_facts.h"

namespace nbdspec::engine {
namespace {

// What is missing where a fact does not hold, in the order of the bits.
constexpr auto kMissing = std::to_array<std::string_view>({
    "structured replies were not agreed",
    "structured replies were agreed",
    "nothing was answered",
    "no answer was complete",
    "the answer was cut off",
    "no client may send such a request",
    "the request has length 0",
    "no READ was answered",
    "only READ was answered",
    "no BLOCK_STATUS was answered",
    "only BLOCK_STATUS was answered",
    "no WRITE_ZEROES was answered",
    "no READ with DF was answered",
    "no BLOCK_STATUS with REQ_ONE was answered",
    "no request succeeded",
    "no error came",
    "no simple reply came",
    "no chunk came",
    "no NBD_REPLY_TYPE_NONE came",
    "no NBD_REPLY_TYPE_OFFSET_DATA came",
    "no NBD_REPLY_TYPE_OFFSET_HOLE came",
    "no content chunk came",
    "no error chunk came",
    "no NBD_REPLY_TYPE_ERROR came",
    "no NBD_REPLY_TYPE_ERROR_OFFSET came",
    "no status chunk came",
    "no WRITE was answered",
    "no TRIM was answered",
    "no CACHE was answered",
    "no request failed",
    "no WRITE_ZEROES with FAST_ZERO was answered",
    "no such request was answered",
    "extended headers were not agreed",
    "extended headers were agreed",
    "no BLOCK_STATUS with a payload was answered",
    "no such status chunk came",
});

// By the number of the command.
constexpr auto kOfCommand = std::to_array<Facts>(
    {Fact::kRead, Fact::kWrite, 0, 0, Fact::kTrim, Fact::kCache, Fact::kWriteZeroes, Fact::kStatus});

Facts FactsOf(const ReplyChunk& chunk, HeaderForm agreed) {
  switch (chunk.type) {
    case ChunkType::kNone:
      return Fact::kNone;
    case ChunkType::kOffsetData:
      return Fact::kData | Fact::kContent;
    case ChunkType::kOffsetHole:
      return Fact::kHole | Fact::kContent;
    case ChunkType::kBlockStatus:
    case ChunkType::kBlockStatusExt:
      return chunk.type == BlockStatus::ChunkTypeOf(agreed) ? Fact::kStatusChunk : Fact::kOtherStatusChunk;
    case ChunkType::kError:
      return Fact::kErrorChunk | Fact::kGenericError;
    case ChunkType::kErrorOffset:
      return Fact::kErrorChunk | Fact::kErrorOffset;
    default:
      return chunk.is_error() ? Fact::kErrorChunk : 0;
  }
}

Facts FactsOfRequest(const Exchange& exchange) {
  Facts facts = exchange.negotiated->structured_replies ? Fact::kStructured : Fact::kNotStructured;
  const bool is_extended = exchange.negotiated->headers == HeaderForm::kExtended;
  facts |= is_extended ? Fact::kExtended : Fact::kCompact;
  facts |= is_extended && exchange.request.has_query() ? Fact::kQuery : 0;
  facts |= exchange.legality.is_legal() ? Fact::kLegal : 0;
  facts |= exchange.legality.is_illegal() ? Fact::kIllegal : 0;
  facts |= exchange.request.length != 0 ? Fact::kNonEmpty : 0;
  facts |= exchange.Is(CommandType::kRead) ? 0 : Fact::kNotRead;
  facts |= exchange.Is(CommandType::kBlockStatus) ? 0 : Fact::kNotStatus;
  facts |= exchange.request.type < kOfCommand.size() ? kOfCommand[exchange.request.type] : 0;
  facts |= exchange.HasFlag(CommandFlag::kDf) ? Fact::kDf : 0;
  facts |= exchange.HasFlag(CommandFlag::kReqOne) ? Fact::kReqOne : 0;
  facts |= exchange.HasFlag(CommandFlag::kFastZero) ? Fact::kFast : 0;
  return facts;
}

}  // namespace

Facts FactsOf(const Exchange& exchange) {
  const Answer& answer = exchange.answer;
  Facts facts = FactsOfRequest(exchange);
  facts |= answer.is_empty() ? 0 : Fact::kAnswered;
  facts |= answer.is_complete() ? Fact::kComplete | Fact::kSettled : 0;
  facts |= answer.end() == Answer::End::kSilent ? Fact::kSettled : 0;
  facts |= answer.is_complete() && !answer.has_failed() ? Fact::kSucceeded : 0;
  facts |= answer.has_failed() ? Fact::kFailed : 0;
  facts |= answer.error() != NbdError::kOk ? Fact::kError : 0;
  facts |= answer.simple() ? Fact::kSimple : 0;
  facts |= answer.chunks().empty() ? 0 : Fact::kChunks;
  for (const ReplyChunk& chunk : answer.chunks()) {
    facts |= FactsOf(chunk, exchange.negotiated->headers);
  }
  return facts;
}

namespace {

// Calls `judge` with each of `rules` that may be violated, until it returns true. These are found without a branch for
// each rule, which a processor would guess wrong too often.
template <typename Judge>
void ForEachSuspect(std::span<const Rule> rules, Facts facts, Judge judge) {
  constexpr std::size_t kAtOnce = 64;
  for (; !rules.empty(); rules = rules.subspan(std::min(rules.size(), kAtOnce))) {
    std::uint64_t suspects = 0;
    for (std::size_t i = 0; i < std::min(rules.size(), kAtOnce); ++i) {
      suspects |= std::uint64_t{((rules[i].needs | rules[i].violations_have) & ~facts) == 0} << i;
    }
    for (; suspects != 0; suspects &= suspects - 1) {
      const Rule& rule = rules[static_cast<std::size_t>(std::countr_zero(suspects))];
      if (judge(rule)) {
        return;
      }
    }
  }
}

Violation ViolationOf(const Rule& rule, Ruling ruling) {
  return {.requirement = rule.requirement,
          .expected = std::move(ruling.expected),
          .saw = std::move(ruling.saw),
          .place = ruling.place};
}

}  // namespace

std::span<const Rule> AllRules() {
  static const std::vector<Rule> rules = [] {
    std::vector<Rule> all;
    for (const auto part : {ReplyRules(), ReadRules(), StatusRules(), ErrorRules()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return rules;
}

std::span<const Rule> RulesOf(spec::Severity severity) {
  const auto select = [](spec::Severity of) {
    std::vector<Rule> rules(AllRules().begin(), AllRules().end());
    std::erase_if(rules, [of](const Rule& rule) { return spec::ServerSeverityOf(rule.requirement) != of; });
    return rules;
  };
  static const std::vector<Rule> failures = select(spec::Severity::kFailure);
  static const std::vector<Rule> warnings = select(spec::Severity::kWarning);
  return severity == spec::Severity::kFailure ? failures : warnings;
}

const Rule& RuleOf(std::string_view requirement) {
  const auto rule = std::ranges::find(AllRules(), requirement, &Rule::requirement);
  NBDSPEC_CHECK(rule != AllRules().end());
  return *rule;
}

Ruling Apply(const Rule& rule, const Exchange& exchange) {
  const Facts missing = rule.needs & ~FactsOf(exchange);
  if (missing != 0) {
    return Inapplicable(kMissing[static_cast<std::size_t>(std::countr_zero(missing))]);
  }
  return rule.judge(exchange);
}

std::vector<Violation> FindViolations(const Exchange& exchange, std::span<const Rule> rules) {
  std::vector<Violation> violations;
  ForEachSuspect(rules, FactsOf(exchange), [&](const Rule& rule) {
    if (Ruling ruling = rule.judge(exchange); ruling.is_violated()) {
      violations.push_back(ViolationOf(rule, std::move(ruling)));
    }
    return false;
  });
  return violations;
}

std::optional<Violation> FirstViolation(const Exchange& exchange, std::span<const Rule> rules) {
  std::optional<Violation> violation;
  ForEachSuspect(rules, FactsOf(exchange), [&](const Rule& rule) {
    Ruling ruling = rule.judge(exchange);
    if (ruling.is_violated()) {
      violation = ViolationOf(rule, std::move(ruling));
    }
    return violation.has_value();
  });
  return violation;
}

}  // namespace nbdspec::engine
