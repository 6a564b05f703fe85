// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/layer_stack_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/layers/layer.h"
#include "engine/script/script.h"
#include "engine/wire/protocol.h"
#include "fuzz/inputs/layer_stack_input.h"
#include "fuzz/oracles/naive_layers.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Bytes;
using engine::Extent;
using engine::ExtentType;
using engine::LayerResult;
using engine::NbdError;

std::string Show(const LayerResult& result) { return result ? "success" : "error " + std::to_string(result.error()); }

// How many disks a flush reaches: copy on write keeps what was written to itself.
std::uint64_t FlushCountOf(const LayerSpec& spec) {
  std::uint64_t count = spec.kind == LayerKind::kDisk ? 1 : 0;
  for (const LayerSpec& below : spec.below) {
    count += spec.kind == LayerKind::kCopyOnWrite ? 0 : FlushCountOf(below);
  }
  return count;
}

class Comparison {
 public:
  Comparison(const LayerStackInput& input, const MakeLayer& make)
      : input_(input), stack_(MakeWatchedStack(input.top, make, notes_)), naive_(input.top) {}

  Found Run() {
    cells_ = naive_.Cells();
    where_ = "at first";
    Expect("size", std::uint64_t{cells_.size()}, stack_->size());
    Expect("can_extents", naive_.CanExtents(), stack_->CanExtents());
    Expect("can_write", naive_.CanWrite(), stack_->CanWrite());
    if (!found_) {
      CompareAll({.begin = 0, .end = cells_.size()});
    }
    for (std::size_t i = 0; i < input_.steps.size() && !found_ && !is_over_; ++i) {
      RunStep(input_.steps[i], i + 1);
    }
    return std::move(found_);
  }

 private:
  template <typename Value>
  void Expect(std::string_view what, const Value& expected, const Value& saw) {
    if (!found_ && expected != saw) {
      found_ = Under(Print(input_.top) + ": " + where_, Compare(what, expected, saw));
    }
  }

  void RunStep(const StackStep& step, std::size_t number) {
    const std::uint64_t begin = step.offset % (cells_.size() + 1);
    const ByteRange range = {.begin = begin, .end = begin + step.length % (cells_.size() - begin + 1)};
    where_ = fmt::format("step {}, {}", number, Print(step, range));
    notes_.calls_to_fault = step.calls_to_fault;
    notes_.fault_error = step.fault_error;
    const bool changes = step.call >= StackCall::kWrite && step.call <= StackCall::kTrim;
    if (changes) {
      Change(step, range);
    } else if (step.call == StackCall::kFlush) {
      CompareFlush();
    } else if (step.call == StackCall::kRead) {
      CompareRead(range);
    } else {
      CompareExtents(range, /*req_one=*/step.call == StackCall::kExtentsReqOne);
    }
    notes_.calls_to_fault = 0;
    if (std::exchange(notes_.is_fault_raised, false)) {
      if (changes) {
        CompareWithItself();  // A part may be done.
        is_over_ = true;
      }
      return;
    }
    CompareAll(range);
  }

  // Whether the call ended as it had to, and with success.
  bool HasSucceeded(const LayerResult& result, bool has_room = true) {
    LayerResult expected;
    if (notes_.is_fault_raised) {
      expected = std::unexpected(notes_.fault_error);
    } else if (!has_room) {
      expected = std::unexpected(NbdError::kEnospc);
    }
    if (!notes_.breach.empty()) {
      Expect("what a layer below may not do", std::string(), notes_.breach);
    } else if (result != expected) {
      Expect("result", Show(expected), Show(result));
    }
    return !found_ && result.has_value();
  }

  void Change(const StackStep& step, ByteRange range) {
    if (!stack_->CanWrite()) {
      return;
    }
    NaiveChange change = {.call = step.call, .range = range};
    LayerResult changed;
    if (step.call == StackCall::kWrite) {
      change.data.resize(range.length());
      std::uint8_t next = step.fill;
      std::ranges::generate(change.data, [&] { return std::exchange(next, static_cast<std::uint8_t>(next * 5U)); });
      changed = stack_->Write(range.begin, change.data);
    } else if (step.call == StackCall::kTrim) {
      changed = stack_->Trim(range);
    } else {
      changed = stack_->WriteZeroes(range, /*may_punch_hole=*/step.call == StackCall::kPunchHole);
    }
    HasSucceeded(changed, /*has_room=*/notes_.is_fault_raised || naive_.Change(change));
    cells_ = naive_.Cells();
  }

  void CompareFlush() {
    notes_.flush_count = 0;
    if (HasSucceeded(stack_->Flush())) {
      Expect("disks flushed", FlushCountOf(input_.top), notes_.flush_count);
    }
  }

  void CompareAll(ByteRange range) {
    const ByteRange all = {.begin = 0, .end = cells_.size()};
    CompareExtents(all, /*req_one=*/false);
    CompareRead(all);
    CompareExtents(range, /*req_one=*/false);
    CompareExtents(range, /*req_one=*/true);
    CompareRead(range);
  }

  void CompareRead(ByteRange range) {
    if (found_) {
      return;
    }
    Bytes saw(range.length(), 0xa5);
    if (!HasSucceeded(stack_->Read(range.begin, saw))) {
      return;
    }
    for (std::uint64_t i = range.begin; i < range.end; ++i) {
      if (saw[i - range.begin] != cells_[i].byte) {
        return Expect(fmt::format("byte {} of read {} +{}", i, range.begin, range.length()), cells_[i].byte,
                      saw[i - range.begin]);
      }
    }
  }

  void CompareExtents(ByteRange range, bool req_one) {
    if (found_ || range.empty()) {
      return;
    }
    const auto answer = Extents({.range = range, .req_one = req_one});
    if (!answer) {
      return;
    }
    answer->ForEach(range, [&](Extent extent) {
      for (std::uint64_t i = extent.range.begin; i < extent.range.end; ++i) {
        const ExtentType right = cells_[i].type;
        const bool is_sound = (static_cast<unsigned>(extent.type) & ~static_cast<unsigned>(right)) == 0;
        if (req_one && i > range.begin ? !is_sound : extent.type != right) {
          Expect(fmt::format("byte {} of extents{} {} +{}", i, req_one ? " req_one" : "", range.begin, range.length()),
                 right, extent.type);
        }
      }
      return !found_.has_value();
    });
  }

  // What the stack says; nothing where it fails.
  std::expected<engine::ExtentMap, std::uint32_t> Extents(const engine::ExtentsRequest& request) {
    auto answer = engine::AskExtents(*stack_, request);
    const bool has_succeeded = HasSucceeded(answer ? LayerResult{} : std::unexpected(answer.error()));
    return has_succeeded ? std::move(answer) : std::unexpected(0U);
  }

  // What is said to be zero reads as zero, whatever was done.
  void CompareWithItself() {
    const ByteRange all = {.begin = 0, .end = cells_.size()};
    Bytes bytes(all.length());
    if (found_ || all.empty() || !HasSucceeded(stack_->Read(0, bytes))) {
      return;
    }
    const auto answer = Extents({.range = all});
    if (!answer) {
      return;
    }
    answer->ForEach(all, [&](Extent extent) {
      for (std::uint64_t i = extent.range.begin; i < extent.range.end; ++i) {
        if (engine::IsZero(extent.type) && bytes[i] != 0) {
          Expect(fmt::format("byte {}, said to be zero after the fault", i), std::uint8_t{0}, bytes[i]);
        }
      }
      return true;
    });
  }

  const LayerStackInput& input_;
  WatchNotes notes_;
  std::unique_ptr<engine::Layer> stack_;
  NaiveLayer naive_;
  std::vector<NaiveCell> cells_;  // The naive stack's, now.
  std::string where_;
  bool is_over_ = false;
  Found found_;
};

}  // namespace

Found FindLayerStackDisagreement(engine::ByteView bytes, const MakeLayer& make) {
  const LayerStackInput input = ReadLayerStackInput(bytes);
  return Comparison(input, make).Run();
}

FuzzTarget LayerStackTarget() {
  return {.name = "layer_stack",
          .subject = "plugins and filters, stacked",
          .against = "the bitmap, transformed naively",
          .inputs = {.bytes_max = 128},
          .find_in_bytes = [](engine::ByteView input) { return FindLayerStackDisagreement(input); },
          .check_runs = 20'000};
}

}  // namespace nbdspec::fuzz
