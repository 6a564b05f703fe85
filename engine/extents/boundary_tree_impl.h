// SPDX-License-Identifier: BSD-3-Clause
// What BoundaryTree does rarely: leaves that overflow or change encoding, overwrites of more than one leaf, joins.
//
// Only what instantiates a tree includes this: extent_map.cc, and tests of other shapes.

#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/extents/boundary_leaf.h"
#include "engine/extents/boundary_scan_impl.h"
#include "engine/extents/boundary_tree.h"

namespace nbdspec::engine {

template <typename Shape>
BoundaryTree<Shape>::BoundaryTree(std::uint64_t size, std::uint8_t state) : size_(size) {
  Clear(state);
}

template <typename Shape>
void BoundaryTree<Shape>::Clear(std::uint8_t state) {
  // The least shift that reaches the end of the map. A key that needs a lower one changes it.
  root_leaf_.Reset(0, state, static_cast<unsigned>(std::max<int>(0, static_cast<int>(std::bit_width(size_)) - 32)));
  boundary_count_ = 1;
  root_ = nullptr;
  tail_ = &root_leaf_;
  append_ = {};
  height_ = 0;
  leaves_.Clear();
  inners_.Clear();
}

template <typename Shape>
void BoundaryTree<Shape>::Swap(BoundaryTree& other) noexcept {
  std::swap(size_, other.size_);
  std::swap(boundary_count_, other.boundary_count_);
  std::swap(root_, other.root_);
  std::swap(tail_, other.tail_);
  std::swap(height_, other.height_);
  std::swap(root_leaf_, other.root_leaf_);
  leaves_.Swap(other.leaves_);
  inners_.Swap(other.inners_);
  FindTail();
  other.FindTail();
}

template <typename Shape>
bool BoundaryTree<Shape>::CopyFrom(const BoundaryTree& other) {
  if (!leaves_.Reserve(other.leaves_.used()) || !inners_.Reserve(other.inners_.used())) {
    return false;
  }
  boundary_count_ = other.boundary_count_;
  height_ = other.height_;
  root_leaf_ = other.root_leaf_;
  if (height_ > 0) {
    root_ = static_cast<Inner*>(CopyUnder(other.root_, height_));
  }
  FindTail();
  return true;
}

template <typename Shape>
void* BoundaryTree<Shape>::CopyUnder(const void* node, unsigned level) {
  if (level == 0) {
    Leaf* copy = leaves_.Take();
    *copy = *static_cast<const Leaf*>(node);
    return copy;
  }
  Inner* copy = inners_.Take();
  *copy = *static_cast<const Inner*>(node);
  for (std::uint64_t i = 0; i < copy->count; ++i) {
    copy->children[i] = CopyUnder(copy->children[i], level - 1);
  }
  return copy;
}

template <typename Shape>
bool BoundaryTree<Shape>::Set(std::uint64_t begin, std::uint64_t end, std::uint8_t state) {
  const Overwrite change{.begin = begin, .end = end, .size = size_, .state = state};
  Leaf* leaf = tail_;
  if (height_ > 0 && change.begin <= leaf->base()) {
    const Place place = Find(change.begin == 0 ? 0 : change.begin - 1);
    if (change.end >= place.limit) {
      return SetSlowly(change);
    }
    leaf = place.leaf;
    leaf->Prefetch();
  }
  const unsigned before = leaf->count();
  if (!leaf->Apply(change)) {
    return SetSlowly(change);
  }
  const unsigned after = leaf->count();
  boundary_count_ += std::uint64_t{after} - before;
  if (leaf == tail_) {
    append_.limit = 0;
    if (leaf->KeyAt(after - 1) == change.end) {
      append_ = leaf->MakeTail(size_);
    }
  }
  if (height_ > 0 && IsSmall(*leaf) && after < before) [[unlikely]] {
    Tidy(change.begin, change.end);
  }
  return true;
}

template <typename Shape>
bool BoundaryTree<Shape>::SetSlowly(const Overwrite& change) {
  append_ = {};
  if (AppendLeaf(change)) {
    return true;
  }
  if (height_ > 0 && !ReserveForSet()) {
    return false;
  }
  const std::uint8_t after = change.end < size_ ? FindRun(change.end).state : change.state;
  Place place = Find(change.begin == 0 ? 0 : change.begin - 1);
  const bool is_inside = change.end < place.limit;
  if (!is_inside) {
    // The boundary at 0 stays: it gets the new state.
    EraseRange(std::max<std::uint64_t>(change.begin, 1), change.end);
    place = Find(change.begin == 0 ? 0 : change.begin - 1);
  }
  if (!RewriteLeaf(place.leaf, change, after)) {
    return false;  // Only while root_leaf_ is all there is: nothing was erased.
  }
  if (height_ > 0) {
    Tidy(change.begin, change.end);
  }
  return true;
}

// The usual way to run out of room: the overwrite follows the last one, and the last leaf is full.
template <typename Shape>
bool BoundaryTree<Shape>::AppendLeaf(const Overwrite& change) {
  if (height_ == 0 || tail_->count() < tail_->capacity() || change.end >= size_) {
    return false;
  }
  const unsigned last = tail_->count() - 1;
  const std::uint8_t after = tail_->StateAt(last);
  if (change.begin != tail_->KeyAt(last) || change.state == after || change.state == tail_->StateAt(last - 1) ||
      !ReserveForSet()) {
    return false;
  }
  // The new leaf begins with the new run, so that what comes next begins inside it.
  tail_->DropLast();
  Leaf* fresh = leaves_.Take();
  fresh->Reset(change.begin, change.state, change.end, after, tail_->shift());
  ++boundary_count_;
  Shape::Note(TreeEvent::kLeafAppended);
  InsertLeaf(fresh);
  return true;
}

// What RewriteLeaf may need: three more leaves and one for what was in the map, each of which may split every level.
template <typename Shape>
bool BoundaryTree<Shape>::ReserveForSet() {
  return leaves_.Reserve(4) && inners_.Reserve(std::size_t{3} * (height_ + 1) + 1);
}

// Applies `change`, which touches no other leaf, to a leaf where it does not fit; `after` is the state past its end.
template <typename Shape>
bool BoundaryTree<Shape>::RewriteLeaf(Leaf* leaf, const Overwrite& change, std::uint8_t after) {
  std::array<Boundary, Leaf::kNarrowMax + 2> all;
  const std::size_t before = leaf->Decode(all);
  const std::size_t from = leaf->CountBelow(change.begin);
  const std::size_t to = leaf->CountBelow(change.end + 1);
  std::array<Boundary, Leaf::kNarrowMax + 2> now;
  Boundary* past = std::copy_n(all.begin(), from, now.begin());
  if (from == 0 || all[from - 1].state != change.state) {
    *past++ = {.key = change.begin, .state = change.state};
  }
  if (change.end < size_ && after != change.state) {
    *past++ = {.key = change.end, .state = after};
  }
  past = std::copy(all.begin() + to, all.begin() + before, past);
  const std::span<const Boundary> boundaries(now.begin(), past);

  // Halves of halves, until each is one leaf; at the end of the map, as many as there is room for and the rest.
  constexpr std::size_t kPartsMax = 4;
  std::array<std::span<const Boundary>, kPartsMax> parts = {boundaries};
  std::size_t count = 1;
  const bool is_last = height_ == 0 || leaf == tail_;
  if (is_last && from + 1 >= before && !Leaf::Holds(boundaries)) {
    for (std::size_t rest = 1; rest <= 2 && count == 1; ++rest) {
      if (Leaf::Holds(boundaries.first(boundaries.size() - rest))) {
        parts = {boundaries.first(boundaries.size() - rest), boundaries.last(rest)};
        count = 2;
      }
    }
  }
  for (std::size_t i = 0; i < count;) {
    if (Leaf::Holds(parts[i])) {
      ++i;
      continue;
    }
    NBDSPEC_CHECK(count < kPartsMax);
    std::copy_backward(parts.begin() + i + 1, parts.begin() + count, parts.begin() + count + 1);
    const std::size_t half = parts[i].size() / 2;
    parts[i + 1] = parts[i].subspan(half);
    parts[i] = parts[i].first(half);
    ++count;
  }
  if (count > 1 && height_ == 0) {
    if (!ReserveForSet()) {
      return false;
    }
    leaf = leaves_.Take();
    *leaf = root_leaf_;
    root_ = inners_.Take();
    root_->Reset();
    root_->Put(0, 0, leaf);
    tail_ = leaf;
    height_ = 1;
    Shape::Note(TreeEvent::kRootGrown);
  }
  boundary_count_ += boundaries.size() - before;
  append_ = {};
  NoteEncoding(*leaf, parts[0]);
  leaf->Encode(parts[0]);
  for (std::size_t i = 1; i < count; ++i) {
    Leaf* fresh = leaves_.Take();
    fresh->Encode(parts[i]);
    InsertLeaf(fresh);
  }
  if (count > 1) {
    Shape::Note(count > 2 ? TreeEvent::kLeafSplitInMore : TreeEvent::kLeafSplit);
  }
  return true;
}

template <typename Shape>
void BoundaryTree<Shape>::NoteEncoding(const Leaf& leaf, std::span<const Boundary> boundaries) {
  Leaf now;
  now.Encode(boundaries);
  if (now.is_wide() != leaf.is_wide()) {
    Shape::Note(now.is_wide() ? TreeEvent::kBecameWide : TreeEvent::kBecameNarrow);
  } else if (now.shift() != leaf.shift()) {
    Shape::Note(TreeEvent::kShiftChanged);
  }
}

template <typename Shape>
void BoundaryTree<Shape>::InsertLeaf(Leaf* leaf) {
  const bool at_end = leaf->base() > tail_->base();
  Inner* more = InsertUnder(root_, height_, leaf->base(), leaf, at_end);
  if (at_end) {
    tail_ = leaf;
    append_ = leaf->MakeTail(size_);
  }
  if (more != nullptr) {
    Inner* root = inners_.Take();
    root->Reset();
    root->Put(0, 0, root_);
    root->Put(1, more->keys[0], more);
    root_ = root;
    ++height_;
    NBDSPEC_CHECK(height_ < kHeightMax);
    Shape::Note(TreeEvent::kRootGrown);
  }
}

// Puts `child` in its place below `node`. Returns: a new node to the right of `node`, when that was full.
template <typename Shape>
typename BoundaryTree<Shape>::Inner* BoundaryTree<Shape>::InsertUnder(Inner* node, unsigned level, std::uint64_t key,
                                                                      void* child, bool at_end) {
  const unsigned index = at_end ? static_cast<unsigned>(node->count - 1) : node->Find(key);
  if (level > 1) {
    Inner* more = InsertUnder(static_cast<Inner*>(node->children[index]), level - 1, key, child, at_end);
    if (more == nullptr) {
      return nullptr;
    }
    key = more->keys[0];
    child = more;
  }
  if (node->count < Inner::kMax) {
    node->Put(index + 1, key, child);
    return nullptr;
  }
  Inner* right = inners_.Take();
  right->Reset();
  if (at_end) {
    right->Put(0, key, child);
    Shape::Note(TreeEvent::kInnerAppended);
    return right;
  }
  constexpr unsigned kHalf = Inner::kMax - Inner::kMax / 2;
  for (unsigned i = kHalf; i < Inner::kMax; ++i) {
    right->Put(i - kHalf, node->keys[i], node->children[i]);
  }
  node->Remove(kHalf, Inner::kMax);
  if (index < kHalf) {
    node->Put(index + 1, key, child);
  } else {
    right->Put(index + 1 - kHalf, key, child);
  }
  Shape::Note(TreeEvent::kInnerSplit);
  return right;
}

// Erases the boundaries in [first, last], not all there are. Inner nodes may be left with one child.
template <typename Shape>
void BoundaryTree<Shape>::EraseRange(std::uint64_t first, std::uint64_t last) {
  std::uint64_t key = 0;
  const bool is_empty = EraseUnder(root_, height_, first, last, key);
  NBDSPEC_CHECK(!is_empty);
  FindTail();
}

// The same below `node`. Returns: whether nothing is left, and the node is to be given back; else `key` is its first.
template <typename Shape>
bool BoundaryTree<Shape>::EraseUnder(void* node, unsigned level, std::uint64_t first, std::uint64_t last,
                                     std::uint64_t& key) {
  if (level == 0) {
    return EraseInLeaf(static_cast<Leaf*>(node), first, last, key);
  }
  Inner* inner = static_cast<Inner*>(node);
  const unsigned begin = inner->keys[0] < first ? inner->Find(first - 1) : 0;
  const unsigned end = inner->Find(last) + 1;
  unsigned kept = begin;
  for (unsigned i = begin; i < end; ++i) {
    void* child = inner->children[i];
    std::uint64_t child_key = inner->keys[i];
    if ((i == begin || i + 1 == end) && !EraseUnder(child, level - 1, first, last, child_key)) {
      inner->keys[kept] = child_key;
      inner->children[kept++] = child;
      continue;
    }
    if (i == begin || i + 1 == end) {
      Shape::Note(level == 1 ? TreeEvent::kLeafErased : TreeEvent::kInnerErased);
      level == 1 ? leaves_.Give(static_cast<Leaf*>(child)) : inners_.Give(static_cast<Inner*>(child));
    } else {
      FreeSubtree(child, level - 1);
    }
  }
  inner->Remove(kept, end);
  key = inner->keys[0];
  return inner->count == 0;
}

template <typename Shape>
bool BoundaryTree<Shape>::EraseInLeaf(Leaf* leaf, std::uint64_t first, std::uint64_t last, std::uint64_t& key) {
  const unsigned from = leaf->base() < first ? leaf->CountBelow(first) : 0;
  const unsigned to = leaf->base() <= last ? leaf->CountBelow(last + 1) : 0;
  boundary_count_ -= to - from;
  if (to - from == leaf->count()) {
    return true;
  }
  if (to > from) {
    if (from == 0) {
      Shape::Note(TreeEvent::kLeafTrimmed);
    }
    leaf->Erase(from, to);
  }
  key = leaf->base();
  return false;
}

template <typename Shape>
void BoundaryTree<Shape>::FreeSubtree(void* node, unsigned level) {
  if (level == 0) {
    boundary_count_ -= static_cast<Leaf*>(node)->count();
    leaves_.Give(static_cast<Leaf*>(node));
    return;
  }
  Inner* inner = static_cast<Inner*>(node);
  for (std::uint64_t i = 0; i < inner->count; ++i) {
    FreeSubtree(inner->children[i], level - 1);
  }
  inners_.Give(inner);
  Shape::Note(TreeEvent::kSubtreeErased);
}

// After an overwrite of [begin, end): joins what became small on both sides of it.
template <typename Shape>
void BoundaryTree<Shape>::Tidy(std::uint64_t begin, std::uint64_t end) {
  TidyUnder(root_, height_, begin == 0 ? 0 : begin - 1);
  TidyUnder(root_, height_, end);
  ShrinkRoot();
  FindTail();
}

template <typename Shape>
void BoundaryTree<Shape>::TidyUnder(Inner* node, unsigned level, std::uint64_t offset) {
  const unsigned index = node->Find(offset);
  void* child = node->children[index];
  bool is_small = false;
  if (level > 1) {
    TidyUnder(static_cast<Inner*>(child), level - 1, offset);
    is_small = IsSmall(*static_cast<Inner*>(child));
  } else {
    is_small = IsSmall(*static_cast<Leaf*>(child));
  }
  if (is_small && !Join(node, index, level) && index > 0) {
    Join(node, index - 1, level);
  }
}

// Makes the children `index` and `index` + 1 one, if they fit with room to spare. Returns: whether they did.
template <typename Shape>
bool BoundaryTree<Shape>::Join(Inner* node, unsigned index, unsigned level) {
  if (index + 1 >= node->count) {
    return false;
  }
  if (level > 1) {
    Inner* left = static_cast<Inner*>(node->children[index]);
    Inner* right = static_cast<Inner*>(node->children[index + 1]);
    if ((left->count + right->count) * 4 > std::uint64_t{Inner::kMax} * 3) {
      return false;
    }
    for (std::uint64_t i = 0; i < right->count; ++i) {
      left->Put(static_cast<unsigned>(left->count), right->keys[i], right->children[i]);
    }
    inners_.Give(right);
    Shape::Note(TreeEvent::kInnersJoined);
  } else {
    Leaf* left = static_cast<Leaf*>(node->children[index]);
    Leaf* right = static_cast<Leaf*>(node->children[index + 1]);
    std::array<Boundary, 2 * std::size_t{Leaf::kNarrowMax}> all;
    const std::size_t half = left->Decode(all);
    const std::span<const Boundary> both(all.data(), half + right->Decode(std::span(all).subspan(half)));
    Leaf joined;
    if (!Leaf::Holds(both) || (joined.Encode(both), joined.count() * 4 > joined.capacity() * 3)) {
      return false;
    }
    *left = joined;
    leaves_.Give(right);
    Shape::Note(TreeEvent::kLeavesJoined);
  }
  node->Remove(index + 1, index + 2);
  return true;
}

// A root of one child is not needed.
template <typename Shape>
void BoundaryTree<Shape>::ShrinkRoot() {
  while (height_ > 0 && root_->count == 1) {
    void* child = root_->children[0];
    inners_.Give(root_);
    --height_;
    Shape::Note(TreeEvent::kRootShrunk);
    root_ = height_ > 0 ? static_cast<Inner*>(child) : nullptr;
    if (height_ == 0) {
      root_leaf_ = *static_cast<Leaf*>(child);
      leaves_.Give(static_cast<Leaf*>(child));
      Shape::Note(TreeEvent::kBackInTheMap);
    }
  }
}

template <typename Shape>
void BoundaryTree<Shape>::FindTail() {
  void* node = height_ == 0 ? static_cast<void*>(&root_leaf_) : root_;
  for (unsigned level = height_; level > 0; --level) {
    const Inner* inner = static_cast<const Inner*>(node);
    node = inner->children[inner->count - 1];
  }
  tail_ = static_cast<Leaf*>(node);
  append_ = {};
}

template <typename Shape>
void BoundaryTree<Shape>::CheckInvariants() const {
  int state_before = -1;
  if (height_ == 0) {
    NBDSPEC_CHECK(root_ == nullptr && tail_ == &root_leaf_ && leaves_.used() == 0 && inners_.used() == 0);
    NBDSPEC_CHECK(CheckUnder(&root_leaf_, 0, Inner::kPad, state_before) == boundary_count_);
  } else {
    NBDSPEC_CHECK(root_->count > 1 && root_->keys[0] == 0);
    NBDSPEC_CHECK(CheckUnder(root_, height_, Inner::kPad, state_before) == boundary_count_);
    const Place last = Find(Inner::kPad - 1);
    NBDSPEC_CHECK(last.leaf == tail_ && last.limit == Inner::kPad);
  }
  NBDSPEC_CHECK(append_.limit == 0 || append_ == tail_->MakeTail(size_));
}

// Checks what is below `node`, whose keys are below `limit`. Returns: how many boundaries there are.
template <typename Shape>
std::uint64_t BoundaryTree<Shape>::CheckUnder(const void* node, unsigned level, std::uint64_t limit,
                                              int& state_before) const {
  if (level == 0) {
    const Leaf& leaf = *static_cast<const Leaf*>(node);
    leaf.CheckInvariants();
    NBDSPEC_CHECK(leaf.KeyAt(leaf.count() - 1) < std::min(limit, std::max<std::uint64_t>(size_, 1)));
    NBDSPEC_CHECK(leaf.StateAt(0) != state_before);
    state_before = leaf.StateAt(leaf.count() - 1);
    return leaf.count();
  }
  const Inner& inner = *static_cast<const Inner*>(node);
  NBDSPEC_CHECK(inner.count >= 1 && inner.count <= Inner::kMax);
  std::uint64_t boundaries = 0;
  for (unsigned i = 0; i < inner.count; ++i) {
    const std::uint64_t next = i + 1 < inner.count ? inner.keys[i + 1] : limit;
    NBDSPEC_CHECK(inner.keys[i] < next);
    const void* child = inner.children[i];
    NBDSPEC_CHECK(inner.keys[i] ==
                  (level > 1 ? static_cast<const Inner*>(child)->keys[0] : static_cast<const Leaf*>(child)->base()));
    boundaries += CheckUnder(child, level - 1, next, state_before);
  }
  NBDSPEC_CHECK(Inner::Lines::AreRight(inner.keys, inner.pivots, static_cast<unsigned>(inner.count)));
  return boundaries;
}

}  // namespace nbdspec::engine
