// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/input_mutator.h"

#include <algorithm>
#include <utility>

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::kScriptHeadBytes;
using engine::kScriptRecordBytes;

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
    random.Fill(input);
  }
  return input;
}

std::size_t InputMutator::Mutate(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed) {
  if (kind_.script) {
    decoder_.Read({data, size}, *kind_.script, script_);
    scripts_.Seed(seed);
    // Whoever reads the bytes keeps to the limits.
    scripts_.MutateBeyondLimits(script_);
    bytes_ = engine::EncodeScript(script_, std::move(bytes_));
    return Write({data, size_max});
  }
  Random random(seed);
  const bool is_fresh = size == 0 || random.OneIn(3);
  if (LLVMFuzzerMutate != nullptr && !is_fresh) {
    return LLVMFuzzerMutate(data, size, size_max);
  }
  kind_.bytes_max = size_max;
  Bytes input = is_fresh ? FreshInput(kind_, random) : Bytes(data, data + size);
  if (!is_fresh || (kind_.fresh && random.OneIn(2))) {
    input = Changed(std::move(input), size_max, random);
  }
  std::ranges::copy(input, data);
  return input.size();
}

std::size_t InputMutator::Cross(engine::ByteView one, engine::ByteView other, std::span<std::uint8_t> out,
                                unsigned seed) {
  if (!kind_.script) {
    return 0;
  }
  const bool are_bytes = !engine::BeginsAsText(one) && !engine::BeginsAsText(other);
  if (are_bytes && !kind_.script->kinds.option && std::min(one.size(), other.size()) >= kScriptHeadBytes) {
    CrossRecords(one, other, out.size(), seed);
  } else {
    scripts_.Seed(seed);
    const engine::Script child =
        scripts_.Cross(engine::ReadScript(one, *kind_.script), engine::ReadScript(other, *kind_.script));
    bytes_ = engine::EncodeScript(child, std::move(bytes_));
  }
  return Write(out);
}

// What ScriptMutator::Cross does, on bytes, where a record is a step: half of what libFuzzer makes comes from here.
void InputMutator::CrossRecords(engine::ByteView one, engine::ByteView other, std::size_t size_max, unsigned seed) {
  Random random(seed);
  const auto records = [](engine::ByteView input) { return (input.size() - kScriptHeadBytes) / kScriptRecordBytes; };
  const std::size_t room = size_max < kScriptHeadBytes ? 0 : (size_max - kScriptHeadBytes) / kScriptRecordBytes;
  const std::size_t count_max = std::min(room, kind_.script->steps_max);
  const std::size_t from_one = std::min(random.Below(records(one) + 1), count_max);
  const std::size_t skipped = random.Below(records(other) + 1);
  const std::size_t from_other = std::min(random.Below(records(other) - skipped + 1), count_max - from_one);
  const engine::ByteView head = (random.OneIn(2) ? one : other).first(kScriptHeadBytes);
  bytes_.assign(head.begin(), head.end());
  const auto append = [this](engine::ByteView input, std::size_t begin, std::size_t count) {
    const engine::ByteView taken =
        input.subspan(kScriptHeadBytes + begin * kScriptRecordBytes, count * kScriptRecordBytes);
    bytes_.insert(bytes_.end(), taken.begin(), taken.end());
  };
  append(one, 0, from_one);
  append(other, skipped, from_other);
}

// As many whole records of the script's bytes as there is room for.
std::size_t InputMutator::Write(std::span<std::uint8_t> out) const {
  std::size_t length = std::min(bytes_.size(), out.size());
  if (length < bytes_.size() && length > kScriptHeadBytes) {
    length -= (length - kScriptHeadBytes) % kScriptRecordBytes;
  }
  std::copy_n(bytes_.begin(), length, out.begin());
  return length;
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
