// SPDX-License-Identifier: BSD-3-Clause
// The advice of nbdkit's extents proposal that answering quickly matters more than answering precisely: a server that
// reads the data to find its status is slower the longer the request. Times are compared within one run, as a ratio
// with a wide margin, and never fail a server.
#include <fmt/format.h>

#include <chrono>
#include <limits>

#include "conformance/checks/metadata/status_asking.h"
#include "engine/exchange/status.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ByteRange;

namespace {

constexpr int kTrials = 5;               // The quickest of these counts: others were disturbed.
constexpr std::uint64_t kLarger = 1024;  // The large request is at least so many times the small one.
constexpr double kMargin = 20;           // Times what the small request took, for each descriptor of the answer.
constexpr double kMillisecondsMin = 1;   // A quicker answer is quick enough, whatever the ratio.

struct Cost {
  double milliseconds = std::numeric_limits<double>::max();
  std::size_t descriptor_count = 0;
};

std::expected<Cost, Judgement> Measure(StatusAsker& asker, ByteRange asked) {
  const auto start = Transport::Clock::now();
  NBDSPEC_TRY(exchange, asker.Ask({.asked = asked}));
  const std::chrono::duration<double, std::milli> took = Transport::Clock::now() - start;
  Cost cost = {.milliseconds = took.count()};
  for (const engine::StatusChunk& chunk : StatusChunksOf(exchange)) {
    cost.descriptor_count += chunk.descriptor_count();
  }
  return cost;
}

Cost Quicker(const Cost& a, const Cost& b) { return a.milliseconds < b.milliseconds ? a : b; }

Judgement AnswersQuickly(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  const ByteRange small = {.begin = 0, .end = asker.unit()};
  const std::uint64_t most = std::min(asker.export_bytes(), StatusAsker::kAskedBytesMax);
  const ByteRange large = {.begin = 0, .end = most - most % asker.unit()};
  if (large.length() < kLarger * small.length()) {
    return NotApplicable(fmt::format("the export has {} bytes only", asker.export_bytes()));
  }
  Cost cost_of_small;
  Cost cost_of_large;
  for (int i = 0; i < kTrials; ++i) {
    NBDSPEC_TRY(little, Measure(asker, small));
    NBDSPEC_TRY(much, Measure(asker, large));
    cost_of_small = Quicker(cost_of_small, little);
    cost_of_large = Quicker(cost_of_large, much);
  }
  const double expected = cost_of_small.milliseconds * static_cast<double>(1 + cost_of_large.descriptor_count);
  return Require(cost_of_large.milliseconds <= std::max(kMillisecondsMin, kMargin * expected),
                 fmt::format("status of {} bytes took {:.3f} ms, of {} bytes {:.3f} ms with {} descriptors",
                             small.length(), cost_of_small.milliseconds, large.length(), cost_of_large.milliseconds,
                             cost_of_large.descriptor_count),
                 fmt::format("at most {} times as long for each descriptor", kMargin));
}

}  // namespace

std::vector<Check> StatusCostChecks() {
  return {{spec::kExtentsProposalAnswerQuickly,
           "Block status costs in proportion to what is answered, not to the length of the request.",
           AnswersQuickly,
           {Feature::kBaseAllocation}}};
}

}  // namespace nbdspec::conformance
