// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/c_api_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/extents/extent.h"
#include "engine/extents/failing_new.h"
#include "engine/extents/nbdkit_extents_compat.h"
#include "engine/oracle/oracles.h"
#include "fuzz/inputs/c_api_input.h"

namespace nbdspec::fuzz {
namespace {

using engine::Extent;
using engine::LastWriterOracle;

constexpr int kGarbageErrno = 4321;  // What the error callback leaves: a function must not pass it on.
constexpr std::size_t kSeenMax = 256;

// How a call ended, and what its callbacks saw.
struct Outcome {
  int result = 0;  // What it returned; for a map 0, for NULL -1.
  int error = 0;   // errno, where the call failed.
  std::vector<Extent> visited = {};
  std::vector<int> told = {};                     // errno of each call of the error callback.
  std::vector<std::uint64_t> inner_results = {};  // Of what the callback itself called.
  bool operator==(const Outcome&) const = default;
};

std::string Print(const Outcome& outcome) {
  std::string text = fmt::format("{} with errno {}", outcome.result, outcome.error);
  for (const Extent& extent : outcome.visited) {
    text += fmt::format(", [{}, {}) type {}", extent.range.begin, extent.range.end, static_cast<unsigned>(extent.type));
  }
  return text + fmt::format("; told of errors {}; inner results {}", fmt::join(outcome.told, " "),
                            fmt::join(outcome.inner_results, " "));
}

class CApiDifferential {
 public:
  explicit CApiDifferential(const CApi& api) : api_(api), memory_before_(engine::watched_memory()) {
    saw_.visited.reserve(kSeenMax);
    saw_.told.reserve(kSeenMax);
    saw_.inner_results.reserve(kSeenMax);
  }
  CApiDifferential(const CApiDifferential&) = delete;
  CApiDifferential& operator=(const CApiDifferential&) = delete;

  ~CApiDifferential() {
    for (Slot& slot : slots_) {
      Free(slot);
    }
    api_.set_error_callback(nullptr, nullptr);
  }

  Found Run(const std::vector<CStep>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      auto found = Take(steps[i]);
      found = found ? found : CompareWhole(steps[i].slot);
      found = found ? found : CompareMemory();
      if (found) {
        return Under("call " + std::to_string(i + 1) + ", " + Print(steps[i]), std::move(found));
      }
    }
    for (unsigned slot = 0; slot < kCSlotCount; ++slot) {
      if (auto found = CompareWhole(slot)) {
        return Under("at the end, map " + std::to_string(slot), std::move(found));
      }
    }
    return CompareAfterFree();
  }

 private:
  struct Slot {
    nbdspec_extents_map* map = nullptr;
    std::optional<LastWriterOracle> oracle;
  };

  // --- The calls ---

  // In callbacks nothing may be allocated, for the memory there is the library's: so what they see has a place.
  template <typename Value>
  static void Note(std::vector<Value>& seen, const Value& value) {
    if (seen.size() < seen.capacity()) {
      seen.push_back(value);
    }
  }

  // Runs `call` as `step` says: with its memory and its error callback. Only here can an allocation fail.
  template <typename Call>
  const Outcome& Watch(const CStep& step, const Call& call) {
    saw_.visited.clear();
    saw_.told.clear();
    saw_.inner_results.clear();
    step_ = &step;
    api_.set_error_callback(step.is_told ? OnError : nullptr, step.is_told ? this : nullptr);
    errno = kGarbageErrno;
    engine::WatchMemory(true);
    engine::AllowAllocations(step.allocations);
    saw_.result = call();
    saw_.error = saw_.result == 0 ? 0 : errno;
    engine::AllowAllocations(engine::kUnlimited);
    engine::WatchMemory(false);
    return saw_;
  }

  Found Take(const CStep& step) {
    Slot& slot = slots_[step.slot];
    map_ = step.is_null ? nullptr : slot.map;
    const std::size_t refused_before = engine::watched_memory().refused;
    nbdspec_extents_map* made = nullptr;
    const Outcome& saw = Watch(step, [&] { return Call(step, made); });
    const bool was_refused = engine::watched_memory().refused != refused_before;
    const bool is_new = step.call <= CCall::kNewCompat;
    if (is_new && made != nullptr) {
      Free(slot);
      slot.map = made;
    }
    const bool may_fail = is_new || step.call == CCall::kAdd;  // For want of memory: where the header says ENOMEM.
    Outcome expected = Expect(step);
    if (was_refused && may_fail && expected.result == 0 && saw.result == -1) {
      expected = {.result = -1, .error = ENOMEM, .told = {ENOMEM}};
    }
    if (!step.is_told) {
      expected.told.clear();
    }
    if (expected.result == 0) {
      Believe(step, slot);
    }
    return Compare("its result", expected, saw);
  }

  // Calls `add` for what kAdd or kFill adds, until it returns other than 0. Returns that.
  template <typename Add>
  static int AddAll(const CStep& step, const Add& add) {
    if (step.call == CCall::kAdd) {
      return add(step.offset, step.length);
    }
    int result = 0;
    for (unsigned i = 0; i < kFillCount && result == 0; ++i) {
      result = add(FillOffset(i), std::uint64_t{1});
    }
    return result;
  }

  int Call(const CStep& step, nbdspec_extents_map*& made) {
    switch (step.call) {
      case CCall::kNewOfType:
        made = api_.new_of_type(step.offset, step.type);
        return made == nullptr ? -1 : 0;
      case CCall::kNew:
        made = api_.new_hole(step.offset);
        return made == nullptr ? -1 : 0;
      case CCall::kNewCompat:
        // nbdkit_extents_new is inline over the function that is under test.
        made = api_.new_hole == nbdspec_extents_new ? nbdkit_extents_new() : api_.new_hole(NBDSPEC_EXTENTS_SIZE_MAX);
        return made == nullptr ? -1 : 0;
      case CCall::kFree:
        if (!step.is_null) {
          slots_[step.slot].map = nullptr;
        }
        api_.free(map_);
        return 0;
      case CCall::kAdd:
      case CCall::kFill:
        return AddAll(step, [&](std::uint64_t offset, std::uint64_t length) {
          return api_.add(map_, offset, length, step.type);
        });
      case CCall::kClear:
        return api_.clear(map_);
      case CCall::kForeach:
        return api_.foreach (map_, step.no_callback ? nullptr : OnExtent, this, step.type, step.offset, step.length);
    }
    return -1;
  }

  static int OnExtent(std::uint64_t offset, std::uint64_t length, std::uint32_t type, void* opaque) {
    auto& self = *static_cast<CApiDifferential*>(opaque);
    Note(self.saw_.visited, {.range = {.begin = offset, .end = offset + length},
                             .type = static_cast<engine::ExtentType>(std::min<std::uint32_t>(type, UINT8_MAX))});
    self.ActInCallback();
    const bool fails = self.step_->stop_at != 0 && self.saw_.visited.size() >= self.step_->stop_at;
    errno = fails ? self.step_->callback_error : kGarbageErrno;
    return fails ? self.step_->callback_result : 0;
  }

  void ActInCallback() {
    const auto note = [this](int result) {
      Note(saw_.inner_results, result == -1 ? static_cast<std::uint64_t>(errno) : std::uint64_t{0});
    };
    switch (step_->in_callback) {
      case InCallback::kNothing:
        return;
      case InCallback::kAdd:
        return note(api_.add(map_, 0, 1, NBDSPEC_EXTENT_TYPE_ZERO));
      case InCallback::kClear:
        return note(api_.clear(map_));
      case InCallback::kForeach: {
        const auto count = [](std::uint64_t, std::uint64_t, std::uint32_t, void* extents) {
          ++*static_cast<std::uint64_t*>(extents);
          return 0;
        };
        std::uint64_t extents = 0;
        (void)api_.foreach (map_, count, &extents, 0, 0, 0);
        Note(saw_.inner_results, extents);
      }
    }
  }

  static void OnError(int error, const char* message, void* opaque) {
    const bool is_sentence = message != nullptr && message[0] != '\0';
    Note(static_cast<CApiDifferential*>(opaque)->saw_.told, is_sentence ? error : -1);
    errno = kGarbageErrno;
  }

  void Free(Slot& slot) {
    engine::WatchMemory(true);
    api_.free(slot.map);
    engine::WatchMemory(false);
    slot.map = nullptr;
  }

  // --- What they should do ---

  // Given memory enough.
  [[nodiscard]] Outcome Expect(const CStep& step) const {
    if (const int error = ErrorOf(step); error != 0) {
      return {.result = -1, .error = error, .told = {error}};
    }
    return step.call == CCall::kForeach ? ExpectWalk(step) : Outcome{};
  }

  [[nodiscard]] int ErrorOf(const CStep& step) const {
    const bool is_known_type = step.type <= (NBDSPEC_EXTENT_TYPE_HOLE | NBDSPEC_EXTENT_TYPE_ZERO);
    const int out_of_range = step.length > UINT64_MAX - step.offset ? ERANGE : 0;
    switch (step.call) {
      case CCall::kFree:
        return 0;
      case CCall::kNewCompat:
      case CCall::kNew:
      case CCall::kNewOfType:
        return step.offset > NBDSPEC_EXTENTS_SIZE_MAX            ? ERANGE
               : step.call != CCall::kNewOfType || is_known_type ? 0
                                                                 : EINVAL;
      case CCall::kAdd:
        return map_ == nullptr || !is_known_type ? EINVAL : out_of_range;
      case CCall::kClear:
      case CCall::kFill:
        return map_ == nullptr ? EINVAL : 0;
      case CCall::kForeach:
        if (map_ == nullptr || step.no_callback || step.type > NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE) {
          return EINVAL;
        }
        return step.type != 0 && step.length != UINT64_MAX ? out_of_range : 0;
    }
    return 0;
  }

  [[nodiscard]] Outcome ExpectWalk(const CStep& step) const {
    const LastWriterOracle& oracle = *slots_[step.slot].oracle;
    const engine::ByteRange whole = {.begin = 0, .end = oracle.size()};
    engine::ByteRange bounds = whole;
    if (step.type == NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE) {
      bounds = {.begin = step.offset, .end = step.length == UINT64_MAX ? UINT64_MAX : step.offset + step.length};
    }
    const auto visited = oracle.Extents(bounds);
    Outcome outcome = {.visited = {visited.begin(), visited.end()}};
    if (step.stop_at != 0 && outcome.visited.size() >= step.stop_at) {
      outcome.visited.resize(step.stop_at);
      outcome.result = -1;
      outcome.error = step.callback_error;
    }
    const std::size_t calls = outcome.visited.size();
    if (step.in_callback == InCallback::kForeach) {
      outcome.inner_results.assign(calls, oracle.Extents(whole).size());
    } else if (step.in_callback != InCallback::kNothing) {
      outcome.inner_results.assign(calls, EBUSY);
      outcome.told.assign(calls, EBUSY);
    }
    return outcome;
  }

  // Takes the oracle through a step that succeeds.
  void Believe(const CStep& step, Slot& slot) const {
    const auto type = static_cast<engine::ExtentType>(step.type);
    switch (step.call) {
      case CCall::kNewOfType:
      case CCall::kNew:
      case CCall::kNewCompat:
        slot.oracle.emplace(step.offset, step.call == CCall::kNewOfType ? type : engine::ExtentType::kHole);
        return;
      case CCall::kFree:
        if (!step.is_null) {
          slot.oracle.reset();
        }
        return;
      case CCall::kAdd:
      case CCall::kFill:
        AddAll(step, [&](std::uint64_t offset, std::uint64_t length) {
          return slot.oracle->Add(offset, length, type).has_value() ? 0 : -1;
        });
        return;
      case CCall::kClear:
        slot.oracle->Clear();
        return;
      case CCall::kForeach:
        return;
    }
  }

  // --- Comparing ---

  // Without flags, so that the range is garbage.
  Found CompareWhole(unsigned slot) {
    if (slots_[slot].map == nullptr) {
      return std::nullopt;
    }
    const CStep whole = {.call = CCall::kForeach, .slot = slot, .offset = UINT64_MAX, .length = 3};
    map_ = slots_[slot].map;
    const Outcome expected = ExpectWalk(whole);
    const auto walk = [&] {
      nbdspec_extents_map* none = nullptr;
      return Call(whole, none);
    };
    return Compare("the whole map", expected, Watch(whole, walk));
  }

  [[nodiscard]] Found CompareMemory() const {
    return Compare("deletes of what was not held", memory_before_.not_held, engine::watched_memory().not_held);
  }

  Found CompareAfterFree() {
    for (Slot& slot : slots_) {
      Free(slot);
    }
    auto found = Compare("allocations held, all maps are free", memory_before_.held, engine::watched_memory().held);
    return found ? found : CompareMemory();
  }

  const CApi& api_;
  engine::WatchedMemory memory_before_;
  std::array<Slot, kCSlotCount> slots_;
  const CStep* step_ = nullptr;         // Under way.
  nbdspec_extents_map* map_ = nullptr;  // Its map, or NULL.
  Outcome saw_;                         // By the call under way, and its callbacks.
};

}  // namespace

Found FindCApiDisagreement(engine::ByteView input, const CApi& api) {
  return CApiDifferential(api).Run(ReadCApiInput(input));
}

FuzzTarget CApiTarget() {
  return {.name = "c_api",
          .subject = "the C functions, with memory that runs out and callbacks that fail",
          .against = "the last writer, and `extents_c.h`",
          .inputs = {.bytes_max = 160},
          .find_in_bytes = [](engine::ByteView input) { return FindCApiDisagreement(input); }};
}

}  // namespace nbdspec::fuzz
