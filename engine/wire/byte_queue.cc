// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/byte_queue.h"

#include "engine/base/check.h"

namespace nbdspec::engine {

void ByteQueue::Append(ByteView bytes) {
  // Moving the rest to the front costs no more than what was dropped since the last time: every byte pays once.
  if (begin_ >= size()) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void ByteQueue::Drop(std::size_t count) {
  NBDSPEC_CHECK(count <= size());
  begin_ += count;
  offset_ += count;
}

}  // namespace nbdspec::engine
