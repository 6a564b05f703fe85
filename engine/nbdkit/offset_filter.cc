// SPDX-License-Identifier: BSD-3-Clause
// The extents proposal's example of a filter, inside nbdkit: it serves the layer below from an offset on.
//
//   nbdkit --filter=./nbdkit-nbdspec-offset-filter.so PLUGIN nbdspec-offset=BYTES
//
// Its `extents` has the layer below fill a fresh map and transforms that into a second one: what a filter does that
// changes offsets. (nbdkit's own offset filter copies extent by extent; the two must agree.)

#include <nbdkit-filter.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "engine/base/byte_range.h"
#include "engine/base/or_return.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::engine {
namespace {

std::uint64_t shift = 0;  // From the command line.

int OnConfig(nbdkit_next_config* next, nbdkit_backend* backend, const char* key, const char* value) {
  if (std::strcmp(key, "nbdspec-offset") != 0) {
    return next(backend, key, value);
  }
  const std::int64_t bytes = nbdkit_parse_size(value);
  if (bytes < 0) {
    return -1;
  }
  shift = static_cast<std::uint64_t>(bytes);
  return 0;
}

std::int64_t OnGetSize(nbdkit_next* next, void* /*handle*/) {
  const std::int64_t below = next->get_size(next);
  if (below >= 0 && static_cast<std::uint64_t>(below) < shift) {
    nbdkit_error("nbdspec-offset is past the end of the disk below");
    return -1;
  }
  return below < 0 ? below : below - static_cast<std::int64_t>(shift);
}

// pread and pwrite of the layer below.
template <auto kCall, typename Buffer>
int OnData(nbdkit_next* next, void* /*handle*/, Buffer* buffer, std::uint32_t count, std::uint64_t offset,
           std::uint32_t flags, int* error) {
  return (next->*kCall)(next, buffer, count, offset + shift, flags, error);
}

// trim, zero and cache.
template <auto kCall>
int OnRange(nbdkit_next* next, void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t flags,
            int* error) {
  return (next->*kCall)(next, count, offset + shift, flags, error);
}

using NbdkitExtents = std::unique_ptr<struct nbdkit_extents, decltype(&nbdkit_extents_free)>;

// What `answer` tells, as it is seen through the filter, in a map of `size` bytes; `answered_end` is where it stops.
std::expected<ExtentMap, ErrorCode> Shifted(const struct nbdkit_extents& answer, std::uint64_t size,
                                            std::uint64_t& answered_end) {
  ExtentMap map(size, ExtentType::kData);
  for (std::size_t i = 0; i < nbdkit_extents_count(&answer); ++i) {
    const struct nbdkit_extent extent = nbdkit_get_extent(&answer, i);
    const auto type = static_cast<ExtentType>(extent.type & (NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO));
    NBDSPEC_RETURN_IF_ERROR(map.Add(extent.offset - shift, extent.length, type));
    answered_end = extent.offset - shift + extent.length;
  }
  return map;
}

int OnExtents(nbdkit_next* next, void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t flags,
              struct nbdkit_extents* extents, int* error) {
  const std::int64_t size = next->get_size(next);
  const NbdkitExtents fresh(nbdkit_extents_new(offset + shift, static_cast<std::uint64_t>(size)), nbdkit_extents_free);
  if (fresh == nullptr) {
    *error = errno;
    return -1;
  }
  if (next->extents(next, count, offset + shift, flags, fresh.get(), error) == -1) {
    return -1;
  }
  std::uint64_t answered_end = offset;
  const auto seen = Shifted(*fresh, static_cast<std::uint64_t>(size) - shift, answered_end);
  if (!seen) {
    nbdkit_error("out of memory");
    *error = ENOMEM;
    return -1;
  }
  const bool is_added = seen->ForEach({.begin = offset, .end = answered_end}, [&](Extent extent) {
    return nbdkit_add_extent(extents, extent.range.begin, extent.range.length(),
                             static_cast<std::uint32_t>(extent.type)) == 0;
  });
  if (!is_added) {
    *error = errno;
  }
  return is_added ? 0 : -1;
}

struct nbdkit_filter filter = {
    .name = "nbdspec-offset",
    .longname = "nbdspec offset filter",
    .config = OnConfig,
    .config_help = "nbdspec-offset=BYTES   where in the disk below the one served begins",
    .get_size = OnGetSize,
    .pread = OnData<&nbdkit_next::pread>,
    .pwrite = OnData<&nbdkit_next::pwrite>,
    .trim = OnRange<&nbdkit_next::trim>,
    .zero = OnRange<&nbdkit_next::zero>,
    .extents = OnExtents,
    .cache = OnRange<&nbdkit_next::cache>,
};

}  // namespace
}  // namespace nbdspec::engine

NBDKIT_REGISTER_FILTER(nbdspec::engine::filter)
