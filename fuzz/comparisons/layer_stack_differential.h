// SPDX-License-Identifier: BSD-3-Clause
// A stack of layers against the bitmap transformed the naive way, after every call.

#pragma once

#include "engine/base/bytes.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/inputs/layer_stack_input.h"

namespace nbdspec::fuzz {

// The first disagreement of `input`, read as layer_stack_input.h says:
// - Extents are what the naive stack says of each byte of the range. With REQ_ONE that holds for the first byte, and
//   the others claim nothing that is not so.
// - Reads give the naive stack's bytes; changes change it alike; what there is no room for is NBD_ENOSPC.
// - What fails at the bottom reaches the top as the error it failed with.
// - No layer asks another one for what it may not (naive_layers.h).
Found FindLayerStackDisagreement(engine::ByteView input, const MakeLayer& make = MakeRightLayer);

FuzzTarget LayerStackTarget();

}  // namespace nbdspec::fuzz
