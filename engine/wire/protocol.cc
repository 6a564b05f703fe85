// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/protocol.h"

#include <charconv>
#include <initializer_list>

namespace nbdspec::engine {
namespace {

struct Name {
  std::uint64_t value;
  std::string_view name;
};

using Names = std::initializer_list<Name>;

constexpr Names kOptionNames = {
    {OptionType::kExportName, "EXPORT_NAME"},
    {OptionType::kAbort, "ABORT"},
    {OptionType::kList, "LIST"},
    {OptionType::kPeekExport, "PEEK_EXPORT"},
    {OptionType::kStarttls, "STARTTLS"},
    {OptionType::kInfo, "INFO"},
    {OptionType::kGo, "GO"},
    {OptionType::kStructuredReply, "STRUCTURED_REPLY"},
    {OptionType::kListMetaContext, "LIST_META_CONTEXT"},
    {OptionType::kSetMetaContext, "SET_META_CONTEXT"},
    {OptionType::kExtendedHeaders, "EXTENDED_HEADERS"},
};

constexpr Names kOptionReplyNames = {
    {OptionReplyType::kAck, "ACK"},
    {OptionReplyType::kServer, "SERVER"},
    {OptionReplyType::kInfo, "INFO"},
    {OptionReplyType::kMetaContext, "META_CONTEXT"},
    {OptionReplyType::kErrUnsup, "ERR_UNSUP"},
    {OptionReplyType::kErrPolicy, "ERR_POLICY"},
    {OptionReplyType::kErrInvalid, "ERR_INVALID"},
    {OptionReplyType::kErrPlatform, "ERR_PLATFORM"},
    {OptionReplyType::kErrTlsReqd, "ERR_TLS_REQD"},
    {OptionReplyType::kErrUnknown, "ERR_UNKNOWN"},
    {OptionReplyType::kErrShutdown, "ERR_SHUTDOWN"},
    {OptionReplyType::kErrBlockSizeReqd, "ERR_BLOCK_SIZE_REQD"},
    {OptionReplyType::kErrTooBig, "ERR_TOO_BIG"},
    {OptionReplyType::kErrExtHeaderReqd, "ERR_EXT_HEADER_REQD"},
};

constexpr Names kInfoNames = {
    {InfoType::kExport, "EXPORT"},
    {InfoType::kName, "NAME"},
    {InfoType::kDescription, "DESCRIPTION"},
    {InfoType::kBlockSize, "BLOCK_SIZE"},
};

constexpr Names kCommandNames = {
    {CommandType::kRead, "READ"},
    {CommandType::kWrite, "WRITE"},
    {CommandType::kDisc, "DISC"},
    {CommandType::kFlush, "FLUSH"},
    {CommandType::kTrim, "TRIM"},
    {CommandType::kCache, "CACHE"},
    {CommandType::kWriteZeroes, "WRITE_ZEROES"},
    {CommandType::kBlockStatus, "BLOCK_STATUS"},
    {CommandType::kResize, "RESIZE"},
};

constexpr Names kChunkNames = {
    {ChunkType::kNone, "NONE"},
    {ChunkType::kOffsetData, "OFFSET_DATA"},
    {ChunkType::kOffsetHole, "OFFSET_HOLE"},
    {ChunkType::kBlockStatus, "BLOCK_STATUS"},
    {ChunkType::kBlockStatusExt, "BLOCK_STATUS_EXT"},
    {ChunkType::kError, "ERROR"},
    {ChunkType::kErrorOffset, "ERROR_OFFSET"},
};

constexpr Names kErrorNames = {
    {NbdError::kEperm, "NBD_EPERM"},     {NbdError::kEio, "NBD_EIO"},
    {NbdError::kEnomem, "NBD_ENOMEM"},   {NbdError::kEinval, "NBD_EINVAL"},
    {NbdError::kEnospc, "NBD_ENOSPC"},   {NbdError::kEoverflow, "NBD_EOVERFLOW"},
    {NbdError::kEnotsup, "NBD_ENOTSUP"}, {NbdError::kEshutdown, "NBD_ESHUTDOWN"},
};

constexpr Names kHandshakeFlagNames = {
    {HandshakeFlag::kFixedNewstyle, "FIXED_NEWSTYLE"},
    {HandshakeFlag::kNoZeroes, "NO_ZEROES"},
};

constexpr Names kClientFlagNames = {
    {ClientFlag::kFixedNewstyle, "C_FIXED_NEWSTYLE"},
    {ClientFlag::kNoZeroes, "C_NO_ZEROES"},
};

constexpr Names kTransmissionFlagNames = {
    {TransmissionFlag::kHasFlags, "HAS_FLAGS"},
    {TransmissionFlag::kReadOnly, "READ_ONLY"},
    {TransmissionFlag::kSendFlush, "SEND_FLUSH"},
    {TransmissionFlag::kSendFua, "SEND_FUA"},
    {TransmissionFlag::kRotational, "ROTATIONAL"},
    {TransmissionFlag::kSendTrim, "SEND_TRIM"},
    {TransmissionFlag::kSendWriteZeroes, "SEND_WRITE_ZEROES"},
    {TransmissionFlag::kSendDf, "SEND_DF"},
    {TransmissionFlag::kCanMultiConn, "CAN_MULTI_CONN"},
    {TransmissionFlag::kSendResize, "SEND_RESIZE"},
    {TransmissionFlag::kSendCache, "SEND_CACHE"},
    {TransmissionFlag::kSendFastZero, "SEND_FAST_ZERO"},
    {TransmissionFlag::kBlockStatusPayload, "BLOCK_STATUS_PAYLOAD"},
};

constexpr Names kCommandFlagNames = {
    {CommandFlag::kFua, "FUA"},        {CommandFlag::kNoHole, "NO_HOLE"},     {CommandFlag::kDf, "DF"},
    {CommandFlag::kReqOne, "REQ_ONE"}, {CommandFlag::kFastZero, "FAST_ZERO"}, {CommandFlag::kPayloadLen, "PAYLOAD_LEN"},
};

constexpr Names kChunkFlagNames = {{ChunkFlag::kDone, "DONE"}};

constexpr Names kAllocationFlagNames = {{AllocationFlag::kHole, "hole"}, {AllocationFlag::kZero, "zero"}};

constexpr Names kMagicNames = {
    {kNbdMagic, "NBDMAGIC"},
    {kOptionMagic, "IHAVEOPT"},
    {kOldstyleMagic, "cliserv_magic of the oldstyle handshake"},
    {kOptionReplyMagic, "magic of an option reply"},
    {kRequestMagic, "NBD_REQUEST_MAGIC"},
    {kSimpleReplyMagic, "NBD_SIMPLE_REPLY_MAGIC"},
    {kChunkMagic, "NBD_STRUCTURED_REPLY_MAGIC"},
    {kExtendedRequestMagic, "NBD_EXTENDED_REQUEST_MAGIC"},
    {kExtendedChunkMagic, "NBD_EXTENDED_REPLY_MAGIC"},
    {0x12560953, "historic NBD_REQUEST_MAGIC"},
    {0x96744668, "historic NBD_REPLY_MAGIC"},
    {0x25609514, "reserved for nbd-server's transaction log"},
};

std::string_view Find(Names names, std::uint64_t value) {
  for (const Name& each : names) {
    if (each.value == value) {
      return each.name;
    }
  }
  return {};
}

// `prefix` and the name of `value`, or the number.
std::string NameOrNumber(std::string_view prefix, Names names, std::uint64_t value) {
  const std::string_view name = Find(names, value);
  return std::string(prefix).append(name.empty() ? HexText(value) : name);
}

// The names of the bits of `flags`, then in one number the bits without a name.
std::string FlagNames(Names names, std::uint64_t flags, std::string_view separator, std::string_view none) {
  std::string text;
  const auto append = [&](std::string_view name) { text.append(text.empty() ? "" : separator).append(name); };
  for (const Name& each : names) {
    if ((flags & each.value) != 0) {
      append(each.name);
      flags &= ~each.value;
    }
  }
  if (flags != 0) {
    append(HexText(flags));
  }
  return text.empty() ? std::string(none) : text;
}

}  // namespace

std::string OptionName(std::uint32_t option) { return NameOrNumber("NBD_OPT_", kOptionNames, option); }
std::string OptionReplyName(std::uint32_t type) { return NameOrNumber("NBD_REP_", kOptionReplyNames, type); }
std::string InfoName(std::uint16_t type) { return NameOrNumber("NBD_INFO_", kInfoNames, type); }
std::string CommandName(std::uint16_t type) { return NameOrNumber("NBD_CMD_", kCommandNames, type); }
std::string ChunkName(std::uint16_t type) { return NameOrNumber("NBD_REPLY_TYPE_", kChunkNames, type); }

std::string ErrorName(std::uint32_t error) {
  if (error == NbdError::kOk) {
    return "no error";
  }
  const std::string_view name = Find(kErrorNames, error);
  return name.empty() ? "error " + std::to_string(error) : std::string(name);
}

std::string HandshakeFlagNames(std::uint16_t flags) { return FlagNames(kHandshakeFlagNames, flags, "|", "0"); }
std::string ClientFlagNames(std::uint32_t flags) { return FlagNames(kClientFlagNames, flags, "|", "0"); }
std::string TransmissionFlagNames(std::uint16_t flags) { return FlagNames(kTransmissionFlagNames, flags, "|", "0"); }
std::string CommandFlagNames(std::uint16_t flags) { return FlagNames(kCommandFlagNames, flags, "|", "0"); }
std::string ChunkFlagNames(std::uint16_t flags) { return FlagNames(kChunkFlagNames, flags, "|", "0"); }
std::string AllocationFlagNames(std::uint32_t flags) { return FlagNames(kAllocationFlagNames, flags, ",", "data"); }

std::string HexText(std::uint64_t value) {
  char digits[16];
  return "0x" + std::string(digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr);
}

std::string MagicText(std::uint32_t magic) {
  if (const std::string_view name = Find(kMagicNames, magic); !name.empty()) {
    return HexText(magic) + " (" + std::string(name) + ")";
  }
  for (const Name& each : kMagicNames) {
    if (each.value >> 32 == magic && magic != 0) {
      return HexText(magic) + " (first half of " + HexText(each.value) + ", " + std::string(each.name) + ")";
    }
  }
  return HexText(magic);
}

std::string MagicText(std::uint64_t magic) {
  if (const std::string_view name = Find(kMagicNames, magic); !name.empty() && magic >> 32 != 0) {
    return HexText(magic) + " (" + std::string(name) + ")";
  }
  if (const std::string_view name = Find(kMagicNames, magic >> 32); !name.empty()) {
    return HexText(magic) + " (begins with " + std::string(name) + ")";
  }
  return HexText(magic);
}

}  // namespace nbdspec::engine
