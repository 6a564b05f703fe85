// SPDX-License-Identifier: BSD-3-Clause
// What a fuzzing engine calls, for whichever target the program is linked with (cc_fuzz_target in fuzz/defs.bzl). Every
// engine has libFuzzer's interface; only libFuzzer calls the mutator (afl_mutator.cc) and takes words like -max_len.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/comparisons/farm.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/inputs/input_mutator.h"

// Of libFuzzer alone.
extern "C" __attribute__((weak)) void __libfuzzer_is_present();

namespace nbdspec::fuzz {

FuzzTarget ThisTarget();  // Defined in a file that cc_fuzz_target writes.

namespace {

const FuzzTarget& Target() {
  static const FuzzTarget target = ThisTarget();
  return target;
}

InputMutator& Mutator() {
  static InputMutator mutator(Target().inputs);
  return mutator;
}

bool IsLibfuzzer() { return __libfuzzer_is_present != nullptr; }

// Adds -max_len and -dict as the row has them, unless they are given.
void AddWords(int* argc, char*** argv) {
  static std::vector<std::string> words(*argv, *argv + *argc);
  const auto add = [](const std::string& flag, const std::string& value) {
    if (std::ranges::none_of(words, [&](const std::string& word) { return word.starts_with(flag); })) {
      words.push_back(flag + value);
    }
  };
  add("-max_len=", std::to_string(Target().inputs.bytes_max));
  const std::string dictionary = "fuzz/targets/" + std::string(Target().dictionary);
  if (!Target().dictionary.empty() && std::filesystem::exists(dictionary)) {
    add("-dict=", dictionary);
  }
  static std::vector<char*> pointers = {**argv};  // libFuzzer wants argv[0] to stay.
  for (std::size_t i = 1; i < words.size(); ++i) {
    pointers.push_back(words[i].data());
  }
  *argc = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);
  *argv = pointers.data();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) {
    if (const auto status = AnswerFarm(Target(), (*argv)[i])) {
      std::exit(*status);
    }
  }
  if (IsLibfuzzer()) {
    AddWords(argc, argv);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Other engines give an input a second or less, and would take the time for shrinking for a hang.
  AbortOnDisagreement(Target(), {data, size}, /*shrinks=*/IsLibfuzzer());
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return Mutator().Mutate(data, size, size_max, seed);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t size_max, unsigned seed) {
  return Mutator().Cross({one, one_size}, {other, other_size}, {out, size_max}, seed);
}

}  // namespace nbdspec::fuzz
