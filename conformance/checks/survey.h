// SPDX-License-Identifier: BSD-3-Clause
// Survey: many requests of every kind, and everything that answered them.
//
// Most rules of the transmission phase say something of every reply, so their checks hold the same conversation and
// read what came of it in different ways: a Rule looks at one request and its answer. Replies may come in any order.
// At most eight requests are in flight, and all replies are read (some servers do not survive more).

#pragma once

#include <expected>

#include "conformance/checks/exchange.h"

namespace nbdspec::conformance {

struct Survey {
  bool structured = false;
  engine::InfoExport info = {};
  engine::InfoBlockSize block_size = {};
  Batch batch;
  std::optional<ReceiveError> ended = {};  // Why legal requests were not answered, the first time.
};

// Reads all over the export (some with DF), every other command that is offered, small writes where they are allowed,
// and at last requests that must fail, each of which may cost a connection.
std::expected<Survey, Judgement> SurveyReplies(CheckContext& context, bool structured);

// What one exchange says about a requirement: Holds, Broken, or NotApplicable with what was missing.
using Rule = Judgement (*)(const Survey& survey, const Exchange& exchange);

// Holds when a rule was kept somewhere and broken nowhere.
Judgement JudgeSurvey(const Survey& survey, Rule rule);

template <Rule rule>
Judgement OverStructuredReplies(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  return JudgeSurvey(survey, rule);
}

template <Rule rule>
Judgement OverSimpleReplies(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/false));
  return JudgeSurvey(survey, rule);
}

// What a whole survey says about a requirement.
using SurveyRule = Judgement (*)(const Survey& survey);

// For rules of both kinds of replies: where both are offered, both must keep them.
template <SurveyRule rule>
Judgement InBothModes(CheckContext& context) {
  NBDSPEC_TRY(simple, SurveyReplies(context, /*structured=*/false));
  Judgement first = rule(simple);
  if (first.kind == Judgement::Kind::kBroken || !context.profile().features.Has(Feature::kStructuredReplies)) {
    return first;
  }
  NBDSPEC_TRY(structured, SurveyReplies(context, /*structured=*/true));
  Judgement second = rule(structured);
  return second.kind == Judgement::Kind::kNotApplicable ? first : second;
}

template <Rule rule>
Judgement OverAllReplies(CheckContext& context) {
  return InBothModes<[](const Survey& survey) { return JudgeSurvey(survey, rule); }>(context);
}

}  // namespace nbdspec::conformance
