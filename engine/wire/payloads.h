// SPDX-License-Identifier: BSD-3-Clause
// The contents of payloads: names, queries, information, descriptors, error texts.
//
// Each lists its fields once; EncodePayload and DecodePayload, at the end, are inverse on what EncodePayload can make.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/utf8.h"
#include "engine/wire/fields.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// Data of NBD_OPT_INFO and NBD_OPT_GO.
struct InfoQuery {
  std::string name;
  std::vector<std::uint16_t> requests = {};
  bool operator==(const InfoQuery&) const = default;

  static void Fields(auto& io, auto& query) {
    io.Text(query.name);
    io.template List<std::uint16_t>(query.requests, [&io](auto& request) { io.Numbers(request); });
  }
};

// Data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
struct MetaContextQuery {
  std::string export_name;
  std::vector<std::string> queries = {};
  bool operator==(const MetaContextQuery&) const = default;

  static void Fields(auto& io, auto& query) {
    io.Text(query.export_name);
    io.template List<std::uint32_t>(query.queries, [&io](auto& each) { io.Text(each); });
  }
};

// Data of NBD_REP_SERVER: one export of a list.
struct ListedExport {
  std::string name;
  std::string description = {};
  bool operator==(const ListedExport&) const = default;

  static void Fields(auto& io, auto& listed) {
    io.Text(listed.name);
    io.Rest(listed.description);
  }
};

// Data of NBD_REP_META_CONTEXT.
struct MetaContext {
  std::uint32_t id = 0;
  std::string name;
  bool operator==(const MetaContext&) const = default;

  static void Fields(auto& io, auto& context) {
    io.Numbers(context.id);
    io.Rest(context.name);
  }
};

// Data of NBD_REP_INFO: the type, then what belongs to it.
struct InfoExport {
  std::uint64_t size = 0;
  std::uint16_t flags = 0;
  bool operator==(const InfoExport&) const = default;

  static void Fields(auto& io, auto& info) {
    io.Constant(InfoType::kExport);
    io.Numbers(info.size, info.flags);
  }
};

struct InfoBlockSize {
  std::uint32_t minimum = 1;  // Bytes; so the others.
  std::uint32_t preferred = 4096;
  std::uint32_t maximum = kPayloadBytesDefaultMax;
  bool operator==(const InfoBlockSize&) const = default;

  static void Fields(auto& io, auto& info) {
    io.Constant(InfoType::kBlockSize);
    io.Numbers(info.minimum, info.preferred, info.maximum);
  }
};

struct InfoText {
  std::uint16_t type = InfoType::kName;  // Or kDescription.
  std::string text;
  bool operator==(const InfoText&) const = default;

  static void Fields(auto& io, auto& info) {
    io.Numbers(info.type);
    io.Rest(info.text);
  }
};

// Payload of NBD_REPLY_TYPE_OFFSET_DATA.
struct OffsetData {
  std::uint64_t offset = 0;
  Bytes data = {};
  bool operator==(const OffsetData&) const = default;

  static void Fields(auto& io, auto& data) {
    io.Numbers(data.offset);
    io.Rest(data.data);
  }
};

// Payload of NBD_REPLY_TYPE_OFFSET_HOLE.
struct OffsetHole {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  bool operator==(const OffsetHole&) const = default;

  static void Fields(auto& io, auto& hole) { io.Numbers(hole.offset, hole.length); }
};

// One extent on the wire. Both numbers have 32 bits in the compact form.
struct Descriptor {
  std::uint64_t length = 0;  // Bytes.
  std::uint64_t status = 0;  // Flags of the context.
  bool operator==(const Descriptor&) const = default;
};

// Payload of a status chunk: NBD_REPLY_TYPE_BLOCK_STATUS in the compact form, NBD_REPLY_TYPE_BLOCK_STATUS_EXT in the
// extended one.
struct BlockStatus {
  HeaderForm form = HeaderForm::kCompact;
  std::uint32_t context_id = 0;
  std::vector<Descriptor> descriptors = {};
  std::optional<std::uint32_t> count_field = {};  // When set, stands in place of their count. Extended form only.
  bool operator==(const BlockStatus&) const = default;

  static constexpr std::uint16_t ChunkTypeOf(HeaderForm form) {
    return form == HeaderForm::kExtended ? ChunkType::kBlockStatusExt : ChunkType::kBlockStatus;
  }
  // All but the descriptors; and each of these.
  static constexpr std::size_t HeadBytes(HeaderForm form) { return form == HeaderForm::kExtended ? 8 : 4; }
  static constexpr std::size_t DescriptorBytes(HeaderForm form) { return 2 * HeadBytes(form); }

  static void Fields(auto& io, auto& status) {
    const auto each = [&io, form = status.form](auto& descriptor) {
      io.Length(descriptor.length, form);
      io.Length(descriptor.status, form);
    };
    io.Numbers(status.context_id);
    if (status.form == HeaderForm::kExtended) {
      io.CountedToEnd(status.descriptors, DescriptorBytes(status.form), status.count_field, each);
    } else {
      io.ListToEnd(status.descriptors, DescriptorBytes(status.form), each);
    }
  }
};

// Payload of NBD_CMD_BLOCK_STATUS with NBD_CMD_FLAG_PAYLOAD_LEN: the contexts that are to answer it.
struct StatusQuery {
  std::uint64_t length = 0;  // Bytes: the effect length of the request.
  std::vector<std::uint32_t> context_ids = {};
  bool operator==(const StatusQuery&) const = default;

  static void Fields(auto& io, auto& query) {
    io.Numbers(query.length);
    io.ListToEnd(query.context_ids, sizeof(std::uint32_t), [&io](auto& id) { io.Numbers(id); });
  }
};

// Payload of NBD_REPLY_TYPE_ERROR, and with an offset of NBD_REPLY_TYPE_ERROR_OFFSET.
struct ErrorPayload {
  std::uint32_t error = 0;
  std::string message = {};
  std::optional<std::uint64_t> offset = {};
  bool operator==(const ErrorPayload&) const = default;

  static void Fields(auto& io, auto& error) {
    io.Numbers(error.error);
    io.template Text<std::uint16_t>(error.message);
    if (error.offset) {
      io.Numbers(*error.offset);
    }
  }
};

template <typename Payload>
Bytes EncodePayload(const Payload& payload) {
  Bytes out;
  FieldWriter writer(out);
  Payload::Fields(writer, payload);
  return out;
}

// `payload` with the fields from `bytes`; it says the form of those that have two. Nothing unless the fields fill
// `bytes` exactly: when a length points outside of them, a fixed part is missing, or bytes are left over. It judges
// nothing else: data may be empty, a list without items.
template <typename Payload>
[[gnu::flatten]] std::optional<Payload> DecodeInto(Payload payload, ByteView bytes) {
  FieldReader reader(bytes);
  Payload::Fields(reader, payload);
  return reader.ok() && reader.rest().empty() ? std::optional(std::move(payload)) : std::nullopt;
}

template <typename Payload>
std::optional<Payload> DecodePayload(ByteView bytes) {
  return DecodeInto(Payload{}, bytes);
}

// Nothing for other chunks, too.
inline std::optional<BlockStatus> DecodeBlockStatus(std::uint16_t chunk_type, ByteView payload) {
  for (const HeaderForm form : {HeaderForm::kCompact, HeaderForm::kExtended}) {
    if (chunk_type == BlockStatus::ChunkTypeOf(form)) {
      return DecodeInto(BlockStatus{.form = form}, payload);
    }
  }
  return std::nullopt;
}

// `chunk_type` says whether an offset follows the message; bytes after the known fields are ignored.
inline std::optional<ErrorPayload> DecodeErrorPayload(std::uint16_t chunk_type, ByteView payload) {
  FieldReader reader(payload);
  ErrorPayload error;
  if (chunk_type == ChunkType::kErrorOffset) {
    error.offset = 0;
  }
  ErrorPayload::Fields(reader, error);
  return reader.ok() ? std::optional(std::move(error)) : std::nullopt;
}

// The type of the data of NBD_REP_INFO.
inline std::optional<std::uint16_t> DecodeInfoType(ByteView payload) {
  return payload.size() < 2 ? std::nullopt : std::optional(GetBigEndian<std::uint16_t>(payload));
}

// Whether `text` is valid UTF-8 without a NUL byte. general.string.utf8.server, general.string.no-nul.server.
inline bool IsValidString(std::string_view text) {
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
