// SPDX-License-Identifier: BSD-3-Clause
// What a run knows of its target: see worker.h.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "conformance/runner/worker.h"

namespace nbdspec::conformance {

namespace {

// Of one cause: in so many checks a server's death is a failure.
constexpr std::size_t kDeathsShown = 3;

}  // namespace

std::optional<Profile> Knowledge::ProfileOf(Setup setup) const {
  const std::lock_guard lock(mutex_);
  const auto found = profiles_.find(setup);
  return found == profiles_.end() ? std::nullopt : std::optional(found->second);
}

void Knowledge::Learn(Setup setup, const Profile& profile) {
  LearnWait(profile.longest_wait);
  const std::lock_guard lock(mutex_);
  profiles_.insert_or_assign(setup, profile);
}

void Knowledge::LearnUnfit(Setup setup, const ProbeError& why) {
  const std::lock_guard lock(mutex_);
  unfit_.emplace(setup, why);
}

Knowledge::Unfit Knowledge::unfit() const {
  const std::lock_guard lock(mutex_);
  return unfit_;
}

std::optional<std::string> Knowledge::LearnDeath(std::string_view id, const std::string& ended,
                                                 const std::string& message) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string_view>& ids = deaths_[{ended, message}];
  if (ids.size() >= kDeathsShown) {
    return fmt::format("{}", fmt::join(ids, ", "));
  }
  ids.push_back(id);
  return {};
}

bool Knowledge::LearnWait(Transport::Clock::duration wait) {
  constexpr std::chrono::milliseconds kNear{10};  // Where limits have room for it anyway.
  constexpr std::chrono::milliseconds kNoise{50};
  const std::chrono::milliseconds seen =
      wait <= kNear ? std::chrono::milliseconds(0) : std::chrono::ceil<std::chrono::milliseconds>(wait);
  std::chrono::milliseconds known = longest_wait_;
  const bool is_much_longer = seen > 2 * known + kNoise;
  while (seen > known && !longest_wait_.compare_exchange_weak(known, seen)) {
  }
  return is_much_longer;
}

}  // namespace nbdspec::conformance
