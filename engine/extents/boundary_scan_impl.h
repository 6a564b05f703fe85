// SPDX-License-Identifier: BSD-3-Clause
// How BoundaryTree::Scan goes from leaf to leaf: once for some fifty boundaries, so what it costs hardly counts; what
// counts is that leaves lie anywhere in memory, and have been asked for when it gets there.

#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/extents/boundary_tree.h"

namespace nbdspec::engine {

template <typename Shape>
BoundaryTree<Shape>::Scan::Scan(const BoundaryTree& tree, std::uint64_t begin, std::uint64_t end)
    : tree_(tree), end_(end), limit_(tree.size_), node_limit_(tree.size_), leaf_(&tree.root_leaf_) {
  if (tree.height_ == 0) {
    return;
  }
  const void* node = tree.root_;
  for (unsigned level = tree.height_; level > 0; --level) {
    const Inner* inner = static_cast<const Inner*>(node);
    const unsigned index = inner->Find(begin);
    path_[level - 1] = {.node = inner, .index = index};
    if (level > 1) {
      node_limit_ = std::min(node_limit_, inner->keys[index + 1]);
    }
    node = inner->children[index];
  }
  static_cast<const Leaf*>(node)->Prefetch();
  Enter();
}

// At a level-1 node, at any child of it.
template <typename Shape>
void BoundaryTree<Shape>::Scan::Enter() {
  upcoming_ = nullptr;
  if (node_limit_ < end_) {
    unsigned level = LevelWithMore();
    const void* node = path_[level].node->children[path_[level].index + 1];
    for (; level > 1; --level) {
      node = static_cast<const Inner*>(node)->children[0];
    }
    upcoming_ = static_cast<const Inner*>(node);
    __builtin_prefetch(upcoming_);
    __builtin_prefetch(upcoming_->children.data());
  }
  for (unsigned i = 1; i < kAhead; ++i) {
    PrefetchAt(path_[0].index + i);
  }
  Arrive();
}

template <typename Shape>
void BoundaryTree<Shape>::Scan::Arrive() {
  const auto [node, index] = path_[0];
  PrefetchAt(index + kAhead);
  leaf_ = static_cast<const Leaf*>(node->children[index]);
  limit_ = index + 1 < node->count ? node->keys[index + 1] : node_limit_;
}

// The leaf at `index` of the level-1 node, or past its end: of the next one.
template <typename Shape>
void BoundaryTree<Shape>::Scan::PrefetchAt(unsigned index) const {
  const Inner* node = path_[0].node;
  if (index >= node->count) {
    index -= static_cast<unsigned>(node->count);
    node = upcoming_;
    Shape::Note(node == nullptr ? TreeEvent::kPrefetchedLast : TreeEvent::kPrefetchedAcross);
  }
  if (node != nullptr && index < node->count && node->keys[index] < end_) {
    static_cast<const Leaf*>(node->children[index])->Prefetch();
  }
}

// The lowest level above 1, as an index of path_, where there is a child after the one the path goes through.
template <typename Shape>
unsigned BoundaryTree<Shape>::Scan::LevelWithMore() const {
  unsigned level = 1;
  while (path_[level].index + 1 == path_[level].node->count) {
    ++level;
  }
  return level;
}

template <typename Shape>
bool BoundaryTree<Shape>::Scan::Next() {
  if (limit_ == tree_.size_) {
    return false;
  }
  Shape::Note(TreeEvent::kScanCrossedLeaf);
  if (++path_[0].index < path_[0].node->count) {
    Arrive();
    return true;
  }
  Shape::Note(TreeEvent::kScanCrossedInner);
  unsigned level = LevelWithMore();
  ++path_[level].index;
  for (; level > 0; --level) {
    const auto [node, index] = path_[level];
    path_[level - 1] = {.node = static_cast<const Inner*>(node->children[index]), .index = 0};
  }
  node_limit_ = tree_.size_;
  for (unsigned above = 1; above < tree_.height_; ++above) {
    node_limit_ = std::min(node_limit_, path_[above].node->keys[path_[above].index + 1]);
  }
  Enter();
  return true;
}

}  // namespace nbdspec::engine
