// SPDX-License-Identifier: BSD-3-Clause
// A replaced operator new that fails on demand, for tests of running out of memory.
//
// It replaces the program's own, so a test that uses it is a binary of its own. Each thread is set by itself, so
// that a fuzzer's own threads go on unharmed.

#pragma once

#include <cstddef>

namespace nbdspec::engine {

// From now on so many allocations succeed and the next ones throw std::bad_alloc; kUnlimited: all succeed.
inline constexpr int kUnlimited = -1;
void AllowAllocations(int count);

// What became of the memory that was allocated while it was watched.
struct WatchedMemory {
  std::size_t refused = 0;   // Allocations that failed.
  std::size_t held = 0;      // Given out and not yet back.
  std::size_t not_held = 0;  // Deletes, while watched, of what was not held: of something twice, say. Not carried out.
};

// Watching begins and ends; what was noted stays. At most kWatchedMax allocations may be held at a time.
void WatchMemory(bool watch);
inline constexpr std::size_t kWatchedMax = 4096;
[[nodiscard]] WatchedMemory watched_memory();

}  // namespace nbdspec::engine
