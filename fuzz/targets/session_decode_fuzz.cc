// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes our own raw session with what a hostile server may say: whole or in pieces, it is what a naive reader makes
// of it.

#include <cstddef>
#include <cstdint>

#include "fuzz/harness/disagreement.h"
#include "fuzz/harness/session_decode_differential.h"

namespace nbdspec::fuzz {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AbortOnDisagreement("session_decode", {data, size},
                      [](engine::ByteView input) { return FindSessionDecodeDisagreement(input); });
  return 0;
}

}  // namespace nbdspec::fuzz
