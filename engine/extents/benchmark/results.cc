// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/benchmark/results.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/check.h"

namespace nbdspec::engine::speed {
namespace {

constexpr std::array<std::string_view, 4> kTrees = {"llvm", "absl_btree", "std_map", "icl"};

constexpr std::uint64_t kThousand = 1'000;
constexpr std::uint64_t kMillion = 1'000'000;

constexpr std::array kTargets = {
    Target{.row = "append_warm", .n = kMillion, .against = "append_only", .at_least = 1.3},
    Target{.row = "append_cold", .n = kMillion, .against = "append_only", .at_least = 1.9},
    Target{.row = "bytes_dense", .n = kMillion, .against = "", .at_least = 6.5},
    Target{.row = "random", .n = kMillion, .against = "llvm", .at_least = 1.45},
    Target{.row = "random", .n = kMillion, .against = "absl_btree", .at_least = 1.5},
    Target{.row = "random", .n = kMillion, .against = "std_map", .at_least = 6},
    Target{.row = "random", .n = kMillion, .against = "icl", .at_least = 6},
    Target{.row = "bytes_sparse", .n = kMillion, .against = "", .at_least = 17},
    Target{.row = "random", .n = 10 * kMillion, .against = "llvm", .at_least = 1.5},
    Target{.row = "random", .n = kThousand, .against = "std_map", .at_least = 1},
    Target{.row = "fuzz64", .n = 64, .against = "sorted_vector", .at_least = 1.6},
    Target{.row = "fuzz64", .n = 64, .against = "best tree", .at_least = 2.8},
    Target{.row = "foreach_dense", .n = kMillion, .against = "best peer", .at_least = 1.2},
    Target{.row = "foreach_sparse", .n = kMillion, .against = "best tree", .at_least = 5},
    Target{.row = "from100_dense", .n = kMillion, .against = "best peer", .at_least = 2.4},
    Target{.row = "from100_sparse", .n = kMillion, .against = "best tree", .at_least = 3},
    Target{.row = "lookup_dense", .n = kMillion, .against = "llvm", .at_least = 1.4},
    Target{.row = "lookup_sparse", .n = kMillion, .against = "llvm", .at_least = 1.0},
    Target{.row = "reply", .n = 1 << 20, .against = "memcpy", .at_least = 0.2},
};

// In order of first appearance.
std::vector<std::string> DistinctOf(const Results& results, std::string Result::* field) {
  std::vector<std::string> all;
  for (const Result& each : results.all) {
    if (std::ranges::find(all, each.*field) == all.end()) {
      all.push_back(each.*field);
    }
  }
  return all;
}

}  // namespace

double Median(std::vector<double> values) {
  NBDSPEC_CHECK(!values.empty());
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<std::string> RowsOf(const Results& results) { return DistinctOf(results, &Result::row); }

std::vector<std::string> SubjectsOf(const Results& results) { return DistinctOf(results, &Result::subject); }

std::vector<std::uint64_t> SizesOf(const Results& results, std::string_view row) {
  std::set<std::uint64_t> sizes;
  for (const Result& each : results.all) {
    if (each.row == row) {
      sizes.insert(each.n);
    }
  }
  return {sizes.begin(), sizes.end()};
}

std::optional<double> CostOf(const Results& results, std::string_view row, std::uint64_t n, std::string_view subject) {
  const auto found = std::ranges::find_if(
      results.all, [&](const Result& each) { return each.row == row && each.n == n && each.subject == subject; });
  return found == results.all.end() ? std::nullopt : std::optional(Median(found->rounds));
}

std::optional<Best> BestPeer(const Results& results, std::string_view row, std::uint64_t n,
                             std::span<const std::string_view> subjects) {
  std::optional<Best> best;
  for (const Result& each : results.all) {
    const bool asked = subjects.empty() || std::ranges::find(subjects, each.subject) != subjects.end();
    // What a copy costs is a limit, not a peer.
    if (each.row != row || each.n != n || each.subject == kOurs || each.subject == "memcpy" || !asked) {
      continue;
    }
    if (const double cost = Median(each.rounds); !best || cost < best->cost) {
      best = {.subject = each.subject, .cost = cost};
    }
  }
  return best;
}

std::vector<TargetOutcome> OutcomesOf(const Results& results) {
  std::vector<TargetOutcome> outcomes;
  for (const Target& target : kTargets) {
    const auto ours = CostOf(results, target.row, target.n, kOurs);
    std::optional<Best> against;
    if (target.against == "best peer") {
      against = BestPeer(results, target.row, target.n);
    } else if (target.against == "best tree") {
      against = BestPeer(results, target.row, target.n, kTrees);
    } else if (const auto cost = CostOf(results, target.row, target.n, target.against)) {
      against = Best{.subject = std::string(target.against), .cost = *cost};
    }
    if (ours && target.against.empty()) {
      outcomes.push_back({.target = target, .against = {}, .reached = *ours, .met = *ours <= target.at_least});
    } else if (ours && against) {
      const double times = against->cost / *ours;
      outcomes.push_back(
          {.target = target, .against = against->subject, .reached = times, .met = times >= target.at_least});
    }
  }
  return outcomes;
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Result, row, title, unit, n, subject, rounds)

std::string ToJson(const Results& results) {
  nlohmann::json json = {{"machine", results.machine}, {"results", results.all}};
  for (std::size_t i = 0; i < results.all.size(); ++i) {
    json["results"][i]["median"] = Median(results.all[i].rounds);
  }
  return json.dump(1) + "\n";
}

std::expected<Results, std::string> FromJson(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return std::unexpected("this is not JSON; write it with extent_map_benchmark --json=FILE");
  }
  try {
    Results results = {.machine = json.at("machine"), .all = json.at("results")};
    for (const Result& each : results.all) {
      if (each.rounds.empty()) {
        return std::unexpected("a result of row " + each.row + " has no rounds");
      }
    }
    return results;
  } catch (const nlohmann::json::exception& wrong) {
    return std::unexpected(std::string("not the form that extent_map_benchmark --json writes: ") + wrong.what());
  }
}

}  // namespace nbdspec::engine::speed
