// SPDX-License-Identifier: BSD-3-Clause
#include "engine/oddities/oddity.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "engine/oddities/oddity_tables.h"

namespace nbdspec::engine::oddities {

std::span<const Oddity> AllOddities() {
  static const std::vector<Oddity> kAll = [] {
    std::vector<Oddity> all;
    for (const auto table : {OfferOddities, HagglingOddities, ReadOddities, AnswerOddities}) {
      std::ranges::move(table(), std::back_inserter(all));
    }
    return all;
  }();
  return kAll;
}

}  // namespace nbdspec::engine::oddities
