// SPDX-License-Identifier: BSD-3-Clause
// ClientConduct: how the reference client goes about its job. The default is plain and right.
//
// The first parts are of habits: whatever they are set to, the client keeps the rules, so long as what is put in by
// hand (options, requests, cookies) does. ClientFailings are what a right client lacks, and ClientHooks change what is
// sent behind the client's back. engine/client/habits.h and client_fault.h have the named ones.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

struct HagglingConduct {
  // A connection before the one that does the job, which asks that, and aborts.
  enum class Looks : std::uint8_t { kNot, kLists, kInforms };
  // What it wants replies in. What is refused it does without.
  enum class Wants : std::uint8_t { kSimple, kStructured, kExtended, kStructuredThenExtended };

  Looks looks_first = Looks::kNot;
  bool prefers_tls = false;  // Asks for TLS, and goes on without it where it is refused.
  std::uint32_t flags = ClientFlag::kFixedNewstyle | ClientFlag::kNoZeroes;  // Those of them that the server offers.
  Wants wants = Wants::kStructured;
  std::vector<std::uint16_t> info_requests = {InfoType::kBlockSize};  // Of INFO and GO.
  std::uint32_t info_count = 0;                                       // Times that INFO is asked before GO.
  bool enters_by_name = false;                                        // By EXPORT_NAME, though GO may be there.

  // Options asked beside the others: of their answers only ERR_SHUTDOWN counts.
  std::vector<Option> before_tls = {};       // Where TLS is wanted.
  std::vector<Option> before_chunks = {};    // Before the reply form is agreed.
  std::vector<Option> before_contexts = {};  // Before SET_META_CONTEXT, and where there is none, before GO.

  bool wants_contexts = false;                     // SET_META_CONTEXT, though the job does not map.
  std::vector<std::string> queries_beside = {};    // In SET_META_CONTEXT, beside base:allocation.
  std::uint32_t set_count = 1;                     // Times that SET_META_CONTEXT is asked.
  std::optional<std::string> context_export = {};  // In SET_META_CONTEXT, in place of the job's.
};

struct TransferConduct {
  enum class Order : std::uint8_t { kForwards, kBackwards, kShuffled };

  std::uint32_t connections = 1;    // Where the export has CAN_MULTI_CONN.
  std::uint32_t in_flight = 4;      // Requests on each connection. At least 1.
  std::uint64_t request_bytes = 0;  // 0: as the size of the export has it. Kept within the block sizes.
  bool varies_sizes = false;        // From one block to request_bytes.
  Order order = Order::kForwards;
  std::function<std::uint64_t(std::uint64_t number)> cookie = [](std::uint64_t number) { return number + 1; };
  std::vector<Request> first_requests =
      {};  // Sent before the job, one by one; their cookies are given, errors ignored.

  // Reads. Each where it is offered, if it has to be.
  bool df = false;
  bool caches_first = false;  // CACHE of each range before its READ. Also where it is not offered.
  bool skips_zeroes = false;  // Reads nothing of what base:allocation says is zero.
  bool reads_twice = false;   // And fails where that differs.

  // Writes.
  bool fua = false;             // On each.
  bool flushes_often = false;   // After each write.
  bool flushes_always = false;  // Before it leaves, though nothing was written.
  bool zeroes = false;          // WRITE_ZEROES in place of zeroes.
  bool no_hole = false;         // On WRITE_ZEROES.
  bool fast_zero = false;       // On WRITE_ZEROES; then WRITE where that is not fast.
  bool trims_first = false;     // TRIM of each range before its WRITE.
  bool reads_back = false;      // What was written, and fails where that differs.

  // BLOCK_STATUS.
  std::uint64_t status_bytes = 0;  // Asked at once; 0: as many as a request can.
  bool req_one = false;
  bool status_payload = false;  // Names the context in a payload.
};

struct LeavingConduct {
  bool waits_for_abort = true;  // For the reply to ABORT.
  bool waits_for_end = false;   // After DISC, for the server to close.
  bool disc_at_once = false;    // DISC behind a READ, whose answer it does not wait for.
};

struct SendingConduct {
  bool byte_by_byte = false;
  bool glues = false;  // As many messages as there are before it has to wait.
};

// For whoever makes its links: what their end of TLS is like. RunClient knows nothing of it. The defaults are right.
struct ClientTlsConduct {
  bool verifies = true;  // Whether the server's certificate is by an authority that the client knows.
  bool speaks_1_1 = false;
  bool speaks_1_2 = true;
  bool speaks_1_3 = true;
};

// What a right client lacks.
struct ClientFailings {
  // The ids of clauses that it lets servers break: of rules of engine/exchange, and of what the client judges itself.
  bool ignores_all_rules = false;
  std::vector<std::string_view> ignored_rules = {};

  // --- Haggling ---
  bool fails_at_unknown_handshake_flags = false;
  bool fails_at_unknown_transmission_flags = false;
  bool fails_at_unknown_info = false;
  bool haggles_in_oldstyle = false;            // Sends flags and an option behind an oldstyle greeting.
  bool fails_without_structured = false;       // Where STRUCTURED_REPLY is refused.
  bool fails_without_extended = false;         // Where EXTENDED_HEADERS is refused.
  bool fails_without_go = false;               // Where GO is ERR_UNSUP.
  bool fails_at_long_refusals = false;         // Texts of above 80 bytes.
  bool never_reads_pad = false;                // Of EXPORT_NAME, whatever was agreed.
  bool takes_first_info_for_export = false;    // Fails where another one comes first.
  bool goes_on_without_tls = false;            // Where STARTTLS was refused, and TLS is demanded.
  bool goes_on_in_plaintext = false;           // Behind the acknowledgement of STARTTLS.
  bool hello_though_refused = false;           // Begins TLS where STARTTLS was refused.
  bool goes_on_after_failed_tls = false;       // In plaintext.
  bool drops_at_starttls_refusal = false;      // Though TLS is only preferred: fails.
  bool never_asks_for_tls = false;             // Though it is demanded.
  bool remembers_tls_refusal = false;          // Of its first connection, for the others.
  bool assumes_fixed = false;                  // Haggles where there is no FIXED_NEWSTYLE.
  bool overlaps_options = false;               // Sends another option before the reply to the one before.
  bool ids_from_list = false;                  // Takes the id of a context from LIST_META_CONTEXT.
  bool selects_what_failed_list_had = false;   // Of a LIST_META_CONTEXT that ended in an error.
  bool keeps_contexts_of_refused_set = false;  // Those that came before the error.
  bool keeps_ids = false;                      // Of contexts, from the first connection to the others.
  bool never_sets_contexts = false;
  bool asks_status_unbidden = false;  // BLOCK_STATUS, though no context was selected.
  bool goes_on_after_err_shutdown = false;
  bool fails_when_abort_is_not_answered = false;

  // --- Requests ---
  bool ignores_block_size = false;           // Minimum and maximum.
  bool ignores_preferred_size = false;       // Asks for three sectors at a time, where it can.
  bool ignores_unknown_size_limits = false;  // 512 bytes and 32 MiB, where nothing is known.
  bool reads_past_end = false;
  bool sends_commands_unoffered = false;  // FLUSH, TRIM, WRITE_ZEROES and FUA, DF and FAST_ZERO, as its habits are.
  bool never_flushes = false;
  bool flushes_too_early = false;         // Before the writes are answered.
  bool connects_often_unoffered = false;  // Without CAN_MULTI_CONN.

  // --- Answers ---
  bool takes_chunks_in_order_only = false;  // Puts content behind each other as it comes.
  bool ignores_holes = false;               // Leaves what was there before: not zeroes.
  bool fails_at_holes = false;
  bool fails_at_unknown_reply_flags = false;
  bool fails_at_done_alone = false;            // A chunk NONE with DONE behind content.
  bool skips_unknown_chunks = false;           // Of no error.
  bool skips_unknown_errors = false;           // Chunks of unknown types of errors.
  bool skips_errors_before_done = false;       // Takes an answer for right if its last chunk is no error.
  bool ignores_errors = false;                 // What a READ that failed did not bring is zero.
  bool disconnects_at_unknown_errors = false;  // Error values that the specification lacks.
  bool disconnects_at_errors = false;          // Any.
  bool fails_at_empty_error_texts = false;
  bool fails_at_long_error_texts = false;  // Above 80 bytes.
  bool fails_at_short_status = false;      // That covers less than was asked.
  bool takes_missing_status_for_zeroes = false;
  bool fails_at_long_status = false;  // A last descriptor that reaches past what was asked.
  bool fails_at_equal_neighbours = false;
  bool fails_at_unknown_status_bits = false;
  bool keeps_unknown_status_bits = false;  // In the map.
  bool fails_at_large_payloads = false;    // Above 64 KiB, though 32 MiB are no attack.
  bool goes_on_after_eshutdown = false;

  // --- Its result ---
  bool succeeds_though_it_failed = false;  // And the bytes that are missing are zero.
  bool fails_though_it_succeeded = false;
  bool swaps_bytes = false;   // Copies the first two bytes swapped.
  bool shifts_bytes = false;  // By one.
  bool truncates = false;     // What it copies, to a half.
  bool writes_nothing = false;
  bool writes_wrong_bytes = false;  // Copies in with the last byte inverted.
  bool writes_map_shifted = false;  // Extents 512 bytes further.
  bool hangs_at_errors = false;     // Waits for more, until its link gives up.
  bool hangs_at_end = false;
  bool dies_at_errors = false;  // Ends at once, without a word on the wire.

  // --- Leaving ---
  bool says_farewell_to_wrong_servers = false;  // By ABORT or DISC.
  bool leaves_without_abort = false;
  bool leaves_without_disc = false;
  bool sends_after_leaving = false;  // Behind ABORT and DISC.
  bool drops = false;                // Without close_notify.
};

// What a hook knows of the message it changes.
struct Outgoing {
  const Negotiated& agreed;          // By the client's knowledge.
  std::uint64_t connection = 0;      // Of the client's, from 0.
  std::uint64_t options_before = 0;  // On this connection.
  std::uint64_t requests_before = 0;
};

// Each may be empty. They change what is sent, the client goes on as if it had sent what it meant to: but for requests,
// whose answers are judged as answers to what was sent.
struct ClientHooks {
  std::function<void(ClientMessage& message, const Outgoing& at)> message = {};
  std::function<void(const ClientMessage& message, Bytes& bytes, const Outgoing& at)> bytes = {};
};

struct ClientConduct {
  HagglingConduct haggling = {};
  TransferConduct transfer = {};
  LeavingConduct leaving = {};
  SendingConduct sending = {};
  ClientTlsConduct tls = {};
  ClientFailings failings = {};
  ClientHooks hooks = {};
};

// What bounds a client whatever its server sends.
struct ClientLimits {
  static constexpr std::uint64_t kChunksOfOneAnswerMax = 1 << 17;
  static constexpr std::uint64_t kMapExtentsMax = 1 << 20;
  static constexpr std::uint64_t kStatusRequestsMax = 1 << 16;
  static constexpr std::uint64_t kBytesInFlightMax = 1 << 26;
};

}  // namespace nbdspec::engine
