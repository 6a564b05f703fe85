// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/known_bugs.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "engine/base/check.h"
#include "engine/spec/ids.h"
#include "engine/wire/protocol.h"
#include "fuzz/live/run/live_regressions.h"

namespace nbdspec::fuzz {

namespace {

using Version = std::array<int, 3>;

// The numbers that `text` begins with: "10.0.13+ds" is 10, 0, 13.
Version VersionFrom(std::string_view text) {
  Version version{};
  for (int& number : version) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (error != std::errc() || !text.starts_with('.')) {
      break;
    }
    text.remove_prefix(1);
  }
  return version;
}

// Half-open, as ranges are.
struct Versions {
  Version begin = {};
  Version end = {9999};
};

// A way to show, of a public bug.
struct Symptom {
  FindingKind kind;
  std::string_view rule = {};        // Empty: any.
  std::string_view last_words = {};  // In the server's standard error; empty: any.
};

// An option of the program with its value, in any way to write it: "--format=qcow2", "-f qcow2". Empty: whatever it is.
struct Configuration {
  std::string_view name = {};
  std::string_view value = {};
  std::string_view letter = {};
};

struct KnownBug {
  std::string_view name;
  std::string_view program;  // How its name begins.
  Configuration configuration;
  std::vector<Versions> versions;  // Those that have it, as far as is known.
  std::vector<Symptom> symptoms;
  bool is_race = false;
};

const std::vector<KnownBug>& KnownBugs() {
  using enum FindingKind;
  static const std::vector<KnownBug> bugs = {
      // One descriptor too many after one that ends exactly where the request does; of 4 GiB extents, an assertion.
      {.name = "CVE-2025-47711",
       .program = "nbdkit",
       .versions = {{.end = {1, 42, 3}}, {.begin = {1, 43}, .end = {1, 44}}},
       .symptoms = {{.kind = kBrokenRule, .rule = spec::kBlockStatusSumBeforeLast},
                    {.kind = kCrash, .last_words = "extents->next <= extents->end"},
                    {.kind = kCrash, .last_words = "e.length <= length"}}},
      // BLOCK_STATUS of almost 4 GiB from a plugin with blocks: the filter asks the plugin for more than there is.
      {.name = "CVE-2025-47712",
       .program = "nbdkit",
       .configuration = {.name = "--filter", .value = "blocksize"},
       .versions = {{.end = {1, 42, 3}}, {.begin = {1, 43}, .end = {1, 44}}},
       .symptoms = {{.kind = kCrash, .last_words = "backend_valid_range"}}},
      // It aborts when many requests are in flight and the client leaves without reading.
      {.name = "rhbz#2173054",
       .program = "nbdkit",
       .versions = {{.begin = {1, 32, 4}, .end = {1, 32, 6}}, {.begin = {1, 33}, .end = {1, 33, 11}}},
       .symptoms = {{.kind = kCrash, .last_words = "sock >= 0"}},
       .is_race = true},
      // Its extents are those of the file below, though the bytes are in the cache.
      {.name = "nbdkit-cache-extents",
       .program = "nbdkit",
       .configuration = {.name = "--filter", .value = "cache"},
       .versions = {{}},
       .symptoms = {{.kind = kFalseClaim, .rule = spec::kBaseAllocationZeroReadsZero}}},
      // A part of a block is read, changed and written back while all of it is written.
      {.name = "nbdkit-cow-lost-write",
       .program = "nbdkit",
       .configuration = {.name = "--filter", .value = "cow"},
       .versions = {{}},
       .symptoms = {{.kind = kWrongData, .rule = spec::kTransmissionWriteThenReply},
                    {.kind = kWrongData, .rule = spec::kWriteZeroesReadsZero}},
       .is_race = true},
      // Zeroing or discarding frees a cluster that a write in flight still holds: qemu's commit b8bfb1478d61,
      // in 10.0.11
      // and 11.0.2. After a power cut the cluster shows what another one has, and counts as unused.
      {.name = "qemu-b8bfb1478d61",
       .program = "qemu-",
       .configuration = {.name = "--format", .value = "qcow2", .letter = "-f"},
       .versions = {{.end = {10, 0, 11}}, {.begin = {10, 1}, .end = {11, 0, 2}}},
       .symptoms = {{.kind = kWrongData, .rule = spec::kTransmissionWriteThenReply},
                    {.kind = kWrongData, .rule = spec::kWriteZeroesReadsZero},
                    {.kind = kWrongData, .rule = spec::kEflagsMultiConnFlushVisible},
                    {.kind = kWrongData, .rule = spec::kEflagsMultiConnFuaVisible},
                    {.kind = kWrongData, .rule = spec::kTransmissionFlushCoversCompleted},
                    {.kind = kWrongData, .rule = spec::kTransmissionFuaNoEarlyReply},
                    {.kind = kDamage, .rule = spec::kTransmissionFlushCoversCompleted}},
       .is_race = true},
  };
  return bugs;
}

const KnownBug* BugNamed(std::string_view name) {
  const auto bug = std::ranges::find(KnownBugs(), name, &KnownBug::name);
  return bug == KnownBugs().end() ? nullptr : &*bug;
}

// The symptom of `bug` that `finding` is; null when it is none.
const Symptom* SymptomIn(const KnownBug& bug, const Finding& finding) {
  const auto symptom = std::ranges::find_if(bug.symptoms, [&](const Symptom& each) {
    return finding.kind == each.kind && (each.rule.empty() || finding.rule == each.rule) &&
           finding.server_stderr.contains(each.last_words);
  });
  return symptom == bug.symptoms.end() ? nullptr : &*symptom;
}

bool HasConfiguration(std::span<const std::string> words, const Configuration& wanted) {
  if (wanted.name.empty()) {
    return true;
  }
  const std::string value(wanted.value);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool is_name = words[i] == wanted.name || (!wanted.letter.empty() && words[i] == wanted.letter);
    const bool is_both = words[i] == std::string(wanted.name) + "=" + value ||
                         (!wanted.letter.empty() && words[i] == std::string(wanted.letter) + value);
    if (is_both || (is_name && i + 1 < words.size() && words[i + 1] == value)) {
      return true;
    }
  }
  return false;
}

// Whether `target` has the bug by the program that was started, its options and its version. A program that is not
// known has none; a version that is not known may be any.
bool MayBeIn(const KnownBug& bug, const conformance::Target& target) {
  const Version version = VersionFrom(target.Version());
  return target.Program().starts_with(bug.program) && HasConfiguration(target.ProgramWords(), bug.configuration) &&
         (version == Version{} || std::ranges::any_of(bug.versions, [&](const Versions& range) {
            return range.begin <= version && version < range.end;
          }));
}

// From the first byte that a request of `script` has to do with, to the end of the last.
struct Span {
  std::uint64_t begin = UINT64_MAX;
  std::uint64_t end = 0;
};
Span RequestsIn(const engine::Script& script) {
  Span span;
  for (const engine::Step& step : script.steps) {
    if (const auto range = engine::RangeOf(step); range && range->length > 0) {
      span.begin = std::min(span.begin, range->offset);
      span.end = std::max(span.end, range->offset + range->length);
    }
  }
  return span.end == 0 ? Span{.begin = 0, .end = 0} : span;
}

// `distance` may be that of a place below, modulo 2^64.
engine::Script MovedBy(engine::Script script, std::uint64_t distance) {
  for (engine::Step& step : script.steps) {
    if (const auto range = engine::RangeOf(step)) {
      SetRange(step, {.offset = range->offset + distance, .length = range->length});
    }
  }
  return script;
}

// Where the request that shows `finding` begins, and those before it that changed some of the same bytes, the last
// first.
std::vector<std::uint64_t> PlacesOf(const Finding& finding) {
  const std::vector<engine::Step>& steps = finding.script.steps;
  const auto shown = finding.step < steps.size() ? engine::RangeOf(steps[finding.step]) : std::nullopt;
  if (!shown) {
    return {};
  }
  std::vector<std::uint64_t> places;
  for (std::size_t i = finding.step; i > 0; --i) {
    const auto* const request = std::get_if<engine::RequestStep>(&steps[i - 1]);
    const bool changes = request != nullptr && engine::Changes(static_cast<std::uint16_t>(request->command));
    if (changes && request->offset >= shown->offset && request->offset - shown->offset < shown->length) {
      places.push_back(request->offset);
    }
  }
  places.push_back(shown->offset);
  return places;
}

}  // namespace

std::string PublicNameOf(const Finding& finding, const conformance::Target& target) {
  const auto bug = std::ranges::find_if(
      KnownBugs(), [&](const KnownBug& each) { return SymptomIn(each, finding) != nullptr && MayBeIn(each, target); });
  return bug == KnownBugs().end() ? "" : std::string(bug->name);
}

std::set<std::string> PublicNamesLike(const Finding& finding) {
  std::set<std::string> names;
  for (const KnownBug& bug : KnownBugs()) {
    if (SymptomIn(bug, finding) != nullptr) {
      names.emplace(bug.name);
    }
  }
  return names;
}

bool IsRace(std::string_view public_name) {
  const KnownBug* const bug = BugNamed(public_name);
  return bug != nullptr && bug->is_race;
}

bool IsNamedByTheServer(const Finding& finding) {
  const KnownBug* const bug = BugNamed(finding.known);
  const Symptom* const symptom = bug == nullptr ? nullptr : SymptomIn(*bug, finding);
  return symptom != nullptr && !symptom->last_words.empty();
}

std::optional<engine::Script> ReproductionOf(std::string_view public_name) {
  const std::string header = "\n# Known: " + std::string(public_name) + "\n";
  for (const std::string_view text : LiveRegressions()) {
    if (text.contains(header)) {
      auto script = engine::ParseScript(text);
      NBDSPEC_CHECK(script.has_value());
      return *std::move(script);
    }
  }
  return {};
}

std::vector<engine::Script> InPlacesOf(const Finding& finding, const engine::Script& script) {
  constexpr std::size_t kPlacesMax = 6;
  constexpr std::array<std::uint64_t, 2> kBlocks = {std::uint64_t{64} << 10, std::uint64_t{4} << 10};
  const std::uint64_t base = RequestsIn(script).begin;
  std::vector<engine::Script> moved;
  for (const std::uint64_t place : PlacesOf(finding)) {
    for (const std::uint64_t block : kBlocks) {
      engine::Script candidate = MovedBy(script, place / block * block - base);
      const bool fits = RequestsIn(candidate).end <= finding.script.size;
      if (fits && moved.size() < kPlacesMax && std::ranges::count(moved, candidate) == 0) {
        moved.push_back(std::move(candidate));
      }
    }
  }
  return moved;
}

std::vector<std::string_view> RequirementsOfKnownBugs() {
  std::vector<std::string_view> requirements;
  for (const KnownBug& bug : KnownBugs()) {
    for (const Symptom& symptom : bug.symptoms) {
      if (!symptom.rule.empty()) {
        requirements.push_back(symptom.rule);
      }
    }
  }
  return requirements;
}

}  // namespace nbdspec::fuzz
