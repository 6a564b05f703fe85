// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/canary.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "fuzz/harness/random_inputs.h"

namespace nbdspec::fuzz {
namespace {

// Three, so that one lucky seed cannot hide that a bug has become hard to find.
constexpr std::uint64_t kSeeds[] = {1, 2, 3};

RandomInputs InputsFor(std::uint64_t seed, const CanaryRuns& runs) {
  return RandomInputs({.seed = seed, .bytes_max = runs.bytes_max, .start = runs.start});
}

}  // namespace

testing::AssertionResult HasFound(const CanaryRuns& runs, const FindBytesDisagreement& find) {
  auto found = testing::AssertionSuccess() << "found in run";
  for (const std::uint64_t seed : kSeeds) {
    RandomInputs inputs = InputsFor(seed, runs);
    const auto run =
        FirstFailingRun(inputs, runs.runs_max, [&](engine::ByteView input) { return find(input).has_value(); });
    if (!run) {
      return testing::AssertionFailure() << "seed " << seed << " did not find it in " << runs.runs_max << " runs";
    }
    found << " " << *run << " (seed " << seed << ")";
  }
  return found;
}

testing::AssertionResult HasAccusedNobody(const CanaryRuns& runs, const FindBytesDisagreement& find) {
  for (const std::uint64_t seed : kSeeds) {
    RandomInputs inputs = InputsFor(seed, runs);
    for (std::uint64_t run = 1; run <= runs.runs_max; ++run) {
      if (const auto found = find(inputs.Next())) {
        return testing::AssertionFailure() << "seed " << seed << ", run " << run << ": " << found->where
                                           << "\n  expected  " << found->expected << "\n  saw       " << found->saw;
      }
    }
  }
  return testing::AssertionSuccess();
}

namespace {

// Named by a merge (tools/corpus_merge): twelve hexadecimal digits. They come and go, and a limit in runs must not
// depend on them.
bool IsNamedByPeople(const std::string& name) {
  return name.size() != 12 || name.find_first_not_of("0123456789abcdef") != std::string::npos;
}

}  // namespace

std::vector<engine::Bytes> SeedsOf(const std::string& target) {
  std::map<std::string, engine::Bytes> seeds;  // By name: an order that does not depend on the file system.
  for (const auto& entry : std::filesystem::directory_iterator("corpus/seeds/" + target)) {
    if (!IsNamedByPeople(entry.path().filename().string())) {
      continue;
    }
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    seeds[entry.path().string()] = engine::Bytes(bytes.begin(), bytes.end());
  }
  std::vector<engine::Bytes> inputs;
  for (auto& [name, bytes] : seeds) {
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

}  // namespace nbdspec::fuzz
