// SPDX-License-Identifier: BSD-3-Clause
// Changes scripts step by step, so that a step is added, moved, split or widened rather than torn.
//
// It is for everything that makes up scripts: libFuzzer (ScriptInputs), the standalone main, live runs. Everything
// depends on the seed alone, unless libFuzzer's own mutator takes part.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/inputs/random.h"

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
  using MutateRecord = std::function<void(std::span<std::uint8_t>)>;

  // What it makes keeps to `limits`. Without `mutate_record`, random bits of a record change.
  ScriptMutator(const engine::ScriptLimits& limits, std::uint64_t seed, MutateRecord mutate_record = {});

  // From here on as if it had been made with `seed`; it keeps its memory.
  void Seed(std::uint64_t seed) { random_ = Random(seed); }

  // A new script of `count` likely steps.
  engine::Script Fresh(std::size_t count);

  // Changes `script` one to three times; at times, and if it has no steps, makes it a fresh one of any length.
  void Mutate(engine::Script& script);
  void MutateBeyondLimits(engine::Script& script);  // For those who encode it, and decode that to the limits.

  // Changes it once, and says how.
  ScriptMutation MutateOnce(engine::Script& script);

  // Changes it in that way. False, and unchanged, if it has nothing that could be changed so.
  bool Apply(ScriptMutation mutation, engine::Script& script);

  // The begin of one, and a run of steps of the other.
  engine::Script Cross(const engine::Script& one, const engine::Script& other);

 private:
  using Range = engine::ByteRange::OffsetAndLength;

  ScriptMutation ChangeOnce(engine::Script& script);
  bool Change(ScriptMutation mutation, engine::Script& script);
  void MakeFresh(std::size_t count, engine::Script& script);
  void Comb(engine::Script& script);
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
  // The index of a step that has a range; none after some tries.
  std::optional<std::size_t> AnyRange(const engine::Script& script);
  std::uint64_t AnyEdge(const engine::Script& script, std::size_t but_of);
  std::uint64_t WideNumber();
  void SetEdge(engine::Step& step, bool is_end, std::uint64_t edge);
  void Retype(engine::RequestStep& step);
  void Retype(engine::OptionStep& step);
  void KeepToLimits(engine::Script& script) const;

  engine::ScriptLimits limits_;
  Random random_;
  MutateRecord mutate_record_;
  // What is kept for its memory.
  engine::ScriptDecoder decoder_;
  engine::Script likely_;
  engine::Bytes records_;
  std::vector<engine::Step*> teeth_;
};

// What a target's LLVMFuzzerCustomMutator and LLVMFuzzerCustomCrossOver call: a ScriptMutator for the bytes form.
class ScriptInputs {
 public:
  explicit ScriptInputs(const engine::ScriptLimits& limits);

  // Mutates the script in the first `size` bytes of `data` in place. A seed that people wrote as text goes on as bytes.
  // Returns the new size, at most size_max.
  std::size_t Mutate(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed);

  // Writes the script to `out`, which may be one of the others. Returns its size, at most that of `out`.
  std::size_t Cross(engine::ByteView one, engine::ByteView other, std::span<std::uint8_t> out, unsigned seed);

 private:
  void CrossRecords(engine::ByteView one, engine::ByteView other, std::size_t size_max, unsigned seed);
  std::size_t Write(std::span<std::uint8_t> out) const;

  engine::ScriptLimits limits_;
  ScriptMutator mutator_;
  // What is kept for its memory.
  engine::ScriptDecoder decoder_;
  engine::Script script_;
  engine::Bytes bytes_;
};

}  // namespace nbdspec::fuzz
