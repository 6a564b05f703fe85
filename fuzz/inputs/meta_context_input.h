// SPDX-License-Identifier: BSD-3-Clause
// Bytes as option haggling about metadata contexts, and queries afterwards. Every input is some haggling.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/wire/messages.h"

namespace nbdspec::fuzz {

// What is wrong with the payload of an option.
enum class Malformed : std::uint8_t {
  kNot,
  kTruncated,        // The last byte is missing.
  kTrailingByte,     // There is one more.
  kCountTooLarge,    // More queries (or information requests) are announced than there are.
  kNameLengthHuge,   // The name is said to have 2^32-1 bytes.
  kQueryLengthHuge,  // So is the last query; without queries as kTruncated.
  kEmpty,            // No payload at all.
  kTooLong,          // Of more bytes than the server takes.
};

struct OptionStep {
  std::uint32_t option = 0;
  std::string export_name;           // LIST_ and SET_META_CONTEXT, INFO, GO, EXPORT_NAME.
  std::vector<std::string> queries;  // LIST_ and SET_META_CONTEXT.
  Malformed malformed = Malformed::kNot;
};

struct StatusStep {
  std::uint32_t offset = 0;  // At or shortly after the begin of a block of kMetaBlockBytes.
  std::uint32_t length = 1;
  bool req_one = false;
};

struct MetaContextInput {
  bool is_offered = true;  // Structured replies, and so metadata contexts.
  bool no_zeroes = true;
  std::vector<OptionStep> options;
  std::vector<StatusStep> statuses;
};

// Exports: "", "a" and "b" have both contexts, "bare" has none. Each is of four blocks, hole and zero, data, hole and
// zero, data: so no status of base:allocation is that of x-nbdspec:block-index.
inline constexpr std::uint32_t kMetaBlockBytes = 1 << 16;
inline constexpr std::uint32_t kMetaBlockCount = 4;
inline constexpr std::string_view kMetaExports[] = {"", "a", "b"};
inline constexpr std::string_view kBareExport = "bare";

// What the server takes as payload of an option.
inline constexpr std::uint32_t kMetaOptionBytesMax = 256;

// Only the last option ends the haggling, by transmission or disconnection: a GO that must succeed, an EXPORT_NAME, or
// an ABORT. There is at least one status to ask.
MetaContextInput ReadMetaContextInput(engine::ByteView input);

engine::Option ToOption(const OptionStep& step);

// "NBD_OPT_SET_META_CONTEXT \"a\" \"base:allocation\""
std::string Print(const OptionStep& step);

}  // namespace nbdspec::fuzz
