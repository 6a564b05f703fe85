// SPDX-License-Identifier: BSD-3-Clause
// The rules about answers: which clauses of the specification does what a server sent keep, and which does it violate?
//
// The reference is a relation, not a function: many answers are right. Each rule is one pure function over an
// Exchange, has the id of the clause it judges, and says whether the clause was kept, was violated, or cannot be judged
// from this exchange. How bad a violation is stands in the catalogue (engine/spec), and nowhere else.
//
// Rules are independent, and divide what can be wrong between them, so that one wrong is mostly one rule's violation:
// a chunk that cannot be taken apart violates the rule about its form alone.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/exchange/exchange.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::engine {

// What of an answer a violation is about.
struct AnswerPlace {
  std::int32_t chunk = -1;       // -1 where it is about all of it.
  std::int32_t descriptor = -1;  // The same of the descriptors of that chunk.
  bool operator==(const AnswerPlace&) const = default;
};

// A clause that was violated.
struct Violation {
  std::string_view requirement;  // Its id in the catalogue.
  std::string expected;          // For people: "at most one content chunk with DF".
  std::string saw;               // "3 content chunks".
  AnswerPlace place = {};
  bool operator==(const Violation&) const = default;
};

// What one rule says of one exchange.
struct Ruling {
  enum class Kind {
    kKept,
    kViolated,      // `expected` and `saw` say how.
    kInapplicable,  // `missing` says why.
  };
  Kind kind = Kind::kKept;
  std::string expected = {};
  std::string saw = {};
  std::string_view missing = {};
  AnswerPlace place = {};  // Of a violation.

  [[nodiscard]] bool is_violated() const { return kind == Kind::kViolated; }
};

// What must be true of an exchange for a rule to be asked, as bits. Rules are many, and most need something that most
// exchanges lack.
using Facts = std::uint64_t;
Facts FactsOf(const Exchange& exchange);

struct Rule {
  std::string_view requirement;
  Facts needs = 0;
  Ruling (*judge)(const Exchange&) = nullptr;
  Facts violations_have = 0;  // What every violation has: whoever looks for violations need not ask the others.
};

// The rules by subject, each in the order of the catalogue.
std::span<const Rule> ReplyRules();   // Which kind of reply comes, the form of chunks, the payloads of error chunks.
std::span<const Rule> ReadRules();    // Content chunks, and what answers READ.
std::span<const Rule> StatusRules();  // What answers BLOCK_STATUS. None accuses the answer to a length of 0.
std::span<const Rule> ErrorRules();   // Which errors come, and for which request.
// All of them.
std::span<const Rule> AllRules();

// Those of AllRules() whose violations are so severe by the catalogue.
std::span<const Rule> RulesOf(spec::Severity severity);

// The rule for a requirement; no such rule is our bug and aborts.
const Rule& RuleOf(std::string_view requirement);

Ruling Apply(const Rule& rule, const Exchange& exchange);

// The violations of `rules`, in their order: all, or the first. The first of RulesOf(kFailure) is what a server fails
// for. Cost: some tens of nanoseconds for an answer that keeps them all.
std::vector<Violation> FindViolations(const Exchange& exchange, std::span<const Rule> rules);
std::optional<Violation> FirstViolation(const Exchange& exchange, std::span<const Rule> rules);

}  // namespace nbdspec::engine
