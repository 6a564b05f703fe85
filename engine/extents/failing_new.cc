// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/failing_new.h"

#include <cstdlib>
#include <new>

namespace {

using nbdspec::engine::kWatchedMax;

thread_local int allocations_left = nbdspec::engine::kUnlimited;
thread_local bool is_watching = false;
thread_local nbdspec::engine::WatchedMemory notes;
thread_local void* held[kWatchedMax];  // The first notes.held.

// nullptr when it fails.
void* Allocate(std::size_t size) noexcept {
  if (allocations_left == 0) {
    notes.refused += is_watching ? 1 : 0;
    return nullptr;
  }
  if (allocations_left > 0) {
    --allocations_left;
  }
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory != nullptr && is_watching) {
    if (notes.held == kWatchedMax) {
      std::abort();
    }
    held[notes.held++] = memory;
  }
  return memory;
}

void* AllocateOrThrow(std::size_t size) {
  if (void* memory = Allocate(size)) {
    return memory;
  }
  throw std::bad_alloc();
}

// Whether `memory` may be given back. The youngest go first, so they are looked at first.
bool Release(const void* memory) {
  for (std::size_t i = notes.held; i > 0; --i) {
    if (held[i - 1] == memory) {
      held[i - 1] = held[--notes.held];
      return true;
    }
  }
  ++notes.not_held;
  return false;
}

void Delete(void* memory) noexcept {
  if (memory != nullptr && (!is_watching || Release(memory))) {
    std::free(memory);
  }
}

}  // namespace

// All that delete may get: a sanitizer would take exception to a mixture of its own and ours.
void* operator new(std::size_t size) { return AllocateOrThrow(size); }
void* operator new[](std::size_t size) { return AllocateOrThrow(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void operator delete(void* memory) noexcept { Delete(memory); }
void operator delete[](void* memory) noexcept { Delete(memory); }
void operator delete(void* memory, std::size_t) noexcept { Delete(memory); }
void operator delete[](void* memory, std::size_t) noexcept { Delete(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { Delete(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { Delete(memory); }

namespace nbdspec::engine {

void AllowAllocations(int count) { allocations_left = count; }

void WatchMemory(bool watch) { is_watching = watch; }

WatchedMemory watched_memory() { return notes; }

}  // namespace nbdspec::engine
