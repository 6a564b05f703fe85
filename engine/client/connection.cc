// SPDX-License-Identifier: BSD-3-Clause
// The reference client's messages on one connection, and how it ends. Requests and their answers are in exchanges.cc.
#include "engine/client/connection.h"

#include <algorithm>
#include <utility>

#include "engine/spec/ids.h"

namespace nbdspec::engine {

namespace {

// Clauses about answers that a client does not leave for: it ignores what is unknown, takes an error that it did not
// expect for another one, and has no use for the texts of errors.
bool IsTolerated(std::string_view requirement) {
  const auto is_such = [requirement](const Rule& rule) { return rule.requirement == requirement; };
  return std::ranges::any_of(ErrorRules(), is_such) || requirement == spec::kStructuredFlagsNoOther ||
         requirement == spec::kBaseAllocationReservedZero || requirement == spec::kExtBlockStatusExtHighBitsZero ||
         requirement == spec::kStructuredErrorMessageCap || requirement == spec::kStructuredErrorMessageDisplayable;
}

}  // namespace

ClientConnection::ClientConnection(std::unique_ptr<ClientLink> link, const ClientJob& job, const ClientConduct& conduct,
                                   std::uint64_t number)
    : ClientNegotiation(Limits{}), link_(std::move(link)), job_(job), conduct_(conduct), number_(number) {
  wants_tls = (job.tls || conduct.haggling.prefers_tls) && !conduct.failings.never_asks_for_tls;
  wants_tls_ = wants_tls;
  for (const Rule& rule : RulesOf(spec::Severity::kFailure)) {
    if (Minds(rule.requirement) && !IsTolerated(rule.requirement)) {
      rules_.push_back(rule);
    }
  }
}

bool ClientConnection::Minds(std::string_view requirement) const {
  return !failings().ignores_all_rules && std::ranges::count(failings().ignored_rules, requirement) == 0;
}

OrGivesUp<void> ClientConnection::Demand(bool holds, std::string_view requirement, std::string_view saw) const {
  if (holds || !Minds(requirement)) {
    return {};
  }
  return Hard("the server broke " + std::string(requirement) + ": " + std::string(saw));
}

// --- Messages ---

void ClientConnection::SendMessage(const ClientMessage& message) {
  ClientMessage changed = message;
  if (conduct_.hooks.message) {
    conduct_.hooks.message(changed, {.agreed = negotiated(),
                                     .connection = number_,
                                     .options_before = option_count_,
                                     .requests_before = request_count_});
  }
  Say(changed);
}

// Sends `message` as it is, but for its bytes.
void ClientConnection::Say(const ClientMessage& message) {
  Bytes bytes = Encode(message);
  if (conduct_.hooks.bytes) {
    conduct_.hooks.bytes(message, bytes,
                         {.agreed = negotiated(),
                          .connection = number_,
                          .options_before = option_count_,
                          .requests_before = request_count_});
  }
  option_count_ += std::holds_alternative<Option>(message) ? 1 : 0;
  request_count_ += std::holds_alternative<Request>(message) ? 1 : 0;
  SendRaw(bytes);
}

void ClientConnection::SendRaw(ByteView bytes) {
  outbox_.insert(outbox_.end(), bytes.begin(), bytes.end());
  if (!conduct_.sending.glues && !is_gluing_) {
    Flush();
  }
}

void ClientConnection::Flush() {
  is_gluing_ = false;
  const Bytes bytes = std::exchange(outbox_, {});
  if (bytes.empty()) {
    return;
  }
  if (!conduct_.sending.byte_by_byte) {
    link_->Send(bytes);
    return;
  }
  for (const std::uint8_t byte : bytes) {
    link_->Send(ByteView(&byte, 1));
  }
}

Received<ServerMessage> ClientConnection::ReceiveMessage() {
  Flush();
  for (;;) {
    if (auto next = decoder_.Next()) {
      if (auto* placed = std::get_if<PlacedServerMessage>(&*next)) {
        return std::move(placed->message);
      }
      return std::unexpected(
          ReceiveError{.kind = ReceiveError::kUndecodable, .text = std::get<Undecodable>(*next).what});
    }
    inbox_.clear();
    if (auto error = link_->Receive(inbox_)) {
      has_gone_ |= error->is_disconnect();
      is_silent_ |= !error->is_disconnect();
      return std::unexpected(*std::move(error));
    }
    decoder_.Feed(inbox_);
  }
}

std::expected<void, std::string> ClientConnection::BeginTls() {
  Flush();
  return link_->BeginTls(decoder_.TakePending());
}

// --- The end ---

void ClientConnection::Leave(const GivesUp* gives_up) {
  if (gives_up != nullptr ? failings().hangs_at_errors : failings().hangs_at_end) {
    WaitForEver();
  }
  const bool dies = gives_up != nullptr && failings().dies_at_errors;
  const bool says_farewell = !is_broken_ || failings().says_farewell_to_wrong_servers;
  if (says_farewell && !has_gone_ && !dies) {
    negotiated().transmission ? Disconnect() : Abort();
  }
  Flush();
  if (failings().drops || dies) {
    link_->Drop();
  } else {
    link_->Close();
  }
}

void ClientConnection::WaitForEver() {
  Flush();
  do {
    inbox_.clear();
  } while (!link_->Receive(inbox_));
}

// session.soft: only where options can be sent at all.
void ClientConnection::Abort() {
  const bool may_haggle =
      negotiated().is_fixed_newstyle() && (negotiated().client_flags & ClientFlag::kFixedNewstyle) != 0;
  if (failings().leaves_without_abort || !may_haggle) {
    return;
  }
  Send(MakeOption(OptionType::kAbort));
  if (conduct_.leaving.waits_for_abort && !is_silent_) {
    const auto replies = NextOptionReplies();  // option.abort.client-tolerates-close
    is_abort_answered_ = replies.has_value();
  }
  if (failings().sends_after_leaving) {
    SendRaw(Encode(MakeOption(OptionType::kList)));
  }
}

void ClientConnection::Disconnect() {
  Drain();
  const bool is_without = is_broken_ && !failings().says_farewell_to_wrong_servers;
  if (is_without || has_gone_ || failings().leaves_without_disc) {
    return;
  }
  const std::uint64_t block = std::max<std::uint64_t>(512, negotiated().block_size.minimum);
  if (conduct_.leaving.disc_at_once && block <= export_bytes()) {
    Hold();
    SendRequest({.type = CommandType::kRead, .length = block});
  }
  Request disc = {.form = negotiated().headers, .type = CommandType::kDisc};
  disc.cookie = conduct_.transfer.cookie(request_count_);
  SendMessage(disc);
  Flush();
  if (failings().sends_after_leaving) {
    SendRaw(Encode(Request{.form = negotiated().headers, .length = block}));
  }
  if (conduct_.leaving.waits_for_end) {
    WaitForEver();
  }
}

// Waits for what is in flight. disc.client-waits
void ClientConnection::Drain() {
  while (!pending_.empty() && !is_broken_ && !is_silent_) {
    (void)NextAnswered();
  }
}

}  // namespace nbdspec::engine
