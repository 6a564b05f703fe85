// SPDX-License-Identifier: BSD-3-Clause
// Measures ExtentMap and what one could pick instead: the same workloads in one process, interleaved.
//
//   extent_map_benchmark [--json=FILE] [--max_n=N] [--rounds=N] [--benchmark_filter=REGEX]
//
// A benchmark is named row/n/subject, and the filter applies to that. For each row and size Google Benchmark runs the
// rounds of all subjects in random order; what is reported is the median of a subject's rounds.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "engine/extents/benchmark/against_oracle.h"
#include "engine/extents/benchmark/results.h"
#include "engine/extents/benchmark/rows.h"

namespace nbdspec::engine::speed {
namespace {

struct Options {
  std::string json;
  std::uint64_t max_n = 10'000'000;
  int rounds = 5;
  std::regex filter;
};

struct Collector : benchmark::BenchmarkReporter {
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const std::string name = run.benchmark_name();
      if (run.error_occurred) {
        std::cerr << name << ": " << run.error_message << "\n";
        has_failed = true;
      } else if (run.run_type == Run::RT_Iteration) {
        const auto bytes = run.counters.find("bytes");
        const double seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
        rounds[run.run_name.function_name].push_back(
            bytes != run.counters.end() ? bytes->second.value : seconds * 1e9 / run.counters.at("ops").value);
      }
    }
  }

  std::map<std::string, std::vector<double>> rounds;  // By row/n/subject.
  bool has_failed = false;
};

struct Row {
  std::string name;
  std::string title;
  std::string unit;
  std::uint64_t iterations = 0;  // Fixed where preparing takes much longer than what is timed; 0: until kRoundSeconds.
};

constexpr double kRoundSeconds = 0.02;

// Whether a subject can do a row.
struct Needs {
  bool overwrites = false;
  std::uint64_t random_adds = 0;
  std::uint64_t sparse_extents = 0;  // The map that many random adds make.
};

class Session {
 public:
  explicit Session(const Options& options) : options_(options) {}

  // `body` is called as body.operator()<Subject>(state).
  template <typename Body>
  void Measure(const Row& row, std::uint64_t n, Needs needs, Body body) {
    ForEachSubject([&]<typename Subject>() {
      if ((!needs.overwrites || Subject::kOverwrites) && needs.random_adds <= Subject::kRandomAddsMax &&
          (needs.sparse_extents <= Subject::kRandomAddsMax || Subject::kLayoutIsOneForAll)) {
        Register(row, n, Subject::kName, [body](benchmark::State& state) { body.template operator()<Subject>(state); });
      }
    });
    Run(row, n);
  }

  void Register(const Row& row, std::uint64_t n, const std::string& subject,
                const std::function<void(benchmark::State&)>& body) {
    const std::string name = row.name + "/" + std::to_string(n) + "/" + subject;
    if (!std::regex_search(name, options_.filter)) {
      return;
    }
    const int rounds = n > 1'000'000 ? std::min(options_.rounds, 3) : options_.rounds;
    auto* registered = benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->Repetitions(rounds);
    if (row.iterations > 0) {
      registered->Iterations(static_cast<benchmark::IterationCount>(row.iterations));
    } else {
      registered->MinTime(kRoundSeconds);
    }
    names_.emplace_back(name, subject);
  }

  void Run(const Row& row, std::uint64_t n) {
    if (names_.empty()) {
      return;
    }
    std::cerr << row.name << " " << n << "\n";
    benchmark::RunSpecifiedBenchmarks(&collector_, "all");
    benchmark::ClearRegisteredBenchmarks();
    for (const auto& [name, subject] : names_) {
      if (const auto found = collector_.rounds.find(name); found != collector_.rounds.end()) {
        results_.all.push_back({row.name, row.title, row.unit, n, subject, found->second});
      }
    }
    names_.clear();
  }

  [[nodiscard]] Results& results() { return results_; }
  [[nodiscard]] bool failed() const { return collector_.has_failed; }

 private:
  const Options& options_;
  Results results_;
  std::vector<std::pair<std::string, std::string>> names_;
  Collector collector_;
};

// Makes the heap as large as any subject needs it, so that pages are warm whoever comes first.
void WarmPages(std::uint64_t n) {
  const std::string block(std::max<std::size_t>(n * 100, 1 << 20), '\1');
  benchmark::DoNotOptimize(block.data());
}

void MeasureFresh(Session& session, std::uint64_t n) {
  WarmPages(n);
  session.Measure({"append_warm", "append, warm pages", "ns/extent"}, n, {},
                  [n]<typename S>(benchmark::State& state) { FreshMaps<DenseExtents, S>(state, n, /*cold=*/false); });
  session.Measure({"clear", "clear of the appended map", "ns/extent", std::max<std::uint64_t>(1, 100'000 / n)}, n, {},
                  [n]<typename S>(benchmark::State& state) {
                    const std::uint64_t count = MapsPerBatch(n);
                    const auto prepare = [=] {
                      Maps<S> maps(count);
                      FillAll<DenseExtents>(maps, n);
                      return maps;
                    };
                    TimeBatches(state, n * count, prepare, [](Maps<S>& maps) {
                      std::ranges::for_each(maps, [](const std::unique_ptr<S>& map) { map->Clear(); });
                    });
                  });
  session.Measure({"random", "random overwriting adds", "ns/add"}, n, {.overwrites = true, .random_adds = n},
                  [n]<typename S>(benchmark::State& state) { FreshMaps<RandomAdds, S>(state, n, /*cold=*/false); });
  session.Measure({"append_cold", "append, cold pages", "ns/extent"}, n, {},
                  [n]<typename S>(benchmark::State& state) { FreshMaps<DenseExtents, S>(state, n, /*cold=*/true); });
}

void MeasureKept(Session& session, Content content, std::uint64_t n) {
  const bool dense = content == Content::kDense;
  const std::string suffix = dense ? "_dense" : "_sparse";
  const std::string where = dense ? ", appended map" : ", randomly made map";
  WarmPages(n);
  // `body`(state, what is kept).
  const auto row = [&](const std::string& name, const std::string& title, const std::string& unit, bool overwrites,
                       auto body) {
    const std::uint64_t iterations = name == "bytes" ? 1 : 0;
    session.Measure({name + suffix, title + where, unit, iterations}, n,
                    {.overwrites = overwrites || !dense, .sparse_extents = dense ? 0 : n},
                    [=]<typename S>(benchmark::State& state) { body(state, Kept<S>(content, n)); });
  };
  row("bytes", "memory per extent that is not of the initial type", "B/extent", false,
      [](benchmark::State& state, const auto& kept) {
        for (auto _ : state) {
          state.SetIterationTime(1);
        }
        state.counters["bytes"] = benchmark::Counter(kept.bytes / static_cast<double>(kept.stored_extents));
      });
  row("foreach", "foreach of all", "ns/extent", false, [](benchmark::State& state, const auto& kept) {
    const std::uint64_t walks = MapsPerBatch(kept.extents);
    TimeBatches<Sum>(state, kept.extents * walks, [&](Sum& sum) {
      for (std::uint64_t i = 0; i < walks; ++i) {
        kept.map->ForEach({.begin = 0, .end = kSpace}, [&](Extent extent) { return sum(extent); });
      }
    });
  });
  row("from100", "100 extents from a random offset", "ns/call", true, [](benchmark::State& state, const auto& kept) {
    constexpr std::uint64_t kCalls = 500;
    Numbers numbers(3);
    TimeBatches<std::uint64_t>(state, kCalls, [&](std::uint64_t& sum) {
      for (std::uint64_t i = 0; i < kCalls; ++i) {
        int left = 100;
        kept.map->ForEach({.begin = numbers.Below(kept.end), .end = kSpace}, [&](Extent extent) {
          sum += extent.range.end ^ static_cast<std::uint64_t>(extent.type);
          return --left > 0;
        });
      }
    });
  });
  // Dependent: where to look depends on the last answer, so that no two look-ups overlap.
  const auto lookups = [](bool dependent) {
    return [dependent]<typename S>(benchmark::State& state, const Filled<S>& kept) {
      constexpr std::uint64_t kCalls = 5000;
      Numbers numbers(4);
      if constexpr (S::kOverwrites) {  // No other is asked.
        TimeBatches<std::uint64_t>(state, kCalls, [&](std::uint64_t& sum) {
          for (std::uint64_t i = 0; i < kCalls; ++i) {
            const std::uint64_t after = dependent ? sum & 1 : 0;
            sum += static_cast<std::uint64_t>(kept.map->TypeAt(numbers.Below(kept.end - 1) + after));
            benchmark::DoNotOptimize(sum);
          }
        });
      }
    };
  };
  row("lookup", "lookup", "ns/lookup", true, lookups(/*dependent=*/false));
  row("lookup_dependent", "lookup, each depends on the last", "ns/lookup", true, lookups(/*dependent=*/true));
  DropKept();
}

void MeasureFuzz(Session& session) {
  const std::vector<FuzzScript> scripts = FuzzScripts();
  // Freeing the map is part of it.
  const auto row = [&](const std::string& name, const std::string& title, std::size_t walk_every) {
    session.Measure({name, title, "ns/add"}, kFuzzAdds, {.overwrites = true},
                    [&scripts, walk_every]<typename S>(benchmark::State& state) {
                      TimeBatches<Sum>(state, scripts.size() * kFuzzAdds, [&](Sum& sum) {
                        for (const FuzzScript& script : scripts) {
                          S subject(kFuzzSpace);
                          for (std::size_t i = 0; i < script.size(); ++i) {
                            subject.Add(script[i].range, script[i].type);
                            if (walk_every != 0 && i % walk_every == walk_every - 1) {
                              subject.ForEach({.begin = 0, .end = kFuzzSpace},
                                              [&](Extent extent) { return sum(extent); });
                            }
                          }
                          benchmark::DoNotOptimize(subject);
                        }
                      });
                    });
  };
  row("fuzz64", "64 adds in 4 KiB from a fresh map", 0);
  row("fuzz64_foreach", "the same, and a foreach of all after every 8 adds", 8);
}

void MeasureReply(Session& session, std::uint64_t n) {
  const Row row = {"reply", "block-status reply in wire form", "ns/descriptor"};
  WarmPages(n);
  session.Register(row, n, "memcpy", [n](benchmark::State& state) {
    const Bytes from(n * 8, Bytes::value_type{1});
    Bytes to(n * 8);
    const auto prepare = [&] { return to.data(); };
    TimeBatches(state, n, prepare, [&](std::uint8_t* bytes) {
      std::memcpy(bytes, from.data(), from.size());
      benchmark::ClobberMemory();
    });
  });
  session.Measure(row, n, {}, [n]<typename S>(benchmark::State& state) {
    const Filled<S>& filled = Kept<S>(Content::kDense, n);
    Bytes reply(n * 8);  // In memory that was used before, as memcpy's: a server has a buffer for replies.
    const auto prepare = [&] {
      reply.clear();
      return reply.data();
    };
    TimeBatches(state, n, prepare, [&](std::uint8_t*) { AppendReply(*filled.map, filled.end, reply); });
    if (reply.size() / 8 != n) {
      state.SkipWithError("the reply has another number of descriptors");
    }
  });
  DropKept();
}

bool AllAgreeWithTheOracle() {
  bool all = true;
  ForEachSubject([&]<typename Subject>() {
    if (const auto difference = DifferenceFromOracle<Subject>(40)) {
      std::cerr << *difference << "\n";
      all = false;
    }
  });
  return all;
}

std::map<std::string, std::string> Machine() {
  std::string processor = "unknown";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
      processor = line.substr(line.find(": ") + 2);
      break;
    }
  }
  return {{"compiler", __VERSION__},
          {"processor", processor},
          {"cores", std::to_string(benchmark::CPUInfo::Get().num_cpus)},
          {"NDEBUG",
#ifdef NDEBUG
           "yes"
#else
           "no"
#endif
          }};
}

int Main(int argc, char** argv) {
  std::string interleaved = "--benchmark_enable_random_interleaving=true";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.push_back(interleaved.data());
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());  // It takes what it knows.
  Options options;
  CLI::App app("Measures ExtentMap and what one could pick instead.");
  app.add_option("--json", options.json, "A file for the results.");
  app.add_option("--max_n", options.max_n, "The most extents or adds.")->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments.data());
  options.filter = std::regex(benchmark::GetBenchmarkFilter());
  if (!AllAgreeWithTheOracle()) {
    return 1;
  }
  // Freed memory stays with the process, in every size: what warm and cold pages are is up to the rows.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
  Session session(options);
  MeasureFuzz(session);
  for (const std::uint64_t n : {1'000U, 100'000U, 1'000'000U, 10'000'000U}) {
    if (n <= options.max_n) {
      MeasureFresh(session, n);
      MeasureKept(session, Content::kDense, n);
      MeasureKept(session, Content::kSparse, n);
    }
  }
  MeasureReply(session, 1 << 20);
  session.results().machine = Machine();
  std::cout << RenderTables(session.results(), TableForm::kPlain);
  if (!options.json.empty() && !(std::ofstream(options.json) << ToJson(session.results()) << std::flush)) {
    std::cerr << "extent_map_benchmark: cannot write " << options.json << "; is its folder there?\n";
    return 1;
  }
  return session.failed() ? 1 : 0;
}

}  // namespace
}  // namespace nbdspec::engine::speed

int main(int argc, char** argv) { return nbdspec::engine::speed::Main(argc, argv); }
