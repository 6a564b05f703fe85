// SPDX-License-Identifier: BSD-3-Clause
// NodePool: memory for the nodes of one tree, taken in slabs so that nodes made one after another lie side by side.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace nbdspec::engine {

// Nodes of whole cache lines begin at lines. They hold what their last user left there. Slabs go back to the system
// with Clear and the destructor only, so a pool is as large as its tree was at its largest.
template <typename Node>
class NodePool {
  static_assert(std::is_trivially_destructible_v<Node> && sizeof(Node) >= sizeof(void*));

 public:
  NodePool() = default;
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;
  ~NodePool() { Clear(); }

  // Makes the next `count` calls of Take succeed. Returns: whether there was memory. The nodes in use stay.
  bool Reserve(std::size_t count) { return count <= free_count_ || AddSlab(count); }

  // A node; Reserve has seen to it that there is one.
  Node* Take() {
    --free_count_;
    if (released_ != nullptr) {
      Free* node = std::exchange(released_, released_->next);
      return ::new (static_cast<void*>(node)) Node;
    }
    return ::new (static_cast<void*>(std::exchange(untouched_, untouched_ + sizeof(Node)))) Node;
  }

  void Give(Node* node) {
    released_ = ::new (static_cast<void*>(node)) Free{released_};
    ++free_count_;
  }

  // How many nodes are in use.
  [[nodiscard]] std::size_t used() const { return node_count_ - free_count_; }

  // Gives all memory back, nodes in use included.
  void Clear() {
    while (slabs_ != nullptr) {
      ::operator delete(std::exchange(slabs_, slabs_->next));
    }
    released_ = nullptr;
    untouched_ = untouched_end_ = nullptr;
    free_count_ = 0;
    node_count_ = 0;
  }

  void Swap(NodePool& other) noexcept {
    std::swap(slabs_, other.slabs_);
    std::swap(released_, other.released_);
    std::swap(untouched_, other.untouched_);
    std::swap(untouched_end_, other.untouched_end_);
    std::swap(free_count_, other.free_count_);
    std::swap(node_count_, other.node_count_);
  }

 private:
  struct Slab {
    Slab* next;
  };
  struct Free {
    Free* next;
  };

  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kSlabNodesMin = 4;
  static constexpr std::size_t kSlabBytesMax = 64 * std::size_t{1024};

  // Called when fewer than `count` nodes are free: those are released, so that one slab at a time is untouched.
  bool AddSlab(std::size_t count) {
    const std::size_t nodes = std::max(count, std::clamp(node_count_ / 2, kSlabNodesMin, kSlabBytesMax / sizeof(Node)));
    void* memory = ::operator new(sizeof(Slab) + kLineBytes + nodes * sizeof(Node), std::nothrow);
    if (memory == nullptr) {
      return false;
    }
    for (; untouched_ != untouched_end_; untouched_ += sizeof(Node)) {
      released_ = ::new (static_cast<void*>(untouched_)) Free{released_};
    }
    slabs_ = ::new (memory) Slab{slabs_};
    void* first = slabs_ + 1;
    std::size_t room = kLineBytes + nodes * sizeof(Node);
    untouched_ = static_cast<std::byte*>(std::align(kLineBytes, nodes * sizeof(Node), first, room));
    untouched_end_ = untouched_ + nodes * sizeof(Node);
    free_count_ += nodes;
    node_count_ += nodes;
    return true;
  }

  Slab* slabs_ = nullptr;
  Free* released_ = nullptr;
  std::byte* untouched_ = nullptr;      // Nodes that were never taken, in the newest slab,
  std::byte* untouched_end_ = nullptr;  // up to here.
  std::size_t free_count_ = 0;          // Released and untouched.
  std::size_t node_count_ = 0;
};

}  // namespace nbdspec::engine
