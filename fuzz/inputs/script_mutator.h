// SPDX-License-Identifier: BSD-3-Clause
// Changes scripts step by step, so that a step is added, moved, split or widened rather than torn.
//
// It is for everything that makes up scripts: libFuzzer (InputMutator), the standalone main, live runs. Everything
// depends on the seed alone, unless libFuzzer's own mutator takes part.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/inputs/random.h"

// libFuzzer's own mutator; elsewhere there is none.
extern "C" __attribute__((weak)) std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                                              std::size_t size_max);

namespace nbdspec::fuzz {

enum class ScriptMutation : std::uint8_t {
  kInsert,     // A likely step, most of the time one, at times up to eight, between two others.
  kDelete,     // A run of steps goes.
  kSwap,       // Two steps change places.
  kDuplicate,  // A run of steps comes again, later.
  kTouchEdge,  // An edge of a step moves to an edge of another step or of the export, or one byte beside it.
  kNudge,      // An edge moves by one byte.
  kSplit,      // A step becomes two: the begin and the rest of its range.
  kWiden,   // A number comes to a limit of 32, 63 or 64 bits; or a gap of that width opens, and what is after it moves.
  kRetype,  // Type, flags, names or command change; or the kind, and the range stays.
  kHead,    // The size of the export, or its initial type.
  kRecord,  // One record of the bytes form is mutated as bytes.
};
inline constexpr std::size_t kScriptMutationCount = 11;

class ScriptMutator {
 public:
  // What it makes keeps to `limits`, unless it says otherwise. Random bits of a record change, or, if `by_libfuzzer`,
  // what libFuzzer's own mutator changes, where that is linked.
  ScriptMutator(const engine::ScriptLimits& limits, std::uint64_t seed, bool by_libfuzzer = false)
      : limits_(limits), random_(seed), by_libfuzzer_(by_libfuzzer) {}

  // From here on as if it had been made with `seed`; it keeps its memory.
  void Seed(std::uint64_t seed) { random_ = Random(seed); }

  // A new script of `count` likely steps, in the memory of `script`.
  engine::Script Fresh(std::size_t count, engine::Script script = {});

  // Changes `script` one to three times; at times, and if it has no steps, makes it a fresh one of any length.
  void Mutate(engine::Script& script);

  // The begin of one, and a run of steps of the other.
  engine::Script Cross(const engine::Script& one, const engine::Script& other);

  // As Mutate, but what they make may pass the limits until KeepToLimits has cut it, or the decoder has.
  void MutateBeyondLimits(engine::Script& script);
  ScriptMutation MutateOnce(engine::Script& script);  // Says how.
  // In that way. False, and unchanged, if the script has nothing that could be changed so.
  bool Apply(ScriptMutation mutation, engine::Script& script);

  void KeepToLimits(engine::Script& script) const;

 private:
  using Range = engine::ByteRange::OffsetAndLength;
  struct Placed {
    std::size_t index;
    Range range;
  };

  void Comb(engine::Script& script);
  void KeepToCompactHeaders(engine::Script& script) const;
  bool Insert(engine::Script& script);
  bool Delete(engine::Script& script);
  bool Swap(engine::Script& script);
  bool Duplicate(engine::Script& script);
  bool TouchEdge(engine::Script& script);
  bool Nudge(engine::Script& script);
  bool Split(engine::Script& script);
  bool Widen(engine::Script& script);
  bool Retype(engine::Script& script);
  bool Head(engine::Script& script);
  bool Record(engine::Script& script);

  // What random records, or those given, decode to beside steps of `script`. Holds until the next call.
  std::span<engine::Step> LikelySteps(const engine::Script& script, std::size_t count);
  std::span<engine::Step> StepsOf(const engine::Script& script, engine::ByteView records);
  // A step that has a range; none after some tries.
  std::optional<Placed> AnyRange(const engine::Script& script);
  std::uint64_t AnyEdge(const engine::Script& script, std::size_t but_of);
  std::uint64_t WideNumber();
  void SetEdge(engine::Step& step, bool is_end, std::uint64_t edge);
  void Retype(engine::RequestStep& step);
  void Retype(engine::OptionStep& step);

  engine::ScriptLimits limits_;
  Random random_;
  bool by_libfuzzer_;
  // What is kept for its memory.
  engine::ScriptDecoder decoder_;
  engine::Script likely_;
  engine::Bytes records_;
  std::vector<engine::Step*> teeth_;
};

}  // namespace nbdspec::fuzz
