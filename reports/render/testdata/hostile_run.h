// SPDX-License-Identifier: BSD-3-Clause
// Runs in which a peer chose everything that it can, for tests of what reports make of that.

#pragma once

#include <algorithm>
#include <random>
#include <string>

#include "reports/model/run.h"

namespace nbdspec::reports {

// A run in which everything that a peer could have chosen is `text`, under every verdict.
inline Run HostileRun(const std::string& text) {
  Run run;
  run.version = run.spec = run.target = run.trouble = run.host = text;
  run.server = {text, text, text};
  run.advertised = {{text, text}};
  run.stale = {{text, text, text}};
  for (int verdict = 0; verdict < kVerdictCount; ++verdict) {
    Outcome outcome;
    outcome.id = outcome.requirement = outcome.statement = outcome.section = outcome.link = text;
    outcome.verdict = static_cast<Verdict>(verdict);
    outcome.evidence = {text, text, text, text, {text, text}, text, text};
    outcome.evidence.messages = {{.from = Message::From::kServer,
                                  .part = Message::Part::kJudged,
                                  .text = text,
                                  .name = text,
                                  .fields = {{text, text, true}}},
                                 {.text = text, .name = text, .fields = {}}};
    outcome.evidence.bars = {{text, {{.begin = 0, .end = 1, .said = text}}}};
    outcome.replay = text;
    outcome.expectation = {verdict % 2 == 1 ? Overlay::kExpected : Overlay::kNone, text, text, text};
    outcome.stock = text;
    run.outcomes.push_back(outcome);
  }
  return run;
}

inline std::string RandomBytes(std::mt19937& random, std::size_t count) {
  std::string text(count, '\0');
  std::ranges::generate(text, [&] { return static_cast<char>(random()); });
  return text;
}

}  // namespace nbdspec::reports
