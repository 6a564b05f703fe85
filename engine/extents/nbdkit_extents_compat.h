// SPDX-License-Identifier: BSD-3-Clause
// The names of the nbdkit extents proposal (version 2, 19 March 2019) for the functions of extents_c.h.
//
// The nbdkit that was released has another `nbdkit_extents_new`, so this is not for a file that includes its headers.
// All are macros or inline: no symbol of nbdkit's is defined.

#pragma once

#ifdef NBDKIT_COMMON_H
#error "nbdkit's own headers and nbdkit_extents_compat.h name different things alike: use extents_c.h beside them"
#endif

#include "engine/extents/extents_c.h"

#define NBDKIT_EXTENT_TYPE_DATA NBDSPEC_EXTENT_TYPE_DATA
#define NBDKIT_EXTENT_TYPE_HOLE NBDSPEC_EXTENT_TYPE_HOLE
#define NBDKIT_EXTENT_TYPE_ZERO NBDSPEC_EXTENT_TYPE_ZERO
#define NBDKIT_EXTENTS_FOREACH_FLAG_RANGE NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE

// Also what follows `struct`.
#define nbdkit_extents_map nbdspec_extents_map
#define nbdkit_extents_callback nbdspec_extents_callback
#define nbdkit_extents_free nbdspec_extents_free
#define nbdkit_extent_add nbdspec_extent_add
#define nbdkit_extents_clear nbdspec_extents_clear
#define nbdkit_extents_foreach nbdspec_extents_foreach

// The proposal's map knows no size: this one has room for any disk, and is one hole.
static inline struct nbdkit_extents_map* nbdkit_extents_new(void) {
  return nbdspec_extents_new(NBDSPEC_EXTENTS_SIZE_MAX);
}
