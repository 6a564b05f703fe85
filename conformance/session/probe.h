// SPDX-License-Identifier: BSD-3-Clause
// Probe: the sanity conversation. It shows that a server can be talked to, and learns what it offers.
//
// It runs before the first check and after the last. What a server does not offer decides which checks do not apply;
// the probe only takes notes, and leaves it to the checks to find violations.

#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "engine/base/error.h"
#include "engine/wire/payloads.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

// What a check can need a server to offer.
enum class Feature : std::uint32_t {
  kFixedNewstyle,      // Handshake flag FIXED_NEWSTYLE.
  kNoZeroes,           // Handshake flag NO_ZEROES.
  kList,               // LIST is answered with ACK.
  kInfo,               // INFO is known.
  kGo,                 // GO enters the export.
  kStructuredReplies,  // STRUCTURED_REPLY is acknowledged.
  kMetaContexts,       // SET_META_CONTEXT is known.
  kBaseAllocation,     // base:allocation can be selected.
  kSecondContext,      // So can another context.
  kBlockSize,          // INFO_BLOCK_SIZE is sent.
  kMinimumAboveOne,    // With a minimum block size above 1.
  kReadOnly,           // Transmission flag READ_ONLY.
  kWritable,           // The export is writable, and nbdspec may write to it.
  kFlush,
  kFua,
  kTrim,
  kWriteZeroes,
  kDf,
  kMultiConn,
  kCache,
  kFastZero,
  kNoFastZero,  // WRITE_ZEROES without FAST_ZERO.
};
inline constexpr int kFeatureCount = static_cast<int>(Feature::kNoFastZero) + 1;

// For people: "structured replies", "the TRIM command".
std::string_view Describe(Feature feature);

class Features {
 public:
  constexpr Features() = default;
  constexpr Features(Feature feature) : bits_(Bit(feature)) {}  // Implicit on purpose.
  constexpr void Set(Feature feature) { bits_ |= Bit(feature); }
  [[nodiscard]] constexpr bool Has(Feature feature) const { return (bits_ & Bit(feature)) != 0; }
  [[nodiscard]] constexpr Features With(Feature feature) const {
    Features both = *this;
    both.Set(feature);
    return both;
  }

 private:
  static constexpr std::uint32_t Bit(Feature feature) { return 1U << static_cast<std::uint32_t>(feature); }
  std::uint32_t bits_ = 0;
};
constexpr Features operator|(Features some, Feature another) { return some.With(another); }
constexpr Features operator|(Feature one, Feature another) { return Features(one).With(another); }

// What a server offers, as it said itself.
struct Profile {
  Greeting greeting = {};
  Features features = {};
  InfoExport info = {};           // Of the export under test, with structured replies where offered.
  InfoBlockSize block_size = {};  // The specification's defaults where the server sent none.
  std::vector<ListedExport> exports = {};
  std::vector<std::string> contexts = {};  // Names that LIST_META_CONTEXT gives, base:allocation included.

  // For reports.
  [[nodiscard]] reports::Advertised Advertised() const;
};

struct ProbeOptions {
  std::string export_name;
  bool may_write = false;
  Session::Limits limits;
};

// Why the conversation failed, and whether that was before the server sent anything (nothing can be tested then).
struct ProbeError {
  bool is_unreachable = false;
  std::string sentence;
};

// Holds the conversation. Every message is in `transcript`.
std::expected<Profile, ProbeError> Probe(Peer& peer, const ProbeOptions& options, Transcript& transcript);

}  // namespace nbdspec::conformance
