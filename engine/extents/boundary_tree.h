// SPDX-License-Identifier: BSD-3-Clause
// BoundaryTree: which of four states each byte of [0, size) has, as a B+-tree of the places where the state changes.
//
// docs/extent_map.md has the picture. The whole idea: a map is a sorted list of boundaries, and neighbours differ in
// state. Overwriting [a, b) with state s removes the boundaries in [a, b] and puts at most two in their place: (a, s)
// unless s was before a already, and (b, what was there) unless that is s. Coalescing is not a step, it is what the
// list cannot help. The rest is where the list is kept:
//
//   leaves   boundary_leaf.h: up to 60 boundaries in five cache lines. The only leaf of a small map is in the map.
//   inner    nodes of the first key of each child and pointers to them. These keys are exact, so a search that ends at
//            the last boundary of a leaf knows where the next one is without a look at it.
//   tail     the last leaf is remembered: appending needs no search, and fills leaves to the brim.
//
// An overwrite inside one leaf, as nearly all are, changes that leaf and nothing else: its first key is below a, so it
// stays. Whatever else there is to do is in boundary_tree_impl.h: leaves that overflow or change encoding, and
// overwrites of more than a leaf. Memory is reserved before anything changes. Leaves are never empty; one that becomes
// small joins a neighbour when both fit.
//
// `Shape` sets how many keys a line holds and receives events. Tests have a shape of very small nodes, which gets high
// with few boundaries.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "engine/extents/boundary_leaf.h"
#include "engine/extents/node_pool.h"

namespace nbdspec::engine {

// What can happen to the structure. Shape::Note receives each.
enum class TreeEvent : std::uint8_t {
  kBecameNarrow,  // A leaf's encoding changes.
  kBecameWide,
  kShiftChanged,     // Narrow both before and after.
  kLeafAppended,     // A new last leaf.
  kLeafSplit,        // One leaf became more.
  kLeafSplitInMore,  // Three or four.
  kLeafTrimmed,      // An overwrite that began before the leaf took its first boundaries.
  kLeafErased,       // All of them.
  kLeavesJoined,
  kInnerAppended,  // A new last inner node.
  kInnerSplit,
  kInnerErased,
  kInnersJoined,
  kSubtreeErased,  // An inner node and all below it.
  kRootGrown,
  kRootShrunk,
  kBackInTheMap,  // The last leaf is in the map again.
  kScanCrossedLeaf,
  kScanCrossedInner,
  kPrefetchedAcross,  // A scan looked ahead past its inner node,
  kPrefetchedLast,    // and met the end of the tree.
  kCount,
};

// The shape of the real map.
struct CacheLineShape {
  static constexpr unsigned kNarrowPerLine = 16;
  static constexpr unsigned kInnerPerLine = 8;
  static void Note(TreeEvent) {}
};

// An inner node: up to kMax children, and their first keys in lines as those of a leaf. Slots past `count` have kPad.
template <typename Shape>
struct BoundaryInner {
  static constexpr unsigned kPerLine = Shape::kInnerPerLine;
  using Lines = KeyLines<std::uint64_t, kPerLine, kPerLine>;
  static constexpr unsigned kMax = Lines::kSlots - 1;  // So that there is a key after that of any child.
  static constexpr std::uint64_t kPad = Lines::kPad;

  typename Lines::Pivots pivots;
  std::uint64_t count;
  typename Lines::Keys keys;
  std::array<void*, Lines::kSlots> children;  // Inner nodes or leaves; the last slot makes the lines whole.

  void Reset() {
    pivots = Lines::PadPivots();
    keys = Lines::PadKeys();
    count = 0;
  }

  // Moves the children [from, count) to `to`, and pads.
  void Move(unsigned from, unsigned to) {
    const std::uint64_t moved = count - from;
    std::memmove(keys.data() + to, keys.data() + from, moved * sizeof(keys[0]));
    std::memmove(children.data() + to, children.data() + from, moved * sizeof(children[0]));
    for (std::uint64_t i = to + moved; i < count; ++i) {
      keys[i] = kPad;
    }
    count = to + moved;
    Lines::SetPivots(keys, pivots);
  }

  // Opens a slot.
  void Put(unsigned index, std::uint64_t key, void* child) {
    Move(index, index + 1);
    keys[index] = key;
    children[index] = child;
    Lines::SetPivots(keys, pivots);
  }

  void Remove(unsigned from, unsigned to) { Move(to, from); }

  // The child that the byte at `offset` is below. Range: below kPad.
  [[nodiscard]] unsigned Find(std::uint64_t offset) const {
    const unsigned first = Lines::LineOf(pivots, offset + 1) * kPerLine;
    __builtin_prefetch(children.data() + first);  // Where the answer points to.
    return first + CountBelowInLine<kPerLine>(keys.data() + first, offset + 1) - 1;
  }
};

template <typename Shape>
class BoundaryTree {
 public:
  using Leaf = BoundaryLeaf<Shape>;
  using Inner = BoundaryInner<Shape>;

  // One run of [0, size). Range: size at most 2^63-1. Allocates nothing.
  BoundaryTree(std::uint64_t size, std::uint8_t state);
  BoundaryTree(BoundaryTree&& other) noexcept : BoundaryTree(other.size_, 0) { Swap(other); }
  BoundaryTree& operator=(BoundaryTree&& other) noexcept {
    BoundaryTree taken(std::move(other));
    Swap(taken);
    return *this;
  }
  BoundaryTree(const BoundaryTree&) = delete;
  BoundaryTree& operator=(const BoundaryTree&) = delete;
  ~BoundaryTree() = default;

  // Makes this equal to `other`. Range: this is as constructed. Returns: false, and nothing has changed, when there was
  // no memory.
  bool CopyFrom(const BoundaryTree& other);

  // Gives [begin, end) the state if that is an append, the quick case; any numbers may be asked. Returns: whether it
  // was.
  [[gnu::always_inline]] bool Append(std::uint64_t begin, std::uint64_t end, std::uint8_t state) {
    if (!append_.Fits(begin, end, state)) {
      return false;
    }
    tail_->Append(end, state, append_);
    ++boundary_count_;
    return true;
  }

  // Gives [begin, end) the state. Range: not empty, end at most size(). Returns: false, and nothing has changed, when
  // there was no memory.
  bool Set(std::uint64_t begin, std::uint64_t end, std::uint8_t state);

  // One run again. Gives the memory back.
  void Clear(std::uint8_t state);

  struct Run {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint8_t state = 0;
  };

  // The run that holds `offset`. Range: below size().
  [[nodiscard]] Run FindRun(std::uint64_t offset) const {
    const Place place = Find(offset);
    place.leaf->Prefetch();
    const unsigned next = place.leaf->CountBelow(offset + 1);
    return {.begin = place.leaf->KeyAt(next - 1),
            .end = next < place.leaf->count() ? place.leaf->KeyAt(next) : std::min(place.limit, size_),
            .state = place.leaf->StateAt(next - 1)};
  }

  // Calls `visit(begin, end, state)` for each run of [begin, end), cut to it, until it returns false.
  // Range: begin below end, end at most size(). Returns: whether every call returned true.
  template <typename Visit>
  bool ForEach(std::uint64_t begin, std::uint64_t end, Visit&& visit) const {
    return ForEachLeaf(begin, end,
                       [&](const Leaf& leaf, std::uint64_t limit) { return leaf.ForEach(begin, end, limit, visit); });
  }

  // The same for whole leaves: calls `visit(leaf, limit)`; `limit` is where the last run of the leaf ends.
  template <typename Visit>
  bool ForEachLeaf(std::uint64_t begin, std::uint64_t end, Visit&& visit) const {
    Scan scan(*this, begin, end);
    do {
      if (!visit(scan.leaf(), scan.limit())) {
        return false;
      }
    } while (scan.limit() < end && scan.Next());
    return true;
  }

  // How many runs there are. 1 if size() is 0.
  [[nodiscard]] std::uint64_t boundary_count() const { return boundary_count_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // How many levels of inner nodes there are.
  [[nodiscard]] unsigned height() const { return height_; }

  // Aborts unless everything that this file and boundary_leaf.h say holds. Cost: O(n).
  void CheckInvariants() const;

 private:
  static constexpr unsigned kHeightMax = 32;  // A level needs a full node below it: 64 bits of boundaries are fewer.

  // A leaf, and the first key of the leaf after it; kPad at the end.
  struct Place {
    Leaf* leaf;
    std::uint64_t limit;
  };

  // Walks leaves in ascending order and asks for the next ones ahead of time.
  class Scan {
   public:
    Scan(const BoundaryTree& tree, std::uint64_t begin, std::uint64_t end);

    [[nodiscard]] const Leaf& leaf() const { return *leaf_; }
    // Where its last run ends.
    [[nodiscard]] std::uint64_t limit() const { return limit_; }
    // Goes to the next leaf; false when there is none.
    bool Next();

   private:
    static constexpr unsigned kAhead = 4;  // Leaves of five lines: about as many as a core has requests in flight.

    struct Step {
      const Inner* node;
      unsigned index;
    };

    void Enter();
    void Arrive();
    void PrefetchAt(unsigned index) const;
    [[nodiscard]] unsigned LevelWithMore() const;

    const BoundaryTree& tree_;
    std::uint64_t end_;
    std::uint64_t limit_;
    std::uint64_t node_limit_;
    const Leaf* leaf_;
    const Inner* upcoming_ = nullptr;    // What follows path_[0].node on its level, while it is needed.
    std::array<Step, kHeightMax> path_;  // From level 1, just above the leaves, up to the root.
  };

  // The leaf that the byte at `offset` is in.
  [[nodiscard]] Place Find(std::uint64_t offset) const {
    if (height_ == 0) {
      return {.leaf = const_cast<Leaf*>(&root_leaf_), .limit = Inner::kPad};
    }
    std::uint64_t limit = Inner::kPad;
    void* node = root_;
    for (unsigned level = height_; level > 0; --level) {
      const Inner* inner = static_cast<const Inner*>(node);
      const unsigned index = inner->Find(offset);
      limit = std::min(limit, inner->keys[index + 1]);
      node = inner->children[index];
    }
    return {.leaf = static_cast<Leaf*>(node), .limit = limit};
  }

  static bool IsSmall(const Leaf& leaf) { return leaf.count() * 4 <= leaf.capacity(); }
  static bool IsSmall(const Inner& inner) { return inner.count * 3 <= Inner::kMax; }

  void Swap(BoundaryTree& other) noexcept;
  bool SetSlowly(const Overwrite& change);
  bool AppendLeaf(const Overwrite& change);
  bool RewriteLeaf(Leaf* leaf, const Overwrite& change, std::uint8_t after);
  bool ReserveForSet();
  static void NoteEncoding(const Leaf& leaf, std::span<const Boundary> boundaries);
  void InsertLeaf(Leaf* leaf);
  Inner* InsertUnder(Inner* node, unsigned level, std::uint64_t key, void* child, bool at_end);
  void EraseRange(std::uint64_t first, std::uint64_t last);
  bool EraseUnder(void* node, unsigned level, std::uint64_t first, std::uint64_t last, std::uint64_t& key);
  bool EraseInLeaf(Leaf* leaf, std::uint64_t first, std::uint64_t last, std::uint64_t& key);
  void FreeSubtree(void* node, unsigned level);
  void Tidy(std::uint64_t begin, std::uint64_t end);
  void TidyUnder(Inner* node, unsigned level, std::uint64_t offset);
  bool Join(Inner* node, unsigned index, unsigned level);
  void ShrinkRoot();
  void FindTail();
  void* CopyUnder(const void* node, unsigned level);
  std::uint64_t CheckUnder(const void* node, unsigned level, std::uint64_t limit, int& state_before) const;

  std::uint64_t size_;
  std::uint64_t boundary_count_ = 1;
  Inner* root_ = nullptr;
  Leaf* tail_ = &root_leaf_;         // The last leaf.
  typename Leaf::Tail append_ = {};  // Of tail_. What changes that leaf in another way forgets it.
  unsigned height_ = 0;              // 0: root_leaf_ is the only leaf.
  Leaf root_leaf_;
  NodePool<Leaf> leaves_;
  NodePool<Inner> inners_;
};

}  // namespace nbdspec::engine
