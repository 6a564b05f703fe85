// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/storage_kinds.h"

#include <algorithm>
#include <bit>
#include <initializer_list>

#include "fuzz/inputs/random.h"
#include "fuzz/live/learn/answer_kinds.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::DiskOperation;

namespace {

enum Domain : std::uint64_t { kOperation, kNeighbours, kDurable };
enum class Relation : std::uint64_t { kSame, kBehind, kBefore, kOverlapping, kApart };

// Of a page cache's unit, a page, a sector, or a byte.
std::uint64_t AlignmentOf(std::uint64_t offset) {
  return offset % (64 << 10) == 0 ? 0 : (offset % 4096 == 0 ? 1 : (offset % 512 == 0 ? 2 : 3));
}

Relation RelationOf(ByteRange before, ByteRange range) {
  return before == range                     ? Relation::kSame
         : range.begin == before.end         ? Relation::kBehind
         : range.end == before.begin         ? Relation::kBefore
         : !Intersect(before, range).empty() ? Relation::kOverlapping
                                             : Relation::kApart;
}

bool IsFlush(DiskOperation::Kind kind) {
  return kind == DiskOperation::Kind::kFlush || kind == DiskOperation::Kind::kPersist;
}

}  // namespace

std::vector<std::uint32_t> SignaturesOf(std::span<const DiskOperation> operations) {
  std::vector<std::uint32_t> found;
  const auto add = [&](std::initializer_list<std::uint64_t> facts) {
    found.push_back(static_cast<std::uint32_t>(Mix(facts)) % kSignatureLimit);
  };
  const DiskOperation* before = nullptr;
  std::uint64_t since_flush = 0;  // Which kinds came.
  for (const DiskOperation& operation : operations) {
    const auto kind = static_cast<std::uint64_t>(operation.kind);
    const ByteRange range = operation.range;
    add({kOperation, kind, static_cast<std::uint64_t>(std::bit_width(range.length())),
         std::max(AlignmentOf(range.begin), AlignmentOf(range.end))});
    if (before != nullptr) {
      add({kNeighbours, static_cast<std::uint64_t>(before->kind), kind,
           static_cast<std::uint64_t>(RelationOf(before->range, range))});
    }
    before = &operation;
    if (IsFlush(operation.kind)) {
      add({kDurable, kind, since_flush});
      since_flush = 0;
    } else {
      since_flush |= std::uint64_t{1} << kind;
    }
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace nbdspec::fuzz
