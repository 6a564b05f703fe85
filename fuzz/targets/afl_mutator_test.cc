// SPDX-License-Identifier: BSD-3-Clause
// What afl-fuzz gets of a target's mutator: inputs of the target's form, within the limits, the same for the same seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/fuzz_target.h"

extern "C" void* afl_custom_init(void* afl, unsigned seed);
extern "C" void afl_custom_deinit(void* data);
extern "C" std::size_t afl_custom_fuzz(void* data, const std::uint8_t* input, std::size_t size, std::uint8_t** out,
                                       const std::uint8_t* other, std::size_t other_size, std::size_t size_max);

namespace nbdspec::fuzz {

namespace {

constexpr engine::ScriptLimits kLimits = {.steps_max = 8};
constexpr std::size_t kBytesMax = engine::kScriptHeadBytes + 8 * engine::kScriptRecordBytes;
InputKind kind;

}  // namespace

FuzzTarget ThisTarget() { return {.name = "some_target", .inputs = kind}; }

namespace {

class AflMutator {
 public:
  explicit AflMutator(unsigned seed) : data_(afl_custom_init(nullptr, seed)) {}
  AflMutator(const AflMutator&) = delete;
  AflMutator& operator=(const AflMutator&) = delete;
  ~AflMutator() { afl_custom_deinit(data_); }

  engine::Bytes Fuzz(const engine::Bytes& input, const engine::Bytes* other, std::size_t size_max = 1 << 20) {
    std::uint8_t* out = nullptr;
    const std::size_t size =
        afl_custom_fuzz(data_, input.data(), input.size(), &out, other == nullptr ? nullptr : other->data(),
                        other == nullptr ? 0 : other->size(), size_max);
    return {out, out + size};
  }

 private:
  void* data_;
};

TEST(AflMutator, MakesScriptsWithinTheLimitsOfOneInputOrTwo) {
  kind = ScriptKind(kLimits);
  AflMutator mutator(1);
  const engine::Bytes other(kBytesMax, 0x11);
  engine::Bytes input = {0};
  std::set<engine::Bytes> made;
  std::size_t longest = 0;
  for (int run = 0; run < 400; ++run) {
    input = mutator.Fuzz(input, run % 3 == 0 ? nullptr : &other);
    ASSERT_LE(input.size(), kBytesMax);
    // Whole records: afl-fuzz's own mutations of bytes know none.
    if (input.size() > engine::kScriptHeadBytes) {
      EXPECT_EQ((input.size() - engine::kScriptHeadBytes) % engine::kScriptRecordBytes, 0U);
    }
    longest = std::max(longest, input.size());
    made.insert(input);
  }
  EXPECT_GT(made.size(), 300U);
  EXPECT_EQ(longest, kBytesMax);
}

TEST(AflMutator, CrossesScripts) {
  kind = ScriptKind(kLimits);
  AflMutator mutator(1);
  const engine::Bytes input(kBytesMax, 0x22);
  const engine::Bytes other(kBytesMax, 0x11);
  int crossed = 0;
  for (int run = 0; run < 100; ++run) {
    const engine::Bytes made = mutator.Fuzz(input, &other);
    crossed += std::ranges::search(made, engine::Bytes(engine::kScriptRecordBytes, 0x11)).empty() ? 0 : 1;
  }
  EXPECT_GT(crossed, 20);
  EXPECT_LT(crossed, 80);
}

TEST(AflMutator, KeepsToTheSizeThatAflAsksForAndTheTargets) {
  for (const InputKind& each : {ScriptKind(kLimits), InputKind{.bytes_max = 100}}) {
    kind = each;
    AflMutator mutator(2);
    const engine::Bytes longer(300, 0x22);
    for (int run = 0; run < 200; ++run) {
      EXPECT_LE(mutator.Fuzz(longer, &longer, 40).size(), 40U);
      EXPECT_LE(mutator.Fuzz(longer, &longer).size(), kind.bytes_max);
    }
  }
}

// Without libFuzzer's mutator for them.
TEST(AflMutator, ChangesBytesOfNoForm) {
  kind = {.bytes_max = 64};
  AflMutator mutator(3);
  const engine::Bytes input(32, 0x33);
  int alike = 0;  // Of which most stays as it was.
  for (int run = 0; run < 300; ++run) {
    const engine::Bytes made = mutator.Fuzz(input, &input);
    alike += std::ranges::count(made, 0x33) >= 16 && made != input ? 1 : 0;
  }
  EXPECT_GT(alike, 100);
}

TEST(AflMutator, MakesTheSameOfTheSameSeed) {
  kind = ScriptKind(kLimits);
  AflMutator one(4);
  AflMutator same(4);
  AflMutator another(5);
  engine::Bytes input = {0};
  int differ = 0;
  for (int run = 0; run < 50; ++run) {
    const engine::Bytes made = one.Fuzz(input, nullptr);
    EXPECT_EQ(same.Fuzz(input, nullptr), made);
    differ += another.Fuzz(input, nullptr) != made ? 1 : 0;
    input = made;
  }
  EXPECT_GT(differ, 25);
}

}  // namespace
}  // namespace nbdspec::fuzz
