// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/witness.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "engine/exchange/rules.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

constexpr std::string_view kOncePerOption = "one final reply to each option";
constexpr std::string_view kOncePerRequest = "one simple reply, or chunks up to one with DONE, to each request";

std::string AllowedBy(std::string_view requirement) {
  return std::string(requirement == spec::kOptionReplyForEveryOption ? kOncePerOption : kOncePerRequest);
}

// Whether silence says nothing of this one yet: what is long, or waits for a disk, takes its time.
bool MayTakeItsTime(const engine::RequestHead& request) {
  constexpr std::uint64_t kShort = 1 << 16;
  return request.length > kShort || request.type == CommandType::kFlush || (request.flags & CommandFlag::kFua) != 0;
}

}  // namespace

void ConnectionWitness::OutOfStep(std::string_view requirement, Subject about, std::string saw) {
  if (!out_of_step_) {
    out_of_step_ = {.requirement = requirement,
                    .saw = std::move(saw),
                    .allowed = AllowedBy(requirement),
                    .about = std::move(about)};
  }
  looks_away_ = true;
}

// --- What is sent ---

void ConnectionWitness::Sent(const ClientMessage& message) {
  if (looks_away_) {
    return;
  }
  if (const auto* option = std::get_if<Option>(&message)) {
    SentOption(*option);
  } else if (const auto* request = std::get_if<Request>(&message)) {
    SentRequest(*request);
  } else {
    state_.Apply(std::get<ClientFlags>(message));
  }
}

// ABORT may end the connection before its reply; and who does not say that it takes fixed newstyle is not promised any.
void ConnectionWitness::SentOption(const Option& option) {
  const bool is_whole =
      option.magic == kOptionMagic && option.length_field.value_or(option.payload.size()) == option.payload.size();
  const bool is_fixed = state_.is_fixed_newstyle() && (state_.client_flags & ClientFlag::kFixedNewstyle) != 0;
  if (!is_whole || !is_fixed || state_.transmission || option.option == OptionType::kAbort) {
    looks_away_ = true;
    return;
  }
  due_.push_back(option);
}

void ConnectionWitness::SentRequest(const Request& request) {
  const bool is_whole = !request.magic && request.payload.size() == (request.announces_payload() ? request.length : 0);
  if (!is_whole || !state_.transmission || request.form != state_.headers || said_disc_) {
    looks_away_ = true;
    return;
  }
  if (request.type == CommandType::kDisc) {
    said_disc_ = true;
    return;
  }
  const auto [found, is_new] = exchanges_.try_emplace(request.cookie);
  looks_away_ = !is_new && !found->second.answer.is_complete();  // Two in flight with one cookie.
  found->second.Start(engine::RequestHead::Of(request), state_);
}

// --- What comes ---

void ConnectionWitness::Received(const ServerMessage& message) {
  if (looks_away_) {
    return;
  }
  if (const auto* greeting = std::get_if<Greeting>(&message)) {
    state_.Apply(*greeting);
  } else if (const auto* oldstyle = std::get_if<OldstyleGreeting>(&message)) {
    state_.Apply(*oldstyle);
  } else if (const auto* entered = std::get_if<ExportNameReply>(&message)) {
    ReceivedExportNameReply(*entered);
  } else if (const auto* reply = std::get_if<OptionReply>(&message)) {
    ReceivedOptionReply(*reply);
  } else if (const auto head = HeadOf(message)) {
    ReceivedReply(*head, message);
  }
}

void ConnectionWitness::ReceivedExportNameReply(const ExportNameReply& reply) {
  if (due_.size() == 1 && due_.front().option == OptionType::kExportName) {
    state_.Apply(due_.front(), reply);
    due_.clear();
  } else {
    looks_away_ = true;
  }
}

// A reply that names another option than the one that is due may be for it all the same, with a wrong name.
void ConnectionWitness::ReceivedOptionReply(const OptionReply& reply) {
  const bool is_due = !due_.empty() && due_.front().option == reply.option;
  if (reply.type == OptionReplyType::kErrShutdown || (is_due && reply.option == OptionType::kExportName)) {
    looks_away_ = true;
    return;
  }
  if (!is_due) {
    if (reply.option == last_answered_ && reply.option != 0) {
      OutOfStep(
          spec::kOptionReplyForEveryOption, SubjectOf(reply),
          fmt::format("{}, though {} was answered before", Describe(ServerMessage(reply)), OptionName(reply.option)));
    }
    looks_away_ = true;
    return;
  }
  replies_.push_back(reply);
  if (!engine::IsFinal(reply)) {
    return;
  }
  state_.Apply(due_.front(), replies_);
  replies_.clear();
  last_answered_ = reply.option;
  due_.pop_front();
  // What was sent behind STARTTLS or GO is no option any more.
  const bool begins =
      reply.type == OptionReplyType::kAck && (reply.option == OptionType::kStarttls || reply.option == OptionType::kGo);
  looks_away_ = begins && !due_.empty();
}

void ConnectionWitness::ReceivedReply(const ReplyHead& head, const ServerMessage& message) {
  const auto found = exchanges_.find(head.cookie);
  if (found == exchanges_.end()) {
    ReceivedStray(head, message);
    return;
  }
  engine::Exchange& exchange = found->second;
  if (exchange.answer.is_complete()) {
    OutOfStep(spec::kTransmissionReplyPerRequest, SubjectOf(message),
              fmt::format("{}, though {} was answered before", Describe(message), Describe(exchange.request)));
    return;
  }
  if (const auto* simple = std::get_if<SimpleReply>(&message)) {
    exchange.answer.Add(*simple);
  } else {
    exchange.answer.Add(std::get<Chunk>(message));
  }
  CountStrays();
  if (wrong_answer_ || !exchange.answer.is_complete() || stray_) {
    return;
  }
  if (auto violation = FirstViolation(exchange, engine::RulesOf(spec::Severity::kFailure))) {
    wrong_answer_ = {.requirement = violation->requirement,
                     .saw = fmt::format("in answer to {}: {}", Describe(exchange.request), violation->saw),
                     .allowed = std::move(violation->expected),
                     .about = SubjectOf(exchange, RuleOf(violation->requirement).judge(exchange))};
  }
}

// It may be the answer to a request in flight, with a wrong cookie: transmission.cookie.echo's. Or to DISC:
// disc.no-reply's.
void ConnectionWitness::ReceivedStray(const ReplyHead& head, const ServerMessage& message) {
  if (said_disc_) {
    looks_away_ = true;
    return;
  }
  stray_count_ += head.ends ? 1 : 0;
  if (!stray_) {
    stray_ = {.requirement = spec::kTransmissionReplyPerRequest,
              .saw = fmt::format("{}, a cookie that no request had", Describe(message)),
              .about = SubjectOf(message)};
  }
  CountStrays();
}

std::ptrdiff_t ConnectionWitness::UnansweredCount() const {
  return std::ranges::count_if(exchanges_, [](const auto& each) { return !each.second.answer.is_complete(); });
}

// More of them than requests that are not answered: something else was answered.
void ConnectionWitness::CountStrays() {
  if (stray_count_ > UnansweredCount()) {
    OutOfStep(stray_->requirement, stray_->about, stray_->saw);
  }
}

// --- What does not ---

void ConnectionWitness::Missed(const ReceiveError& ended) {
  const bool is_up = ended.kind == ReceiveError::kTimedOut || ended.kind == ReceiveError::kUndecodable;
  if (looks_away_ || !is_up || said_disc_ || stray_) {
    return;
  }
  if (!due_.empty()) {
    if (due_.front().option != OptionType::kExportName) {
      OutOfStep(spec::kOptionReplyForEveryOption, SubjectOf(due_.front()),
                fmt::format("no reply to {}: {}", OptionName(due_.front().option), ended.text));
    }
    return;
  }
  const auto left =
      std::ranges::find_if(exchanges_, [](const auto& each) { return !each.second.answer.is_complete(); });
  const bool is_silent = ended.kind == ReceiveError::kTimedOut;
  const bool takes_its_time = is_silent && std::ranges::any_of(exchanges_, [](const auto& each) {
                                return !each.second.answer.is_complete() && MayTakeItsTime(each.second.request);
                              });
  if (left != exchanges_.end() && !takes_its_time) {
    OutOfStep(spec::kTransmissionReplyPerRequest, SubjectOf(left->second),
              fmt::format("no reply, or no end of it, to {}: {}", Describe(left->second.request), ended.text));
  }
}

std::optional<Breach> FirstOutOfStep(const Witnesses& witnesses) {
  const auto found = std::ranges::find_if(witnesses, [](const auto& each) { return each.out_of_step().has_value(); });
  return found == witnesses.end() ? std::nullopt : found->out_of_step();
}

std::optional<Breach> FirstBreach(const Witnesses& witnesses) {
  if (auto breach = FirstOutOfStep(witnesses)) {
    return breach;
  }
  const auto found = std::ranges::find_if(witnesses, [](const auto& each) { return each.wrong_answer().has_value(); });
  return found == witnesses.end() ? std::nullopt : found->wrong_answer();
}

}  // namespace nbdspec::conformance
