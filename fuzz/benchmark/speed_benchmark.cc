// SPDX-License-Identifier: BSD-3-Clause
// How many inputs a second of processor time each target takes that runs whole exchanges or scripts.
//
//   bazel run --config=opt //fuzz/benchmark:speed_benchmark
//
// The inputs are random bytes with a fixed seed, decoded as the target decodes them; requests are counted and printed.
// They come in rounds, targets by turns, for machines swing: the middle round counts. tools/fuzz_speed runs this, and
// compares extent_map with an empty target under libFuzzer, which only that can tell.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/extents/extent_map.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/exchange/block_status_exchange.h"
#include "fuzz/libnbd/libnbd_client_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;

constexpr std::size_t kRounds = 7;
constexpr double kRoundSeconds = 0.5;
constexpr std::size_t kInputs = 512;
constexpr engine::ScriptLimits kMapLimits = {.steps_max = 64};

// What is counted of a script: its requests, or all of its steps.
enum class Counted { kRequests, kSteps };

struct Subject {
  const char* name;
  double needed;  // Inputs per second; 0 if that is not asked of it.
  engine::ScriptLimits limits;
  Counted counted;
  double count;  // On average.
  std::function<bool(const engine::Script&)> has_found;
  std::vector<Bytes> inputs = {};
  std::array<double, kRounds> rates = {};
};

std::size_t CountOf(const engine::Script& script, Counted counted) {
  const auto requests = std::ranges::count_if(
      script.steps, [](const engine::Step& step) { return std::holds_alternative<engine::RequestStep>(step); });
  return counted == Counted::kRequests ? static_cast<std::size_t>(requests) : script.steps.size();
}

// Random inputs with as many steps as it takes for subject.count.
void MakeInputs(Subject& subject) {
  std::mt19937_64 random(1);
  double sum = 0;
  while (subject.inputs.size() < kInputs) {
    Bytes input(engine::kScriptHeadBytes + subject.limits.steps_max * engine::kScriptRecordBytes);
    std::ranges::generate(input, [&random] { return static_cast<std::uint8_t>(random()); });
    // Below the average the input stays whole; above, steps go until it is met.
    const double wanted = subject.count * static_cast<double>(subject.inputs.size() + 1) - sum;
    auto count = static_cast<double>(CountOf(engine::ReadScript(input, subject.limits), subject.counted));
    while (count > wanted && input.size() >= engine::kScriptHeadBytes + engine::kScriptRecordBytes) {
      input.resize(input.size() - engine::kScriptRecordBytes);
      count = static_cast<double>(CountOf(engine::ReadScript(input, subject.limits), subject.counted));
    }
    sum += count;
    subject.inputs.push_back(std::move(input));
  }
  subject.count = sum / kInputs;
}

double Seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double Measure(const Subject& subject) {
  const double begin = Seconds();
  std::uint64_t executions = 0;
  while (Seconds() - begin < kRoundSeconds) {
    for (const Bytes& input : subject.inputs) {
      NBDSPEC_CHECK(!subject.has_found(engine::ReadScript(input, subject.limits)));
    }
    executions += subject.inputs.size();
  }
  return static_cast<double>(executions) / (Seconds() - begin);
}

int Run() {
  std::array<Subject, 3> subjects = {
      Subject{"block_status_exchange", 20000, kExchangeLimits, Counted::kRequests, 16,
              [](const engine::Script& script) { return FindBlockStatusExchangeDisagreement(script).has_value(); }},
      Subject{"libnbd_client", 5000, kLibnbdLimits, Counted::kRequests, 16,
              [](const engine::Script& script) { return FindLibnbdClientDisagreement(script).has_value(); }},
      Subject{"extent_map", 0, kMapLimits, Counted::kSteps, 32, [](const engine::Script& script) {
                return FindExtentMapDisagreement(script, engine::ExtentMap(script.size, script.initial)).has_value();
              }}};
  std::ranges::for_each(subjects, MakeInputs);
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (Subject& subject : subjects) {
      subject.rates[round] = Measure(subject);
    }
  }
  std::printf("%-24s %10s %16s %10s %8s\n", "target", "of input", "inputs/CPU s", "needed", "ratio");
  bool is_fast = true;
  for (Subject& subject : subjects) {
    std::ranges::sort(subject.rates);
    const double rate = subject.rates[kRounds / 2];
    std::printf("%-24s %5.1f %s %11.0f", subject.name, subject.count,
                subject.counted == Counted::kRequests ? "cmds" : "ops ", rate);
    if (subject.needed > 0) {
      std::printf(" %15.0f %7.2fx", subject.needed, rate / subject.needed);
      is_fast = is_fast && rate >= subject.needed;
    }
    std::printf("\n");
  }
  return is_fast ? 0 : 1;
}

}  // namespace
}  // namespace nbdspec::fuzz

int main() { return nbdspec::fuzz::Run(); }
