// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/protocol.h"

#include <charconv>
#include <initializer_list>

namespace nbdspec::engine {
namespace {

// The names of consecutive numbers from `first` on.
struct Run {
  std::uint64_t first;
  std::initializer_list<std::string_view> names;
};

using Names = std::initializer_list<Run>;

constexpr Names kOptionNames = {{OptionType::kExportName,
                                 {"EXPORT_NAME", "ABORT", "LIST", "PEEK_EXPORT", "STARTTLS", "INFO", "GO",
                                  "STRUCTURED_REPLY", "LIST_META_CONTEXT", "SET_META_CONTEXT", "EXTENDED_HEADERS"}}};

constexpr Names kOptionReplyNames = {
    {OptionReplyType::kAck, {"ACK", "SERVER", "INFO", "META_CONTEXT"}},
    {OptionReplyType::kErrUnsup,
     {"ERR_UNSUP", "ERR_POLICY", "ERR_INVALID", "ERR_PLATFORM", "ERR_TLS_REQD", "ERR_UNKNOWN", "ERR_SHUTDOWN",
      "ERR_BLOCK_SIZE_REQD", "ERR_TOO_BIG", "ERR_EXT_HEADER_REQD"}}};

constexpr Names kInfoNames = {{InfoType::kExport, {"EXPORT", "NAME", "DESCRIPTION", "BLOCK_SIZE"}}};

constexpr Names kCommandNames = {
    {CommandType::kRead,
     {"READ", "WRITE", "DISC", "FLUSH", "TRIM", "CACHE", "WRITE_ZEROES", "BLOCK_STATUS", "RESIZE"}}};

constexpr Names kChunkNames = {{ChunkType::kNone, {"NONE", "OFFSET_DATA", "OFFSET_HOLE"}},
                               {ChunkType::kBlockStatus, {"BLOCK_STATUS", "BLOCK_STATUS_EXT"}},
                               {ChunkType::kError, {"ERROR", "ERROR_OFFSET"}}};

constexpr Names kErrorNames = {{NbdError::kEperm, {"NBD_EPERM"}},     {NbdError::kEio, {"NBD_EIO"}},
                               {NbdError::kEnomem, {"NBD_ENOMEM"}},   {NbdError::kEinval, {"NBD_EINVAL"}},
                               {NbdError::kEnospc, {"NBD_ENOSPC"}},   {NbdError::kEoverflow, {"NBD_EOVERFLOW"}},
                               {NbdError::kEnotsup, {"NBD_ENOTSUP"}}, {NbdError::kEshutdown, {"NBD_ESHUTDOWN"}}};

// The names of flags, from bit 0 on.
using Bits = std::initializer_list<std::string_view>;

constexpr Bits kHandshakeFlagNames = {"FIXED_NEWSTYLE", "NO_ZEROES"};
constexpr Bits kClientFlagNames = {"C_FIXED_NEWSTYLE", "C_NO_ZEROES"};
constexpr Bits kTransmissionFlagNames = {"HAS_FLAGS",           "READ_ONLY",   "SEND_FLUSH",        "SEND_FUA",
                                         "ROTATIONAL",          "SEND_TRIM",   "SEND_WRITE_ZEROES", "SEND_DF",
                                         "CAN_MULTI_CONN",      "SEND_RESIZE", "SEND_CACHE",        "SEND_FAST_ZERO",
                                         "BLOCK_STATUS_PAYLOAD"};
constexpr Bits kCommandFlagNames = {"FUA", "NO_HOLE", "DF", "REQ_ONE", "FAST_ZERO", "PAYLOAD_LEN"};
constexpr Bits kChunkFlagNames = {"DONE"};

constexpr Names kMagicNames = {
    {kNbdMagic, {"NBDMAGIC"}},
    {kOptionMagic, {"IHAVEOPT"}},
    {kOldstyleMagic, {"cliserv_magic of the oldstyle handshake"}},
    {kOptionReplyMagic, {"magic of an option reply"}},
    {kRequestMagic, {"NBD_REQUEST_MAGIC"}},
    {kSimpleReplyMagic, {"NBD_SIMPLE_REPLY_MAGIC"}},
    {kChunkMagic, {"NBD_STRUCTURED_REPLY_MAGIC"}},
    {kExtendedRequestMagic, {"NBD_EXTENDED_REQUEST_MAGIC"}},
    {kExtendedChunkMagic, {"NBD_EXTENDED_REPLY_MAGIC"}},
    {0x12560953, {"historic NBD_REQUEST_MAGIC"}},
    {0x96744668, {"historic NBD_REPLY_MAGIC"}},
    {0x25609514, {"reserved for nbd-server's transaction log"}},
};

std::string_view Find(Names names, std::uint64_t value) {
  for (const Run& run : names) {
    if (value >= run.first && value - run.first < run.names.size()) {
      return run.names.begin()[value - run.first];
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
std::string FlagNames(Bits names, std::uint64_t flags) {
  std::string text;
  const auto append = [&](std::string_view name) { text.append(text.empty() ? "" : "|").append(name); };
  std::uint64_t bit = 1;
  for (const std::string_view name : names) {
    if ((flags & bit) != 0) {
      append(name);
    }
    flags &= ~bit;
    bit <<= 1;
  }
  if (flags != 0) {
    append(HexText(flags));
  }
  return text.empty() ? "0" : text;
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

std::string HandshakeFlagNames(std::uint16_t flags) { return FlagNames(kHandshakeFlagNames, flags); }
std::string ClientFlagNames(std::uint32_t flags) { return FlagNames(kClientFlagNames, flags); }
std::string TransmissionFlagNames(std::uint16_t flags) { return FlagNames(kTransmissionFlagNames, flags); }
std::string CommandFlagNames(std::uint16_t flags) { return FlagNames(kCommandFlagNames, flags); }
std::string ChunkFlagNames(std::uint16_t flags) { return FlagNames(kChunkFlagNames, flags); }

std::string HexText(std::uint64_t value) {
  char digits[16];
  return "0x" + std::string(digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr);
}

std::string MagicText(std::uint32_t magic) {
  if (const std::string_view name = Find(kMagicNames, magic); !name.empty()) {
    return HexText(magic) + " (" + std::string(name) + ")";
  }
  for (const auto& [whole, names] : kMagicNames) {
    if (whole >> 32 == magic && magic != 0) {
      return HexText(magic) + " (first half of " + HexText(whole) + ", " + std::string(*names.begin()) + ")";
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
