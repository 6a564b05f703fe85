// SPDX-License-Identifier: BSD-3-Clause
// The rules about clients: which clauses does what a client sent on one connection keep, and which does it violate?
//
// Each rule is one pure function over a Moment, has the id of the clause that it judges, and is asked at each message
// of the client's and at its departure. They hold in every conversation, whatever it is about: that a client copes with
// an answer is for checks that give it that answer (conformance/clients). How bad a violation is stands in the
// catalogue.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "engine/conduct/record.h"
#include "engine/exchange/legality.h"
#include "engine/exchange/rules.h"
#include "engine/negotiation/negotiated.h"

namespace nbdspec::engine {

// An option of before, and what it was sent in reply so far.
struct AskedOption {
  Option option;
  OptionReplies replies = {};
  bool is_answered = false;  // Its last reply was sent.
  bool is_in_tls = false;

  [[nodiscard]] bool is_refused() const { return is_answered && !replies.empty() && replies.back().is_error(); }
  [[nodiscard]] bool is_acknowledged() const {
    return is_answered && !replies.empty() && replies.back().type == OptionReplyType::kAck;
  }
};

// A message of the client's, or its departure, and what was so when it came. One of the pointers is set.
struct Moment {
  const ClientFlags* flags = nullptr;
  const Option* option = nullptr;
  const Request* request = nullptr;
  const NoMessage* no_message = nullptr;
  const Departure* departure = nullptr;
  bool is_early = false;                                  // As Seen::is_early.
  Negotiated state = {};                                  // Before it.
  std::vector<AskedOption> asked;                         // The options before it.
  std::multimap<std::uint64_t, RequestHead> outstanding;  // Requests whose last reply was not sent yet, by cookie.
  std::uint64_t request_count = 0;                        // Requests before it.
  const Request* last_request = nullptr;                  // The one before it.
  bool has_left = false;                                  // ABORT or DISC was sent.
  bool has_failed = false;                                // An option or a request was answered by an error.
  bool is_right = true;                                   // Whether the server kept the rules so far.
  Legality legality = {};                                 // Of a request.

  [[nodiscard]] bool is_fixed() const {
    return state.is_fixed_newstyle() && (state.client_flags & ClientFlag::kFixedNewstyle) != 0;
  }
  // The last option before it of that type; nullptr where there is none.
  [[nodiscard]] const AskedOption* LastAsked(std::uint32_t type) const;
  [[nodiscard]] bool Has(std::uint16_t transmission_flag) const { return state.Has(transmission_flag); }
  // Whether it is a request of that command.
  [[nodiscard]] bool Is(std::uint16_t command) const { return request != nullptr && request->type == command; }
};

struct ClientRule {
  std::string_view requirement;
  Ruling (*judge)(const Moment& moment) = nullptr;
};

// The rules by subject, each in the order of the catalogue.
std::span<const ClientRule> HagglingRules();   // Flags and options.
std::span<const ClientRule> RequestRules();    // What requests ask, and their form.
std::span<const ClientRule> FramingRules();    // Bytes that are no message, and what they break.
std::span<const ClientRule> DepartureRules();  // How a client leaves.
std::vector<ClientRule> AllClientRules();      // All of them.

// What a rule says of a connection: its first violation, else that it was kept, else why it does not apply.
struct ConductRuling {
  std::string_view requirement;
  Ruling ruling = {};
  std::size_t index = 0;  // In Record::seen, of the message that violates it or kept it last.
};

// What each of AllClientRules says of a connection, in their order. `is_right`: the server kept the rules, so that the
// client had no reason to leave. Cost: of each message, some microseconds.
std::vector<ConductRuling> JudgeConduct(const Record& record, bool is_right = true);

}  // namespace nbdspec::engine
