// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/random_inputs.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nbdspec::fuzz {

using engine::Bytes;

RandomInputs::RandomInputs(Options options) : options_(std::move(options)), random_(options_.seed) {
  // Longer ones would only be cut, mostly in the same place.
  std::erase_if(options_.start, [this](const Bytes& input) { return input.size() > options_.bytes_max; });
}

Bytes RandomInputs::Next() {
  if (options_.start.empty() || Below(4) == 0) {
    return Fresh();
  }
  Bytes input = options_.start[Below(options_.start.size())];
  for (std::size_t left = 1 + Below(4); left > 0; --left) {
    Mutate(input);
  }
  input.resize(std::min(input.size(), options_.bytes_max));
  return input;
}

// The standard's distributions differ between libraries; the remainder does not.
std::size_t RandomInputs::Below(std::size_t limit) {
  return limit == 0 ? 0 : static_cast<std::size_t>(random_() % limit);
}

std::uint8_t RandomInputs::InterestingByte() {
  constexpr std::array<std::uint8_t, 8> kEdges = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff, 0x10};
  return Below(2) == 0 ? kEdges[Below(kEdges.size())] : static_cast<std::uint8_t>(Below(256));
}

Bytes RandomInputs::Fresh() {
  // Short inputs as often as long ones: the longest length is itself random.
  Bytes input(Below(1 + Below(options_.bytes_max + 1)));
  std::ranges::generate(input, [this] { return static_cast<std::uint8_t>(Below(256)); });
  return input;
}

void RandomInputs::Mutate(Bytes& input) {
  const std::size_t at = Below(input.size());
  const auto position = input.begin() + static_cast<std::ptrdiff_t>(at);
  const std::size_t length = 1 + Below(std::min<std::size_t>(16, input.size() - at));
  const auto position_end = position + static_cast<std::ptrdiff_t>(std::min(length, input.size() - at));
  switch (Below(6)) {
    case 0:
      input.insert(position, InterestingByte());
      return;
    case 1:
      input.erase(position, position_end);
      return;
    case 2: {
      const Bytes again(position, position_end);
      input.insert(position, again.begin(), again.end());
      return;
    }
    case 3: {  // The begin of this one, the end of another.
      const Bytes& other = options_.start[Below(options_.start.size())];
      const auto from = other.begin() + static_cast<std::ptrdiff_t>(std::min(at, other.size()));
      input.erase(position, input.end());
      input.insert(input.end(), from, other.end());
      return;
    }
    default:
      if (!input.empty()) {
        std::uint8_t& byte = input[at];
        byte = Below(2) == 0 ? InterestingByte() : static_cast<std::uint8_t>(byte ^ (1U << Below(8)));
      }
  }
}

}  // namespace nbdspec::fuzz
