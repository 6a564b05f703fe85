// SPDX-License-Identifier: BSD-3-Clause
#include "command/progress.h"

#include <fmt/format.h>

namespace nbdspec::command {

namespace {

constexpr std::chrono::seconds kShortRun{1};
constexpr std::chrono::seconds kLinePause{10};
constexpr std::size_t kPaceParts = 32;

}  // namespace

std::optional<std::string> Progress::Add(std::string_view name, Clock::time_point now) {
  ++done_;
  last_.push_back(now);
  if (last_.size() > kPaceParts) {
    last_.pop_front();
  }
  const bool is_time = shown_ == Shown::kInPlace ? now - start_ >= kShortRun : now - told_ >= kLinePause;
  if (!is_time || done_ >= total_) {
    return {};
  }
  told_ = now;
  return fmt::format("[{}/{}] {} s left, {}", done_, total_, Left(now).count(), name);
}

std::chrono::seconds Progress::Left(Clock::time_point now) const {
  const Clock::time_point since = done_ == last_.size() ? start_ : last_.front();
  const std::size_t parts = done_ == last_.size() ? done_ : last_.size() - 1;
  return std::chrono::ceil<std::chrono::seconds>((now - since) * (total_ - done_) / parts);
}

}  // namespace nbdspec::command
