// SPDX-License-Identifier: BSD-3-Clause
// The extents map for C: what the nbdkit extents proposal of March 2019 gives plugins and filters.
//
// For C99 and C++. Names begin with our own prefix, so that this can live in an nbdkit process; the proposal's names
// are in nbdkit_extents_compat.h. docs/extents_api.md has an example and says where each point of the proposal is
// shown.
//
// Functions that return int return 0, or -1 with errno set; a map is then as it was. Nothing throws, and no argument
// aborts: a null map or function is EINVAL. One map is for one thread at a time.

#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bits of a type; all four combinations are legal. The values are those of the NBD context base:allocation.
#define NBDSPEC_EXTENT_TYPE_DATA UINT32_C(0)  // Allocated, contents unknown: claims nothing.
#define NBDSPEC_EXTENT_TYPE_HOLE UINT32_C(1)  // Not allocated.
#define NBDSPEC_EXTENT_TYPE_ZERO UINT32_C(2)  // Reads as zeroes.

// The largest disk: 2^63-1 bytes.
#define NBDSPEC_EXTENTS_SIZE_MAX UINT64_C(0x7fffffffffffffff)

// The type of every byte of a disk.
struct nbdspec_extents_map;

// A map of `size` bytes that is one hole, or one extent of type `initial`; data is the choice that claims nothing.
// Returns: a map for nbdspec_extents_free, or NULL.
// Errors:  ERANGE if size is above NBDSPEC_EXTENTS_SIZE_MAX; EINVAL for unknown type bits; ENOMEM.
struct nbdspec_extents_map* nbdspec_extents_new(uint64_t size);
struct nbdspec_extents_map* nbdspec_extents_new_of_type(uint64_t size, uint32_t initial);

// NULL is fine.
void nbdspec_extents_free(struct nbdspec_extents_map* map);

// Gives [offset, offset + length) the type `type`, whatever it had, in any order of calls. The part outside of the
// disk is ignored; length 0 changes nothing. The map may have more extents after it, as many, or fewer.
// Errors: EINVAL for unknown type bits; ERANGE if offset + length is 2^64 or more; ENOMEM; EBUSY during a foreach.
// Cost:   O(log n), amortised over the extents it removes.
int nbdspec_extent_add(struct nbdspec_extents_map* map, uint64_t offset, uint64_t length, uint32_t type);

// Back to one extent of the initial type. Errors: EBUSY during a foreach.
int nbdspec_extents_clear(struct nbdspec_extents_map* map);

// Returns 0 to go on; anything else ends the walk. It must return: no longjmp, no exception. It may not free the map.
typedef int (*nbdspec_extents_callback)(uint64_t offset, uint64_t length, uint32_t type, void* opaque);

// Visit only [range_offset, range_offset + range_length), with extents clipped to it; without this flag the two are
// ignored. A length of -1 (UINT64_MAX) is to the end. The part of the range outside of the disk is ignored.
#define NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE UINT32_C(1)

// Calls `fn` for each extent in ascending order of offset, without gaps; neighbours differ in type. The first call that
// fails ends it: the result is then -1 and errno what `fn` left.
// Errors: EINVAL for unknown flags; ERANGE if the range passes 2^64; and those of `fn`.
// Cost:   O(log n) and the extents visited.
int nbdspec_extents_foreach(const struct nbdspec_extents_map* map, nbdspec_extents_callback fn, void* opaque,
                            uint32_t flags, uint64_t range_offset, uint64_t range_length);

// Receives each error above as it happens, with its errno and a sentence that is valid during the call, but no failure
// of `fn`. A plugin passes the sentence to nbdkit_error. The callback cannot change the caller's errno.
typedef void (*nbdspec_extents_error_callback)(int error, const char* message, void* opaque);

// One for the process; NULL is none, as at the start. Set it before other threads use maps.
void nbdspec_extents_set_error_callback(nbdspec_extents_error_callback callback, void* opaque);

#ifdef __cplusplus
}
#endif
