// SPDX-License-Identifier: BSD-3-Clause
// The contents of payloads: names, queries, information, descriptors, error texts.
//
// Each Decode returns nothing when the payload cannot be taken apart (a length that points outside of it, a fixed
// part that is missing); it judges nothing else. Encode and Decode are inverse on what Encode can make.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// Data of NBD_OPT_INFO and NBD_OPT_GO.
struct InfoQuery {
  std::string name;
  std::vector<std::uint16_t> requests = {};
  bool operator==(const InfoQuery&) const = default;
};
Bytes EncodePayload(const InfoQuery& query);
std::optional<InfoQuery> DecodeInfoQuery(ByteView payload);  // Nothing also when bytes are left over.

// Data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
struct MetaContextQuery {
  std::string export_name;
  std::vector<std::string> queries = {};
  bool operator==(const MetaContextQuery&) const = default;
};
Bytes EncodePayload(const MetaContextQuery& query);
std::optional<MetaContextQuery> DecodeMetaContextQuery(ByteView payload);  // Nothing also when bytes are left over.

// Data of NBD_REP_SERVER: one export of a list.
struct ListedExport {
  std::string name;
  std::string description = {};
  bool operator==(const ListedExport&) const = default;
};
Bytes EncodePayload(const ListedExport& listed);
std::optional<ListedExport> DecodeListedExport(ByteView payload);

// Data of NBD_REP_META_CONTEXT.
struct MetaContext {
  std::uint32_t id = 0;
  std::string name;
  bool operator==(const MetaContext&) const = default;
};
Bytes EncodePayload(const MetaContext& context);
std::optional<MetaContext> DecodeMetaContext(ByteView payload);

// Data of NBD_REP_INFO: the type, then what belongs to it.
std::optional<std::uint16_t> DecodeInfoType(ByteView payload);

struct InfoExport {
  std::uint64_t size = 0;
  std::uint16_t flags = 0;
  bool operator==(const InfoExport&) const = default;
};
Bytes EncodePayload(const InfoExport& info);
std::optional<InfoExport> DecodeInfoExport(ByteView payload);  // Nothing unless exactly 12 bytes of that type.

struct InfoBlockSize {
  std::uint32_t minimum = 1;  // Bytes; so the others.
  std::uint32_t preferred = 4096;
  std::uint32_t maximum = kPayloadBytesDefaultMax;
  bool operator==(const InfoBlockSize&) const = default;
};
Bytes EncodePayload(const InfoBlockSize& info);
std::optional<InfoBlockSize> DecodeInfoBlockSize(ByteView payload);  // Nothing unless exactly 14 bytes of that type.

struct InfoText {
  std::uint16_t type = InfoType::kName;  // Or kDescription.
  std::string text;
  bool operator==(const InfoText&) const = default;
};
Bytes EncodePayload(const InfoText& info);
std::optional<InfoText> DecodeInfoText(ByteView payload);

// Payload of NBD_REPLY_TYPE_OFFSET_DATA.
struct OffsetData {
  std::uint64_t offset = 0;
  Bytes data = {};
  bool operator==(const OffsetData&) const = default;
};
Bytes EncodePayload(const OffsetData& data);
std::optional<OffsetData> DecodeOffsetData(ByteView payload);  // May have no data: that is the judge's business.

// Payload of NBD_REPLY_TYPE_OFFSET_HOLE.
struct OffsetHole {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  bool operator==(const OffsetHole&) const = default;
};
Bytes EncodePayload(const OffsetHole& hole);
std::optional<OffsetHole> DecodeOffsetHole(ByteView payload);  // Nothing unless exactly 12 bytes.

// One extent on the wire.
struct Descriptor {
  std::uint32_t length = 0;  // Bytes.
  std::uint32_t status = 0;  // Flags of the context.
  bool operator==(const Descriptor&) const = default;
};

// Payload of NBD_REPLY_TYPE_BLOCK_STATUS.
struct BlockStatus {
  std::uint32_t context_id = 0;
  std::vector<Descriptor> descriptors = {};
  bool operator==(const BlockStatus&) const = default;
};
Bytes EncodePayload(const BlockStatus& status);
std::optional<BlockStatus> DecodeBlockStatus(ByteView payload);  // Nothing unless 4+8n bytes; n may be 0.

// Payload of NBD_REPLY_TYPE_ERROR, and with an offset of NBD_REPLY_TYPE_ERROR_OFFSET.
struct ErrorPayload {
  std::uint32_t error = 0;
  std::string message = {};
  std::optional<std::uint64_t> offset = {};
  bool operator==(const ErrorPayload&) const = default;
};
Bytes EncodePayload(const ErrorPayload& error);
// `chunk_type` says whether an offset follows the message; bytes after the known fields are ignored.
std::optional<ErrorPayload> DecodeErrorPayload(std::uint16_t chunk_type, ByteView payload);

// Whether `text` is valid UTF-8 without a NUL byte. general.string.utf8.server, general.string.no-nul.server.
bool IsValidString(std::string_view text);

}  // namespace nbdspec::engine
