// SPDX-License-Identifier: BSD-3-Clause
// The proposal's filters in C99, with the proposal's names: a plugin fills a map in any order; a filter that shows the
// disk from an offset on gives it a fresh map and moves what it finds; others pass the map on, or read by it.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/extents/nbdkit_extents_compat.h"

enum { kShift = 1000 };

static int failures;

static void Expect(int holds, const char* claim, int line) {
  if (!holds) {
    printf("extents_c99_test.c:%d: not so: %s\n", line, claim);
    failures++;
  }
}
#define EXPECT(claim) Expect((claim), #claim, __LINE__)

// The layer below: 3000 bytes, of which it describes a part, backwards, and more than it was asked for.
static int plugin_extents(uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents_map* map, int* err) {
  (void)flags;
  if (count == 0 || offset + count > 3000) {
    *err = EINVAL;
    return -1;
  }
  if (nbdkit_extent_add(map, 2500, 500, NBDKIT_EXTENT_TYPE_HOLE | NBDKIT_EXTENT_TYPE_ZERO) == -1 ||
      nbdkit_extent_add(map, 1200, 1300, NBDKIT_EXTENT_TYPE_ZERO) == -1 ||
      nbdkit_extent_add(map, 0, 1500, NBDKIT_EXTENT_TYPE_DATA) == -1) {
    *err = errno;
    return -1;
  }
  return 0;
}

// Called in order of offset; `opaque` is the filter's own map.
static int subtract_shift(uint64_t offset, uint64_t length, uint32_t type, void* opaque) {
  return nbdkit_extent_add((struct nbdkit_extents_map*)opaque, offset - kShift, length, type);
}

static int filter_extents(uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents_map* map, int* err) {
  struct nbdkit_extents_map* below = nbdkit_extents_new();
  int result;

  if (below == NULL) {
    *err = errno;
    return -1;
  }
  result = plugin_extents(count, offset + kShift, flags, below, err);
  if (result == 0) {
    result =
        nbdkit_extents_foreach(below, subtract_shift, map, NBDKIT_EXTENTS_FOREACH_FLAG_RANGE, offset + kShift, count);
    if (result == -1) {
      *err = errno;
    }
  }
  nbdkit_extents_free(below);
  return result;
}

// A filter that changes no offset: the map itself goes down.
static int idle_filter_extents(uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents_map* map,
                               int* err) {
  return plugin_extents(count, offset, flags, map, err);
}

static unsigned bytes_read_below;

static int plugin_pread(char* buffer, uint32_t count, uint64_t offset, int* err) {
  if (offset + count > 3000) {
    *err = EINVAL;
    return -1;
  }
  memset(buffer, 'd', count);
  bytes_read_below += count;
  return 0;
}

struct reader {
  char* buffer;
  uint64_t offset;  // Of the first byte of `buffer`.
  int* err;
};

static int read_extent(uint64_t offset, uint64_t length, uint32_t type, void* opaque) {
  const struct reader* reader = (const struct reader*)opaque;
  char* buffer = reader->buffer + (offset - reader->offset);
  if ((type & NBDKIT_EXTENT_TYPE_ZERO) == 0) {
    return plugin_pread(buffer, (uint32_t)length, offset, reader->err);
  }
  memset(buffer, 0, (size_t)length);
  return 0;
}

// A filter's pread that asks for the extents below, so as to read only what may be other than zero.
static int sparse_filter_pread(char* buffer, uint32_t count, uint64_t offset, int* err) {
  struct nbdkit_extents_map* below = nbdkit_extents_new();
  struct reader reader;
  int result;

  if (below == NULL) {
    *err = errno;
    return -1;
  }
  reader.buffer = buffer;
  reader.offset = offset;
  reader.err = err;
  result = plugin_extents(count, offset, 0, below, err);
  if (result == 0) {
    result = nbdkit_extents_foreach(below, read_extent, &reader, NBDKIT_EXTENTS_FOREACH_FLAG_RANGE, offset, count);
  }
  nbdkit_extents_free(below);
  return result;
}

struct text {
  char bytes[256];
  size_t length;
};

static int write_extent(uint64_t offset, uint64_t length, uint32_t type, void* opaque) {
  struct text* text = (struct text*)opaque;
  const size_t space = sizeof text->bytes - text->length;
  const int written =
      snprintf(text->bytes + text->length, space, "%" PRIu64 "+%" PRIu64 " %s%s%s\n", offset, length,
               type == NBDKIT_EXTENT_TYPE_DATA ? "data" : "", (type & NBDKIT_EXTENT_TYPE_HOLE) != 0 ? "hole" : "",
               (type & NBDKIT_EXTENT_TYPE_ZERO) != 0 ? "zero" : "");
  if (written < 0 || (size_t)written >= space) {
    errno = ENOSPC;
    return -1;
  }
  text->length += (size_t)written;
  return 0;
}

static void ExpectExtents(const struct nbdkit_extents_map* map, const char* expected, int line) {
  struct text text = {"", 0};
  Expect(nbdkit_extents_foreach(map, write_extent, &text, NBDKIT_EXTENTS_FOREACH_FLAG_RANGE, 0, 2000) == 0,
         "foreach succeeds", line);
  if (strcmp(text.bytes, expected) != 0) {
    printf("extents_c99_test.c:%d: expected\n%sand saw\n%s", line, expected, text.bytes);
    failures++;
  }
}

static void FilterMovesWhatTheLayerBelowAdds(void) {
  struct nbdkit_extents_map* map = nbdkit_extents_new();
  int err = 0;

  EXPECT(map != NULL);
  ExpectExtents(map, "0+2000 hole\n", __LINE__);
  EXPECT(filter_extents(2000, 0, 0, map, &err) == 0);
  ExpectExtents(map, "0+500 data\n500+1000 zero\n1500+500 holezero\n", __LINE__);

  // Only what was asked for is moved; the rest of the filter's map is left alone.
  EXPECT(nbdkit_extents_clear(map) == 0);
  EXPECT(filter_extents(200, 400, 0, map, &err) == 0);
  ExpectExtents(map, "0+400 hole\n400+100 data\n500+100 zero\n600+1400 hole\n", __LINE__);
  nbdkit_extents_free(map);
}

static void FilterPassesTheErrorOfTheLayerBelow(void) {
  struct nbdkit_extents_map* map = nbdkit_extents_new();
  int err = 0;

  EXPECT(map != NULL);
  EXPECT(filter_extents(2001, 0, 0, map, &err) == -1);
  EXPECT(err == EINVAL);
  ExpectExtents(map, "0+2000 hole\n", __LINE__);
  nbdkit_extents_free(map);
}

static void FilterStopsAtAnExtentThatCannotBeMoved(void) {
  struct nbdkit_extents_map* below = nbdkit_extents_new();
  struct nbdkit_extents_map* map = nbdkit_extents_new();

  EXPECT(below != NULL && map != NULL);
  // Offset 0 minus the shift wraps, and so does the end of the extent.
  errno = 0;
  EXPECT(nbdkit_extents_foreach(below, subtract_shift, map, 0, 0, 0) == -1);
  EXPECT(errno == ERANGE);
  ExpectExtents(map, "0+2000 hole\n", __LINE__);
  nbdkit_extents_free(below);
  nbdkit_extents_free(map);
  nbdkit_extents_free(NULL);
}

static void FilterMayPassTheMapOn(void) {
  struct nbdkit_extents_map* map = nbdkit_extents_new();
  int err = 0;

  EXPECT(map != NULL);
  EXPECT(idle_filter_extents(2000, 0, 0, map, &err) == 0);
  ExpectExtents(map, "0+1500 data\n1500+500 zero\n", __LINE__);
  nbdkit_extents_free(map);
}

static void FilterUsesExtentsToReadLess(void) {
  char buffer[202];
  char expected[202];
  int err = 0;

  // Bytes 1400 to 1499 are data; what is around the 200 bytes asked for stays.
  memset(expected, 0, sizeof expected);
  memset(expected + 1, 'd', 100);
  expected[0] = expected[201] = '-';
  memset(buffer, '-', sizeof buffer);
  bytes_read_below = 0;
  EXPECT(sparse_filter_pread(buffer + 1, 200, 1400, &err) == 0);
  EXPECT(memcmp(buffer, expected, sizeof buffer) == 0);
  EXPECT(bytes_read_below == 100);

  EXPECT(sparse_filter_pread(buffer + 1, 200, 2900, &err) == -1);
  EXPECT(err == EINVAL);
}

static void NamesHaveTheSignaturesOfTheProposal(void) {
  struct nbdkit_extents_map* (*new_map)(void) = nbdkit_extents_new;
  void (*free_map)(struct nbdkit_extents_map*) = nbdkit_extents_free;
  int (*add)(struct nbdkit_extents_map*, uint64_t, uint64_t, uint32_t) = nbdkit_extent_add;
  int (*walk)(const struct nbdkit_extents_map*, nbdkit_extents_callback, void*, uint32_t, uint64_t, uint64_t) =
      nbdkit_extents_foreach;
  struct nbdkit_extents_map* map = new_map();

  EXPECT(map != NULL);
  EXPECT(add(map, 0, 2000, NBDKIT_EXTENT_TYPE_ZERO) == 0);
  EXPECT(walk(map, write_extent, NULL, 8, 0, 0) == -1);
  ExpectExtents(map, "0+2000 zero\n", __LINE__);
  free_map(map);
}

int main(void) {
  FilterMovesWhatTheLayerBelowAdds();
  FilterPassesTheErrorOfTheLayerBelow();
  FilterStopsAtAnExtentThatCannotBeMoved();
  FilterMayPassTheMapOn();
  FilterUsesExtentsToReadLess();
  NamesHaveTheSignaturesOfTheProposal();
  return failures == 0 ? 0 : 1;
}
