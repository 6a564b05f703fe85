// SPDX-License-Identifier: BSD-3-Clause
// BoundaryInner: a node of BoundaryTree above the leaves.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nbdspec::engine {

// An inner node: up to kMax children, and their first keys in lines as those of a leaf. Slots past `count` have kPad.
template <typename Shape>
struct BoundaryInner {
  static constexpr unsigned kPerLine = Shape::kInnerPerLine;
  static constexpr unsigned kSlots = kPerLine * kPerLine;
  static constexpr unsigned kMax = kSlots - 1;  // So that there is a key after that of any child.
  static constexpr std::uint64_t kPad = ~std::uint64_t{0};

  std::array<std::uint64_t, kPerLine - 1> pivots;  // The first key of each line but the first.
  std::uint64_t count;
  std::array<std::uint64_t, kSlots> keys;
  std::array<void*, kSlots> children;  // Inner nodes or leaves; the last slot makes the lines whole.

  void Reset();
  void SetPivots();
  // Moves the children [from, count) to `to`, and pads.
  void Move(unsigned from, unsigned to);
  void Put(unsigned index, std::uint64_t key, void* child);  // Opens a slot.
  void Remove(unsigned from, unsigned to) { Move(to, from); }

  // The child that the byte at `offset` is below.
  [[nodiscard]] unsigned Find(std::uint64_t offset) const {
    unsigned line = 0;
    for (const std::uint64_t pivot : pivots) {
      line += pivot <= offset ? 1 : 0;
    }
    __builtin_prefetch(children.data() + std::size_t{line} * kPerLine);  // Where the answer points to.
    const std::uint64_t* here = keys.data() + std::size_t{line} * kPerLine;
    unsigned up_to = 0;
    for (unsigned i = 0; i < kPerLine; ++i) {
      up_to += here[i] <= offset ? 1 : 0;
    }
    return line * kPerLine + up_to - 1;
  }
};

template <typename Shape>
void BoundaryInner<Shape>::Reset() {
  pivots.fill(kPad);
  keys.fill(kPad);
  count = 0;
}

template <typename Shape>
void BoundaryInner<Shape>::SetPivots() {
  for (std::size_t line = 1; line < kPerLine; ++line) {
    pivots[line - 1] = keys[line * kPerLine];
  }
}

template <typename Shape>
void BoundaryInner<Shape>::Move(unsigned from, unsigned to) {
  const std::uint64_t moved = count - from;
  std::memmove(keys.data() + to, keys.data() + from, moved * sizeof(keys[0]));
  std::memmove(children.data() + to, children.data() + from, moved * sizeof(children[0]));
  for (std::uint64_t i = to + moved; i < count; ++i) {
    keys[i] = kPad;
  }
  count = to + moved;
  SetPivots();
}

template <typename Shape>
void BoundaryInner<Shape>::Put(unsigned index, std::uint64_t key, void* child) {
  Move(index, index + 1);
  keys[index] = key;
  children[index] = child;
  SetPivots();
}

}  // namespace nbdspec::engine
