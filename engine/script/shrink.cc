// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/shrink.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

namespace nbdspec::engine {
namespace {

// What a step may be instead, the simplest first. What it does, and where, stays.
std::vector<Step> SimplerSteps(const Step& step) {
  std::vector<Step> simpler;
  // The step with another value of a member.
  const auto with = [&]<typename Kind, typename Value>(Value Kind::* member, std::type_identity_t<Value> value) {
    Step& changed = simpler.emplace_back(step);
    std::get<Kind>(changed).*member = std::move(value);
  };
  if (const auto* add = std::get_if<AddStep>(&step)) {
    const auto bits = static_cast<std::uint8_t>(add->type);
    for (std::uint8_t type = 0; type < std::min(bits, kExtentTypeCount); ++type) {
      with(&AddStep::type, static_cast<ExtentType>(type));
    }
    for (unsigned bit = 1; bit <= bits; bit <<= 1) {
      with(&AddStep::type, static_cast<ExtentType>(bits & ~bit));
    }
  } else if (const auto* all = std::get_if<ForEachStep>(&step)) {
    for (const int stop_at : {0, all->stop_at / 2, all->stop_at - 1}) {
      with(&ForEachStep::stop_at, static_cast<std::uint8_t>(std::max(stop_at, 0)));
    }
  } else if (const auto* request = std::get_if<RequestStep>(&step)) {
    with(&RequestStep::flags, 0);
    for (unsigned bit = 1; bit <= request->flags; bit <<= 1) {
      with(&RequestStep::flags, static_cast<std::uint16_t>(request->flags & ~bit));
    }
    with(&RequestStep::contexts, NamedContexts::kAll);
    with(&RequestStep::is_unannounced, false);
    with(&RequestStep::connection, 1);
    with(&RequestStep::connection, std::max<std::uint8_t>(request->connection - 1, 1));
    with(&RequestStep::pattern, 0);
    with(&RequestStep::pattern, std::min(request->pattern, std::uint8_t{1}));
  } else if (const auto* send = std::get_if<SendStep>(&step)) {
    with(&SendStep::connection, 1);
    for (const std::uint32_t bytes : {0U, send->bytes / 2, std::max(send->bytes, 1U) - 1}) {
      with(&SendStep::bytes, bytes);
    }
  } else if (const auto* visit = std::get_if<VisitStep>(&step)) {
    for (const int count : {1, visit->count / 2, visit->count - 1}) {
      with(&VisitStep::count, static_cast<std::uint16_t>(std::max(count, 1)));
    }
    for (std::uint8_t simple = 0; simple < static_cast<std::uint8_t>(visit->visit); ++simple) {
      with(&VisitStep::visit, static_cast<Visit>(simple));
    }
  } else if (const auto* power = std::get_if<CutStep>(&step)) {
    simpler.emplace_back(CutStep{});
    simpler.emplace_back(CutStep{.cut = {.keeps = power->cut.keeps, .one = power->cut.one, .seed = power->cut.seed}});
    simpler.emplace_back(CutStep{.cut = {.keeps = power->cut.keeps, .one = power->cut.one / 2}});
  } else if (const auto* option = std::get_if<OptionStep>(&step)) {
    with(&OptionStep::is_glued, false);
    for (const int split : {0, option->split / 2, option->split - 1}) {
      with(&OptionStep::split, static_cast<std::uint8_t>(std::max(split, 0)));
    }
    simpler.emplace_back(OptionStep{.option = option->option});
    with(&OptionStep::export_name, "");
    for (std::size_t i = 0; i < option->names.size(); ++i) {
      std::vector<std::string> names = option->names;
      names.erase(names.begin() + static_cast<std::ptrdiff_t>(i));
      with(&OptionStep::names, std::move(names));
      const std::string& name = option->names[i];
      for (const std::size_t length : {name.size() / 2, name.size() - !name.empty()}) {
        names = option->names;
        names[i].resize(length);
        with(&OptionStep::names, names);
      }
    }
  }
  return simpler;
}

// Where something begins or ends, ascending. A range that wraps has no end.
std::vector<std::uint64_t> Edges(const Script& script) {
  std::set<std::uint64_t> edges = {0, script.size};
  for (const Step& step : script.steps) {
    if (const auto range = RangeOf(step)) {
      edges.insert(range->offset);
      if (range->length <= UINT64_MAX - range->offset) {
        edges.insert(range->offset + range->length);
      }
    }
  }
  return {edges.begin(), edges.end()};
}

// One number of a script: its size, or an offset or a length.
struct NumberAt {
  std::optional<std::size_t> step = std::nullopt;
  bool is_length = false;

  [[nodiscard]] std::uint64_t In(const Script& script) const {
    if (!step) {
      return script.size;
    }
    const auto range = RangeOf(script.steps[*step]).value_or(ByteRange::OffsetAndLength{});
    return is_length ? range.length : range.offset;
  }

  [[nodiscard]] Script With(Script script, std::uint64_t number) const {
    if (!step) {
      script.size = std::min(number, kExportBytesMax);
    } else if (auto range = RangeOf(script.steps[*step])) {
      (is_length ? range->length : range->offset) = number;
      SetRange(script.steps[*step], *range);
    }
    return script;
  }
};

std::vector<NumberAt> Numbers(const Script& script) {
  std::vector<NumberAt> numbers = {NumberAt{}};
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    numbers.push_back({.step = i});
    numbers.push_back({.step = i, .is_length = true});
  }
  return numbers;
}

// `number` rounded up, at most doubled; itself if it is round, small enough to read, or beside a round one: such an
// edge is what a finding is about.
std::uint64_t Rounded(std::uint64_t number) {
  constexpr std::uint64_t kSmall = 4096;
  constexpr std::uint64_t kSector = 512;
  if (number <= kSmall || (number + 1) % kSector <= 2) {
    return number;
  }
  for (const std::uint64_t unit : {1ULL << 30, 1ULL << 20, 1ULL << 16, 1ULL << 12}) {
    if (number >= unit && number <= UINT64_MAX - unit) {
      return (number + unit - 1) / unit * unit;
    }
  }
  return number;
}

class Shrinker {
 public:
  Shrinker(Script script, const std::function<bool(const Script&)>& fails, int tries_max)
      : best_(std::move(script)), fails_(fails), tries_left_(tries_max) {}

  Script Run() {
    while (LeaveOutSteps() || CloseGaps() || LowerNumbers() || Simplify()) {
    }
    RoundUp();
    return std::move(best_);
  }

 private:
  bool Accept(Script candidate) {
    const std::size_t hash = std::hash<std::string>{}(Print(candidate));
    if (tries_left_ <= 0 || candidate == best_ || passed_.contains(hash)) {
      return false;
    }
    --tries_left_;
    if (!fails_(candidate)) {
      passed_.insert(hash);
      return false;
    }
    best_ = std::move(candidate);
    return true;
  }

  // Many at once first. From the end, where a step is most likely to come after the failure.
  bool LeaveOutSteps() {
    bool has_progress = false;
    for (std::size_t run = std::max<std::size_t>(best_.steps.size() / 2, 1); run > 0; run /= 2) {
      for (std::size_t end = best_.steps.size(); end >= run; end = std::min(end - run, best_.steps.size())) {
        Script candidate = best_;
        const auto last = candidate.steps.begin() + static_cast<std::ptrdiff_t>(end);
        candidate.steps.erase(last - static_cast<std::ptrdiff_t>(run), last);
        has_progress |= Accept(std::move(candidate));
      }
    }
    return has_progress;
  }

  // Brings edges closer together; what lies after them comes along, so that what touches goes on touching.
  bool CloseGaps() {
    bool has_progress = false;
    for (std::size_t i = 1; i < Edges(best_).size(); ++i) {
      const std::vector<std::uint64_t> edges = Edges(best_);
      for (std::uint64_t gap = edges[i] - edges[i - 1], by = gap; by > 0;) {
        Script candidate = best_;
        ShiftEdges(candidate, edges[i - 1] + gap, -static_cast<__int128>(by));
        if (by <= gap && Accept(std::move(candidate))) {
          gap -= by;
          has_progress = true;
        } else {
          by /= 2;
        }
      }
    }
    return has_progress;
  }

  bool LowerNumbers() {
    bool has_progress = false;
    for (const NumberAt at : Numbers(best_)) {
      // Lower by much first, then by less: it ends at a number that cannot be lowered by one.
      for (std::uint64_t by = at.In(best_); by > 0;) {
        const std::uint64_t number = at.In(best_);
        if (by <= number && Accept(at.With(best_, number - by))) {
          has_progress = true;
        } else {
          by /= 2;
        }
      }
    }
    return has_progress;
  }

  bool Simplify() {
    bool has_progress = false;
    constexpr std::array kSimplestFirst = {ExtentType::kHole, ExtentType::kData, ExtentType::kZero};
    for (std::size_t i = 0; i < kSimplestFirst.size() && kSimplestFirst[i] != best_.initial && !has_progress; ++i) {
      Script candidate = best_;
      candidate.initial = kSimplestFirst[i];
      has_progress = Accept(std::move(candidate));
    }
    for (std::size_t i = 0; i < best_.steps.size(); ++i) {
      while (SimplifyStep(i)) {
        has_progress = true;
      }
    }
    return has_progress;
  }

  bool SimplifyStep(std::size_t index) {
    for (Step& simpler : SimplerSteps(best_.steps[index])) {
      Script candidate = best_;
      candidate.steps[index] = std::move(simpler);
      if (Accept(std::move(candidate))) {
        return true;
      }
    }
    return false;
  }

  void RoundUp() {
    for (std::size_t i = 0; i < Edges(best_).size(); ++i) {
      const std::uint64_t edge = Edges(best_)[i];  // As those before have moved it.
      Script candidate = best_;
      ShiftEdges(candidate, edge, Rounded(edge) - edge);
      Accept(std::move(candidate));
    }
    for (const NumberAt at : Numbers(best_)) {
      Accept(at.With(best_, Rounded(at.In(best_))));
    }
  }

  Script best_;
  const std::function<bool(const Script&)>& fails_;
  int tries_left_;
  std::unordered_set<std::size_t> passed_;  // Hashes of texts. The last pass would ask much that was asked before.
};

}  // namespace

Script Shrink(Script script, const std::function<bool(const Script&)>& fails, int tries_max) {
  return Shrinker(std::move(script), fails, tries_max).Run();
}

}  // namespace nbdspec::engine
