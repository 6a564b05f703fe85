// SPDX-License-Identifier: BSD-3-Clause
// The target that does nothing: what libFuzzer itself costs.

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* /*data*/, std::size_t /*size*/) { return 0; }
