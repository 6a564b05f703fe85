// SPDX-License-Identifier: BSD-3-Clause
#include "engine/client/haggling.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "engine/spec/ids.h"

namespace nbdspec::engine {

namespace {

constexpr std::uint16_t kKnownHandshakeFlags = HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes;
constexpr std::uint16_t kKnownTransmissionFlags = 0x1fff;  // Those of the specification's main text and branches.
constexpr std::size_t kLongTextBytes = 80;                 // fails_at_long_refusals
constexpr std::uint32_t kMinimumBlockMax = 1 << 16;        // block-size.min.cap-65536
constexpr std::uint32_t kPreferredBlockMin = 512;          // block-size.preferred.floor

bool IsRefused(const OptionReplies& replies) { return replies.back().is_error(); }

// What may answer `option` before its last reply.
bool MayComeBefore(std::uint32_t option, std::uint32_t type) {
  switch (option) {
    case OptionType::kList:
      return type == OptionReplyType::kServer;
    case OptionType::kInfo:
    case OptionType::kGo:
      return type == OptionReplyType::kInfo;
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return type == OptionReplyType::kMetaContext;
    default:
      return false;
  }
}

bool IsLaidOut(const OptionReply& reply) {
  switch (reply.type) {
    case OptionReplyType::kAck:
      return reply.payload.empty();
    case OptionReplyType::kServer:
      return DecodePayload<ListedExport>(reply.payload).has_value();
    case OptionReplyType::kMetaContext:
      return DecodePayload<MetaContext>(reply.payload).has_value();
    default:
      return true;
  }
}

bool IsInfoLaidOut(const Bytes& payload) {
  const auto type = DecodeInfoType(payload);
  return type && (*type != InfoType::kExport || DecodePayload<InfoExport>(payload).has_value()) &&
         (*type != InfoType::kBlockSize || DecodePayload<InfoBlockSize>(payload).has_value());
}

// One of the client's ends of haggling; each step is a sentence of the protocol.
class Haggling {
 public:
  explicit Haggling(ClientConnection& on) : on_(on), how_(on.conduct().haggling), lacks_(on.conduct().failings) {}

  // To where options are asked, or the only export there is was entered.
  OrGivesUp<void> Greet();
  OrGivesUp<void> AgreeOnReplies();
  OrGivesUp<void> SelectContexts();
  OrGivesUp<void> Enter();

  // Of an option without another part in it.
  OrGivesUp<void> AskBeside(const std::vector<Option>& options);

  // GivesUp where ERR_SHUTDOWN came, or what is no answer. Any other refusal is one.
  OrGivesUp<OptionReplies> Ask(const Option& option);

 private:
  OrGivesUp<void> BeginTls();
  OrGivesUp<void> BeginTlsNow();
  OrGivesUp<void> Judge(const Option& option, const OptionReplies& replies);
  OrGivesUp<void> JudgeInfo(const OptionReplies& replies);
  OrGivesUp<void> JudgeBlockSize() const;
  OrGivesUp<void> EnterByName();
  OrGivesUp<void> EnterByGo();
  OrGivesUp<OptionReplies> GoAsDemanded(const OptionReplies& refusal);
  OrGivesUp<void> Entered();
  [[nodiscard]] Option ContextOption(std::uint32_t type) const;

  [[nodiscard]] Option InfoOption(std::uint32_t type) const {
    return MakeOption(type, {.export_name = on_.job().export_name, .requests = how_.info_requests});
  }
  [[nodiscard]] bool MayHaggle() const {
    return on_.negotiated().is_fixed_newstyle() || (lacks_.assumes_fixed && !on_.negotiated().oldstyle);
  }

  ClientConnection& on_;
  const HagglingConduct& how_;
  const ClientFailings& lacks_;
};

OrGivesUp<void> Haggling::Greet() {
  const auto greeting = on_.NextGreeting();
  if (on_.negotiated().oldstyle) {
    if (lacks_.haggles_in_oldstyle) {
      on_.Send(ClientFlags{});
      on_.Send(InfoOption(OptionType::kGo));
    }
    return on_.job().tls && !lacks_.goes_on_without_tls ? Soft("there is no TLS in the oldstyle handshake") : Entered();
  }
  if (!greeting) {
    return Lost("no greeting", greeting.error());
  }
  if (lacks_.fails_at_unknown_handshake_flags && (greeting->flags & ~kKnownHandshakeFlags) != 0) {
    return Hard("a handshake flag that is unknown");
  }
  on_.Send(ClientFlags{.flags = greeting->flags & how_.flags});
  if (!on_.wants_tls) {
    return {};
  }
  if (!MayHaggle()) {
    return on_.job().tls && !lacks_.goes_on_without_tls ? Soft("TLS needs FIXED_NEWSTYLE") : OrGivesUp<void>();
  }
  NBDSPEC_RETURN_IF_ERROR(AskBeside(how_.before_tls));
  return BeginTls();
}

OrGivesUp<void> Haggling::BeginTls() {
  NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(MakeOption(OptionType::kStarttls)));
  if (!IsRefused(replies)) {
    return lacks_.goes_on_in_plaintext ? OrGivesUp<void>() : BeginTlsNow();
  }
  if (lacks_.hello_though_refused) {
    return BeginTlsNow();
  }
  const bool may_go_on = (!on_.job().tls || lacks_.goes_on_without_tls) && !lacks_.drops_at_starttls_refusal;
  return may_go_on ? OrGivesUp<void>() : Soft(RefusalText(replies));
}

OrGivesUp<void> Haggling::BeginTlsNow() {
  const auto begun = on_.StartTls();
  return begun || lacks_.goes_on_after_failed_tls ? OrGivesUp<void>() : Hard(begun.error());
}

// --- One option ---

OrGivesUp<OptionReplies> Haggling::Ask(const Option& option) {
  auto replies = on_.Ask(option);
  if (!replies) {
    return Lost(OptionName(option.option) + " got no answer", replies.error());
  }
  NBDSPEC_RETURN_IF_ERROR(Judge(option, *replies));
  const OptionReply& last = replies->back();
  if (last.type == OptionReplyType::kErrShutdown && !lacks_.goes_on_after_err_shutdown) {
    return Soft(RefusalText(*replies));  // session.shutdown.client-soft
  }
  if (lacks_.fails_at_long_refusals && last.is_error() && last.payload.size() > kLongTextBytes) {
    return Hard("a refusal with a long text");
  }
  return *std::move(replies);
}

OrGivesUp<void> Haggling::Judge(const Option& option, const OptionReplies& replies) {
  for (const OptionReply& reply : replies) {
    NBDSPEC_RETURN_IF_ERROR(
        on_.Demand(reply.option == option.option, spec::kOptionReplyEchoOption, Describe(ServerMessage(reply))));
    NBDSPEC_RETURN_IF_ERROR(on_.Demand(IsFinal(reply) ? reply.is_error() || reply.type == OptionReplyType::kAck
                                                      : MayComeBefore(option.option, reply.type),
                                       spec::kOptionReplyForEveryOption, Describe(ServerMessage(reply))));
    NBDSPEC_RETURN_IF_ERROR(
        on_.Demand(IsLaidOut(reply), spec::kOptionReplyLengthAccurate, Describe(ServerMessage(reply))));
  }
  return option.option == OptionType::kInfo || option.option == OptionType::kGo ? JudgeInfo(replies)
                                                                                : OrGivesUp<void>();
}

OrGivesUp<void> Haggling::JudgeInfo(const OptionReplies& replies) {
  bool has_export = false;
  bool is_first = true;
  for (const OptionReply& reply : replies) {
    if (reply.type != OptionReplyType::kInfo) {
      continue;
    }
    const std::uint16_t type = DecodeInfoType(reply.payload).value_or(0);
    if (lacks_.fails_at_unknown_info && type > InfoType::kBlockSize) {
      return Hard("information of a type that is unknown");
    }
    if (lacks_.takes_first_info_for_export && is_first && type != InfoType::kExport) {
      return Hard("other information before NBD_INFO_EXPORT");
    }
    NBDSPEC_RETURN_IF_ERROR(on_.Demand(IsInfoLaidOut(reply.payload), spec::kRepInfoExportLength, Describe(reply)));
    has_export |= type == InfoType::kExport;
    is_first = false;
  }
  return on_.Demand(has_export || IsRefused(replies), spec::kOptionInfoAckNeedsExport,
                    "an acknowledgement without NBD_INFO_EXPORT");
}

OrGivesUp<void> Haggling::AskBeside(const std::vector<Option>& options) {
  for (const Option& option : options) {
    NBDSPEC_RETURN_IF_ERROR(Ask(option));
  }
  return {};
}

// --- Replies ---

OrGivesUp<void> Haggling::AgreeOnReplies() {
  using Wants = HagglingConduct::Wants;
  NBDSPEC_RETURN_IF_ERROR(AskBeside(how_.before_chunks));
  bool has_extended = false;
  if (how_.wants == Wants::kExtended) {
    NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(MakeOption(OptionType::kExtendedHeaders)));
    has_extended = !IsRefused(replies);
    if (!has_extended && lacks_.fails_without_extended) {
      return Soft(RefusalText(replies));
    }
  }
  if (how_.wants != Wants::kSimple && !has_extended) {
    NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(MakeOption(OptionType::kStructuredReply)));
    if (IsRefused(replies) && lacks_.fails_without_structured) {
      return Soft(RefusalText(replies));
    }
  }
  if (how_.wants == Wants::kStructuredThenExtended) {
    NBDSPEC_RETURN_IF_ERROR(Ask(MakeOption(OptionType::kExtendedHeaders)));
  }
  return {};
}

Option Haggling::ContextOption(std::uint32_t type) const {
  std::vector<std::string> queries = how_.queries_beside;
  queries.emplace_back(kBaseAllocation);
  return MakeOption(
      type, {.export_name = how_.context_export.value_or(on_.job().export_name), .queries = std::move(queries)});
}

OrGivesUp<void> Haggling::SelectContexts() {
  if (!on_.negotiated().structured_replies || lacks_.never_sets_contexts) {
    return {};
  }
  std::vector<MetaContext> listed;
  if (lacks_.ids_from_list || lacks_.selects_what_failed_list_had) {
    NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(ContextOption(OptionType::kListMetaContext)));
    listed = PayloadsOf<MetaContext>(replies, OptionReplyType::kMetaContext);
    if (IsRefused(replies) && !lacks_.selects_what_failed_list_had) {
      return {};
    }
  }
  for (std::uint32_t i = 0; i < how_.set_count; ++i) {
    NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(ContextOption(OptionType::kSetMetaContext)));
    on_.contexts = on_.negotiated().contexts;
    for (const MetaContext& each : on_.contexts) {
      NBDSPEC_RETURN_IF_ERROR(on_.Demand(std::ranges::count(on_.contexts, each.id, &MetaContext::id) == 1,
                                         spec::kOptionSetMetaContextUniqueId, "one id for two contexts"));
    }
    if (IsRefused(replies) && lacks_.keeps_contexts_of_refused_set) {
      on_.contexts = PayloadsOf<MetaContext>(replies, OptionReplyType::kMetaContext);
    }
  }
  if (lacks_.ids_from_list) {
    on_.contexts = listed;
  }
  return {};
}

// --- The export ---

OrGivesUp<void> Haggling::Enter() {
  if (!MayHaggle()) {
    return EnterByName();
  }
  for (std::uint32_t i = 0; i < how_.info_count; ++i) {
    NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(InfoOption(OptionType::kInfo)));
    if (IsRefused(replies) && replies.back().type != OptionReplyType::kErrUnsup) {
      return Soft(RefusalText(replies));
    }
  }
  return how_.enters_by_name ? EnterByName() : EnterByGo();
}

// GO once more, where its refusal says what is missing.
OrGivesUp<OptionReplies> Haggling::GoAsDemanded(const OptionReplies& refusal) {
  const std::uint32_t type = refusal.back().type;
  if (type == OptionReplyType::kErrBlockSizeReqd && std::ranges::count(how_.info_requests, InfoType::kBlockSize) == 0) {
    return Ask(MakeOption(OptionType::kGo, {.export_name = on_.job().export_name, .requests = {InfoType::kBlockSize}}));
  }
  const bool is_compact = on_.negotiated().headers == HeaderForm::kCompact;
  if (type == OptionReplyType::kErrExtHeaderReqd && is_compact && how_.wants != HagglingConduct::Wants::kSimple) {
    NBDSPEC_RETURN_IF_ERROR(Ask(MakeOption(OptionType::kExtendedHeaders)));
    if (!on_.contexts.empty()) {
      NBDSPEC_RETURN_IF_ERROR(SelectContexts());
    }
    return Ask(InfoOption(OptionType::kGo));
  }
  return refusal;
}

OrGivesUp<void> Haggling::EnterByGo() {
  if (lacks_.overlaps_options) {
    on_.Hold();
    on_.Send(MakeOption(OptionType::kList));
    on_.Send(MakeOption(OptionType::kList));
    (void)on_.NextOptionReplies();
    (void)on_.NextOptionReplies();
  }
  NBDSPEC_ASSIGN_OR_RETURN(first, Ask(InfoOption(OptionType::kGo)));
  NBDSPEC_ASSIGN_OR_RETURN(replies, GoAsDemanded(first));
  if (replies.back().type == OptionReplyType::kErrUnsup && !lacks_.fails_without_go &&
      on_.negotiated().headers == HeaderForm::kCompact) {
    return EnterByName();  // option.export-name.client-fallback
  }
  return IsRefused(replies) ? Soft(RefusalText(replies)) : Entered();
}

OrGivesUp<void> Haggling::EnterByName() {
  const bool has_pad = on_.negotiated().pads_export_name_reply() && !lacks_.never_reads_pad;
  const auto reply = on_.AskExportName(on_.job().export_name, /*no_zeroes=*/!has_pad);
  return reply ? Entered() : Lost("NBD_OPT_EXPORT_NAME got no answer", reply.error());
}

OrGivesUp<void> Haggling::Entered() {
  const Negotiated& agreed = on_.negotiated();
  NBDSPEC_RETURN_IF_ERROR(on_.Demand(agreed.Has(TransmissionFlag::kHasFlags), spec::kEflagsHasFlags,
                                     TransmissionFlagNames(agreed.info.flags)));
  if (lacks_.fails_at_unknown_transmission_flags && (agreed.info.flags & ~kKnownTransmissionFlags) != 0) {
    return Hard("a transmission flag that is unknown");
  }
  if (!lacks_.keeps_contexts_of_refused_set && !lacks_.ids_from_list) {
    on_.contexts = agreed.contexts;  // None, where they were another export's.
  }
  return JudgeBlockSize();
}

OrGivesUp<void> Haggling::JudgeBlockSize() const {
  const InfoBlockSize& block = on_.negotiated().block_size;
  const std::string saw = std::to_string(block.minimum) + ", " + std::to_string(block.preferred) + " and " +
                          std::to_string(block.maximum) + " bytes";
  NBDSPEC_RETURN_IF_ERROR(on_.Demand(std::has_single_bit(block.minimum), spec::kBlockSizeMinPowerOf2, saw));
  NBDSPEC_RETURN_IF_ERROR(on_.Demand(block.minimum <= kMinimumBlockMax, spec::kBlockSizeMinCap65536, saw));
  NBDSPEC_RETURN_IF_ERROR(on_.Demand(std::has_single_bit(block.preferred), spec::kBlockSizePreferredPowerOf2, saw));
  NBDSPEC_RETURN_IF_ERROR(
      on_.Demand(block.preferred >= std::max(block.minimum, kPreferredBlockMin), spec::kBlockSizePreferredFloor, saw));
  return on_.Demand(block.maximum >= block.preferred, spec::kBlockSizeMaxFloorPreferred, saw);
}

}  // namespace

OrGivesUp<void> EnterExport(ClientConnection& on, bool wants_contexts) {
  Haggling haggling(on);
  NBDSPEC_RETURN_IF_ERROR(haggling.Greet());
  if (on.negotiated().transmission) {
    return {};
  }
  const bool may_haggle = on.negotiated().is_fixed_newstyle() || on.failings().assumes_fixed;
  if (may_haggle) {
    NBDSPEC_RETURN_IF_ERROR(haggling.AgreeOnReplies());
    NBDSPEC_RETURN_IF_ERROR(haggling.AskBeside(on.conduct().haggling.before_contexts));
    if (wants_contexts) {
      NBDSPEC_RETURN_IF_ERROR(haggling.SelectContexts());
    }
  }
  return haggling.Enter();
}

OrGivesUp<void> LookAround(ClientConnection& on) {
  Haggling haggling(on);
  NBDSPEC_RETURN_IF_ERROR(haggling.Greet());
  if (on.negotiated().transmission || !on.negotiated().is_fixed_newstyle()) {
    return {};
  }
  const bool lists = on.conduct().haggling.looks_first == HagglingConduct::Looks::kLists;
  NBDSPEC_RETURN_IF_ERROR(
      haggling.Ask(lists ? MakeOption(OptionType::kList)
                         : MakeOption(OptionType::kInfo, {.export_name = on.job().export_name,
                                                          .requests = on.conduct().haggling.info_requests})));
  return {};
}

}  // namespace nbdspec::engine
