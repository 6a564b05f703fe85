// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/farm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "engine/base/bytes.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {
namespace {

constexpr int kSeeds = 64;

int PrintOptions(const FuzzTarget& target) {
  const std::string_view dictionary = target.dictionary;
  fmt::print("[libfuzzer]\nmax_len = {}\n{}{}{}", target.inputs.bytes_max,
             dictionary.empty() ? "" : "dict = ", dictionary, dictionary.empty() ? "" : "\n");
  return std::fflush(stdout) == 0 ? 0 : 1;
}

// None of a target of any bytes: an engine makes those itself.
int WriteSeeds(const FuzzTarget& target, const std::string& folder) {
  Random random(1);
  const bool has_form = target.inputs.script || target.inputs.fresh;
  for (int seed = 0; has_form && seed < kSeeds; ++seed) {
    const engine::Bytes input = FreshInput(target.inputs, random);
    std::ofstream file(fmt::format("{}/fresh_{:02}", folder, seed), std::ios::binary);
    std::ranges::for_each(input, [&](std::uint8_t byte) { file.put(static_cast<char>(byte)); });
    if (!file.flush()) {
      fmt::print(stderr, "{}: no seeds can be written there\n", folder);
      return 2;
    }
  }
  return 0;
}

}  // namespace

std::optional<int> AnswerFarm(const FuzzTarget& target, std::string_view word) {
  constexpr std::string_view kSeedsWord = "--seeds=";
  if (word == "--options") {
    return PrintOptions(target);
  }
  if (word.starts_with(kSeedsWord)) {
    return WriteSeeds(target, std::string(word.substr(kSeedsWord.size())));
  }
  return std::nullopt;
}

}  // namespace nbdspec::fuzz
