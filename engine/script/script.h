// SPDX-License-Identifier: BSD-3-Clause
// Script: what to do to an export, step by step, as a value that prints, parses and replays.
//
// The text form is for people: bug reports, corpus/regressions, corpus/scripts. It is one step a line:
//
//   # nbdspec script
//   size 64                      first; at most 8E-1
//   initial hole,zero            data, hole, zero or hole,zero; hole when left out
//
//   add 4096 +8K hole,zero       offset, +length, type; a type with unknown bits is written 0x84
//   clear
//   foreach 0 +64                bounds; `stop 2` after them: the visitor refuses its second call
//   lookup 4G-1
//
//   read 0 +512 df               offset, +length, flags: fua, no-hole, df, req-one, fast, payload
//   write 4096 +512 pattern 7    what is written: PatternByteAt; 0 when left out
//   zero 0 +5G fua no-hole       also trim, cache and status, the same way; more than 4G-1 takes extended headers
//   flush                        offset and length are 0 when left out
//   status 0 +5G payload         its payload names the selected contexts: all, or `contexts` none, one (the last),
//                                twice (that one), unknown (one not selected), ragged (all, and a byte too much)
//   trim 0 +512 payload          a payload that TRIM has no use for: step_request.h
//   write 0 +512 unannounced     a WRITE without PAYLOAD_LEN, which it has where headers are extended
//   status 0 +1M flags 0x80 on 2 any other flag bits; the connection, 1 to 8: 1 when left out
//   wait                         for the replies to all requests so far
//   leave                        all connections end, with replies unread; new ones take their places
//   send 5 on 2                  of what is not sent yet on connection 2, 5 bytes go, by a write of their own; all of
//   it
//                                when left out. Without it all goes together, once replies are awaited.
//   visit 300 silent             300 other clients come and go, one after the other: each enters the export as the
//                                connections do; greeted: it only greets; silent: it says nothing
//   cut nothing                  the power goes and comes back; of what was not durable the disk keeps nothing,
//                                everything, all-but or only one change (`one 3`), or some (`seed 7`); `torn` after
//                                that
//
//   option go                    also export-name, abort, list, peek-export, starttls, info, structured-reply,
//                                list-meta-context, set-meta-context, extended-headers, or a number such as 0x63
//   option set-meta-context @b base:allocation qemu:   of the export b, the queries; \x20 for bytes that are
//                                no printable ASCII, blanks, # \ " and @; "" for an empty query
//   option glued split 5 info @b it goes in one write with the option before it; its first 5 bytes go by themselves
//
// Numbers are decimal, may have a unit (K M G T P E: powers of 1024) and then +N or -N. # begins a comment.
// The bytes form is in script_bytes.h. A new kind of step joins Step, and then the compiler names what must learn it.

#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/extents/extent.h"
#include "engine/storage/power_cut.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// The first line that Print writes. It distinguishes a text file from bytes.
inline constexpr std::string_view kScriptHeader = "# nbdspec script";

// ExtentMap::Add: every offset, length and type bits, legal or not.
struct AddStep {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  ExtentType type = ExtentType::kData;
  bool operator==(const AddStep&) const = default;
};

// ExtentMap::Clear.
struct ClearStep {
  bool operator==(const ClearStep&) const = default;
};

// ExtentMap::ForEach.
struct ForEachStep {
  ByteRange bounds;
  std::uint8_t stop_at = 0;  // Which call the visitor refuses, from 1; 0 when it refuses none.
  bool operator==(const ForEachStep&) const = default;
};

// ExtentMap::Lookup. An offset outside the export means: skip this step.
struct LookupStep {
  std::uint64_t offset = 0;
  bool operator==(const LookupStep&) const = default;
};

// What a request asks for: the wire's numbers (NBD_CMD_*).
enum class Command : std::uint16_t {
  kRead = CommandType::kRead,
  kWrite = CommandType::kWrite,
  kFlush = CommandType::kFlush,
  kTrim = CommandType::kTrim,
  kCache = CommandType::kCache,
  kZero = CommandType::kWriteZeroes,
  kStatus = CommandType::kBlockStatus,
};

// Which contexts the payload of a status request names, of those that its connection has selected.
enum class NamedContexts : std::uint8_t {
  kAll,
  kNone,
  kOne,      // The last one; the id 0 where none is selected.
  kTwice,    // That one, twice.
  kUnknown,  // One that is not selected.
  kRagged,   // All, and a byte that makes no id.
};
inline constexpr std::uint8_t kNamedContextsCount = 6;

inline constexpr std::uint8_t kConnectionsMax = 8;

// A request to a server, legal or not: the runner knows what the protocol demands for an illegal one. It is sent
// without awaiting the replies to those before it. What becomes of it in each form of headers: step_request.h.
struct RequestStep {
  Command command = Command::kRead;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint16_t flags = 0;      // CommandFlag, and any other bits.
  std::uint8_t pattern = 0;     // What a write writes: PatternByteAt.
  std::uint8_t connection = 1;  // 1 to kConnectionsMax.
  NamedContexts contexts = NamedContexts::kAll;
  bool is_unannounced = false;  // A write without PAYLOAD_LEN where headers are extended.
  bool operator==(const RequestStep&) const = default;
};

// Every request so far, on all connections, has its reply before the next one is sent.
struct WaitStep {
  bool operator==(const WaitStep&) const = default;
};

// All connections end without a word, whatever is in flight; but for what changes bytes, whose replies are awaited. New
// ones take their places.
struct LeaveStep {
  bool operator==(const LeaveStep&) const = default;
};

// What was asked for and not sent goes, or its first bytes do, by a write of their own. Where that ends is a cut
// between the pieces that a server receives.
struct SendStep {
  std::uint32_t bytes = 0;  // 0: all of them.
  std::uint8_t connection = 1;
  bool operator==(const SendStep&) const = default;
};

// How far a visitor comes.
enum class Visit : std::uint8_t {
  kEnters,  // It haggles as the connections do, and enters the export.
  kGreets,  // It is greeted, and says its flags.
  kSilent,
};
inline constexpr std::uint8_t kVisitCount = 3;
inline constexpr std::uint16_t kVisitorsMax = 1000;

// Other clients come and go, one after the other, none of them with a word of farewell.
struct VisitStep {
  std::uint16_t count = 1;  // 1 to kVisitorsMax.
  Visit visit = Visit::kEnters;
  bool operator==(const VisitStep&) const = default;
};

// The power goes and comes back, with requests in flight or not. A server whose disk is not ours skips it.
struct CutStep {
  PowerCut cut = {};
  bool operator==(const CutStep&) const = default;
};

// An option of the handshake, legal or not.
struct OptionStep {
  std::uint32_t option = OptionType::kGo;  // OptionType, or any other number.
  std::vector<std::string> names = {};     // The queries of LIST_META_CONTEXT and SET_META_CONTEXT. Any bytes.
  std::string export_name = {};            // Of those options that name one. Empty: the one the run is about.
  std::uint8_t split = 0;                  // So many of its bytes come by themselves; 0: it is not split.
  bool is_glued = false;                   // It is sent with the option before it, before that is answered.
  bool operator==(const OptionStep&) const = default;
};

// The byte at `offset` after a write of `pattern` over it, whatever the offset of the write. Two patterns differ
// everywhere; a shift shows, for the period is a prime.
constexpr std::uint8_t PatternByteAt(std::uint8_t pattern, std::uint64_t offset) {
  return static_cast<std::uint8_t>(pattern + 31 * (offset % 251));
}

// PatternByteAt for a run of bytes that begins at `offset`.
void FillWithPattern(std::uint8_t pattern, std::uint64_t offset, std::span<std::uint8_t> out);

using Step = std::variant<AddStep, ClearStep, ForEachStep, LookupStep, RequestStep, WaitStep, CutStep, OptionStep,
                          LeaveStep, SendStep, VisitStep>;

struct Script {
  std::uint64_t size = 0;  // At most kExportBytesMax.
  ExtentType initial = ExtentType::kHole;
  std::vector<Step> steps = {};
  bool operator==(const Script&) const = default;
};

// What the step is about, which may pass 2^64; none of a step that has no range. A lookup's length is 0.
[[nodiscard]] std::optional<ByteRange::OffsetAndLength> RangeOf(const Step& step);

// Gives the step that range as far as its kind can hold it: no bounds pass 2^64-1.
void SetRange(Step& step, ByteRange::OffsetAndLength range);

// Moves every edge at or after `from`, the end of the export included, `by` bytes up; down if `by` is negative. What
// lies there keeps its shape. No edge passes 0 or 2^64-1, and the export keeps to kExportBytesMax.
void ShiftEdges(Script& script, std::uint64_t from, __int128 by);

// The text form, kScriptHeader included. Parse(Print(script)) is `script` again.
std::string Print(const Script& script);
std::string Print(const Step& step);           // One line without its end.
std::string Print(Command command);            // "write"
std::string Print(ExtentType type);            // "hole,zero"
std::string Print(Extent extent);              // "[0, 4K) hole,zero"
std::string PrintNumber(std::uint64_t bytes);  // "4G-1"

// Reads the text form. Errors: a sentence that begins with line and column, for the first mistake.
std::expected<Script, Trouble> ParseScript(std::string_view text);

}  // namespace nbdspec::engine
