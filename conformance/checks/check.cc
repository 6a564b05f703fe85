// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;

Judgement Holds() { return {}; }

Judgement Broken(std::string saw, std::string_view allowed) {
  return {.kind = Judgement::Kind::kBroken, .saw = std::move(saw), .allowed = std::string(allowed)};
}

Judgement Inconclusive(std::string why) { return {.kind = Judgement::Kind::kInconclusive, .saw = std::move(why)}; }

Judgement NotApplicable(std::string why) { return {.kind = Judgement::Kind::kNotApplicable, .saw = std::move(why)}; }

Judgement Require(bool holds, std::string saw, std::string_view allowed) {
  return holds ? Holds() : Broken(std::move(saw), allowed);
}

Judgement AsJudgement(const ReceiveError& ended) { return Inconclusive(ended.text); }

Judgement AsJudgement(Judgement judgement) { return judgement; }

Judgement AsJudgement(engine::Ruling ruling) {
  if (ruling.kind == engine::Ruling::Kind::kInapplicable) {
    return NotApplicable(std::move(ruling.saw));
  }
  return Require(!ruling.is_violated(), std::move(ruling.saw), ruling.expected);
}

namespace {

// Asks for what the check cannot do without.
std::expected<Replies, Judgement> MustAcknowledge(Session& session, const engine::Option& option) {
  auto replies = session.Ask(option);
  const std::string name = engine::OptionName(option.option);
  if (!replies) {
    return Stop(Inconclusive(fmt::format("{} got no answer: {}", name, replies.error().text)));
  }
  const std::uint32_t type = replies->back().type;
  if (type != OptionReplyType::kAck) {
    return Stop(Inconclusive(fmt::format("{} was answered {}", name, engine::OptionReplyName(type))));
  }
  return *std::move(replies);
}

// Enters by GO on a session that is ready for it.
std::expected<void, Judgement> Go(Session& session, const std::string& name, engine::Negotiated& agreed) {
  const engine::InfoQuery query{.name = name, .requests = {engine::InfoType::kBlockSize}};
  NBDSPEC_TRY(replies, MustAcknowledge(session, {.option = OptionType::kGo, .payload = EncodePayload(query)}));
  session.EnterTransmission();
  for (const engine::OptionReply& reply : replies) {
    agreed.info = engine::DecodeInfoExport(reply.payload).value_or(agreed.info);
    if (const auto size = engine::DecodeInfoBlockSize(reply.payload)) {
      agreed.block_size = *size;
      agreed.has_block_size = true;
    }
  }
  return {};
}

}  // namespace

std::expected<Session, Judgement> CheckContext::Connect() {
  auto transport = peer_.Connect(Transport::Clock::now() + limits_.reply_timeout);
  if (!transport) {
    return Stop(Inconclusive(transport.error().sentence));
  }
  ++connection_count_;
  return Session(std::move(*transport), limits_, transcript_, connection_count_);
}

std::expected<Session, Judgement> CheckContext::Haggle(std::uint32_t flags) {
  NBDSPEC_TRY(session, Connect());
  const auto greeting = session.NextGreeting();
  if (!greeting) {
    return Stop(Inconclusive("no greeting: " + greeting.error().text));
  }
  session.Send(engine::ClientFlags{.flags = greeting->flags & flags});
  return std::move(session);
}

std::expected<Session, Judgement> CheckContext::HaggleStructured() {
  NBDSPEC_TRY(session, Haggle());
  NBDSPEC_TRY(replies, MustAcknowledge(session, {.option = OptionType::kStructuredReply}));
  return std::move(session);
}

std::expected<Replies, Judgement> CheckContext::AskOption(const engine::Option& option) {
  NBDSPEC_TRY(session, Haggle());
  auto replies = session.Ask(option);
  if (!replies) {
    return Stop(
        Inconclusive(fmt::format("{} got no answer: {}", engine::OptionName(option.option), replies.error().text)));
  }
  return *std::move(replies);
}

std::expected<Entered, Judgement> CheckContext::Enter(const EnterOptions& options) {
  NBDSPEC_TRY(session, options.structured_replies ? HaggleStructured() : Haggle());
  Entered entered{.session = std::move(session)};
  engine::Negotiated& agreed = *entered.agreed;
  agreed.structured_replies = options.structured_replies;
  agreed.export_name = export_name_;
  if (!options.contexts.empty()) {
    const engine::MetaContextQuery query{.export_name = export_name_, .queries = options.contexts};
    NBDSPEC_TRY(replies, MustAcknowledge(entered.session,
                                         {.option = OptionType::kSetMetaContext, .payload = EncodePayload(query)}));
    agreed.context_export = export_name_;
    for (const engine::OptionReply& reply : replies) {
      if (auto context = engine::DecodeMetaContext(reply.payload);
          context && reply.type == OptionReplyType::kMetaContext) {
        agreed.contexts.push_back(std::move(*context));
      }
    }
  }
  return EnterOn(std::move(entered), options.by_name);
}

std::expected<Entered, Judgement> CheckContext::EnterOn(Entered entered, bool by_name) {
  engine::Negotiated& agreed = *entered.agreed;
  agreed.transmission = true;
  if (!by_name && Offers(Feature::kGo)) {
    NBDSPEC_DO(Go(entered.session, export_name_, agreed));
    return entered;
  }
  const auto reply = entered.session.AskExportName(export_name_, Offers(Feature::kNoZeroes));
  if (!reply) {
    return Stop(Inconclusive("NBD_OPT_EXPORT_NAME got no answer: " + reply.error().text));
  }
  agreed.info = {.size = reply->size, .flags = reply->flags};
  return entered;
}

std::expected<Entered, Judgement> CheckContext::EnterWithChunks() {
  return Enter({.structured_replies = Offers(Feature::kStructuredReplies)});
}

std::expected<Entered, Judgement> CheckContext::EnterWithAll() {
  EnterOptions options{.structured_replies = Offers(Feature::kStructuredReplies)};
  if (options.structured_replies && Offers(Feature::kBaseAllocation)) {
    options.contexts = {std::string(engine::kBaseAllocation)};
  }
  return Enter(options);
}

std::string CheckContext::UnknownName() {
  return fmt::format("nbdspec-no-such-export-{:016x}{:016x}", random_(), random_());
}

std::span<const Check> AllChecks() {
  static const std::vector<Check> kAll = [] {
    std::vector<Check> all;
#define NBDSPEC_ADD(Name) std::ranges::move(Name##Checks(), std::back_inserter(all));
    NBDSPEC_CHECK_FILES(NBDSPEC_ADD)
#undef NBDSPEC_ADD
    return all;
  }();
  return kAll;
}

}  // namespace nbdspec::conformance
