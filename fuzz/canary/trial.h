// SPDX-License-Identifier: BSD-3-Clause
// A trial: one generator looks for one planted bug, from nothing, until it finds it or its time is over.

#pragma once

#include <cstdint>
#include <ctime>
#include <expected>
#include <istream>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "fuzz/canary/canary.h"

namespace nbdspec::fuzz {

enum class Generator : std::uint8_t {
  kOurs,        // libFuzzer with the target's mutator and counters of its states.
  kMutator,     // libFuzzer with the mutator.
  kCounters,    // libFuzzer with the counters.
  kLibfuzzer,   // libFuzzer with neither.
  kUniform,     // Random bytes of random lengths.
  kRapidcheck,  // The target's property if it has one, else RapidCheck's own vectors of bytes.
  kLikely,      // LikelyInputs: what the target's mutator finds without coverage.
  kAfl,         // AFL++ with its own mutator; tools/engines runs it, for it runs the program.
  kAflOurs,     // AFL++ with the target's mutator.
};
std::string_view NameOf(Generator generator);
std::optional<Generator> GeneratorNamed(std::string_view name);
constexpr bool UsesMutator(Generator generator) {
  return generator == Generator::kOurs || generator == Generator::kMutator;
}
constexpr bool UsesCounters(Generator generator) {
  return generator == Generator::kOurs || generator == Generator::kCounters;
}
constexpr bool NeedsLibfuzzer(Generator generator) {
  return UsesMutator(generator) || UsesCounters(generator) || generator == Generator::kLibfuzzer;
}

struct TrialOptions {
  Generator generator = Generator::kLikely;
  std::uint64_t seed = 1;
  double seconds_max = 60;  // Of processor time.
  std::uint64_t inputs_max = std::numeric_limits<std::uint64_t>::max();
};

struct TrialResult {
  bool is_found = false;
  std::uint64_t inputs = 0;  // Tried in all, the last one found it.
  double seconds = 0;
  CanaryNotes notes = {};
};

// A trial that is fed from outside, as by libFuzzer.
class Trial {
 public:
  Trial(const Canary& canary, const TrialOptions& options);

  // Tries an input. Whether the trial is over.
  bool Try(engine::ByteView input);
  [[nodiscard]] const TrialResult& result() const { return result_; }

 private:
  const Canary& canary_;
  TrialOptions options_;
  std::clock_t start_;
  TrialResult result_;
};

constexpr bool NeedsAfl(Generator generator) {
  return generator == Generator::kAfl || generator == Generator::kAflOurs;
}

// Range: a generator that needs neither libFuzzer nor AFL++.
TrialResult RunTrial(const CanaryTarget& target, const Canary& canary, const TrialOptions& options);

// The tables of docs/canaries.md, from the lines that `canaries run` prints. A bug without a trial there has the row
// that it has in `page`, the text of docs/canaries.md; then the tables that sum up are those of `page` as well.
// Errors: a line that is none of those; a bug that is not planted, or has neither a trial nor a row.
std::expected<std::string, engine::Trouble> CanariesTables(std::istream& results, std::istream& page);

// The tables of docs/engines.md, from lines of the same form. Errors: a line that is none.
std::expected<std::string, engine::Trouble> EnginesTables(std::istream& results);

// The rows of bugs that docs/canaries.md has, each by "TARGET/NAME".
std::map<std::string, std::string> CanariesRows(std::string_view page);

}  // namespace nbdspec::fuzz
