// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/failing_new.h"

#include <cstdlib>
#include <new>

namespace {

int allocations_left = nbdspec::engine::kUnlimited;

void* AllocateOrFail(std::size_t size) {
  if (allocations_left == 0) {
    throw std::bad_alloc();
  }
  if (allocations_left > 0) {
    --allocations_left;
  }
  if (void* memory = std::malloc(size == 0 ? 1 : size)) {
    return memory;
  }
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return AllocateOrFail(size); }
void* operator new[](std::size_t size) { return AllocateOrFail(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace nbdspec::engine {

void AllowAllocations(int count) { allocations_left = count; }

}  // namespace nbdspec::engine
