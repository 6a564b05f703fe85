// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/input_mutator.h"

#include <algorithm>
#include <utility>

#include "fuzz/inputs/script_mutator.h"

// libFuzzer's own mutator; elsewhere there is none.
extern "C" __attribute__((weak)) std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                                              std::size_t size_max);

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;

// What a fuzzer of bytes does at least: flips, inserts, erases and repeats.
Bytes Changed(Bytes input, std::size_t bytes_max, Random& random) {
  for (std::uint64_t left = 1 + random.Below(4); left > 0; --left) {
    const std::size_t at = random.Below(input.size() + 1);
    const auto position = input.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t length = std::min<std::size_t>(1 + random.Below(16), input.size() - at);
    const auto position_end = position + static_cast<std::ptrdiff_t>(length);
    switch (random.Below(5)) {
      case 0:
        input.insert(position, static_cast<std::uint8_t>(random()));
        break;
      case 1:
        input.erase(position, position_end);
        break;
      case 2: {
        const Bytes again(position, position_end);
        input.insert(position, again.begin(), again.end());
        break;
      }
      default:
        if (at < input.size()) {
          input[at] ^= static_cast<std::uint8_t>(1U << random.Below(8));
        }
    }
  }
  input.resize(std::min(input.size(), bytes_max));
  return input;
}

}  // namespace

Bytes FreshInput(const InputKind& kind, Random& random) {
  if (kind.script) {
    ScriptMutator mutator(*kind.script, random());
    return engine::EncodeScript(mutator.Fresh(1 + random.Below(kind.script->steps_max)));
  }
  Bytes input;
  if (kind.fresh) {
    input = kind.fresh(random);
    input.resize(std::min(input.size(), kind.bytes_max));
  } else {
    input.resize(random.Below(kind.bytes_max + 1));
    std::ranges::generate(input, [&random] { return static_cast<std::uint8_t>(random()); });
  }
  return input;
}

std::size_t MutateInput(const InputKind& kind, std::uint8_t* data, std::size_t size, std::size_t size_max,
                        unsigned seed) {
  if (kind.script) {
    return ScriptInputs(*kind.script).Mutate(data, size, size_max, seed);
  }
  Random random(seed);
  if (LLVMFuzzerMutate != nullptr && size > 0 && !random.OneIn(3)) {
    return LLVMFuzzerMutate(data, size, size_max);
  }
  Bytes input = FreshInput(kind, random);
  if (kind.fresh && random.OneIn(2)) {
    input = Changed(std::move(input), kind.bytes_max, random);
  }
  input.resize(std::min(input.size(), size_max));
  std::ranges::copy(input, data);
  return input.size();
}

LikelyInputs::LikelyInputs(InputKind kind, std::uint64_t seed, std::vector<Bytes> start)
    : kind_(std::move(kind)), random_(seed), start_(std::move(start)) {
  // Longer ones would only be cut, mostly in the same place.
  std::erase_if(start_, [this](const Bytes& input) { return input.size() > kind_.bytes_max; });
}

const Bytes& LikelyInputs::Next() {
  if (!start_.empty() && !random_.OneIn(4)) {
    return changed_ = Mutated(start_[random_.Below(start_.size())]);
  }
  if (kept_.empty() || random_.OneIn(2)) {
    kept_.resize(std::max(kept_.size(), std::min(kKept, at_ + 1)));
    Bytes& here = kept_[at_++ % kKept];
    here = FreshInput(kind_, random_);
    return here;
  }
  Bytes& here = kept_[random_.Below(kept_.size())];
  return here = Mutated(std::move(here));
}

Bytes LikelyInputs::Mutated(Bytes input) {
  if (!kind_.script) {
    return Changed(std::move(input), kind_.bytes_max, random_);
  }
  engine::Script script = engine::ReadScript(input, *kind_.script);
  ScriptMutator(*kind_.script, random_()).Mutate(script);
  return engine::EncodeScript(script);
}

}  // namespace nbdspec::fuzz
