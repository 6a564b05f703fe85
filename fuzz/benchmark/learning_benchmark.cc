// SPDX-License-Identifier: BSD-3-Clause
// What it is worth that `nbdspec fuzz` changes the scripts that showed something new, beside making each afresh.
//
//   learning_benchmark kinds REQUESTS TARGET   kinds of answers of a server that nbdspec starts by name, or a command
//   learning_benchmark faults                  how soon the faults of the catalogue are found that `fuzz` must find
//
// Three seeds each. docs/howto/fuzz_a_server.md has results.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "engine/faults/fault.h"
#include "fuzz/live/run/fuzz_fault.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::uint64_t kSeeds = 3;

const char* WayOf(bool only_fresh) { return only_fresh ? "each afresh" : "changed"; }

int Kinds(std::uint64_t requests, const std::string& words) {
  auto target = words == "reference"         ? conformance::TargetOrTrouble(conformance::ReferenceTarget())
                : words.contains("{socket}") ? conformance::TargetFromSpawn(words, "")
                                             : conformance::TargetFromName(words);
  if (!target) {
    std::fprintf(stderr, "%s\n", target.error().sentence.c_str());
    return 3;
  }
  for (const bool only_fresh : {true, false}) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      std::atomic<bool> is_enough = false;
      const FuzzReport report = Fuzz(**target, {.seed = seed,
                                                .only_fresh = only_fresh,
                                                .tries_max = 0,
                                                .live = {.cancelled = &is_enough},
                                                .on_script = [&](const FuzzReport& so_far) {
                                                  is_enough = is_enough || so_far.command_count >= requests;
                                                }});
      std::printf("%-12s seed %ju: %5zu kinds of answers, %zu findings, %ju scripts, %ju requests in %.1f s\n",
                  WayOf(only_fresh), std::uintmax_t{seed}, report.kind_count, report.findings.size(),
                  std::uintmax_t{report.script_count}, std::uintmax_t{report.command_count}, report.seconds);
      std::fflush(stdout);
    }
  }
  return 0;
}

int Faults() {
  const auto detections = engine::faults::DetectionsBy(engine::faults::Detector::Kind::kFuzz);
  for (const bool only_fresh : {true, false}) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      std::vector<std::uint64_t> requests;
      std::uint64_t scripts = 0;
      std::string missed;
      for (const auto& detection : detections) {
        const FuzzedFault fuzzed = FuzzFault(detection, seed, only_fresh);
        requests.push_back(fuzzed.report.command_count);
        scripts += fuzzed.report.script_count;
        missed += fuzzed.is_found ? "" : " " + std::string(detection.fault.name);
      }
      std::ranges::sort(requests);
      std::printf(
          "%-12s seed %ju: %ju requests to find one in the middle, %ju at most of nine in ten; %ju scripts; "
          "missed:%s\n",
          WayOf(only_fresh), std::uintmax_t{seed}, std::uintmax_t{requests[requests.size() / 2]},
          std::uintmax_t{requests[requests.size() * 9 / 10]}, std::uintmax_t{scripts},
          missed.empty() ? " none" : missed.c_str());
      std::fflush(stdout);
    }
  }
  return 0;
}

int Main(std::span<const char* const> words) {
  if (words.size() == 2 && std::string_view(words[1]) == "faults") {
    return Faults();
  }
  if (words.size() == 4 && std::string_view(words[1]) == "kinds") {
    return Kinds(std::strtoull(words[2], nullptr, 10), words[3]);
  }
  std::fputs("usage: learning_benchmark kinds REQUESTS TARGET | faults\n", stderr);
  return 2;
}

}  // namespace
}  // namespace nbdspec::fuzz

int main(int argc, char** argv) { return nbdspec::fuzz::Main({argv, static_cast<std::size_t>(argc)}); }
