// SPDX-License-Identifier: BSD-3-Clause
// ByteQueue: received bytes of a stream that are not yet part of a message.
//
// Both decoders append at its back and drop at its front. It knows the offset of its front in the stream.

#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/check.h"

namespace nbdspec::engine {

class ByteQueue {
 public:
  // Cost: O(1) amortised per byte, whatever the pieces. The room of dropped bytes is used again, never given back: a
  // queue stays as large as a few times the most it ever held.
  void Append(ByteView bytes) {
    // Moving the rest to the front costs no more than what was dropped since the last time: every byte pays once.
    if (begin_ >= size()) {
      buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }

  // Drops `count` bytes at the front, which must be there.
  void Drop(std::size_t count) {
    NBDSPEC_CHECK(count <= size());
    begin_ += count;
    offset_ += count;
  }

  // Takes all that is there.
  Bytes Take() {
    Bytes taken(view().begin(), view().end());
    Drop(taken.size());
    return taken;
  }

  [[nodiscard]] ByteView view() const { return ByteView(buffer_).subspan(begin_); }
  [[nodiscard]] std::size_t size() const { return buffer_.size() - begin_; }

  // Offset in the stream of the first byte of view().
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 private:
  Bytes buffer_;
  std::size_t begin_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace nbdspec::engine
