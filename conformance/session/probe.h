// SPDX-License-Identifier: BSD-3-Clause
// Probe: the sanity conversation. It shows that a server can be talked to, and learns what it offers.
//
// It runs before the first check and after the last. What a server does not offer decides which checks do not apply;
// the probe only takes notes, and leaves it to the checks to find violations.
//
// Extended headers are asked for in a conversation of their own: whether a server can be talked to does not depend on
// what it makes of an option that it may not know, nor on the headers that it agrees to.

#pragma once

#include <bit>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "engine/base/error.h"
#include "engine/wire/payloads.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

// What a check can need a server to offer, one bit each; the words of each stand in probe.cc.
using Features = std::uint32_t;
struct Feature {
  static constexpr Features kFixedNewstyle = 1 << 0;      // Handshake flag FIXED_NEWSTYLE.
  static constexpr Features kNoZeroes = 1 << 1;           // Handshake flag NO_ZEROES.
  static constexpr Features kList = 1 << 2;               // LIST is answered with ACK.
  static constexpr Features kInfo = 1 << 3;               // INFO is known.
  static constexpr Features kGo = 1 << 4;                 // GO enters the export.
  static constexpr Features kStructuredReplies = 1 << 5;  // STRUCTURED_REPLY is acknowledged.
  static constexpr Features kMetaContexts = 1 << 6;       // SET_META_CONTEXT is known.
  static constexpr Features kBaseAllocation = 1 << 7;     // base:allocation can be selected.
  static constexpr Features kSecondContext = 1 << 8;      // So can another context.
  static constexpr Features kBlockSize = 1 << 9;          // INFO_BLOCK_SIZE is sent.
  static constexpr Features kMinimumAboveOne = 1 << 10;   // With a minimum block size above 1.
  static constexpr Features kReadOnly = 1 << 11;          // Transmission flag READ_ONLY.
  static constexpr Features kWritable = 1 << 12;          // The export is writable, and nbdspec may write to it.
  static constexpr Features kFlush = 1 << 13;
  static constexpr Features kFua = 1 << 14;
  static constexpr Features kTrim = 1 << 15;
  static constexpr Features kWriteZeroes = 1 << 16;
  static constexpr Features kDf = 1 << 17;
  static constexpr Features kMultiConn = 1 << 18;
  static constexpr Features kCache = 1 << 19;
  static constexpr Features kFastZero = 1 << 20;
  static constexpr Features kNoFastZero = 1 << 21;          // WRITE_ZEROES without FAST_ZERO.
  static constexpr Features kExtendedHeaders = 1 << 22;     // EXTENDED_HEADERS is acknowledged.
  static constexpr Features kBlockStatusPayload = 1 << 23;  // Transmission flag BLOCK_STATUS_PAYLOAD, after that and
                                                            // with base:allocation selected.
};
inline constexpr int kFeatureCount = std::countr_zero(Feature::kBlockStatusPayload) + 1;
// Those of an export, of which a server that lets nobody into it need not say anything true.
inline constexpr Features kFeaturesOfExport = ~(Feature::kFixedNewstyle | Feature::kNoZeroes | Feature::kList |
                                                Feature::kStructuredReplies | Feature::kExtendedHeaders);

// One feature for people: "structured replies", "the TRIM command".
std::string_view Describe(Features feature);

// What a server offers, as it said itself.
struct Profile {
  Greeting greeting = {};
  Features features = 0;
  InfoExport info = {};           // Of the export under test, with structured replies where offered.
  InfoBlockSize block_size = {};  // The specification's defaults where the server sent none.
  std::vector<ListedExport> exports = {};
  std::vector<std::string> contexts = {};  // Names that LIST_META_CONTEXT gives, base:allocation included.
  // Why the server let nobody into the export, in words that follow "the export cannot be entered: "; empty when it
  // did. What shows only behind that is not known then.
  std::string refusal = {};
  Transport::Clock::duration longest_wait{0};  // For one answer.

  [[nodiscard]] bool is_oldstyle() const { return greeting.option_magic == kOldstyleMagic; }
  [[nodiscard]] bool Offers(Features feature) const { return (features & feature) != 0; }
  // For reports.
  [[nodiscard]] reports::Advertised Advertised() const;
};

struct ProbeOptions {
  std::string export_name;
  bool may_write = false;
  bool asks_extended = false;  // Whether extended headers are looked for, on a second connection.
  Session::Limits limits;
  std::optional<Session>* kept = nullptr;  // Where the session goes, in the export, instead of being ended.
};

// Why the conversation failed, and whether that was before the server sent anything (nothing can be tested then).
struct ProbeError {
  bool is_unreachable = false;
  std::string sentence;
  reports::Evidence evidence = {};  // The conversation, where whoever held it kept it.
};

// Holds the conversation, and the one about extended headers, of which no end is an error. Every message is in
// `transcript`.
std::expected<Profile, ProbeError> Probe(Peer& peer, const ProbeOptions& options, Transcript& transcript);

}  // namespace nbdspec::conformance
