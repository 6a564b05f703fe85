// SPDX-License-Identifier: BSD-3-Clause
// Progress: what a long run tells people about itself while it goes on, and how often.

#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace nbdspec::command {

// Where the lines go.
enum class Shown {
  kInPlace,  // To a terminal, each in place of the one before: all of them, but none of a run of less than a second.
  kAsLines,  // To a log: one every ten seconds.
};

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // Of a run of `total` parts that begins at `start`.
  Progress(std::size_t total, Shown shown, Clock::time_point start)
      : total_(total), shown_(shown), start_(start), told_(start) {}

  // Another part is done, `name`. Returns the line to show, if there is one to show now.
  // Example: "[123/412] 40 s left, write-zeroes.reads-zero"
  std::optional<std::string> Add(std::string_view name, Clock::time_point now);

 private:
  // At the pace of the last parts, for others may have taken no time, or much.
  [[nodiscard]] std::chrono::seconds Left(Clock::time_point now) const;

  std::size_t total_;
  Shown shown_;
  Clock::time_point start_;
  Clock::time_point told_;  // When the last line was, or the start.
  std::size_t done_ = 0;
  std::deque<Clock::time_point> last_;  // When each of the last parts was done.
};

// When a report of all that is known is to be written: it takes longer each time, so the more seldom, the longer it
// took.
class ReportPace {
 public:
  using Clock = std::chrono::steady_clock;

  explicit ReportPace(Clock::time_point start) : start_(start) {}

  // Whether all reports so far have taken no more than a tenth of the time since the start.
  [[nodiscard]] bool IsTime(Clock::time_point now) const { return (now - start_) >= kShare * spent_; }
  void Took(Clock::duration time) { spent_ += time; }

 private:
  static constexpr int kShare = 10;
  Clock::time_point start_;
  Clock::duration spent_{0};
};

}  // namespace nbdspec::command
