// SPDX-License-Identifier: BSD-3-Clause
// The bytes form of a Script, made for fuzzers: every byte string is a script, records have a fixed size, and few
// bits choose the numbers that matter: edges of earlier steps and of the export, and powers of two, each -1 and +1.
//
//   head, kScriptHeadBytes:    initial type and the choice of size (1), value (8)
//   step, kScriptRecordBytes:  kind (1), detail (1), choice of offset (1) and length (1), value of each (8, 8)
//
// The detail is a type, where to stop, a command, an option, what a cut keeps, a connection or how far visitors come.
// Of a request, the value of the length gives half to the length; flags (2), pattern (1) and connection (1) take the
// rest. Of an option, the values choose among well-known names; any other name comes in records of its own, which
// follow the option's and are no steps, as do how it is delivered, and the rest of a request that only extended headers
// can carry. Bytes that do not fill a record are ignored. Values are little-endian.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/script/script.h"

namespace nbdspec::engine {

inline constexpr std::size_t kScriptHeadBytes = 9;
inline constexpr std::size_t kScriptRecordBytes = 20;

// Which steps a target runs. Records of others become one of these: none is wasted.
struct StepKinds {
  bool add = false;
  bool clear = false;
  bool for_each = false;
  bool lookup = false;
  bool request = false;
  bool wait = false;
  bool cut = false;
  bool option = false;
  bool leave = false;
  bool send = false;
  bool visit = false;
  bool delivery = false;  // Of options: whether they are split and glued.
  bool extended = false;  // Of requests: what only extended headers can carry. Else they are as if there were none.
};

inline constexpr StepKinds kMapSteps = {.add = true, .clear = true, .for_each = true, .lookup = true};
inline constexpr StepKinds kWireSteps = {.request = true, .wait = true};

struct ScriptLimits {
  std::uint64_t export_bytes_max = kExportBytesMax;
  std::size_t steps_max = 32;
  StepKinds kinds = kMapSteps;
  std::uint8_t connections_max = 1;               // At most kConnectionsMax.
  std::uint64_t payload_bytes_max = 0xffff'ffff;  // The longest read or write.
};

// What allows everything that EncodeScript can say.
inline constexpr ScriptLimits kNoScriptLimits = {.steps_max = ~std::size_t{0},
                                                 .kinds = {.add = true,
                                                           .clear = true,
                                                           .for_each = true,
                                                           .lookup = true,
                                                           .request = true,
                                                           .wait = true,
                                                           .cut = true,
                                                           .option = true,
                                                           .leave = true,
                                                           .send = true,
                                                           .visit = true,
                                                           .delivery = true,
                                                           .extended = true},
                                                 .connections_max = kConnectionsMax,
                                                 .payload_bytes_max = UINT64_MAX};

// The script that `bytes` stand for; never fails. Steps past limits.steps_max are ignored, sizes cut to the limit.
[[nodiscard]] Script DecodeScript(ByteView bytes, const ScriptLimits& limits);

// Bytes that decode to `script`, given limits that allow it: how a script people wrote becomes a fuzzer's seed.
// `bytes` is used for its memory.
[[nodiscard]] Bytes EncodeScript(const Script& script, Bytes bytes = {});

// Whether `input` begins as text does.
[[nodiscard]] bool BeginsAsText(ByteView input);

// The script in `input`: text if it begins with kScriptHeader and parses, bytes otherwise. Text has no limits.
[[nodiscard]] Script ReadScript(ByteView input, const ScriptLimits& limits);

// Decodes one script after another without new memory for each: a fuzz target reads millions.
class ScriptDecoder {
 public:
  // As DecodeScript and ReadScript, in the place of what `script` holds.
  void Decode(ByteView bytes, const ScriptLimits& limits, Script& script);
  void Read(ByteView input, const ScriptLimits& limits, Script& script);

  // Appends what `records` become in `script`, whose size and the ranges `earlier` have the edges that they touch,
  // until it has limits.steps_max steps.
  void DecodeSteps(ByteView records, const ScriptLimits& limits, std::span<const ByteRange::OffsetAndLength> earlier,
                   Script& script);

 private:
  std::vector<std::uint64_t> edges_;
};

}  // namespace nbdspec::engine
