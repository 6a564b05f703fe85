// SPDX-License-Identifier: BSD-3-Clause
// Real servers for tests.

#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>

#include "conformance/peer/target.h"

namespace nbdspec::fuzz {

inline constexpr std::chrono::seconds kPatience{60};  // A busy disk is no finding.
inline constexpr char kNbdkitMemory[] = "nbdkit -f --threads=1 -U {socket} memory 8M";

inline std::unique_ptr<conformance::Target> Named(const std::string& name) {
  auto target = conformance::TargetFromName(name);
  EXPECT_TRUE(target) << target.error().sentence;
  return *std::move(target);
}

inline std::unique_ptr<conformance::Target> Spawned(const std::string& command) {
  auto target = conformance::TargetFromSpawn(command, "");
  EXPECT_TRUE(target) << target.error().sentence;
  return *std::move(target);
}

// A server that aborts when it is to trim.
inline std::unique_ptr<conformance::Target> ThatDiesAtTrim() {
  const std::string fault_file = testing::TempDir() + "/fault";
  std::ofstream(fault_file) << "dies-at-trim";
  return Spawned("conformance/peer/faulty_server {socket} " + fault_file);
}

}  // namespace nbdspec::fuzz
