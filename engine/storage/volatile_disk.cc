// SPDX-License-Identifier: BSD-3-Clause
#include "engine/storage/volatile_disk.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/mix.h"

namespace nbdspec::engine {

namespace {

// Whether a coin that `seed` has for (a, b) shows heads.
bool Heads(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0) {
  return (Mixed(seed + kMixStep * (a + 1) + 0xd1b54a32d192ed03 * (b + 1)) & 1) != 0;
}

// Calls keep(part) for the parts of `range`, which is the change number `index`, that `cut` keeps of `count` changes.
template <typename Keep>
void ForEachKept(const PowerCut& cut, std::uint64_t index, std::uint64_t count, ByteRange range, Keep keep) {
  const bool is_one = index == cut.one % count;
  const bool keeps = cut.keeps == PowerCut::Keeps::kEverything ||
                     (cut.keeps == PowerCut::Keeps::kAllButOne && !is_one) ||
                     (cut.keeps == PowerCut::Keeps::kOnlyOne && is_one) ||
                     (cut.keeps == PowerCut::Keeps::kSome && Heads(cut.seed, index));
  const bool is_chosen =
      cut.keeps == PowerCut::Keeps::kSome ||
      (is_one && (cut.keeps == PowerCut::Keeps::kAllButOne || cut.keeps == PowerCut::Keeps::kOnlyOne));
  if (!cut.tears || !is_chosen) {
    if (keeps) {
      keep(range);
    }
    return;
  }
  for (std::uint64_t at = range.begin; at < range.end;) {
    const std::uint64_t sector = at / VolatileDisk::kSectorBytes;
    const std::uint64_t end = std::min(range.end, (sector + 1) * VolatileDisk::kSectorBytes);
    if (Heads(cut.seed, index, sector)) {
      keep(ByteRange{.begin = at, .end = end});
    }
    at = end;
  }
}

}  // namespace

VolatileDisk::VolatileDisk(std::uint64_t size) : extents_(size, ExtentType::kHoleZero) {
  NBDSPEC_CHECK(size <= kExportBytesMax);
}

void VolatileDisk::Fail(const std::optional<DiskFailure>& failure) {
  NBDSPEC_CHECK(!failure || failure->error != 0);
  failure_ = failure;
  operation_count_ = 0;
  failed_count_ = 0;
}

void VolatileDisk::Note(DiskOperation::Kind kind, ByteRange range) {
  if (operations_.size() < kOperationsMax) {
    operations_.push_back({.kind = kind, .range = range});
  }
}

bool VolatileDisk::Fails(DiskFailure::Operation operation) {
  if (!failure_ || (failure_->operations & operation) == 0) {
    return false;
  }
  const std::uint64_t number = operation_count_++;
  const bool fails = number >= failure_->succeed_first && number - failure_->succeed_first < failure_->count;
  failed_count_ += fails ? 1 : 0;
  return fails;
}

LayerResult VolatileDisk::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  return CopyExtents(extents_, request.range, extents, request.range.begin);
}

LayerResult VolatileDisk::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  NBDSPEC_CHECK(offset <= size() && into.size() <= size() - offset);
  Note(DiskOperation::Kind::kRead, {.begin = offset, .end = offset + into.size()});
  if (Fails(DiskFailure::kReads)) {
    contents_.Read(offset, into.first(std::min<std::uint64_t>(into.size(), failure_->bytes_done)));
    return std::unexpected(failure_->error);
  }
  contents_.Read(offset, into);
  return {};
}

LayerResult VolatileDisk::Write(std::uint64_t offset, ByteView data) {
  NBDSPEC_CHECK(offset <= size() && data.size() <= size() - offset);
  Note(DiskOperation::Kind::kWrite, {.begin = offset, .end = offset + data.size()});
  const bool fails = Fails(DiskFailure::kWrites);
  const ByteView done = fails ? data.first(std::min<std::uint64_t>(data.size(), failure_->bytes_done)) : data;
  const LayerResult result = Do(
      {.range = {.begin = offset, .end = offset + done.size()}, .data = {done.begin(), done.end()}}, ExtentType::kData);
  return fails ? std::unexpected(failure_->error) : result;
}

LayerResult VolatileDisk::WriteZeroes(ByteRange range, bool may_punch_hole) {
  Note(may_punch_hole ? DiskOperation::Kind::kPunch : DiskOperation::Kind::kZero, range);
  return WriteZeroesOrFail(DiskFailure::kZeroes, range, may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero);
}

LayerResult VolatileDisk::Trim(ByteRange range) {
  Note(DiskOperation::Kind::kTrim, range);
  return WriteZeroesOrFail(DiskFailure::kTrims, range, ExtentType::kHoleZero);
}

LayerResult VolatileDisk::WriteZeroesOrFail(DiskFailure::Operation operation, ByteRange range, ExtentType type) {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  if (!Fails(operation)) {
    return Do({.range = range, .data = {}}, type);
  }
  const std::uint64_t done = std::min(range.length(), failure_->bytes_done);
  (void)Do({.range = {.begin = range.begin, .end = range.begin + done}, .data = {}}, type);
  return std::unexpected(failure_->error);
}

LayerResult VolatileDisk::Do(Change change, ExtentType type) {
  if (change.range.empty()) {
    return {};
  }
  if (const auto added = AddExtent(extents_, change.range, type); !added) {
    return added;
  }
  Apply(change, change.range, contents_);
  volatile_bytes_ += change.data.size();
  volatile_.push_back(std::move(change));
  DropOldest();
  return {};
}

// What is dropped here is made durable: nobody may rely on its being lost.
void VolatileDisk::DropOldest() {
  if (volatile_bytes_ <= kVolatileBytesMax && volatile_.size() <= kVolatileChangesMax) {
    return;
  }
  std::size_t count = 0;  // Half of them at once, or each would be a copy of all others.
  for (; count < volatile_.size() / 2 + 1; ++count) {
    Apply(volatile_[count], volatile_[count].range, durable_);
    volatile_bytes_ -= volatile_[count].data.size();
  }
  volatile_.erase(volatile_.begin(), volatile_.begin() + static_cast<std::ptrdiff_t>(count));
}

// Leaves in `to` what `change` has in `part`.
void VolatileDisk::Apply(const Change& change, ByteRange part, SparseBytes& to) {
  const ByteRange shared = Intersect(change.range, part);
  if (shared.empty()) {
    return;
  }
  if (change.data.empty()) {
    to.Zero(shared);
  } else {
    to.Write(shared.begin, ByteView(change.data).subspan(shared.begin - change.range.begin, shared.length()));
  }
}

LayerResult VolatileDisk::Flush() {
  Note(DiskOperation::Kind::kFlush, extents_.range());
  return MakeDurable(extents_.range());
}

LayerResult VolatileDisk::Persist(ByteRange range) {
  Note(DiskOperation::Kind::kPersist, range);
  return MakeDurable(range);
}

LayerResult VolatileDisk::MakeDurable(ByteRange range) {
  const bool fails = Fails(DiskFailure::kFlushes);
  if (fails && !failure_->loses) {
    return std::unexpected(failure_->error);
  }
  std::vector<Change> left;
  for (const Change& change : std::exchange(volatile_, {})) {
    if (!fails) {
      Apply(change, range, durable_);
    }
    const auto keep = [&](ByteRange part) {
      if (!part.empty()) {
        const ByteView data = change.data.empty()
                                  ? ByteView()
                                  : ByteView(change.data).subspan(part.begin - change.range.begin, part.length());
        left.push_back({.range = part, .data = {data.begin(), data.end()}});
      }
    };
    keep(Intersect(change.range, {.begin = 0, .end = range.begin}));
    keep(Intersect(change.range, {.begin = range.end, .end = size()}));
  }
  volatile_ = std::move(left);
  volatile_bytes_ = 0;
  for (const Change& change : volatile_) {
    volatile_bytes_ += change.data.size();
  }
  return fails ? std::unexpected(failure_->error) : LayerResult();
}

void VolatileDisk::Cut(const PowerCut& cut) {
  for (std::size_t i = 0; i < volatile_.size(); ++i) {
    ForEachKept(cut, i, volatile_.size(), volatile_[i].range,
                [&](ByteRange part) { Apply(volatile_[i], part, durable_); });
  }
  for (const Change& change : volatile_) {
    // What it is now is not kept apart, and data claims nothing.
    NBDSPEC_CHECK(AddExtent(extents_, change.range, ExtentType::kData));
  }
  volatile_.clear();
  volatile_bytes_ = 0;
  contents_ = durable_;
}

}  // namespace nbdspec::engine
