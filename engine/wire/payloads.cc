// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/payloads.h"

#include <limits>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::engine {
namespace {

// Takes a payload apart from the front. What is not there is taken as empty, and remembered: see ok().
class Reader {
 public:
  explicit Reader(ByteView payload) : rest_(payload) {}

  template <typename Unsigned>
  Unsigned Take() {
    const ByteView bytes = TakeBytes(sizeof(Unsigned));
    return ok_ ? GetBigEndian<Unsigned>(bytes) : Unsigned{0};
  }

  ByteView TakeBytes(std::size_t count) {
    ok_ = ok_ && count <= rest_.size();
    if (!ok_) {
      return {};
    }
    const ByteView bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }

  std::string TakeString(std::size_t count) {
    const ByteView bytes = TakeBytes(count);
    return {bytes.begin(), bytes.end()};
  }

  ByteView TakeRest() { return TakeBytes(rest_.size()); }
  std::string TakeRestAsString() { return TakeString(rest_.size()); }

  // Whether everything taken was there.
  [[nodiscard]] bool ok() const { return ok_; }
  // Also, nothing is left.
  [[nodiscard]] bool ok_to_the_end() const { return ok_ && rest_.empty(); }

 private:
  ByteView rest_;
  bool ok_ = true;
};

void PutText(std::string_view text, Bytes& out) { out.insert(out.end(), text.begin(), text.end()); }

// The length of `text` or `list` in the width of its field.
template <typename Unsigned, typename Sized>
void PutSize(const Sized& sized, Bytes& out) {
  NBDSPEC_CHECK(sized.size() <= std::numeric_limits<Unsigned>::max());
  PutBigEndian<Unsigned>(static_cast<Unsigned>(sized.size()), out);
}

// The bytes after the first of a UTF-8 sequence, and the smallest code point that needs as many.
struct Utf8Sequence {
  std::size_t more_bytes;
  std::uint32_t code_point_min;
  std::uint32_t first_bits;
};

std::optional<Utf8Sequence> StartUtf8Sequence(std::uint8_t first) {
  if (first < 0x80) {
    return Utf8Sequence{.more_bytes = 0, .code_point_min = 0, .first_bits = first};
  }
  if (first >> 5 == 0b110) {
    return Utf8Sequence{.more_bytes = 1, .code_point_min = 0x80, .first_bits = first & 0x1fU};
  }
  if (first >> 4 == 0b1110) {
    return Utf8Sequence{.more_bytes = 2, .code_point_min = 0x800, .first_bits = first & 0x0fU};
  }
  if (first >> 3 == 0b11110) {
    return Utf8Sequence{.more_bytes = 3, .code_point_min = 0x10000, .first_bits = first & 0x07U};
  }
  return std::nullopt;
}

// Takes one code point from the front of `text`; nothing when there is no valid one.
std::optional<std::uint32_t> TakeCodePoint(std::string_view& text) {
  const auto sequence = StartUtf8Sequence(static_cast<std::uint8_t>(text.front()));
  if (!sequence || text.size() <= sequence->more_bytes) {
    return std::nullopt;
  }
  std::uint32_t code_point = sequence->first_bits;
  for (const char each : text.substr(1, sequence->more_bytes)) {
    const auto byte = static_cast<std::uint8_t>(each);
    if (byte >> 6 != 0b10) {
      return std::nullopt;
    }
    code_point = code_point << 6 | (byte & 0x3fU);
  }
  const bool is_surrogate = 0xd800 <= code_point && code_point < 0xe000;
  if (code_point < sequence->code_point_min || is_surrogate || code_point > 0x10ffff) {
    return std::nullopt;
  }
  text.remove_prefix(1 + sequence->more_bytes);
  return code_point;
}

}  // namespace

Bytes EncodePayload(const InfoQuery& query) {
  Bytes out;
  PutSize<std::uint32_t>(query.name, out);
  PutText(query.name, out);
  PutSize<std::uint16_t>(query.requests, out);
  for (const std::uint16_t request : query.requests) {
    PutBigEndian<std::uint16_t>(request, out);
  }
  return out;
}

std::optional<InfoQuery> DecodeInfoQuery(ByteView payload) {
  Reader reader(payload);
  InfoQuery query{.name = reader.TakeString(reader.Take<std::uint32_t>())};
  const auto count = reader.Take<std::uint16_t>();
  for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
    query.requests.push_back(reader.Take<std::uint16_t>());
  }
  return reader.ok_to_the_end() ? std::optional(query) : std::nullopt;
}

Bytes EncodePayload(const MetaContextQuery& query) {
  Bytes out;
  PutSize<std::uint32_t>(query.export_name, out);
  PutText(query.export_name, out);
  PutSize<std::uint32_t>(query.queries, out);
  for (const std::string& each : query.queries) {
    PutSize<std::uint32_t>(each, out);
    PutText(each, out);
  }
  return out;
}

std::optional<MetaContextQuery> DecodeMetaContextQuery(ByteView payload) {
  Reader reader(payload);
  MetaContextQuery query{.export_name = reader.TakeString(reader.Take<std::uint32_t>())};
  const auto count = reader.Take<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {  // Ends with the payload, whatever `count` claims.
    query.queries.push_back(reader.TakeString(reader.Take<std::uint32_t>()));
  }
  return reader.ok_to_the_end() ? std::optional(query) : std::nullopt;
}

Bytes EncodePayload(const ListedExport& listed) {
  Bytes out;
  PutSize<std::uint32_t>(listed.name, out);
  PutText(listed.name, out);
  PutText(listed.description, out);
  return out;
}

std::optional<ListedExport> DecodeListedExport(ByteView payload) {
  Reader reader(payload);
  ListedExport listed{.name = reader.TakeString(reader.Take<std::uint32_t>())};
  listed.description = reader.TakeRestAsString();
  return reader.ok() ? std::optional(listed) : std::nullopt;
}

Bytes EncodePayload(const MetaContext& context) {
  Bytes out;
  PutBigEndian<std::uint32_t>(context.id, out);
  PutText(context.name, out);
  return out;
}

std::optional<MetaContext> DecodeMetaContext(ByteView payload) {
  Reader reader(payload);
  MetaContext context{.id = reader.Take<std::uint32_t>(), .name = reader.TakeRestAsString()};
  return reader.ok() ? std::optional(context) : std::nullopt;
}

std::optional<std::uint16_t> DecodeInfoType(ByteView payload) {
  Reader reader(payload);
  const auto type = reader.Take<std::uint16_t>();
  return reader.ok() ? std::optional(type) : std::nullopt;
}

Bytes EncodePayload(const InfoExport& info) {
  Bytes out;
  PutBigEndian<std::uint16_t>(InfoType::kExport, out);
  PutBigEndian<std::uint64_t>(info.size, out);
  PutBigEndian<std::uint16_t>(info.flags, out);
  return out;
}

std::optional<InfoExport> DecodeInfoExport(ByteView payload) {
  Reader reader(payload);
  const auto type = reader.Take<std::uint16_t>();
  const InfoExport info{.size = reader.Take<std::uint64_t>(), .flags = reader.Take<std::uint16_t>()};
  return reader.ok_to_the_end() && type == InfoType::kExport ? std::optional(info) : std::nullopt;
}

Bytes EncodePayload(const InfoBlockSize& info) {
  Bytes out;
  PutBigEndian<std::uint16_t>(InfoType::kBlockSize, out);
  PutBigEndian<std::uint32_t>(info.minimum, out);
  PutBigEndian<std::uint32_t>(info.preferred, out);
  PutBigEndian<std::uint32_t>(info.maximum, out);
  return out;
}

std::optional<InfoBlockSize> DecodeInfoBlockSize(ByteView payload) {
  Reader reader(payload);
  const auto type = reader.Take<std::uint16_t>();
  const InfoBlockSize info{.minimum = reader.Take<std::uint32_t>(),
                           .preferred = reader.Take<std::uint32_t>(),
                           .maximum = reader.Take<std::uint32_t>()};
  return reader.ok_to_the_end() && type == InfoType::kBlockSize ? std::optional(info) : std::nullopt;
}

Bytes EncodePayload(const InfoText& info) {
  Bytes out;
  PutBigEndian<std::uint16_t>(info.type, out);
  PutText(info.text, out);
  return out;
}

std::optional<InfoText> DecodeInfoText(ByteView payload) {
  Reader reader(payload);
  InfoText info{.type = reader.Take<std::uint16_t>(), .text = reader.TakeRestAsString()};
  return reader.ok() ? std::optional(info) : std::nullopt;
}

Bytes EncodePayload(const OffsetData& data) {
  Bytes out;
  out.reserve(sizeof data.offset + data.data.size());
  PutBigEndian<std::uint64_t>(data.offset, out);
  out.insert(out.end(), data.data.begin(), data.data.end());
  return out;
}

std::optional<OffsetData> DecodeOffsetData(ByteView payload) {
  Reader reader(payload);
  OffsetData data{.offset = reader.Take<std::uint64_t>()};
  const ByteView rest = reader.TakeRest();
  data.data.assign(rest.begin(), rest.end());
  return reader.ok() ? std::optional(std::move(data)) : std::nullopt;
}

Bytes EncodePayload(const OffsetHole& hole) {
  Bytes out;
  PutBigEndian<std::uint64_t>(hole.offset, out);
  PutBigEndian<std::uint32_t>(hole.length, out);
  return out;
}

std::optional<OffsetHole> DecodeOffsetHole(ByteView payload) {
  Reader reader(payload);
  const OffsetHole hole{.offset = reader.Take<std::uint64_t>(), .length = reader.Take<std::uint32_t>()};
  return reader.ok_to_the_end() ? std::optional(hole) : std::nullopt;
}

Bytes EncodePayload(const BlockStatus& status) {
  Bytes out;
  out.reserve(4 + 8 * status.descriptors.size());
  PutBigEndian<std::uint32_t>(status.context_id, out);
  for (const Descriptor& descriptor : status.descriptors) {
    PutBigEndian<std::uint32_t>(descriptor.length, out);
    PutBigEndian<std::uint32_t>(descriptor.status, out);
  }
  return out;
}

std::optional<BlockStatus> DecodeBlockStatus(ByteView payload) {
  if (payload.size() % 8 != 4) {
    return std::nullopt;
  }
  Reader reader(payload);
  BlockStatus status{.context_id = reader.Take<std::uint32_t>()};
  status.descriptors.reserve(payload.size() / 8);
  while (!reader.ok_to_the_end()) {
    status.descriptors.push_back({.length = reader.Take<std::uint32_t>(), .status = reader.Take<std::uint32_t>()});
  }
  return status;
}

Bytes EncodePayload(const ErrorPayload& error) {
  Bytes out;
  PutBigEndian<std::uint32_t>(error.error, out);
  PutSize<std::uint16_t>(error.message, out);
  PutText(error.message, out);
  if (error.offset) {
    PutBigEndian<std::uint64_t>(*error.offset, out);
  }
  return out;
}

std::optional<ErrorPayload> DecodeErrorPayload(std::uint16_t chunk_type, ByteView payload) {
  Reader reader(payload);
  ErrorPayload error{.error = reader.Take<std::uint32_t>()};
  error.message = reader.TakeString(reader.Take<std::uint16_t>());
  if (chunk_type == ChunkType::kErrorOffset) {
    error.offset = reader.Take<std::uint64_t>();
  }
  return reader.ok() ? std::optional(error) : std::nullopt;
}

bool IsValidString(std::string_view text) {
  while (!text.empty()) {
    if (TakeCodePoint(text).value_or(0) == 0) {
      return false;
    }
  }
  return true;
}

}  // namespace nbdspec::engine
