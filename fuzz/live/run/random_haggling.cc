// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/random_haggling.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <random>
#include <string>
#include <utility>

#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

using engine::OptionStep;
using engine::OptionType;

namespace {

constexpr std::uint64_t kAddedMax = 6;
constexpr std::uint64_t kSplitMax = 40;  // The header of an option has 16 bytes.
constexpr auto kOtherExports = std::to_array<std::string_view>({"second", "other", "a/b"});
constexpr auto kUnknownOptions = std::to_array<std::uint32_t>({12, 0x63, 0x7fff'ffff, 0xffff'ffff});

// `haggling`, which ends with base:allocation, with all other contexts of `offer` besides.
std::vector<engine::OptionStep> WithAllContexts(std::vector<engine::OptionStep> haggling, const Offer& offer) {
  std::ranges::copy_if(offer.listed_contexts, std::back_inserter(haggling.back().names),
                       [](const std::string& name) { return name != engine::kBaseAllocation; });
  return haggling;
}

class HagglingMaker {
 public:
  HagglingMaker(std::uint64_t seed, const std::vector<OptionStep>& usual, bool only_offered)
      : random_(seed), only_offered_(only_offered), all_(usual) {
    std::erase_if(all_, [](const OptionStep& step) { return step.option == OptionType::kGo; });
  }

  std::vector<OptionStep> Make() {
    const bool is_extended = Find(OptionType::kExtendedHeaders) != all_.end();
    for (std::uint64_t left = Below(kAddedMax + 1); left > 0; --left) {
      Add();
    }
    if (all_.size() > 1 && OneIn(8)) {
      std::swap(all_[Below(all_.size())], all_[Below(all_.size())]);
    }
    all_.push_back({.option = !is_extended && OneIn(4) ? OptionType::kExportName : OptionType::kGo});
    Deliver();
    return std::move(all_);
  }

 private:
  using Place = std::vector<OptionStep>::iterator;

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  bool OneIn(std::uint64_t count) { return Below(count) == 0; }
  Place Find(std::uint32_t option) { return std::ranges::find(all_, option, &OptionStep::option); }

  Place AnyPlace(Place from, Place to) {
    return from + static_cast<std::ptrdiff_t>(Below(static_cast<std::uint64_t>(to - from) + 1));
  }

  std::string OtherExport() { return only_offered_ ? "" : std::string(kOtherExports[Below(kOtherExports.size())]); }

  // One more option, where it hardly changes what is negotiated.
  void Add() {
    switch (Below(7)) {
      case 0:
        all_.insert(AnyPlace(all_.begin(), all_.end()), {.option = OptionType::kList});
        return;
      case 1:
        all_.insert(AnyPlace(all_.begin(), all_.end()), {.option = OptionType::kInfo});
        return;
      case 2:
        all_.insert(AnyPlace(all_.begin(), all_.end()), {.option = OptionType::kInfo, .export_name = OtherExport()});
        return;
      case 3:
        // What comes after the contexts that are wanted replaces them.
        all_.insert(AnyPlace(all_.begin(), OneIn(8) ? all_.end() : Find(OptionType::kSetMetaContext)),
                    {.option = OptionType::kSetMetaContext,
                     .names = {std::string(engine::kBaseAllocation)},
                     .export_name = OtherExport()});
        return;
      case 4:
        all_.insert(AnyPlace(all_.begin(), all_.end()),
                    {.option = OptionType::kListMetaContext, .names = AnyQueries()});
        return;
      case 5:
        if (!only_offered_) {
          all_.insert(AnyPlace(all_.begin(), all_.end()), {.option = kUnknownOptions[Below(kUnknownOptions.size())]});
        }
        return;
      default:
        Repeat();
        return;
    }
  }

  std::vector<std::string> AnyQueries() {
    return OneIn(2) ? std::vector<std::string>{} : std::vector<std::string>{OneIn(2) ? "base:" : "base:allocation"};
  }

  void Repeat() {
    if (!all_.empty()) {
      const Place first = all_.begin() + static_cast<std::ptrdiff_t>(Below(all_.size()));
      all_.insert(AnyPlace(std::next(first), all_.end()), *first);
    }
  }

  void Deliver() {
    const bool glues = OneIn(2);
    const bool splits = OneIn(3);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      all_[i].is_glued = i > 0 && glues && OneIn(2);
      all_[i].split = splits && OneIn(2) ? static_cast<std::uint8_t>(1 + Below(kSplitMax)) : std::uint8_t{0};
    }
  }

  std::mt19937_64 random_;
  bool only_offered_;
  std::vector<OptionStep> all_;
};

}  // namespace

std::vector<std::vector<engine::OptionStep>> Hagglings(const std::vector<engine::OptionStep>& base, const Offer& offer,
                                                       const std::optional<Offer>& extended) {
  const std::vector<engine::OptionStep> plain = {engine::OptionStep{}};
  if (!offer.structured_replies) {
    return {{base.front()}};
  }
  if (base.size() == 1) {
    return {base, base, plain};
  }
  const std::vector<engine::OptionStep> all = WithAllContexts(base, offer);
  if (!extended) {
    return {base, base, all, base, plain};
  }
  // Without contexts, too: then no BLOCK_STATUS is right.
  const std::vector<engine::OptionStep> bare = {engine::OptionStep{.option = engine::OptionType::kExtendedHeaders}};
  return {base, WithAllContexts(ExtendedHaggling(), *extended), all, ExtendedHaggling(), base, plain, bare};
}

std::vector<OptionStep> RandomHaggling(std::uint64_t seed, const std::vector<OptionStep>& usual, bool only_offered) {
  return HagglingMaker(seed, usual, only_offered).Make();
}

}  // namespace nbdspec::fuzz
