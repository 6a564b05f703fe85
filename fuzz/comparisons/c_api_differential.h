// SPDX-License-Identifier: BSD-3-Clause
// The C functions of the extents map against a naive oracle: results, errno, what callbacks see, and memory.

#pragma once

#include "engine/base/bytes.h"
#include "engine/extents/extents_c.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// The functions under test. Canary tests plant bugs by passing others than those of extents_c.h.
struct CApi {
  decltype(&nbdspec_extents_new) new_hole = nbdspec_extents_new;
  decltype(&nbdspec_extents_new_of_type) new_of_type = nbdspec_extents_new_of_type;
  decltype(&nbdspec_extents_free) free = nbdspec_extents_free;
  decltype(&nbdspec_extent_add) add = nbdspec_extent_add;
  decltype(&nbdspec_extents_clear) clear = nbdspec_extents_clear;
  decltype(&nbdspec_extents_foreach) foreach = nbdspec_extents_foreach;
  decltype(&nbdspec_extents_set_error_callback) set_error_callback = nbdspec_extents_set_error_callback;
};

// The first thing that is not as extents_c.h says when the calls that `input` stands for (c_api_input.h) are made.
// Memory runs out where they say so: the program's operator new is that of engine/extents/failing_new.h.
Found FindCApiDisagreement(engine::ByteView input, const CApi& api = {});

FuzzTarget CApiTarget();

}  // namespace nbdspec::fuzz
