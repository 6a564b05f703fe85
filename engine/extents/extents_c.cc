// SPDX-License-Identifier: BSD-3-Clause
// ExtentMap behind C functions: what a C caller may get wrong is an errno here, before it could be a CHECK there.

#include "engine/extents/extents_c.h"

#include <atomic>
#include <cerrno>
#include <new>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"
#include "engine/extents/extent_map.h"

using nbdspec::engine::ByteRange;
using nbdspec::engine::ErrorCode;
using nbdspec::engine::Extent;
using nbdspec::engine::ExtentMap;
using nbdspec::engine::ExtentType;

struct nbdspec_extents_map {
  ExtentMap extents;
  // How many foreach are under way: a callback that adds to the map it is called for would saw off its own branch.
  // Atomic because foreach takes a const map, which several threads may walk.
  mutable std::atomic<int> walks = 0;
};

namespace {

static_assert(NBDSPEC_EXTENT_TYPE_DATA == static_cast<std::uint32_t>(ExtentType::kData));
static_assert(NBDSPEC_EXTENT_TYPE_HOLE == static_cast<std::uint32_t>(ExtentType::kHole));
static_assert(NBDSPEC_EXTENT_TYPE_ZERO == static_cast<std::uint32_t>(ExtentType::kZero));
static_assert(NBDSPEC_EXTENTS_SIZE_MAX == nbdspec::engine::kExportBytesMax);

struct ErrorListener {
  nbdspec_extents_error_callback callback = nullptr;
  void* opaque = nullptr;
} listener;

int Fail(int error, const char* message) {
  if (listener.callback != nullptr) {
    listener.callback(error, message, listener.opaque);
  }
  errno = error;
  return -1;
}

int FailWith(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidType:
      return Fail(EINVAL, "extent type has bits other than HOLE and ZERO");
    case ErrorCode::kOutOfRange:
      return Fail(ERANGE, "offset + length passes 2^64");
    case ErrorCode::kOutOfMemory:
      break;
  }
  return Fail(ENOMEM, "out of memory for extents");
}

int FailUnlessChangeable(const nbdspec_extents_map* map) {
  if (map == nullptr) {
    return Fail(EINVAL, "extents map is NULL");
  }
  if (map->walks != 0) {
    return Fail(EBUSY, "extents map cannot change during its own foreach");
  }
  return 0;
}

}  // namespace

nbdspec_extents_map* nbdspec_extents_new(uint64_t size) {
  return nbdspec_extents_new_of_type(size, NBDSPEC_EXTENT_TYPE_HOLE);
}

nbdspec_extents_map* nbdspec_extents_new_of_type(uint64_t size, uint32_t initial) {
  if (size > NBDSPEC_EXTENTS_SIZE_MAX) {
    Fail(ERANGE, "size of an extents map passes 2^63-1");
    return nullptr;
  }
  if (!nbdspec::engine::IsExtentType(initial)) {
    FailWith(ErrorCode::kInvalidType);
    return nullptr;
  }
  // Not nothrow: a process that replaces operator new need not have replaced that one.
  try {
    return new nbdspec_extents_map{.extents = ExtentMap(size, static_cast<ExtentType>(initial))};
  } catch (const std::bad_alloc&) {
    FailWith(ErrorCode::kOutOfMemory);
    return nullptr;
  }
}

void nbdspec_extents_free(nbdspec_extents_map* map) { delete map; }

int nbdspec_extent_add(nbdspec_extents_map* map, uint64_t offset, uint64_t length, uint32_t type) {
  if (FailUnlessChangeable(map) == -1) {
    return -1;
  }
  // Before the bits are cut to the size of an ExtentType.
  if (!nbdspec::engine::IsExtentType(type)) {
    return FailWith(ErrorCode::kInvalidType);
  }
  const auto added = map->extents.Add(offset, length, static_cast<ExtentType>(type));
  return added ? 0 : FailWith(added.error());
}

int nbdspec_extents_clear(nbdspec_extents_map* map) {
  if (FailUnlessChangeable(map) == -1) {
    return -1;
  }
  map->extents.Clear();
  return 0;
}

int nbdspec_extents_foreach(const nbdspec_extents_map* map, nbdspec_extents_callback fn, void* opaque, uint32_t flags,
                            uint64_t range_offset, uint64_t range_length) {
  if (map == nullptr || fn == nullptr) {
    return Fail(EINVAL, "extents map or its callback is NULL");
  }
  if ((flags & ~NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE) != 0) {
    return Fail(EINVAL, "foreach of extents has unknown flags");
  }
  ByteRange bounds = map->extents.range();
  if ((flags & NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE) != 0) {
    const bool to_the_end = range_length == UINT64_MAX;
    const auto asked =
        ByteRange::From({.offset = range_offset, .length = to_the_end ? UINT64_MAX - range_offset : range_length});
    if (!asked) {
      return FailWith(asked.error());
    }
    bounds = *asked;
  }
  int error = 0;
  ++map->walks;
  const bool whole = map->extents.ForEach(bounds, [&](Extent extent) {
    if (fn(extent.range.begin, extent.range.length(), static_cast<uint32_t>(extent.type), opaque) == 0) {
      return true;
    }
    error = errno;
    return false;
  });
  --map->walks;
  if (!whole) {
    errno = error;
    return -1;
  }
  return 0;
}

void nbdspec_extents_set_error_callback(nbdspec_extents_error_callback callback, void* opaque) {
  listener = {.callback = callback, .opaque = opaque};
}
