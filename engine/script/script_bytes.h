// SPDX-License-Identifier: BSD-3-Clause
// The bytes form of a Script, made for fuzzers: every byte string is a script, records have a fixed size, and few
// bits choose the numbers that matter: edges of earlier steps and of the export, and powers of two, each -1 and +1.
//
//   head, kScriptHeadBytes:    initial type and the choice of size (1), value (8)
//   step, kScriptRecordBytes:  kind (1), type or stop_at (1), choice of offset (1) and length (1), value of each (8, 8)
//
// Bytes that do not fill a record are ignored. Values are little-endian.

#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/script/script.h"

namespace nbdspec::engine {

inline constexpr std::size_t kScriptHeadBytes = 9;
inline constexpr std::size_t kScriptRecordBytes = 20;

struct ScriptLimits {
  std::uint64_t export_bytes_max = kExportBytesMax;
  std::size_t steps_max = 32;
};

// The script that `bytes` stand for; never fails. Steps past limits.steps_max are ignored, sizes cut to the limit.
[[nodiscard]] Script DecodeScript(ByteView bytes, const ScriptLimits& limits);

// Bytes that decode to `script`, given limits that allow it: how a script people wrote becomes a fuzzer's seed.
[[nodiscard]] Bytes EncodeScript(const Script& script);

// The script in `input`: text if it begins with kScriptHeader and parses, bytes otherwise. Text has no limits.
[[nodiscard]] Script ReadScript(ByteView input, const ScriptLimits& limits);

}  // namespace nbdspec::engine
