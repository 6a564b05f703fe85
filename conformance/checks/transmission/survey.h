// SPDX-License-Identifier: BSD-3-Clause
// Survey: many requests of every kind, and everything that answered them.
//
// Most rules of the transmission phase say something of every answer, so their checks hold the same conversation and
// apply the rule of their requirement (engine/exchange) to each exchange. Replies may come in any order. At most eight
// requests are in flight, and all replies are read (some servers do not survive more).

#pragma once

#include <expected>
#include <optional>

#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

struct Survey {
  bool structured = false;
  Batch batch = {};
  std::optional<ReceiveError> ended = {};  // Why legal requests were not answered, the first time.

  [[nodiscard]] bool any_chunk() const;
};

// Reads all over the export (some with DF), every other command that is offered, small writes where they are allowed,
// and at last requests that must fail, each of which may cost a connection.
std::expected<Survey, Judgement> SurveyReplies(CheckContext& context, bool structured);

// What a whole survey says about a requirement: with structured replies, or with simple ones and then, where they are
// offered, with structured ones too.
using SurveyRule = Judgement (*)(CheckContext& context, const Survey& survey);
CheckRun WithStructured(SurveyRule rule);
CheckRun InBothModes(SurveyRule rule);

// The rule of the check over a survey: holds when the rule was kept somewhere and violated nowhere.
Judgement OverStructuredReplies(CheckContext& context);
Judgement OverSimpleReplies(CheckContext& context);
// Where both kinds of replies are offered, both must keep the rule.
Judgement OverAllReplies(CheckContext& context);

}  // namespace nbdspec::conformance
