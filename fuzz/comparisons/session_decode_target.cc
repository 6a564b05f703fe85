// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/session_decode_differential.h"
#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {

FuzzTarget SessionDecodeTarget() {
  return {.name = "session_decode",
          .subject = "our own session, by a hostile server's bytes",
          .against = "a naive session that has them all at once",
          .inputs = {.bytes_max = 256, .fresh = FreshSessionDecodeInput},
          .find_in_bytes = [](engine::ByteView input) { return FindSessionDecodeDisagreement(input); },
          .dictionary = "nbd.dict"};
}

}  // namespace nbdspec::fuzz
