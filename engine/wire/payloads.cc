// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/payloads.h"

#include "engine/base/utf8.h"

namespace nbdspec::engine {

std::optional<ErrorPayload> DecodeErrorPayload(std::uint16_t chunk_type, ByteView payload) {
  FieldReader reader(payload);
  ErrorPayload error;
  if (chunk_type == ChunkType::kErrorOffset) {
    error.offset = 0;
  }
  ErrorPayload::Fields(reader, error);
  return reader.ok() ? std::optional(std::move(error)) : std::nullopt;
}

std::optional<std::uint16_t> DecodeInfoType(ByteView payload) {
  return payload.size() < 2 ? std::nullopt : std::optional(GetBigEndian<std::uint16_t>(payload));
}

bool IsValidString(std::string_view text) {
  while (!text.empty()) {
    const CodePoint first = FirstCodePoint(text);
    if (first.length == 0 || first.value == 0) {
      return false;
    }
    text.remove_prefix(first.length);
  }
  return true;
}

}  // namespace nbdspec::engine
