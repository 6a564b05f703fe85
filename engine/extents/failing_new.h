// SPDX-License-Identifier: BSD-3-Clause
// A replaced operator new that fails when told to, for tests of what running out of memory does.
//
// It replaces the program's own, so a test that uses it is a binary of its own.

#pragma once

namespace nbdspec::engine {

// From now on so many allocations succeed and the next ones throw std::bad_alloc; kUnlimited: all succeed.
inline constexpr int kUnlimited = -1;
void AllowAllocations(int count);

}  // namespace nbdspec::engine
