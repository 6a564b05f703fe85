// SPDX-License-Identifier: BSD-3-Clause
// The advice of nbdkit's extents proposal that answering quickly matters more than answering precisely: a server that
// reads the data to tell its status is slower the more it is asked of. Times are compared within one run, as a ratio
// with a wide margin, and never fail a server.
#include <fmt/format.h>

#include <chrono>
#include <limits>

#include "conformance/checks/check.h"
#include "conformance/checks/status_asking.h"
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

Received<Cost> Measure(StatusAsker& asker, ByteRange asked) {
  const auto start = Transport::Clock::now();
  const auto exchange = asker.Ask({.asked = asked});
  const std::chrono::duration<double, std::milli> took = Transport::Clock::now() - start;
  if (!exchange) {
    return std::unexpected(exchange.error());
  }
  Cost cost = {.milliseconds = took.count()};
  for (const engine::Chunk& chunk : exchange->chunks) {
    const auto status = engine::DecodeBlockStatus(chunk.payload);
    cost.descriptor_count += status && chunk.type == engine::ChunkType::kBlockStatus ? status->descriptors.size() : 0;
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
  if (cost_of_large.milliseconds <= std::max(kMillisecondsMin, kMargin * expected)) {
    return Holds();
  }
  return Broken(fmt::format("status of {} bytes took {:.3f} ms, of {} bytes {:.3f} ms with {} descriptors",
                            small.length(), cost_of_small.milliseconds, large.length(), cost_of_large.milliseconds,
                            cost_of_large.descriptor_count),
                fmt::format("at most {} times as long for each descriptor", kMargin));
}

}  // namespace

std::vector<Check> StatusCostChecks() {
  return {{.id = spec::kExtentsProposalAnswerQuickly,
           .needs = {Feature::kBaseAllocation},
           .claim = "Block status costs in proportion to what is answered, not to how much is asked of.",
           .run = AnswersQuickly}};
}

}  // namespace nbdspec::conformance
