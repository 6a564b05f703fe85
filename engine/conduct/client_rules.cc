// SPDX-License-Identifier: BSD-3-Clause
#include "engine/conduct/client_rules.h"

#include <algorithm>
#include <optional>
#include <ranges>
#include <utility>

namespace nbdspec::engine {

namespace {

// What was so far, message by message.
class Walk {
 public:
  explicit Walk(bool is_right) { now_.is_right = is_right; }

  // The moment of `seen`, where it is the client's; nothing where it is the server's.
  const Moment* Enter(const Seen& seen) {
    now_.flags = nullptr;
    now_.option = nullptr;
    now_.request = nullptr;
    now_.no_message = std::get_if<NoMessage>(&seen.what);
    now_.departure = std::get_if<Departure>(&seen.what);
    now_.is_early = seen.is_early;
    answered_early_ = seen.is_early && answered_last_
                          ? now_.outstanding.emplace(answered_last_->cookie, *answered_last_)
                          : now_.outstanding.end();
    if (const auto* message = std::get_if<ClientMessage>(&seen.what)) {
      now_.flags = std::get_if<ClientFlags>(message);
      now_.option = std::get_if<Option>(message);
      now_.request = std::get_if<Request>(message);
      now_.legality = now_.request != nullptr ? LegalityOf(RequestHead::Of(*now_.request), now_.state) : Legality();
      return &now_;
    }
    return now_.no_message != nullptr || now_.departure != nullptr ? &now_ : nullptr;
  }

  // What it means for those after it.
  void Leave(const Seen& seen) {
    if (answered_early_ != now_.outstanding.end()) {
      now_.outstanding.erase(std::exchange(answered_early_, now_.outstanding.end()));
    }
    if (const auto* message = std::get_if<ClientMessage>(&seen.what)) {
      std::visit([this](const auto& each) { After(each); }, *message);
    } else if (const auto* answer = std::get_if<ServerMessage>(&seen.what)) {
      std::visit([this](const auto& each) { After(each); }, *answer);
    }
  }

 private:
  void After(const ClientFlags& flags) { now_.state.Apply(flags); }

  void After(const Option& option) {
    now_.asked.push_back({.option = option, .is_in_tls = now_.state.tls});
    now_.has_left |= option.option == OptionType::kAbort;
  }

  void After(const Request& request) {
    ++now_.request_count;
    now_.last_request = &request;
    now_.has_left |= request.type == CommandType::kDisc;
    if (request.type != CommandType::kDisc) {
      now_.outstanding.emplace(request.cookie, RequestHead::Of(request));
    }
  }

  void After(const Greeting& greeting) { now_.state.Apply(greeting); }
  void After(const OldstyleGreeting& greeting) { now_.state.Apply(greeting); }

  void After(const OptionReply& reply) {
    if (now_.asked.empty()) {
      return;
    }
    AskedOption& to = now_.asked.back();
    to.replies.push_back(reply);
    now_.has_failed |= reply.is_error();
    if (IsFinal(reply)) {
      to.is_answered = true;
      now_.state.Apply(to.option, to.replies);
    }
  }

  void After(const ExportNameReply& reply) {
    if (!now_.asked.empty()) {
      now_.asked.back().is_answered = true;
      now_.state.Apply(now_.asked.back().option, reply);
    }
  }

  void After(const SimpleReply& reply) {
    now_.has_failed |= reply.error != NbdError::kOk;
    Answered(reply.cookie);
  }
  void After(const Chunk& chunk) {
    now_.has_failed |= chunk.is_error();
    if (chunk.is_done()) {
      Answered(chunk.cookie);
    }
  }
  void After(const auto&) {}

  void Answered(std::uint64_t cookie) {
    if (const auto found = now_.outstanding.find(cookie); found != now_.outstanding.end()) {
      answered_last_ = found->second;
      now_.outstanding.erase(found);
    }
  }

  Moment now_;
  // A message that came early came before this answer had gone, and so its request is outstanding at that moment.
  std::optional<RequestHead> answered_last_;
  std::multimap<std::uint64_t, RequestHead>::iterator answered_early_ = now_.outstanding.end();
};

}  // namespace

const AskedOption* Moment::LastAsked(std::uint32_t type) const {
  const auto found =
      std::ranges::find(asked | std::views::reverse, type, [](const AskedOption& each) { return each.option.option; });
  return found == (asked | std::views::reverse).end() ? nullptr : &*found;
}

std::vector<ClientRule> AllClientRules() {
  std::vector<ClientRule> all;
  for (const auto& rules : {HagglingRules(), RequestRules(), FramingRules(), DepartureRules()}) {
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

std::vector<ConductRuling> JudgeConduct(const Record& record, bool is_right) {
  const std::vector<ClientRule> rules = AllClientRules();
  std::vector<ConductRuling> rulings;
  for (const ClientRule& rule : rules) {
    rulings.push_back({.requirement = rule.requirement,
                       .ruling = {.kind = Ruling::Kind::kInapplicable, .missing = "the client sent nothing"}});
  }
  Walk walk(is_right);
  for (std::size_t index = 0; index < record.seen.size(); ++index) {
    const Moment* moment = walk.Enter(record.seen[index]);
    for (std::size_t i = 0; moment != nullptr && i < rules.size(); ++i) {
      if (rulings[i].ruling.is_violated()) {
        continue;
      }
      if (Ruling ruling = rules[i].judge(*moment); ruling.kind != Ruling::Kind::kInapplicable) {
        rulings[i] = {.requirement = rules[i].requirement, .ruling = std::move(ruling), .index = index};
      } else if (rulings[i].ruling.kind == Ruling::Kind::kInapplicable) {
        rulings[i].ruling.missing = ruling.missing;
      }
    }
    walk.Leave(record.seen[index]);
  }
  return rulings;
}

}  // namespace nbdspec::engine
