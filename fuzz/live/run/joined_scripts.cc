// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/joined_scripts.h"

#include <algorithm>
#include <iterator>
#include <variant>

namespace nbdspec::fuzz {

using engine::Script;

namespace {

// Whether few servers go on after it: what comes after it in a script would not be sent.
bool EndsConnections(const engine::Step& step) {
  const auto* const request = std::get_if<engine::RequestStep>(&step);
  return request != nullptr && request->is_unannounced;
}

}  // namespace

Script Joined(const std::deque<Script>& history) {
  if (history.empty()) {
    return {};
  }
  Script joined = history.back();
  joined.steps.clear();
  std::size_t count = 0;
  auto first = history.end();
  while (first != history.begin() && count + std::prev(first)->steps.size() <= kHistoryStepsMax) {
    count += std::prev(first)->steps.size() + 1;
    --first;
  }
  for (const engine::Step& step : history.back().steps) {
    if (std::holds_alternative<engine::OptionStep>(step)) {
      joined.steps.push_back(step);
    }
  }
  for (; first != history.end(); ++first) {
    const bool is_last = std::next(first) == history.end();
    std::ranges::copy_if(first->steps, std::back_inserter(joined.steps), [is_last](const engine::Step& step) {
      return !std::holds_alternative<engine::OptionStep>(step) && (is_last || !EndsConnections(step));
    });
    joined.steps.emplace_back(engine::WaitStep{});
  }
  return joined;
}

}  // namespace nbdspec::fuzz
