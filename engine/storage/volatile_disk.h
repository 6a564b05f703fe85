// SPDX-License-Identifier: BSD-3-Clause
// VolatileDisk: what a server under test stores its bytes on, so that we see whether what it answered is true of them.
//
// As with a real disk, what is written can be read at once and is lost when the power goes, unless a Flush or Persist
// came after it. Unlike with one, a power cut keeps and loses exactly what the caller says, and requests fail when the
// caller says so.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/layers/layer.h"
#include "engine/storage/power_cut.h"
#include "engine/storage/sparse_bytes.h"

namespace nbdspec::engine {

// Which requests of the server to its disk fail, and how.
struct DiskFailure {
  enum Operation : std::uint8_t { kReads = 1, kWrites = 2, kZeroes = 4, kTrims = 8, kFlushes = 16 };
  std::uint8_t operations = 0;       // Operations or'ed; a Persist is a kFlushes.
  std::uint32_t error = 0;           // The NBD error value, never 0.
  std::uint64_t succeed_first = 0;   // So many of them succeed before the first fails.
  std::uint64_t count = UINT64_MAX;  // Then so many fail, and all after them succeed again.
  std::uint64_t bytes_done = 0;      // What a failing write or zeroing does before it fails, and a read has read.
  // A failing flush loses what it should have made durable, which can be read until the power goes: so do kernels,
  // which take pages that they could not write for clean.
  bool loses = false;
};

// What came to a disk, in short, whether it failed or not.
struct DiskOperation {
  enum class Kind : std::uint8_t {
    kRead,
    kWrite,
    kZero,
    kPunch,
    kTrim,
    kFlush,
    kPersist
  };  // kPunch: a kZero that may.
  Kind kind = Kind::kRead;
  ByteRange range = {};  // Of a kFlush all of the disk.
  bool operator==(const DiskOperation&) const = default;
};

class VolatileDisk : public Layer {
 public:
  // `size` zero bytes, durable. Range: size at most kExportBytesMax, checked with CHECK.
  explicit VolatileDisk(std::uint64_t size);

  static constexpr std::uint64_t kSectorBytes = 512;  // Not torn.
  // More is made durable from the oldest on, as a disk does whose cache is full.
  static constexpr std::uint64_t kVolatileBytesMax = 256 << 20;
  static constexpr std::size_t kVolatileChangesMax = 1 << 16;

  // All take a range inside the disk, checked with CHECK. Errors: what Fail says; NBD_ENOMEM.
  [[nodiscard]] std::uint64_t size() const override { return extents_.size(); }
  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] bool CanWrite() const override { return true; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override;
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  LayerResult Write(std::uint64_t offset, ByteView data) override;
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override;
  LayerResult Trim(ByteRange range) override;     // Reads as zeroes.
  LayerResult Flush() override;                   // All is durable.
  LayerResult Persist(ByteRange range) override;  // What was written to `range` is durable, and nothing else.

  // How many changes are not durable.
  [[nodiscard]] std::size_t volatile_count() const { return volatile_.size(); }

  static constexpr std::size_t kOperationsMax = 4096;  // That are noted. More are forgotten.

  // What came since the last call: the first of it.
  std::vector<DiskOperation> TakeOperations() { return std::exchange(operations_, {}); }

  // The power goes and comes back: the contents are what was durable and what `cut` keeps, and all of it is durable.
  void Cut(const PowerCut& cut);

  // From now on requests fail so; nothing: none fails.
  void Fail(const std::optional<DiskFailure>& failure);
  // How many have failed since the last Fail.
  [[nodiscard]] std::uint64_t failed_count() const { return failed_count_; }

 private:
  // What a write or zeroing left, and may still be lost.
  struct Change {
    ByteRange range;
    Bytes data;  // Of `range`; empty: zeroes.
  };

  void Note(DiskOperation::Kind kind, ByteRange range);
  LayerResult MakeDurable(ByteRange range);
  // Whether this one fails.
  bool Fails(DiskFailure::Operation operation);
  LayerResult Do(Change change, ExtentType type);
  LayerResult WriteZeroesOrFail(DiskFailure::Operation operation, ByteRange range, ExtentType type);
  static void Apply(const Change& change, ByteRange part, SparseBytes& to);
  void DropOldest();

  SparseBytes durable_;
  SparseBytes contents_;          // With what is volatile.
  ExtentMap extents_;             // Of contents_.
  std::vector<Change> volatile_;  // In the order of their coming.
  std::uint64_t volatile_bytes_ = 0;
  std::optional<DiskFailure> failure_;
  std::uint64_t operation_count_ = 0;  // Of those that may fail.
  std::uint64_t failed_count_ = 0;
  std::vector<DiskOperation> operations_;
};

}  // namespace nbdspec::engine
