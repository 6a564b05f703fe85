// SPDX-License-Identifier: BSD-3-Clause
// HeldBytes: what somebody holds of what a server said, out of one budget for the whole process.
//
// Each of the many connections of the many workers may hold kFreeBytes, which is enough for nearly all that servers
// say. For more its reader asks here. Where the budget is used up it waits, and its server with it, from whom nobody
// takes anything meanwhile.
//
// No two wait for each other: the thread that has held some of the budget for longest gets whatever it asks for. Its
// own limits bound that.

#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

namespace nbdspec::conformance {

class HeldBytes {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 20;     // Of each holder, beside the budget.
  static constexpr std::uint64_t kBudgetBytes = std::uint64_t{64} << 20;  // Of all of them together.

  HeldBytes() = default;
  ~HeldBytes() { Release(); }
  HeldBytes(HeldBytes&& other) noexcept
      : reserved_(std::exchange(other.reserved_, 0)), thread_(std::exchange(other.thread_, 0)) {}
  HeldBytes& operator=(HeldBytes&& other) noexcept {
    std::swap(reserved_, other.reserved_);
    std::swap(thread_, other.thread_);
    return *this;
  }

  // Whether so many bytes may be held from now on, until Release or the end of this. Waits for room until `deadline`.
  bool Hold(std::uint64_t bytes, Clock::time_point deadline) {
    return bytes <= kFreeBytes + reserved_ || Reserve(bytes - kFreeBytes, deadline);
  }

  void Release();

  // What all hold now of the budget.
  static std::uint64_t InUse();

 private:
  bool Reserve(std::uint64_t bytes, Clock::time_point deadline);

  std::uint64_t reserved_ = 0;  // Of the budget.
  std::uint64_t thread_ = 0;    // The number of the thread that reserved it.
};

}  // namespace nbdspec::conformance
