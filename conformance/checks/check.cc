// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/check.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;

Judgement Holds() { return {}; }

Judgement Broken(std::string saw, std::string allowed) {
  return {.kind = Judgement::Kind::kBroken, .saw = std::move(saw), .allowed = std::move(allowed)};
}

Judgement Inconclusive(std::string why) { return {.kind = Judgement::Kind::kInconclusive, .saw = std::move(why)}; }

Judgement NotApplicable(std::string why) { return {.kind = Judgement::Kind::kNotApplicable, .saw = std::move(why)}; }

Judgement AsJudgement(const ReceiveError& ended) { return Inconclusive(ended.text); }

Judgement AsJudgement(Judgement judgement) { return judgement; }

namespace {

std::unexpected<Judgement> Stop(std::string why) { return std::unexpected(Inconclusive(std::move(why))); }

// Enters by GO on a session that is ready for it.
std::expected<Entered, Judgement> Go(Session session, const std::string& name,
                                     std::vector<engine::MetaContext> contexts) {
  const auto replies = session.Ask(engine::Option{
      .option = OptionType::kGo,
      .payload = EncodePayload(engine::InfoQuery{.name = name, .requests = {engine::InfoType::kBlockSize}})});
  if (!replies) {
    return Stop("NBD_OPT_GO got no answer: " + replies.error().text);
  }
  if (replies->back().type != OptionReplyType::kAck) {
    return Stop("NBD_OPT_GO was answered " + engine::OptionReplyName(replies->back().type));
  }
  session.EnterTransmission();
  Entered entered{.session = std::move(session), .contexts = std::move(contexts)};
  for (const engine::OptionReply& reply : *replies) {
    if (const auto info = engine::DecodeInfoExport(reply.payload)) {
      entered.info = *info;
    }
    if (const auto size = engine::DecodeInfoBlockSize(reply.payload)) {
      entered.block_size = *size;
    }
  }
  return entered;
}

// Selects contexts on a session with structured replies; which, as the server says.
std::expected<std::vector<engine::MetaContext>, Judgement> Select(Session& session, const std::string& name,
                                                                  const std::vector<std::string>& queries) {
  const auto replies = session.Ask(
      engine::Option{.option = OptionType::kSetMetaContext,
                     .payload = EncodePayload(engine::MetaContextQuery{.export_name = name, .queries = queries})});
  if (!replies) {
    return Stop("NBD_OPT_SET_META_CONTEXT got no answer: " + replies.error().text);
  }
  if (replies->back().type != OptionReplyType::kAck) {
    return Stop("NBD_OPT_SET_META_CONTEXT was answered " + engine::OptionReplyName(replies->back().type));
  }
  std::vector<engine::MetaContext> contexts;
  for (const engine::OptionReply& reply : *replies) {
    if (auto context = engine::DecodeMetaContext(reply.payload);
        context && reply.type == OptionReplyType::kMetaContext) {
      contexts.push_back(std::move(*context));
    }
  }
  return contexts;
}

}  // namespace

std::expected<Session, Judgement> CheckContext::Connect() {
  auto transport = peer_.Connect(Transport::Clock::now() + limits_.reply_timeout);
  if (!transport) {
    return Stop(transport.error().sentence);
  }
  ++connection_count_;
  return Session(std::move(*transport), limits_, transcript_, connection_count_);
}

std::expected<Session, Judgement> CheckContext::Haggle() {
  auto session = Connect();
  if (!session) {
    return session;
  }
  const auto greeting = session->NextGreeting();
  if (!greeting) {
    return Stop("no greeting: " + greeting.error().text);
  }
  const std::uint32_t known = engine::ClientFlag::kFixedNewstyle | engine::ClientFlag::kNoZeroes;
  session->Send(engine::ClientFlags{.flags = greeting->flags & known});
  return session;
}

std::expected<Session, Judgement> CheckContext::HaggleStructured() {
  auto session = Haggle();
  if (!session) {
    return session;
  }
  const auto replies = session->Ask(engine::Option{.option = OptionType::kStructuredReply});
  if (!replies) {
    return Stop("NBD_OPT_STRUCTURED_REPLY got no answer: " + replies.error().text);
  }
  if (replies->back().type != OptionReplyType::kAck) {
    return Stop("NBD_OPT_STRUCTURED_REPLY was answered " + engine::OptionReplyName(replies->back().type));
  }
  return session;
}

std::expected<Entered, Judgement> CheckContext::Enter(const EnterOptions& options) {
  auto session = options.structured_replies ? HaggleStructured() : Haggle();
  if (!session) {
    return std::unexpected(std::move(session).error());
  }
  std::vector<engine::MetaContext> contexts;
  if (!options.contexts.empty()) {
    auto selected = Select(*session, export_name_, options.contexts);
    if (!selected) {
      return std::unexpected(std::move(selected).error());
    }
    contexts = std::move(*selected);
  }
  if (!options.by_name && profile_.features.Has(Feature::kGo)) {
    return Go(std::move(*session), export_name_, std::move(contexts));
  }
  const auto reply = session->AskExportName(export_name_, profile_.features.Has(Feature::kNoZeroes));
  if (!reply) {
    return Stop("NBD_OPT_EXPORT_NAME got no answer: " + reply.error().text);
  }
  return Entered{.session = std::move(*session),
                 .info = {.size = reply->size, .flags = reply->flags},
                 .contexts = std::move(contexts)};
}

std::string CheckContext::UnknownName() {
  return fmt::format("nbdspec-no-such-export-{:016x}{:016x}", random_(), random_());
}

std::span<const Check> AllChecks() {
  static const std::vector<Check> kAll = [] {
    std::vector<Check> all;
    for (const auto checks :
         {HandshakeChecks,      ExportNameChecks,  OptionChecks,     StarttlsChecks,    OptionReplyChecks,
          InfoChecks,           BlockSizeChecks,   BlockLimitChecks, MetaContextChecks, ListMetaContextChecks,
          SetMetaContextChecks, BlockStatusChecks, ZeroClaimChecks,  StatusCostChecks,  TransmissionChecks,
          FlagChecks,           ErrorChecks,       ChunkChecks,      ErrorChunkChecks,  ReadChecks,
          WriteChecks,          ZeroingChecks}) {
      std::ranges::move(checks(), std::back_inserter(all));
    }
    return all;
  }();
  return kAll;
}

}  // namespace nbdspec::conformance
