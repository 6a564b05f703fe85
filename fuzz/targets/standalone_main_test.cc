// SPDX-License-Identifier: BSD-3-Clause
// A target that dislikes one input, for standalone_main_test.sh to call.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (std::string_view(reinterpret_cast<const char*>(data), size).starts_with("boo")) {
    std::abort();
  }
  return 0;
}
