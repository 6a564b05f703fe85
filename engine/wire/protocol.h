// SPDX-License-Identifier: BSD-3-Clause
// The vocabulary of the NBD protocol: magics, option, reply, command and error numbers.
//
// Enumerations name what the specification defines. A peer may send any number, so messages carry plain
// integers (see messages.h) and these names are compared with them. Spec: proto.md, "Values".

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nbdspec::engine {

inline constexpr std::uint64_t kNbdMagic = 0x4e42444d41474943;          // "NBDMAGIC"
inline constexpr std::uint64_t kOptionMagic = 0x49484156454F5054;       // "IHAVEOPT"
inline constexpr std::uint64_t kOldstyleMagic = 0x00420281861253;       // cliserv_magic
inline constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;  // rep_magic
inline constexpr std::uint32_t kRequestMagic = 0x25609513;              // NBD_REQUEST_MAGIC
inline constexpr std::uint32_t kSimpleReplyMagic = 0x67446698;          // NBD_SIMPLE_REPLY_MAGIC
inline constexpr std::uint32_t kChunkMagic = 0x668e33ef;                // NBD_STRUCTURED_REPLY_MAGIC
inline constexpr std::uint32_t kExtendedRequestMagic = 0x21e41c71;      // NBD_EXTENDED_REQUEST_MAGIC
inline constexpr std::uint32_t kExtendedChunkMagic = 0x6e8a278c;        // NBD_EXTENDED_REPLY_MAGIC

// Of TCP, assigned by IANA: where newstyle servers are.
inline constexpr std::uint16_t kNbdPort = 10809;

// The form of requests, and of replies in chunks.
enum class HeaderForm : std::uint8_t {
  kCompact,   // 32-bit lengths.
  kExtended,  // 64-bit lengths, and chunks have the offset of their request: after EXTENDED_HEADERS.
};

inline constexpr std::size_t kStringBytesMax = 4096;               // The longest string either side may send.
inline constexpr std::size_t kExportNamePadBytes = 124;            // After an EXPORT_NAME reply without NO_ZEROES.
inline constexpr std::size_t kOldstylePadBytes = 124;              // At the end of an oldstyle greeting.
inline constexpr std::uint32_t kPayloadBytesDefaultMax = 1 << 25;  // 32 MiB: the default maximum payload.
inline constexpr std::uint32_t kDescriptorCountMax = 1 << 20;      // block-status.max-extents (SHOULD NOT).

// Handshake flags, server to client (16 bits).
struct HandshakeFlag {
  static constexpr std::uint16_t kFixedNewstyle = 1 << 0;  // NBD_FLAG_FIXED_NEWSTYLE
  static constexpr std::uint16_t kNoZeroes = 1 << 1;       // NBD_FLAG_NO_ZEROES
};

// Client flags, client to server (32 bits).
struct ClientFlag {
  static constexpr std::uint32_t kFixedNewstyle = 1 << 0;  // NBD_FLAG_C_FIXED_NEWSTYLE
  static constexpr std::uint32_t kNoZeroes = 1 << 1;       // NBD_FLAG_C_NO_ZEROES
};

// Transmission flags of an export (16 bits).
struct TransmissionFlag {
  static constexpr std::uint16_t kHasFlags = 1 << 0;             // NBD_FLAG_HAS_FLAGS
  static constexpr std::uint16_t kReadOnly = 1 << 1;             // NBD_FLAG_READ_ONLY
  static constexpr std::uint16_t kSendFlush = 1 << 2;            // NBD_FLAG_SEND_FLUSH
  static constexpr std::uint16_t kSendFua = 1 << 3;              // NBD_FLAG_SEND_FUA
  static constexpr std::uint16_t kRotational = 1 << 4;           // NBD_FLAG_ROTATIONAL
  static constexpr std::uint16_t kSendTrim = 1 << 5;             // NBD_FLAG_SEND_TRIM
  static constexpr std::uint16_t kSendWriteZeroes = 1 << 6;      // NBD_FLAG_SEND_WRITE_ZEROES
  static constexpr std::uint16_t kSendDf = 1 << 7;               // NBD_FLAG_SEND_DF
  static constexpr std::uint16_t kCanMultiConn = 1 << 8;         // NBD_FLAG_CAN_MULTI_CONN
  static constexpr std::uint16_t kSendResize = 1 << 9;           // NBD_FLAG_SEND_RESIZE (experimental)
  static constexpr std::uint16_t kSendCache = 1 << 10;           // NBD_FLAG_SEND_CACHE
  static constexpr std::uint16_t kSendFastZero = 1 << 11;        // NBD_FLAG_SEND_FAST_ZERO
  static constexpr std::uint16_t kBlockStatusPayload = 1 << 12;  // NBD_FLAG_BLOCK_STATUS_PAYLOAD (extended)
};

// Options (32 bits): NBD_OPT_*.
struct OptionType {
  static constexpr std::uint32_t kExportName = 1;        // NBD_OPT_EXPORT_NAME
  static constexpr std::uint32_t kAbort = 2;             // NBD_OPT_ABORT
  static constexpr std::uint32_t kList = 3;              // NBD_OPT_LIST
  static constexpr std::uint32_t kPeekExport = 4;        // NBD_OPT_PEEK_EXPORT (withdrawn)
  static constexpr std::uint32_t kStarttls = 5;          // NBD_OPT_STARTTLS
  static constexpr std::uint32_t kInfo = 6;              // NBD_OPT_INFO
  static constexpr std::uint32_t kGo = 7;                // NBD_OPT_GO
  static constexpr std::uint32_t kStructuredReply = 8;   // NBD_OPT_STRUCTURED_REPLY
  static constexpr std::uint32_t kListMetaContext = 9;   // NBD_OPT_LIST_META_CONTEXT
  static constexpr std::uint32_t kSetMetaContext = 10;   // NBD_OPT_SET_META_CONTEXT
  static constexpr std::uint32_t kExtendedHeaders = 11;  // NBD_OPT_EXTENDED_HEADERS
};

// Option replies (32 bits): NBD_REP_*. Bit 31 marks an error.
struct OptionReplyType {
  static constexpr std::uint32_t kAck = 1;                            // NBD_REP_ACK
  static constexpr std::uint32_t kServer = 2;                         // NBD_REP_SERVER
  static constexpr std::uint32_t kInfo = 3;                           // NBD_REP_INFO
  static constexpr std::uint32_t kMetaContext = 4;                    // NBD_REP_META_CONTEXT
  static constexpr std::uint32_t kErrorBit = 0x80000000;              // 2^31
  static constexpr std::uint32_t kErrUnsup = kErrorBit + 1;           // NBD_REP_ERR_UNSUP
  static constexpr std::uint32_t kErrPolicy = kErrorBit + 2;          // NBD_REP_ERR_POLICY
  static constexpr std::uint32_t kErrInvalid = kErrorBit + 3;         // NBD_REP_ERR_INVALID
  static constexpr std::uint32_t kErrPlatform = kErrorBit + 4;        // NBD_REP_ERR_PLATFORM
  static constexpr std::uint32_t kErrTlsReqd = kErrorBit + 5;         // NBD_REP_ERR_TLS_REQD
  static constexpr std::uint32_t kErrUnknown = kErrorBit + 6;         // NBD_REP_ERR_UNKNOWN
  static constexpr std::uint32_t kErrShutdown = kErrorBit + 7;        // NBD_REP_ERR_SHUTDOWN
  static constexpr std::uint32_t kErrBlockSizeReqd = kErrorBit + 8;   // NBD_REP_ERR_BLOCK_SIZE_REQD
  static constexpr std::uint32_t kErrTooBig = kErrorBit + 9;          // NBD_REP_ERR_TOO_BIG
  static constexpr std::uint32_t kErrExtHeaderReqd = kErrorBit + 10;  // NBD_REP_ERR_EXT_HEADER_REQD
};

// Information types of NBD_REP_INFO (16 bits): NBD_INFO_*.
struct InfoType {
  static constexpr std::uint16_t kExport = 0;       // NBD_INFO_EXPORT
  static constexpr std::uint16_t kName = 1;         // NBD_INFO_NAME
  static constexpr std::uint16_t kDescription = 2;  // NBD_INFO_DESCRIPTION
  static constexpr std::uint16_t kBlockSize = 3;    // NBD_INFO_BLOCK_SIZE
};

// Commands (16 bits): NBD_CMD_*.
struct CommandType {
  static constexpr std::uint16_t kRead = 0;         // NBD_CMD_READ
  static constexpr std::uint16_t kWrite = 1;        // NBD_CMD_WRITE
  static constexpr std::uint16_t kDisc = 2;         // NBD_CMD_DISC
  static constexpr std::uint16_t kFlush = 3;        // NBD_CMD_FLUSH
  static constexpr std::uint16_t kTrim = 4;         // NBD_CMD_TRIM
  static constexpr std::uint16_t kCache = 5;        // NBD_CMD_CACHE
  static constexpr std::uint16_t kWriteZeroes = 6;  // NBD_CMD_WRITE_ZEROES
  static constexpr std::uint16_t kBlockStatus = 7;  // NBD_CMD_BLOCK_STATUS
  static constexpr std::uint16_t kResize = 8;       // NBD_CMD_RESIZE (experimental)
};

// Command flags (16 bits): NBD_CMD_FLAG_*.
struct CommandFlag {
  static constexpr std::uint16_t kFua = 1 << 0;         // NBD_CMD_FLAG_FUA
  static constexpr std::uint16_t kNoHole = 1 << 1;      // NBD_CMD_FLAG_NO_HOLE
  static constexpr std::uint16_t kDf = 1 << 2;          // NBD_CMD_FLAG_DF
  static constexpr std::uint16_t kReqOne = 1 << 3;      // NBD_CMD_FLAG_REQ_ONE
  static constexpr std::uint16_t kFastZero = 1 << 4;    // NBD_CMD_FLAG_FAST_ZERO
  static constexpr std::uint16_t kPayloadLen = 1 << 5;  // NBD_CMD_FLAG_PAYLOAD_LEN (extended)
};

// Chunk flags (16 bits): NBD_REPLY_FLAG_*.
struct ChunkFlag {
  static constexpr std::uint16_t kDone = 1 << 0;  // NBD_REPLY_FLAG_DONE
};

// Chunk types (16 bits): NBD_REPLY_TYPE_*. Bit 15 marks an error.
struct ChunkType {
  static constexpr std::uint16_t kNone = 0;                     // NBD_REPLY_TYPE_NONE
  static constexpr std::uint16_t kOffsetData = 1;               // NBD_REPLY_TYPE_OFFSET_DATA
  static constexpr std::uint16_t kOffsetHole = 2;               // NBD_REPLY_TYPE_OFFSET_HOLE
  static constexpr std::uint16_t kBlockStatus = 5;              // NBD_REPLY_TYPE_BLOCK_STATUS
  static constexpr std::uint16_t kBlockStatusExt = 6;           // NBD_REPLY_TYPE_BLOCK_STATUS_EXT
  static constexpr std::uint16_t kErrorBit = 1 << 15;           // 2^15
  static constexpr std::uint16_t kError = kErrorBit + 1;        // NBD_REPLY_TYPE_ERROR
  static constexpr std::uint16_t kErrorOffset = kErrorBit + 2;  // NBD_REPLY_TYPE_ERROR_OFFSET
};

// Error values of replies (32 bits): NBD_E*.
struct NbdError {
  static constexpr std::uint32_t kOk = 0;
  static constexpr std::uint32_t kEperm = 1;        // NBD_EPERM
  static constexpr std::uint32_t kEio = 5;          // NBD_EIO
  static constexpr std::uint32_t kEnomem = 12;      // NBD_ENOMEM
  static constexpr std::uint32_t kEinval = 22;      // NBD_EINVAL
  static constexpr std::uint32_t kEnospc = 28;      // NBD_ENOSPC
  static constexpr std::uint32_t kEoverflow = 75;   // NBD_EOVERFLOW
  static constexpr std::uint32_t kEnotsup = 95;     // NBD_ENOTSUP
  static constexpr std::uint32_t kEshutdown = 108;  // NBD_ESHUTDOWN
};

// Whether `command` changes bytes of the export.
constexpr bool Changes(std::uint16_t command) {
  return command == CommandType::kWrite || command == CommandType::kTrim || command == CommandType::kWriteZeroes;
}

// Status flags of the base:allocation metadata context: each is a claim about an extent.
struct AllocationFlag {
  static constexpr std::uint32_t kHole = 1 << 0;  // NBD_STATE_HOLE
  static constexpr std::uint32_t kZero = 1 << 1;  // NBD_STATE_ZERO
};

inline constexpr std::string_view kBaseAllocation = "base:allocation";

// The specification's names, for people: "NBD_OPT_GO"; "NBD_OPT_0x4d2" for a number it does not define.
std::string OptionName(std::uint32_t option);
std::string OptionReplyName(std::uint32_t type);
std::string InfoName(std::uint16_t type);
std::string CommandName(std::uint16_t type);
std::string ChunkName(std::uint16_t type);
std::string ErrorName(std::uint32_t error);              // "NBD_EINVAL"; "error 999"; "no error".
std::string HandshakeFlagNames(std::uint16_t flags);     // "FIXED_NEWSTYLE|NO_ZEROES"; "0".
std::string ClientFlagNames(std::uint32_t flags);        // "C_FIXED_NEWSTYLE|0x80".
std::string TransmissionFlagNames(std::uint16_t flags);  // "HAS_FLAGS|SEND_FLUSH".
std::string CommandFlagNames(std::uint16_t flags);       // "REQ_ONE"; "0".
std::string ChunkFlagNames(std::uint16_t flags);         // "DONE"; "0".

// `value` as "0x1b".
std::string HexText(std::uint64_t value);

// A magic for people: "0x67446698 (NBD_SIMPLE_REPLY_MAGIC)"; reserved and historic ones, and a magic of one width
// met where the other was due, are named too. Only the number when nothing is known of it.
std::string MagicText(std::uint32_t magic);
std::string MagicText(std::uint64_t magic);

}  // namespace nbdspec::engine
