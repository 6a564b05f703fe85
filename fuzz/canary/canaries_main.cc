// SPDX-License-Identifier: BSD-3-Clause
// canaries: every planted bug, by name, and how soon each generator finds it. tools/canaries runs it for the docs.
//
//   canaries list
//   canaries run --generator ours --trials 10 --seconds 60 [--bug extent_map/ClearMakesAHole]...
//   canaries tables RESULTS docs/canaries.md
//   canaries engines RESULTS
//
// Built with -fsanitize=fuzzer, it is a libFuzzer target with a command line of its own: each trial is a process, which
// becomes the next one, so that each begins with nothing. Built for AFL++, it is what afl-fuzz runs, and aborts at the
// bug. Otherwise it has only the generators that need neither.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/canary/canary.h"
#include "fuzz/canary/trial.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/inputs/input_mutator.h"

extern "C" __attribute__((weak)) void __libfuzzer_is_present();
extern "C" __attribute__((weak)) int __afl_persistent_loop(unsigned runs);

namespace nbdspec::fuzz {
namespace {

bool IsHere(Generator generator) {
  return NeedsLibfuzzer(generator) ? __libfuzzer_is_present != nullptr
         : NeedsAfl(generator)     ? __afl_persistent_loop != nullptr
                                   : true;
}

struct Arguments {
  std::vector<std::string> bugs = {};  // NAME or TARGET/NAME; all without any.
  std::string generator = "ours";
  std::uint64_t trials = 10;
  TrialOptions options = {};
  std::uint64_t from = 0;  // Trials before it are done.
  std::string results = {};
  std::string page = {};
};

std::vector<Planted> AllAsked(const std::vector<std::string>& bugs) {
  std::vector<Planted> all = AllPlanted();
  std::erase_if(all, [&](const Planted& planted) {
    return !bugs.empty() && std::ranges::none_of(bugs, [&](const std::string& bug) {
      return bug == planted.canary->name || bug == planted.name() || bug == planted.target->name;
    });
  });
  return all;
}

int List() {
  for (const Planted& planted : AllPlanted()) {
    fmt::print("{}\t{}\t{}\t{}\n", planted.name(), NameOf(planted.canary->family), planted.canary->inputs_max,
               planted.target->inputs.bytes_max);
  }
  return 0;
}

void PrintResult(const Planted& planted, const TrialOptions& options, const TrialResult& result) {
  fmt::print("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", planted.name(), NameOf(options.generator), options.seed,
             options.seconds_max, static_cast<int>(result.is_found), result.inputs, result.seconds,
             static_cast<int>(result.is_found || result.notes.is_reached),
             static_cast<int>(result.is_found || result.notes.is_triggered));
  (void)std::fflush(stdout);
}

// The trial that this process is, under libFuzzer.
struct RunningTrial {
  Planted planted;
  TrialOptions options;
  Trial trial;
  std::vector<std::string> next_words;  // The command of the next trial.
};
std::optional<RunningTrial> running;

[[noreturn]] void BecomeNext() {
  std::vector<char*> words;
  for (std::string& word : running->next_words) {
    words.push_back(word.data());
  }
  words.push_back(nullptr);
  execv("/proc/self/exe", words.data());
  std::perror("execv");
  std::_Exit(1);
}

// Without words: AFL++'s driver takes those for files.
void BeginAfl(const Planted& planted, TrialOptions options, int* argc) {
  options.seconds_max = std::numeric_limits<double>::max();
  running.emplace(planted, options, Trial(*planted.canary, options), std::vector<std::string>());
  *argc = 1;
}

// Whether the engine is to go on, as *argv says.
bool RunOrBegin(Arguments& arguments, int* argc, char*** argv) {
  const std::vector<Planted> all = AllAsked(arguments.bugs);
  TrialOptions& options = arguments.options;
  options.generator = *GeneratorNamed(arguments.generator);
  const std::uint64_t first_seed = options.seed;
  for (std::uint64_t at = arguments.from; at < all.size() * arguments.trials; ++at) {
    const Planted& planted = all[at / arguments.trials];
    options.seed = first_seed + at % arguments.trials;
    if (NeedsAfl(options.generator)) {
      BeginAfl(planted, options, argc);
      return true;
    }
    if (!NeedsLibfuzzer(options.generator)) {
      PrintResult(planted, options, RunTrial(*planted.target, *planted.canary, options));
      continue;
    }
    std::vector<std::string> next(*argv, *argv + *argc);
    if (const auto from = std::ranges::find(next, "--from"); from != next.end()) {
      next.erase(from, from + 2);
    }
    next.insert(next.end(), {"--from", std::to_string(at + 1)});
    counts_states = UsesCounters(options.generator);
    static std::vector<std::string> words = {
        "-verbosity=0",       "-print_funcs=0",
        "-len_control=0",     "-detect_leaks=0",
        "-timeout=0",         "-max_len=" + std::to_string(planted.target->inputs.bytes_max),
        "-rss_limit_mb=2048", "-seed=" + std::to_string(options.seed)};
    static std::vector<char*> pointers = {**argv};  // libFuzzer wants argv[0] to stay.
    std::ranges::transform(words, std::back_inserter(pointers), [](std::string& word) { return word.data(); });
    pointers.push_back(nullptr);
    *argc = static_cast<int>(pointers.size() - 1);
    *argv = pointers.data();
    running.emplace(planted, options, Trial(*planted.canary, options), std::move(next));
    return true;
  }
  return false;
}

// Those of docs/canaries.md if `page` is its name, else those of docs/engines.md.
int WriteTables(const std::string& results, const std::string& page) {
  std::ifstream file(results);
  std::ifstream before(page);
  const auto tables = page.empty() ? EnginesTables(file) : CanariesTables(file, before);
  if (!tables) {
    std::cerr << results << ": " << tables.error().sentence << "\n";
    return 1;
  }
  std::cout << *tables;
  return 0;
}

// Ends the program, but for a trial that an engine is to run.
void RunProgram(int* argc, char*** argv) {
  CLI::App app("Planted bugs, and how soon each generator finds them.");
  app.require_subcommand(1);
  Arguments arguments;
  const CLI::App* list = app.add_subcommand("list", "Prints every bug, its family and its limit of inputs.");
  CLI::App* run = app.add_subcommand("run", "Prints a line for each trial.");
  run->add_option("--bug", arguments.bugs, "NAME, TARGET/NAME or TARGET; again for more.");
  run->add_option("--generator", arguments.generator)->check([](const std::string& name) {
    const auto generator = GeneratorNamed(name);
    return generator && IsHere(*generator) ? ""
                                           : "uniform, rapidcheck, likely; with --config=libfuzzer also ours, mutator, "
                                             "counters, libfuzzer; with --config=afl also afl, afl-ours";
  });
  run->add_option("--trials", arguments.trials)->check(CLI::PositiveNumber);
  run->add_option("--seconds", arguments.options.seconds_max, "Of processor time, for each trial.");
  run->add_option("--inputs", arguments.options.inputs_max, "For each trial.");
  run->add_option("--seed", arguments.options.seed, "Of the first trial; each has the next one.");
  run->add_option("--from", arguments.from, "How many trials are done.");
  CLI::App* tables = app.add_subcommand("tables", "Prints the tables of docs/canaries.md.");
  tables->add_option("RESULTS", arguments.results, "The lines of all runs.")->required();
  tables->add_option("PAGE", arguments.page, "Its rows are those of bugs that have no line.")->required();
  CLI::App* engines = app.add_subcommand("engines", "Prints the tables of docs/engines.md.");
  engines->add_option("RESULTS", arguments.results, "The lines of all runs.")->required();
  try {
    app.parse(*argc, *argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (run->parsed() && RunOrBegin(arguments, argc, argv)) {
    return;
  }
  std::exit(list->parsed()                          ? List()
            : tables->parsed() || engines->parsed() ? WriteTables(arguments.results, arguments.page)
                                                    : 0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  RunProgram(argc, argv);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (running->trial.Try({data, size})) {
    if (NeedsAfl(running->options.generator)) {
      std::abort();
    }
    PrintResult(running->planted, running->options, running->trial.result());
    BecomeNext();
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return UsesMutator(running->options.generator)
             ? InputMutator(running->planted.target->inputs).Mutate(data, size, size_max, seed)
             : LLVMFuzzerMutate(data, size, size_max);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t size_max, unsigned seed) {
  InputMutator mutator(running->planted.target->inputs);
  return UsesMutator(running->options.generator)
             ? mutator.Cross({one, one_size}, {other, other_size}, {out, size_max}, seed)
             : 0;  // Then libFuzzer tries something else.
}

}  // namespace nbdspec::fuzz
