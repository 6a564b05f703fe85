// SPDX-License-Identifier: BSD-3-Clause
// Asking for metadata contexts, for the checks of LIST_ and SET_META_CONTEXT, and for block status, for the checks of
// BLOCK_STATUS and of base:allocation.

#pragma once

#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

// In a namespace that no server knows.
inline const std::string kUnknownNamespaceQuery = "x-nbdspec-none:leaf";
inline const std::string kBaseAllocationQuery(kBaseAllocation);

// What an option about contexts was answered.
struct ContextReplies {
  Replies replies = {};                    // Never empty.
  std::vector<MetaContext> contexts = {};  // Of those that are META_CONTEXT and can be taken apart.

  [[nodiscard]] std::uint32_t end() const { return replies.back().type; }
  [[nodiscard]] bool is_ack() const { return end() == OptionReplyType::kAck; }
  [[nodiscard]] std::ptrdiff_t CountOf(std::string_view name) const {
    return std::ranges::count(contexts, name, &MetaContext::name);
  }
  // For people: "NBD_REP_META_CONTEXT "base:allocation", then NBD_REP_ACK".
  [[nodiscard]] std::string Text() const;
};

// The payload of LIST_ and SET_META_CONTEXT for the export under test.
inline Bytes QueryPayload(const CheckContext& context, const std::vector<std::string>& queries) {
  return EncodePayload(MetaContextQuery{.export_name = context.export_name, .queries = queries});
}

// Sends the option with `payload`, well-formed or not.
Received<ContextReplies> AskRaw(Session& session, std::uint32_t option, Bytes payload);

// Asks for `queries` of the export under test. Errors: the session ended; the server does not know the option (not
// applicable); it refuses by policy or for lack of TLS, as it may refuse anything.
std::expected<ContextReplies, Judgement> AskContexts(CheckContext& context, Session& session, std::uint32_t option,
                                                     const std::vector<std::string>& queries);

// The same on a new connection with structured replies.
std::expected<ContextReplies, Judgement> AskContexts(CheckContext& context, std::uint32_t option,
                                                     const std::vector<std::string>& queries);

// Judges what answers `option` with `queries` on a connection of its own.
using ContextRule = std::function<Judgement(const ContextReplies&)>;
CheckRun OnContexts(std::uint32_t option, std::vector<std::string> queries, ContextRule judge);

// A success that gives base:allocation; to LIST also one that gives a record "base:" in its place.
Judgement MustGiveBase(const ContextReplies& replies);
Judgement MustListBase(const ContextReplies& replies);

// A lone ACK.
inline Judgement MustBeLoneAck(const ContextReplies& replies) {
  return Require(replies.is_ack() && replies.replies.size() == 1, replies.Text(), "nothing but a single NBD_REP_ACK");
}

// "ns:" of "ns:leaf"; the whole of a name without a colon.
inline std::string_view NamespaceOf(std::string_view name) {
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(0, colon + 1);
}

// Names from the server's list that may be selected: base:allocation first, then others that have a leaf, at most
// kSelectedMax (servers bound the options of one handshake).
std::vector<std::string> SelectableNames(const Profile& profile);
inline constexpr std::size_t kSelectedMax = 8;

// Data that cannot be taken apart.
enum class Malformed {
  kQueryOverrun,
  kSecondQueryOverrun,  // The same behind a query for base:allocation.
  kNameOverrun,
  kCountOverrun,
  kNoData,
  kNoCount,
  kTrailingData,
};
struct MalformedQuery {
  std::string_view what;  // "a query of 4096 bytes in 4".
  Bytes payload;
};
MalformedQuery MalformedQueryFor(const CheckContext& context, Malformed kind);

// Each kind of malformed data gets ERR_INVALID, or ends the connection.
CheckRun RefusesMalformed(std::uint32_t option, std::vector<Malformed> kinds);

// A session with base:allocation selected.
std::expected<Session, Judgement> WithBaseAllocation(CheckContext& context);

// Enters the export under test on `session` and asks for the status of its first block: a batch of one.
std::expected<Batch, Judgement> EnterAndAskStatus(CheckContext& context, Session session, bool by_name = false);

// How many status chunks the first answer of `batch` has, when it is a success.
std::ptrdiff_t StatusCount(const Batch& batch);

// Enters and asks for status, as a client that has nothing selected must not: holds unless the server answers it.
// `why`: why nothing is selected.
Judgement MustHaveNothingSelected(CheckContext& context, Session session, const std::string& why);

// Holds when the first answer of `batch` has the status that is due to a client with base:allocation selected, which it
// selected as `when` says. Where an ordinary client is refused too, a broken plugin's doing, the refusal shows nothing.
Judgement MustHaveStatus(CheckContext& context, const Batch& batch, const std::string& when, std::string_view allowed);

// --- Block status ----------------------------------------------------------------------------------------------

// A part of the export and its status in base:allocation.
struct StatusExtent {
  ByteRange range = {};
  std::uint64_t status = 0;
  std::uint64_t cookie = 0;  // Of the first request whose answer says so.
};

struct StatusRequest {
  ByteRange asked = {};
  bool req_one = false;
  bool operator==(const StatusRequest&) const = default;
};

// For people: "[0, 512) with REQ_ONE".
inline std::string Text(const StatusRequest& request) {
  return fmt::format("[{}, {}){}", request.asked.begin, request.asked.end, request.req_one ? " with REQ_ONE" : "");
}

// A session in transmission with contexts selected.
class StatusAsker : public Entered {
 public:
  // Selects all contexts that SelectableNames gives, or base:allocation alone where the server does not take all.
  // Errors: an export smaller than its minimum block size is not applicable; what Enter says.
  static std::expected<StatusAsker, Judgement> Enter(CheckContext& context);

  [[nodiscard]] std::uint64_t block_bytes_min() const { return std::max(1U, block_size().minimum); }
  // What is asked, read and written in: 512 bytes or the minimum block size, whichever is more.
  [[nodiscard]] std::uint64_t unit() const { return std::max<std::uint64_t>(512, block_bytes_min()); }

  // Whether a client may ask for `range`: inside the export, not empty, whole blocks, its length of 32 bits unless
  // headers are extended.
  [[nodiscard]] bool MayAsk(ByteRange range) const;

  // The exchange looks into this asker.
  Received<Exchange> Ask(const StatusRequest& request);

  // The extents of base:allocation from 0 on, as the server reports them when asked for all; neighbours of equal
  // status are merged. Stops early where the server stops making progress, and after kWalkRequestsMax requests.
  // No request is longer than kAskedBytesMax: servers that die of lengths near 2^32 (CVE-2025-47711) should fail the
  // one check that is about them.
  std::expected<std::vector<StatusExtent>, Judgement> Walk();
  static constexpr std::uint64_t kAskedBytesMax = std::uint64_t{1} << 30;
  static constexpr int kWalkRequestsMax = 64;
  static constexpr std::size_t kWalkExtentsMax = 1 << 14;

  // Requests at the places where servers go wrong, each with and without REQ_ONE: the whole export (where headers are
  // not extended, its first kAskedBytesMax), its first and last block, and what ends, begins and straddles at
  // boundaries of Walk; unaligned ones where they are legal. At most kBoundariesMax boundaries, chosen by the check's
  // randomness.
  std::expected<std::vector<StatusRequest>, Judgement> Battery(CheckContext& context);
  static constexpr std::size_t kBoundariesMax = 8;

  // The bytes of `range`; nothing when the server gives an error or not all of it. Range: at most kReadBytesMax.
  std::expected<std::optional<Bytes>, Judgement> Read(ByteRange range);
  static constexpr std::uint64_t kReadBytesMax = 1 << 20;

  // The first byte of `range` that is not zero; nothing when there is none, or reads fail. Reads all of it.
  std::expected<std::optional<std::uint64_t>, Judgement> FindNonZero(ByteRange range);

 private:
  explicit StatusAsker(Entered entered) : Entered(std::move(entered)) {}
};

// Applies the rule of the check to the answer to each of `requests`. Returns how many succeeded. Errors: an answer
// violates it.
std::expected<std::size_t, Judgement> CountKept(const CheckContext& context, StatusAsker& asker,
                                                const std::vector<StatusRequest>& requests);

// The rule of the check over a battery.
Judgement OverBattery(CheckContext& context);

}  // namespace nbdspec::conformance
