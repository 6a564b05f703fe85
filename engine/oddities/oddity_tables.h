// SPDX-License-Identifier: BSD-3-Clause
// The tables of the catalogue, and what they are written with. Each is in the file of its name.

#pragma once

#include <utility>
#include <vector>

#include "engine/faults/answer_changes.h"
#include "engine/faults/option_changes.h"
#include "engine/oddities/oddity.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::oddities {

using namespace faults;  // The vocabulary of changes.
using namespace spec;    // The ids of requirements.

// The chunks of an answer from the last to the first.
inline Change ReversesAnswer(std::uint16_t command, When when) {
  return ChangesAnswer(command, std::move(when), [](Messages& sent) {
    std::ranges::reverse(sent);
    MoveDoneToLast(sent);
  });
}

std::vector<Oddity> OfferOddities();
std::vector<Oddity> HagglingOddities();
std::vector<Oddity> ReadOddities();
std::vector<Oddity> AnswerOddities();

}  // namespace nbdspec::engine::oddities
