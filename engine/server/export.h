// SPDX-License-Identifier: BSD-3-Clause
// Export: what the reference server serves: bytes, their extents, and what is said about them.

#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// The contents of an export and the truth about them, shared by the connections that entered it.
class Disk {
 public:
  // `size` bytes of hole that read as zeroes. Range: size at most kDiskBytesMax, checked with CHECK.
  explicit Disk(std::uint64_t size);

  static constexpr std::uint64_t kDiskBytesMax = 1 << 30;

  [[nodiscard]] std::uint64_t size() const { return extents_.size(); }
  [[nodiscard]] const ExtentMap& extents() const { return extents_; }

  // All take a range inside the disk, checked with CHECK. Errors: kOutOfMemory, nothing changed.
  [[nodiscard]] ByteView Read(ByteRange range) const;
  std::expected<void, ErrorCode> Write(std::uint64_t offset, ByteView data);  // Becomes data.
  std::expected<void, ErrorCode> WriteZeroes(ByteRange range, bool may_punch_hole);
  std::expected<void, ErrorCode> Trim(ByteRange range);  // Becomes a hole that reads as zeroes.

 private:
  Bytes contents_;
  ExtentMap extents_;
};

// What one export offers. The defaults offer everything the reference server knows.
struct ExportOptions {
  std::string name;
  std::string description = {};
  bool read_only = false;
  bool flush = true;
  bool fua = true;
  bool trim = true;
  bool write_zeroes = true;
  bool fast_zero = true;
  bool cache = true;
  bool df = true;
  bool multi_conn = true;
  bool base_allocation = true;
  InfoBlockSize block_size = {};
};

struct Export {
  ExportOptions options;
  Disk disk;
};

}  // namespace nbdspec::engine
