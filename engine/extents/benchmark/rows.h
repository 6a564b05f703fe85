// SPDX-License-Identifier: BSD-3-Clause
// What the rows of the benchmark have in common: how a round with one subject is timed, and the maps it is about.
//
// A row is the body of a Google Benchmark with manual time. One iteration is a batch of operations between two readings
// of this thread's CPU clock; "ops" says how many it was. So set-up is outside of the time, and the clock's own cost (a
// fraction of a microsecond) is spread over the batch.

#pragma once

#include <benchmark/benchmark.h>
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/block_status/build.h"
#include "engine/extents/benchmark/subjects.h"
#include "engine/extents/benchmark/workloads.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine::speed {

class Stopwatch {
 public:
  Stopwatch() : start_(Now()) {}
  [[nodiscard]] double seconds() const { return Now() - start_; }

 private:
  static double Now() {
    timespec now = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }
  double start_;
};

// A round: in each iteration `run` is timed with what `prepare` has made, and does `ops` operations.
template <typename Prepare, typename Run>
void TimeBatches(benchmark::State& state, std::uint64_t ops, const Prepare& prepare, const Run& run) {
  for (auto _ : state) {
    auto prepared = prepare();
    benchmark::DoNotOptimize(prepared);
    const Stopwatch watch;
    run(prepared);
    state.SetIterationTime(watch.seconds());
    benchmark::DoNotOptimize(prepared);
  }
  state.counters["ops"] = benchmark::Counter(static_cast<double>(ops));
}

template <typename Prepared, typename Run>
void TimeBatches(benchmark::State& state, std::uint64_t ops, const Run& run) {
  TimeBatches(state, ops, [] { return Prepared(); }, run);
}

// Enough maps for a batch of some ten thousand operations: a few microseconds could not be timed.
inline std::uint64_t MapsPerBatch(std::uint64_t n) { return std::max<std::uint64_t>(1, 8192 / n); }

enum class Content : std::uint8_t { kDense, kSparse };

template <typename Extents, typename Subject>
void AddAll(Subject& subject, std::uint64_t n) {
  Extents extents;
  for (std::uint64_t i = 0; i < n; ++i) {
    const Extent next = extents.Next();
    subject.Add(next.range, next.type);
  }
}

template <typename Subject>
using Maps = std::vector<std::unique_ptr<Subject>>;

// Makes each of `maps`, with `n` adds.
template <typename Extents, typename Subject>
void FillAll(Maps<Subject>& maps, std::uint64_t n) {
  for (std::unique_ptr<Subject>& map : maps) {
    map = std::make_unique<Subject>(kSpace);
    AddAll<Extents>(*map, n);
  }
}

// Adds to fresh maps; making them is part of it, freeing them is not.
template <typename Extents, typename Subject>
void FreshMaps(benchmark::State& state, std::uint64_t n, bool cold) {
  const std::uint64_t count = MapsPerBatch(n);
  const auto prepare = [&] {
    Maps<Subject> maps(count);
    if (cold) {
      malloc_trim(0);  // Gives all free pages back: each is touched for the first time again.
    }
    return maps;
  };
  TimeBatches(state, n * count, prepare, [n](Maps<Subject>& maps) { FillAll<Extents>(maps, n); });
}

// What a walk is for, at its least. Whether it goes on depends on the extent, as it does for all who ask for one; else
// a compiler could take a loop over a vector as one that never ends early and do several extents at once.
struct Sum {
  std::uint64_t sum = 0;
  std::uint64_t last = kSpace;
  bool operator()(Extent extent) {
    sum += extent.range.end ^ static_cast<std::uint64_t>(extent.type);
    return extent.range.end < last;
  }
};

// A map that several rows look at, and what it takes.
template <typename Subject>
struct Filled {
  Content content = Content::kDense;
  std::uint64_t n = 0;
  std::unique_ptr<Subject> map = {};
  double bytes = 0;  // Of heap and object.
  std::uint64_t extents = 0;
  std::uint64_t stored_extents = 0;  // That are not of the initial type, which some subjects leave out.
  std::uint64_t end = 0;             // Offsets to look at are below it.
};

inline double HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
}

// One that is slow to make by random adds, and whose layout does not depend on how it was made, is made in order.
template <typename Subject>
void FillSparse(Subject& subject, std::uint64_t n) {
  if (n <= Subject::kRandomAddsMax) {
    AddAll<RandomAdds>(subject, n);
    return;
  }
  AbslBtreeSubject source(kSpace);
  AddAll<RandomAdds>(source, n);
  source.ForEach({.begin = 0, .end = kSpace}, [&](Extent extent) {
    subject.Add(extent.range, extent.type);
    return true;
  });
}

template <typename Subject>
Filled<Subject> Fill(Content content, std::uint64_t n) {
  // The allocator keeps some freed blocks and counts them as used: many small maps make that small.
  const std::uint64_t count = std::max<std::uint64_t>(1, 100'000 / n);
  Maps<Subject> maps(count);
  const double before = HeapBytes();
  for (std::unique_ptr<Subject>& map : maps) {
    map = std::make_unique<Subject>(kSpace);
    content == Content::kDense ? AddAll<DenseExtents>(*map, n) : FillSparse(*map, n);
  }
  Filled<Subject> filled = {.content = content, .n = n};
  filled.bytes = (HeapBytes() - before) / static_cast<double>(count);
  filled.map = std::move(maps.front());
  filled.map->ForEach({.begin = 0, .end = kSpace}, [&](Extent extent) {
    ++filled.extents;
    filled.stored_extents += extent.type != ExtentType::kHole ? 1 : 0;
    filled.end = extent.range.end == kSpace ? filled.end : extent.range.end;
    return true;
  });
  return filled;
}

// Kept from row to row; one content and size at a time.
template <typename Subject>
inline Filled<Subject> kept_map;

template <typename Subject>
const Filled<Subject>& Kept(Content content, std::uint64_t n) {
  Filled<Subject>& kept = kept_map<Subject>;
  if (kept.content != content || kept.n != n) {
    kept = {};
    kept = Fill<Subject>(content, n);
  }
  return kept;
}

inline void DropKept() {
  ForEachSubject([]<typename Subject>() { kept_map<Subject> = {}; });
}

// The payload of a block-status reply that describes [0, end) of a map. For a peer: the plain loop over its extents.
template <typename Subject>
void AppendReply(const Subject& subject, std::uint64_t end, Bytes& out) {
  subject.ForEach({.begin = 0, .end = end}, [&](Extent extent) {
    const auto length = __builtin_bswap32(static_cast<std::uint32_t>(extent.range.length()));
    const auto flags = __builtin_bswap32(static_cast<std::uint32_t>(extent.type));
    const std::size_t at = out.size();
    out.resize(at + 8);
    std::memcpy(out.data() + at, &length, 4);
    std::memcpy(out.data() + at + 4, &flags, 4);
    return true;
  });
}

// What engine/block_status offers.
inline void AppendReply(const ExtentMapSubject& subject, std::uint64_t end, Bytes& out) {
  AppendDescriptors(subject.map(), {.begin = 0, .end = end}, {.descriptor_count_max = UINT32_MAX}, out);
}

}  // namespace nbdspec::engine::speed
