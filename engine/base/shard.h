// SPDX-License-Identifier: BSD-3-Clause
// One part of a run that several processes, or machines, share: no two do the same, and all of them do all of it.

#pragma once

#include <cstdint>

namespace nbdspec::engine {

struct Shard {
  std::uint64_t index = 0;  // Below `count`.
  std::uint64_t count = 1;

  // Which of all is the one that this shard does as its `own`th, from 0: in turn, each shard does `together` in a row.
  [[nodiscard]] constexpr std::uint64_t NumberOf(std::uint64_t own, std::uint64_t together) const {
    return (own / together * count + index) * together + own % together;
  }

  bool operator==(const Shard&) const = default;
};

}  // namespace nbdspec::engine
