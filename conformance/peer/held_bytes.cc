// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/held_bytes.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

#include "engine/base/check.h"

namespace nbdspec::conformance {

namespace {

// Reserved at once, so that who receives much does not ask for every piece of it.
constexpr std::uint64_t kStepBytes = std::uint64_t{1} << 20;

// The number of this thread, from 1: unlike its id, none gets it again.
std::uint64_t ThisThread() {
  static std::atomic<std::uint64_t> last = 0;
  thread_local const std::uint64_t mine = ++last;
  return mine;
}

class Budget {
 public:
  bool Take(std::uint64_t thread, std::uint64_t bytes, HeldBytes::Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const auto may = [&] {
      return in_use_ + bytes <= HeldBytes::kBudgetBytes || holders_.empty() || holders_.front().thread == thread;
    };
    if (!given_back_.wait_until(lock, deadline, may)) {
      return false;
    }
    auto holder = std::ranges::find(holders_, thread, &Holder::thread);
    if (holder == holders_.end()) {
      holder = holders_.insert(holder, {.thread = thread});
    }
    holder->bytes += bytes;
    in_use_ += bytes;
    return true;
  }

  void GiveBack(std::uint64_t thread, std::uint64_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      const auto holder = std::ranges::find(holders_, thread, &Holder::thread);
      NBDSPEC_CHECK(holder != holders_.end() && holder->bytes >= bytes);
      holder->bytes -= bytes;
      in_use_ -= bytes;
      if (holder->bytes == 0) {
        holders_.erase(holder);
      }
    }
    given_back_.notify_all();
  }

  std::uint64_t in_use() {
    const std::lock_guard lock(mutex_);
    return in_use_;
  }

 private:
  struct Holder {
    std::uint64_t thread = 0;
    std::uint64_t bytes = 0;
  };

  std::mutex mutex_;  // Guards the two below.
  std::condition_variable given_back_;
  std::vector<Holder> holders_;  // In the order in which they began.
  std::uint64_t in_use_ = 0;
};

Budget& TheBudget() {
  static Budget* const budget = new Budget;  // For what is given back at the very end, too.
  return *budget;
}

}  // namespace

bool HeldBytes::Reserve(std::uint64_t bytes, Clock::time_point deadline) {
  const std::uint64_t wanted = (bytes + kStepBytes - 1) / kStepBytes * kStepBytes;
  const std::uint64_t thread = reserved_ > 0 ? thread_ : ThisThread();
  if (!TheBudget().Take(thread, wanted - reserved_, deadline)) {
    return false;
  }
  thread_ = thread;
  reserved_ = wanted;
  return true;
}

void HeldBytes::Release() {
  if (reserved_ > 0) {
    TheBudget().GiveBack(thread_, std::exchange(reserved_, 0));
  }
}

std::uint64_t HeldBytes::InUse() { return TheBudget().in_use(); }

}  // namespace nbdspec::conformance
