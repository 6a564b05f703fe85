// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/check.h"

namespace nbdspec::conformance {

namespace {

std::expected<Session, Judgement> OnlyFixed(std::expected<Session, Judgement> session) {
  if (session && !session->negotiated().is_fixed_newstyle()) {
    return Stop(NotApplicable(fmt::format("the server does not offer {}", Describe(Feature::kFixedNewstyle))));
  }
  return session;
}

}  // namespace

std::expected<Session, Judgement> CheckContext::Connect(bool may_begin_tls) {
  auto transport = peer.Connect(Transport::Clock::now() + limits.reply_timeout);
  if (!transport) {
    return Stop(Inconclusive(transport.error().sentence));
  }
  ++connection_count;
  if (Storage* const storage = peer.storage()) {
    storage->SetSettled(false);
  }
  Session session(std::move(*transport), limits, transcript, connection_count, may_begin_tls ? peer.tls() : nullptr);
  session.SetWitness(witnesses.emplace_back());
  return session;
}

std::expected<Session, Judgement> CheckContext::Greet(std::uint32_t flags, bool may_begin_tls) {
  NBDSPEC_TRY(session, Connect(may_begin_tls));
  NBDSPEC_TRY(greeting, session.Greet(flags));
  return std::move(session);
}

std::expected<Session, Judgement> CheckContext::Haggle(std::uint32_t flags) { return OnlyFixed(Greet(flags)); }

std::expected<Session, Judgement> CheckContext::HagglePlain(std::uint32_t flags) {
  return OnlyFixed(Greet(flags, /*may_begin_tls=*/false));
}

std::expected<Session, Judgement> CheckContext::HaggleWith(std::uint32_t option, std::uint32_t flags) {
  NBDSPEC_TRY(session, Haggle(flags));
  NBDSPEC_TRY(replies, session.Require(MakeOption(option)));
  return std::move(session);
}

std::expected<Replies, Judgement> CheckContext::AskOption(const Option& option) {
  NBDSPEC_TRY(session, Haggle());
  NBDSPEC_TRY(replies, session.Try(option));
  return std::move(replies);
}

std::expected<Entered, Judgement> CheckContext::Enter(const EnterOptions& options) {
  NBDSPEC_TRY(session, options.extended              ? HaggleExtended()
                       : !options.structured_replies ? Greet()
                       : options.by_name             ? HaggleWith(OptionType::kStructuredReply)
                                                     : HaggleStructured());
  if (!options.contexts.empty()) {
    NBDSPEC_TRY(replies, session.Require(MakeOption(OptionType::kSetMetaContext,
                                                    {.export_name = export_name, .queries = options.contexts})));
  }
  return EnterExport(std::move(session), options.by_name);
}

std::expected<Entered, Judgement> CheckContext::EnterExport(Session session, bool by_name) {
  const bool is_oldstyle = session.negotiated().oldstyle;
  if (by_name && is_oldstyle) {
    return Stop(NotApplicable("an oldstyle greeting: nothing can be entered by name"));
  }
  const bool is_extended = session.negotiated().headers == HeaderForm::kExtended;  // ext.client.no-export-name
  const bool by_go = is_extended || (!by_name && !is_oldstyle && Offers(Feature::kGo));
  NBDSPEC_TRY(option, by_go ? session.EnterByGo(export_name) : session.EnterByName(export_name));
  const auto agreed = std::make_shared<Negotiated>(session.negotiated());
  return Entered{.session = std::move(session), .agreed = agreed};
}

std::expected<Entered, Judgement> CheckContext::EnterWithAll(bool structured) {
  EnterOptions options{.structured_replies = structured && HasChunks()};
  if (options.structured_replies && Offers(Feature::kBaseAllocation)) {
    options.contexts = {std::string(kBaseAllocation)};
  }
  return Enter(options);
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
