// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/wire_decode_differential.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {

FuzzTarget WireDecodeTarget() {
  return {.name = "wire_decode",
          .subject = "the decoders of both directions, and of payloads",
          .against = "the encoder; the same bytes in pieces; naive layouts",
          .inputs = {.fresh = FreshWireInput},
          .find_in_bytes = [](engine::ByteView input) { return FindWireDecodeDisagreement(input); },
          .dictionary = "nbd.dict"};
}

}  // namespace nbdspec::fuzz
