// SPDX-License-Identifier: BSD-3-Clause
// Writes down what every check and a real server say to each other: seeds for fuzz targets (tools/record_seeds).
//
//   record_conversations TARGET DIR
//
// TARGET is a server by name, or "reference". Of each connection that differs from those before: DIR/N.client and
// DIR/N.server, how either side began.

#include <cstddef>
#include <cstdio>
#include <expected>
#include <fstream>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "conformance/runner/runner.h"
#include "conformance/session/session.h"
#include "engine/base/bytes.h"

namespace nbdspec::conformance {
namespace {

bool Write(const std::string& path, ByteView bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(file.flush());
}

int Record(const std::string& name, const std::string& directory) {
  const auto target = name == "reference" ? ReferenceTarget() : TargetFromName(name);
  if (!target) {
    std::fprintf(stderr, "%s\n", target.error().sentence.c_str());
    return 2;
  }
  std::mutex mutex;
  std::list<Recording> all;
  const auto record = [&]() -> Recording& {
    const std::scoped_lock lock(mutex);
    return all.emplace_back();
  };
  const reports::Run run =
      RunChecks(**target, AllChecks(),
                {.seed = 1, .worker_count = 16, .limits = {.new_recording = record}});  // They mostly wait.
  const std::set<Recording> different(all.begin(), all.end());
  int number = 0;
  for (const Recording& each : different) {
    const std::string path = directory + "/" + std::to_string(++number);
    if (!Write(path + ".client", each.client) || !Write(path + ".server", each.server)) {
      std::fprintf(stderr, "cannot write to %s: name a folder that is there\n", directory.c_str());
      return 2;
    }
  }
  std::fprintf(stderr, "%s: %zu checks, %zu conversations, %zu different ones\n", name.c_str(), run.outcomes.size(),
               all.size(), different.size());
  return different.empty() ? 1 : 0;
}

}  // namespace
}  // namespace nbdspec::conformance

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: record_conversations TARGET DIR\n");
    return 2;
  }
  return nbdspec::conformance::Record(argv[1], argv[2]);
}
