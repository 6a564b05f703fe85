// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/clients/random_case.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/base/byte_range.h"
#include "engine/base/mix.h"
#include "engine/oddities/oddity.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::fuzz {

namespace {

using conformance::ClientTask;
using engine::AddStep;
using engine::ExtentType;
using engine::kKiB;
using engine::kMiB;
using engine::oddities::AllOddities;
using engine::oddities::Oddity;

constexpr std::size_t kOdditiesMax = 4;
constexpr std::uint64_t kStepsMax = 12;
constexpr std::uint64_t kTinyBytes = 8 * kKiB;     // Of exports that may come byte by byte,
constexpr std::uint64_t kSmallBytes = 128 * kKiB;  // and in small pieces, or slowly.

// Commands that name no file may name ranges; and how a map says that there is nothing is nowhere said.
std::uint64_t LeastBytes(conformance::ClientTasks tasks) {
  constexpr std::uint64_t kVisited = 2 * kMiB;
  return tasks == ClientTask::kVisits ? kVisited : (tasks & ClientTask::kMaps) != 0 ? 1 : 0;
}

std::uint64_t RoundUp(std::uint64_t number, std::uint64_t align) { return (number + align - 1) / align * align; }

// --- Which oddities are right together ---

// Whether it changes how requests are answered.
bool IsOfAnswers(const Oddity& oddity) {
  const std::string_view id = oddity.permitted_by;
  const spec::Phase phase = spec::RequirementOf(id).phase;
  return phase == spec::Phase::kTransmission || phase == spec::Phase::kStructuredReplies ||
         id.starts_with("block-status.") || id.starts_with("base-allocation.");
}

// Whether it changes what is said in haggling: those that only offer something else do not.
bool IsOfHaggling(const Oddity& oddity) {
  const bool refuses = oddity.name.starts_with("server_demands") || oddity.name.starts_with("server_lets_nobody");
  return refuses || (!IsOfAnswers(oddity) && !oddity.offers && !oddity.server);
}

bool IsOfTls(const Oddity& oddity) { return oddity.permitted_by.starts_with("tls."); }

// These say 512 bytes where blocks may be of 64 KiB.
constexpr std::string_view kSpeakOfSectors[] = {"server_describes_more_than_asked", "server_shows_statuses_and_fails"};
constexpr std::string_view kLargeBlocks = "server_serves_blocks_of_64_kib";

bool AreRightTogether(const Oddity& a, const Oddity& b) {
  const auto both = [&](auto is) { return is(a) && is(b); };
  const auto is_cut = [](const Oddity& each) { return each.name.starts_with("server_splits_reads"); };
  const auto speaks_of_sectors = [](const Oddity& each) { return std::ranges::count(kSpeakOfSectors, each.name) > 0; };
  const bool is_misaligned =
      (a.name == kLargeBlocks && speaks_of_sectors(b)) || (b.name == kLargeBlocks && speaks_of_sectors(a));
  // Two that refuse, or tell, may speak of the same option; two that cut make too many chunks.
  return a.name != b.name && !both(IsOfHaggling) && !both(is_cut) && !is_misaligned;
}

// --- Random parts ---

class Maker {
 public:
  Maker(std::uint64_t seed, const CaseLimits& limits) : state_(seed), limits_(limits) {}

  ClientCase Make() {
    ClientCase met;
    met.tls = limits_.may_be_tls && OneIn(4);
    met.truth.size = Size();
    met.truth.initial = Type();
    const std::uint64_t steps = met.truth.size == 0 ? 0 : Below(kStepsMax + 1);
    for (std::uint64_t i = 0; i < steps; ++i) {
      const auto [low, high] = std::minmax({Edge(met.truth.size), Edge(met.truth.size)});
      if (low < high) {
        met.truth.steps.emplace_back(AddStep{.offset = low, .length = high - low, .type = Type()});
      }
    }
    met.oddities = Oddities(met.tls);
    met.pace = PaceFor(met.truth.size);
    return met;
  }

 private:
  // In [0, limit), limit at least 1.
  std::uint64_t Below(std::uint64_t limit) {
    state_ += engine::kMixStep;
    return engine::Mixed(state_) % limit;
  }
  bool OneIn(std::uint64_t count) { return Below(count) == 0; }
  std::uint64_t OneOf(std::initializer_list<std::uint64_t> numbers) {
    return *(numbers.begin() + Below(numbers.size()));
  }

  std::uint64_t Size() {
    static constexpr auto kMost = std::to_array<std::uint64_t>(
        {4 * kKiB, 64 * kKiB, 64 * kKiB, 256 * kKiB, 256 * kKiB, kMiB, kMiB, 4 * kMiB, 4 * kMiB, 33 * kMiB});
    const std::uint64_t most = kMost[Below(OneIn(8) ? kMost.size() : kMost.size() - 1)];
    std::uint64_t size = Below(most + 1);
    if (!OneIn(3)) {  // A multiple, or beside one.
      const std::uint64_t unit = OneOf({512, 512, 4 * kKiB, 4 * kKiB, 64 * kKiB, 256 * kKiB});
      size = size / unit * unit + (OneIn(4) ? OneOf({1, 511, 513, unit - 1}) : 0);
    }
    if (limits_.tasks == ClientTask::kVisits) {
      size = LeastBytes(limits_.tasks) + size / (4 * kKiB) * (4 * kKiB);
    }
    return RoundUp(std::max(size, OneIn(100) ? LeastBytes(limits_.tasks) : 1), limits_.align);
  }

  std::uint64_t Edge(std::uint64_t size) {
    std::uint64_t at = OneIn(8) ? OneOf({0, size}) : Below(size + 1);
    if (!OneIn(3)) {
      const std::uint64_t unit = OneOf({512, 512, 4 * kKiB, 4 * kKiB, 32 * kKiB, 64 * kKiB, 256 * kKiB});
      at = at / unit * unit;
    }
    at += OneIn(6) ? OneOf({1, 511}) : 0;
    return std::min(at / limits_.align * limits_.align, size);
  }

  ExtentType Type() {
    static constexpr auto kTypes =
        std::to_array({ExtentType::kData, ExtentType::kData, ExtentType::kData, ExtentType::kZero, ExtentType::kZero,
                       ExtentType::kHoleZero, ExtentType::kHoleZero, ExtentType::kHole});
    return kTypes[Below(kTypes.size())];
  }

  std::vector<std::string> Oddities(bool is_tls) {
    const auto all = AllOddities();
    std::vector<std::size_t> chosen;
    for (std::uint64_t left = Below(kOdditiesMax + 1); left > 0; --left) {
      std::size_t index = Below(all.size());
      for (int i = 0; i < 2 && !IsOfAnswers(all[index]); ++i) {  // They are what may spoil bytes.
        index = Below(all.size());
      }
      const bool fits = (is_tls || !IsOfTls(all[index])) && std::ranges::all_of(chosen, [&](std::size_t other) {
                          return AreRightTogether(all[index], all[other]);
                        });
      if (fits) {
        chosen.push_back(index);
      }
    }
    std::ranges::sort(chosen);
    std::vector<std::string> names;
    for (const std::size_t index : chosen) {
      names.emplace_back(all[index].name);
    }
    return names;
  }

  conformance::Pace PaceFor(std::uint64_t size) {
    conformance::Pace pace;
    if (size <= kSmallBytes && OneIn(6)) {
      pace.piece_bytes_max = size <= kTinyBytes ? OneOf({1, 13, 1000}) : OneOf({100, 1000});
    }
    if (size <= kSmallBytes && OneIn(12)) {
      pace.wait = std::chrono::milliseconds(1);
    }
    return pace;
  }

  std::uint64_t state_;
  CaseLimits limits_;
};

}  // namespace

ClientCase RandomCase(std::uint64_t seed, const CaseLimits& limits) { return Maker(seed, limits).Make(); }

bool KeepsTo(const CaseLimits& limits, const ClientCase& met) {
  const bool has_enough = met.truth.size >= LeastBytes(limits.tasks);
  const auto is_aligned = [&](const engine::Step& step) {
    const auto& add = std::get<AddStep>(step);
    return add.offset % limits.align == 0 && add.length % limits.align == 0 &&
           std::max(add.offset, add.length) <= kCaseBytesMax;
  };
  return has_enough && met.truth.size <= kCaseBytesMax && met.truth.size % limits.align == 0 &&
         std::ranges::all_of(met.truth.steps, is_aligned) && (limits.may_be_tls || !met.tls);
}

}  // namespace nbdspec::fuzz
