// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/clients/shrink_case.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "engine/script/shrink.h"

namespace nbdspec::fuzz {

namespace {

class Shrinker {
 public:
  Shrinker(ClientCase met, const CaseLimits& limits, const std::function<bool(const ClientCase&)>& shows, int tries_max)
      : met_(std::move(met)), limits_(limits), shows_(shows), tries_left_(tries_max) {}

  ClientCase Run() {
    TryWith([](ClientCase& met) { met.pace = {}; });
    TryWith([](ClientCase& met) { met.tls = false; });
    FindFewerOddities();
    ShrinkTruth();
    FindFewerOddities();  // A smaller truth may need fewer.
    return std::move(met_);
  }

 private:
  bool Shows(const ClientCase& met) { return KeepsTo(limits_, met) && tries_left_-- > 0 && shows_(met); }

  template <typename Change>
  bool TryWith(Change change) {
    ClientCase changed = met_;
    change(changed);
    const bool holds = changed != met_ && Shows(changed);
    if (holds) {
      met_ = std::move(changed);
    }
    return holds;
  }

  void FindFewerOddities() {
    const std::vector<std::string> all = met_.oddities;
    if (TryWith([](ClientCase& met) { met.oddities.clear(); })) {
      return;
    }
    for (const std::string& one : all) {
      if (all.size() > 2 && TryWith([&](ClientCase& met) { met.oddities = {one}; })) {
        return;
      }
    }
    for (std::size_t i = 0; met_.oddities.size() > 1 && i < met_.oddities.size();) {
      const auto drop = [i](ClientCase& met) {
        met.oddities.erase(met.oddities.begin() + static_cast<std::ptrdiff_t>(i));
      };
      i = TryWith(drop) ? 0 : i + 1;
    }
  }

  void ShrinkTruth() {
    const ClientCase before = met_;
    const auto shows = [&](const engine::Script& truth) {
      ClientCase changed = before;
      changed.truth = truth;
      return Shows(changed);
    };
    met_.truth = engine::Shrink(met_.truth, shows);
  }

  ClientCase met_;
  const CaseLimits& limits_;
  const std::function<bool(const ClientCase&)>& shows_;
  int tries_left_;
};

}  // namespace

ClientCase ShrinkCase(ClientCase met, const CaseLimits& limits, const std::function<bool(const ClientCase&)>& shows,
                      int tries_max) {
  return Shrinker(std::move(met), limits, shows, tries_max).Run();
}

}  // namespace nbdspec::fuzz
