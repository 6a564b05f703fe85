// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/shrink.h"

#include <utility>
#include <vector>

namespace nbdspec::engine {
namespace {

// The numbers of a script, in place: what may be lowered. Bounds move as begin and length.
struct NumbersOf {
  std::vector<std::uint64_t*>& numbers;

  void operator()(AddStep& step) const {
    numbers.push_back(&step.offset);
    numbers.push_back(&step.length);
  }
  void operator()(ClearStep&) const {}
  void operator()(ForEachStep& step) const {
    numbers.push_back(&step.bounds.end);
    numbers.push_back(&step.bounds.begin);
  }
  void operator()(LookupStep& step) const { numbers.push_back(&step.offset); }
  void operator()(RequestStep& step) const { numbers.push_back(&step.offset); }
  void operator()(WaitStep&) const {}
  void operator()(OptionStep&) const {}
};

std::vector<std::uint64_t*> Numbers(Script& script) {
  std::vector<std::uint64_t*> numbers = {&script.size};
  for (Step& step : script.steps) {
    std::visit(NumbersOf{numbers}, step);
  }
  return numbers;
}

bool IsWellFormed(const Script& script) {
  for (const Step& step : script.steps) {
    const auto* foreach_step = std::get_if<ForEachStep>(&step);
    if (foreach_step != nullptr && foreach_step->bounds.begin > foreach_step->bounds.end) {
      return false;
    }
  }
  return true;
}

class Shrinker {
 public:
  Shrinker(Script script, const std::function<bool(const Script&)>& fails, int tries_max)
      : best_(std::move(script)), fails_(fails), tries_left_(tries_max) {}

  Script Run() {
    while (LeaveOutSteps() || LowerNumbers()) {
    }
    return std::move(best_);
  }

 private:
  bool Accept(Script candidate) {
    if (tries_left_ <= 0 || !IsWellFormed(candidate)) {
      return false;
    }
    --tries_left_;
    if (!fails_(candidate)) {
      return false;
    }
    best_ = std::move(candidate);
    return true;
  }

  // From the end, where a step is most likely to come after the failure.
  bool LeaveOutSteps() {
    bool has_progress = false;
    for (std::size_t i = best_.steps.size(); i-- > 0;) {
      Script candidate = best_;
      candidate.steps.erase(candidate.steps.begin() + static_cast<std::ptrdiff_t>(i));
      has_progress |= Accept(std::move(candidate));
    }
    return has_progress;
  }

  bool LowerNumbers() {
    bool has_progress = false;
    for (std::size_t i = 0; i < Numbers(best_).size(); ++i) {
      // Lower by much first, then by less: it ends at a number that cannot be lowered by one.
      for (std::uint64_t by = *Numbers(best_)[i]; by > 0;) {
        Script candidate = best_;
        std::uint64_t& number = *Numbers(candidate)[i];
        if (by <= number) {
          number -= by;
          if (Accept(std::move(candidate))) {
            has_progress = true;
            continue;
          }
        }
        by /= 2;
      }
    }
    return has_progress;
  }

  Script best_;
  const std::function<bool(const Script&)>& fails_;
  int tries_left_;
};

}  // namespace

Script Shrink(Script script, const std::function<bool(const Script&)>& fails, int tries_max) {
  return Shrinker(std::move(script), fails, tries_max).Run();
}

}  // namespace nbdspec::engine
