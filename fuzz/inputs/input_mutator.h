// SPDX-License-Identifier: BSD-3-Clause
// How inputs of a target are made up and changed: InputKind says what its bytes are, so that no fuzzer has to find out.
//
// InputMutator is what a target's LLVMFuzzerCustomMutator and afl_custom_fuzz call. LikelyInputs is the little fuzzer
// that is always there: the same inputs for the same seed everywhere, without coverage; canary tests count how many a
// planted bug survives.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/inputs/random.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {

// Exactly one way: scripts in bytes within `script`, what `fresh` gives, or else any bytes.
struct InputKind {
  std::size_t bytes_max = 512;
  std::optional<engine::ScriptLimits> script = {};
  std::function<engine::Bytes(Random&)> fresh = {};
};

inline InputKind ScriptKind(const engine::ScriptLimits& limits) {
  return {.bytes_max = engine::kScriptHeadBytes + limits.steps_max * engine::kScriptRecordBytes, .script = limits};
}

// An input that owes nothing to others: of any length, so that long ones need not grow.
engine::Bytes FreshInput(const InputKind& kind, Random& random);

// What a target's LLVMFuzzerCustomMutator and LLVMFuzzerCustomCrossOver call. What it makes of an input does not depend
// on those before.
class InputMutator {
 public:
  explicit InputMutator(InputKind kind)
      : kind_(std::move(kind)), scripts_(kind_.script.value_or(engine::ScriptLimits{}), 0, /*by_libfuzzer=*/true) {}

  // Changes the input in the first `size` bytes of `data` in place, where the kind has no way of its own with
  // libFuzzer's or, without libFuzzer, a simple one; at times makes a fresh one. A script that people wrote as text
  // goes on as bytes. Returns the new size, at most size_max.
  std::size_t Mutate(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed);

  // Writes the begin of one script and a run of the other's steps to `out`, which may be one of the others. Returns its
  // size, at most that of `out`; 0 for inputs that are no scripts: libFuzzer then tries something else.
  std::size_t Cross(engine::ByteView one, engine::ByteView other, std::span<std::uint8_t> out, unsigned seed);

 private:
  void CrossRecords(engine::ByteView one, engine::ByteView other, std::size_t size_max, unsigned seed);
  std::size_t Write(std::span<std::uint8_t> out) const;

  InputKind kind_;
  ScriptMutator scripts_;
  // What is kept for its memory.
  engine::ScriptDecoder decoder_;
  engine::Script script_;
  engine::Bytes bytes_;
};

class LikelyInputs {
 public:
  // `start` may be empty: inputs to change most of the time; those longer than the kind's are left out.
  LikelyInputs(InputKind kind, std::uint64_t seed, std::vector<engine::Bytes> start = {});

  // A fresh input, or one of the last few changed, or one of the start's.
  const engine::Bytes& Next();

 private:
  static constexpr std::size_t kKept = 16;

  [[nodiscard]] engine::Bytes Mutated(engine::Bytes input);

  InputKind kind_;
  Random random_;
  std::vector<engine::Bytes> start_;
  engine::Bytes changed_ = {};  // From start_.
  std::vector<engine::Bytes> kept_ = {};
  std::size_t at_ = 0;
};

}  // namespace nbdspec::fuzz
