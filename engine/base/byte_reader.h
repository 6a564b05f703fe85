// SPDX-License-Identifier: BSD-3-Clause
// ByteReader: takes choices from a fuzzer's bytes, front to back; zeroes past the end, so every input means
// something.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "engine/base/bytes.h"

namespace nbdspec::engine {

constexpr std::uint64_t LittleEndian(const std::uint8_t* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value |= std::uint64_t{bytes[i]} << (8 * i);
  }
  return value;
}

// One of `choices`, by what is left of `selector` after division by their count.
template <typename T>
constexpr T Pick(std::size_t selector, std::initializer_list<T> choices) {
  return choices.begin()[selector % choices.size()];
}

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : here_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  [[nodiscard]] bool empty() const { return here_ == end_; }
  [[nodiscard]] ByteView rest() const { return {here_, end_}; }

  std::uint8_t Byte() { return empty() ? std::uint8_t{0} : *here_++; }

  // Range: limit is at least 1.
  std::uint64_t Below(std::uint64_t limit) { return Byte() % limit; }

  // One of `choices`, by one byte.
  template <typename T>
  T Choose(std::initializer_list<T> choices) {
    return Pick(Byte(), choices);
  }

  // The little-endian number of the next `count` bytes, at most 8.
  std::uint64_t Number(std::size_t count = 8) {
    const std::size_t there = Available(count);
    const std::uint8_t* bytes = here_;
    here_ += there;
    // For the usual count the constant makes this one load.
    return there == 8 ? LittleEndian(bytes, 8) : LittleEndian(bytes, there);
  }

  // As many bytes as there are, at most `count`.
  Bytes Take(std::size_t count) {
    const std::uint8_t* bytes = here_;
    here_ += Available(count);
    return {bytes, here_};
  }

 private:
  [[nodiscard]] std::size_t Available(std::size_t count) const {
    return std::min(count, static_cast<std::size_t>(end_ - here_));
  }

  const std::uint8_t* here_;
  const std::uint8_t* end_;
};

}  // namespace nbdspec::engine
