// SPDX-License-Identifier: BSD-3-Clause
// What there is room for on this machine: threads that share some work, and files that may be open.

#pragma once

#include <sys/resource.h>

#include <functional>
#include <thread>
#include <vector>

namespace nbdspec::conformance {

// `count` threads that do `work`, or as many as can be had; may be none. They are waited for where they go.
std::vector<std::jthread> StartThreads(int count, const std::function<void()>& work);

// Lets nbdspec open as many files as the machine permits, within reason. Servers that it starts have the limit from
// before: some make room for as many as they may open. To be called before the first is started.
void RaiseDescriptorLimit();

// The limit of servers; null: that of nbdspec.
const rlimit* DescriptorsOfServers();

// How many files nbdspec may open besides those that are open.
int FreeDescriptors();

}  // namespace nbdspec::conformance
