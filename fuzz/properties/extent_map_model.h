// SPDX-License-Identifier: BSD-3-Clause
// ExtentMap as a state machine for RapidCheck: the oracle is the model, a Step is the command.
//
// Commands are made from the state: their ranges begin and end at, before or after the edges of earlier ones, which is
// where maps go wrong. A failure is shrunk by RapidCheck and shown in the text form of scripts.

#pragma once

#include <rapidcheck.h>
#include <rapidcheck/state.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/extents/extent.h"
#include "engine/oracle/oracles.h"
#include "engine/script/script.h"
#include "fuzz/comparisons/extent_map_differential.h"

namespace nbdspec::fuzz {

template <typename Oracle>
struct ExtentMapModel {
  Oracle oracle;
  std::vector<std::uint64_t> edges;  // Of the export and of every Add so far.
};

template <typename Oracle, typename Map>
class ExtentMapCommand : public rc::state::Command<ExtentMapModel<Oracle>, Map> {
 public:
  using Model = ExtentMapModel<Oracle>;

  explicit ExtentMapCommand(engine::Step step) : step_(step) {}

  void apply(Model& model) const override {
    if (const auto* add = std::get_if<engine::AddStep>(&step_)) {
      (void)model.oracle.Add(add->offset, add->length, add->type);
      model.edges.push_back(add->offset);
      model.edges.push_back(add->offset + add->length);
    } else if (std::holds_alternative<engine::ClearStep>(step_)) {
      model.oracle.Clear();
    }
  }

  void run(const Model& model, Map& map) const override {
    Oracle oracle = model.oracle;
    if (const auto found = ExtentMapDifferential<Map, Oracle>(map, oracle).Take(step_)) {
      RC_FAIL(engine::Print(step_) + ": " + found->where + "\nexpected  " + found->expected + "\nsaw       " +
              found->saw);
    }
  }

  void show(std::ostream& out) const override { out << engine::Print(step_); }

 private:
  engine::Step step_;
};

// An edge of the model's, the byte before or after it, or any offset in or near the export.
inline std::uint64_t AnyOffset(const std::vector<std::uint64_t>& edges, std::uint64_t size) {
  return *rc::gen::arbitrary<bool>() ? *rc::gen::elementOf(edges) + *rc::gen::inRange<std::uint64_t>(0, 3) - 1
                                     : *rc::gen::inRange<std::uint64_t>(0, size + 2);
}

// A range between two offsets; a few lengths stand by themselves, so that sums wrap and pass 32 bits.
inline engine::ByteRange::OffsetAndLength AnyRange(const std::vector<std::uint64_t>& edges, std::uint64_t size) {
  const std::uint64_t offset = AnyOffset(edges, size);
  if (*rc::gen::inRange(0, 5) == 0) {
    return {.offset = offset,
            .length = *rc::gen::element<std::uint64_t>(0, 1, (1ULL << 32) - 1, 1ULL << 32, (1ULL << 32) + 1, 1ULL << 62,
                                                       UINT64_MAX)};
  }
  const auto [low, high] = std::minmax({offset, AnyOffset(edges, size)});
  return {.offset = low, .length = high - low};
}

inline rc::Gen<engine::Step> GenStep(const std::vector<std::uint64_t>& edges, std::uint64_t size) {
  using engine::Step;
  const auto add = rc::gen::exec([edges, size]() -> Step {
    const auto [offset, length] = AnyRange(edges, size);
    const auto type = *rc::gen::weightedElement<std::uint8_t>({{8, 0}, {8, 1}, {8, 2}, {8, 3}, {1, 4}, {1, 0x83}});
    return engine::AddStep{.offset = offset, .length = length, .type = static_cast<engine::ExtentType>(type)};
  });
  const auto foreach_step = rc::gen::exec([edges, size]() -> Step {
    const auto bounds = engine::ByteRange::From(AnyRange(edges, size));
    return engine::ForEachStep{.bounds = bounds.value_or(engine::ByteRange{}),
                               .stop_at = *rc::gen::inRange<std::uint8_t>(0, 5)};
  });
  const auto lookup =
      rc::gen::exec([edges, size]() -> Step { return engine::LookupStep{.offset = AnyOffset(edges, size)}; });
  return rc::gen::weightedOneOf<Step>(
      {{16, add}, {4, foreach_step}, {2, lookup}, {1, rc::gen::just(Step(engine::ClearStep{}))}});
}

template <typename Oracle, typename MakeMap>
void CheckExtentMapProperty(std::uint64_t size, const MakeMap& make_map) {
  const auto initial = static_cast<engine::ExtentType>(*rc::gen::inRange(0, 4));
  auto map = make_map(size, initial);
  using Command = ExtentMapCommand<Oracle, decltype(map)>;
  const ExtentMapModel<Oracle> model{.oracle = Oracle(size, initial), .edges = {0, size}};
  RC_LOG() << "size " << engine::PrintNumber(size) << "\ninitial " << engine::Print(initial) << "\n";
  rc::state::check(model, map, [size](const ExtentMapModel<Oracle>& state) {
    return rc::gen::map(GenStep(state.edges, size), [](engine::Step step) {
      return std::shared_ptr<const typename Command::CommandType>(std::make_shared<Command>(step));
    });
  });
}

// The property: after any sequence of steps, make_map(size, initial) answers as the oracle does. Half of the exports
// are small, with the bitmap as oracle; the others have 64-bit sizes, with the last writer as oracle.
template <typename MakeMap>
void CheckExtentMapProperty(const MakeMap& make_map) {
  if (*rc::gen::arbitrary<bool>()) {
    CheckExtentMapProperty<engine::BitmapOracle>(*rc::gen::inRange<std::uint64_t>(0, 65), make_map);
  } else {
    const auto size = *rc::gen::element<std::uint64_t>((1ULL << 32) - 1, 1ULL << 32, (1ULL << 32) + 1, 1ULL << 62,
                                                       engine::kExportBytesMax);
    CheckExtentMapProperty<engine::LastWriterOracle>(size, make_map);
  }
}

}  // namespace nbdspec::fuzz
