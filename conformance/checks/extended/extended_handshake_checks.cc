// SPDX-License-Identifier: BSD-3-Clause
// Checks of NBD_OPT_EXTENDED_HEADERS, and of the options beside it, in the handshake.
// Spec: proto.md of the branch extension-ext-header, "NBD_OPT_EXTENDED_HEADERS", "Transmission flags", and what it adds
// to the options there were.
//
// A server that does not know the option is none of this file's business, whatever flags it sets: each check but one
// needs a server that agrees to it. What is then in force shows in the magic that answers a READ, which is looked at as
// bytes: an answer in the wrong form is the finding, not something that cannot be read.
#include "conformance/checks/metadata/meta_contexts.h"
#include "conformance/checks/tls/into_tls.h"
#include "engine/wire/fields.h"

namespace nbdspec::conformance {

namespace {

using Options = std::vector<Option>;
const Option kExtendedHeaders{.option = OptionType::kExtendedHeaders};
const Option kStructuredReplies{.option = OptionType::kStructuredReply};
const Option kWithData{.option = OptionType::kExtendedHeaders, .payload = Bytes(4, 0x5a)};

Option SetOf(const CheckContext& context, std::vector<std::string> queries) {
  return MakeOption(OptionType::kSetMetaContext, {.export_name = context.export_name, .queries = std::move(queries)});
}

// "EXTENDED_HEADERS, GO": for people.
std::string NamesOf(const Options& options) {
  std::string names;
  for (const Option& option : options) {
    names += (names.empty() ? "" : ", ") + OptionName(option.option) + (option.payload.empty() ? "" : " with data");
  }
  return names.empty() ? "no option" : names;
}

// A session in haggling, after `options`. What these are answered is not looked at.
std::expected<Session, Judgement> After(CheckContext& context, const Options& options) {
  NBDSPEC_TRY(session, context.Haggle());
  for (const Option& option : options) {
    NBDSPEC_TRY(replies, session.Try(option));
  }
  return std::move(session);
}

bool IsExtended(const Session& session) { return session.negotiated().headers == HeaderForm::kExtended; }

// --- Which headers are in force ---------------------------------------------------------------------------------

// The magic with which the next reply begins.
Received<std::uint32_t> NextMagic(Session& session) {
  const auto next = session.Next();
  if (!next) {
    const ByteView came = session.pending();
    return next.error().kind == ReceiveError::kUndecodable && came.size() >= sizeof kChunkMagic
               ? Received<std::uint32_t>(GetBigEndian<std::uint32_t>(came))
               : std::unexpected(next.error());
  }
  const auto* chunk = std::get_if<Chunk>(&*next);
  return chunk == nullptr ? kSimpleReplyMagic : Chunk::MagicOf(chunk->form);
}

// What answers the first READ on `session`, once it has entered the export. Its header is as agreed, or extended.
struct ReadAnswer {
  std::uint16_t flags = 0;  // Of the export.
  Received<std::uint32_t> magic;
};
std::expected<ReadAnswer, Judgement> AnswerToRead(CheckContext& context, Session session, bool extended = false) {
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  NBDSPEC_TRY(read, FirstRead(entered));
  read.cookie = entered.session.NextCookie();
  if (extended) {
    const Request request = engine::InForm(HeaderForm::kExtended, read);
    entered.session.SendRaw(Encode(ClientMessage(request)), Describe(ClientMessage(request)));
  } else {
    entered.session.Send(read);
  }
  return ReadAnswer{.flags = entered.agreed->info.flags, .magic = NextMagic(entered.session)};
}

// Makes a session in haggling.
using Begin = std::function<std::expected<Session, Judgement>(CheckContext&)>;

// A session made by `begin` has compact headers and simple replies, as one made by `ordinary` has.
Judgement HasCompactHeaders(CheckContext& context, const Begin& begin, const Begin& ordinary) {
  constexpr std::string_view kAllowed = "no extended headers: a simple reply to READ, and no flag that needs more";
  NBDSPEC_TRY(usual_session, ordinary(context));
  NBDSPEC_TRY(usual, AnswerToRead(context, std::move(usual_session)));
  if (usual.magic != kSimpleReplyMagic) {
    return Inconclusive("READ gets no simple reply from an ordinary client either");
  }
  NBDSPEC_TRY(session, begin(context));
  NBDSPEC_TRY(first, AnswerToRead(context, std::move(session)));
  const auto early = static_cast<std::uint16_t>(first.flags & ~usual.flags &
                                                (TransmissionFlag::kSendDf | TransmissionFlag::kBlockStatusPayload));
  if (early != 0) {
    return Broken("the transmission flags have " + TransmissionFlagNames(early), kAllowed);
  }
  if (first.magic) {
    return Require(*first.magic == kSimpleReplyMagic, "the reply to READ begins with " + MagicText(*first.magic),
                   kAllowed);
  }
  // A server that is silent may wait for the rest of an extended header.
  NBDSPEC_TRY(again, begin(context));
  NBDSPEC_TRY(second, AnswerToRead(context, std::move(again), /*extended=*/true));
  const std::string saw = "READ with a compact header: ";
  return second.magic == kExtendedChunkMagic
             ? Broken(saw + first.magic.error().text + "; with an extended one: a reply", kAllowed)
             : MayNotDisconnect(first.magic.error(), saw, kAllowed);
}

// --- EXTENDED_HEADERS -------------------------------------------------------------------------------------------

Judgement RefusesData(CheckContext& context) {
  constexpr std::string_view kAllowed = "NBD_REP_ERR_INVALID";
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4}, std::size_t{64}}) {
    NBDSPEC_TRY(session, context.Haggle());
    const auto replies = session.Ask(Option{.option = OptionType::kExtendedHeaders, .payload = Bytes(bytes, 0x5a)});
    const bool is_right =
        replies && (EndsIn(*replies, OptionReplyType::kErrInvalid) || IsRefusal(replies->back().type));
    Judgement judgement =
        replies ? Require(is_right, fmt::format("with {} bytes of data: {}", bytes, TypesOf(*replies)), kAllowed)
                : MayDisconnect(replies.error(), kAllowed);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

// Where it is refused nothing has changed.
Judgement RefusedHasNoEffect(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(kWithData);
  if (!replies || !replies->back().is_error()) {
    return NotApplicable("EXTENDED_HEADERS with data is not refused: " +
                         (replies ? TypesOf(*replies) : replies.error().text));
  }
  return HasCompactHeaders(
      context, [](CheckContext& each) { return After(each, {kWithData}); },
      [](CheckContext& each) { return each.Haggle(); });
}

Judgement WorksWithoutStructured(CheckContext& context) {
  const auto alone = context.AskOption(kExtendedHeaders);
  if (alone && IsAcknowledged(*alone)) {
    return Holds();
  }
  const auto after = After(context, {kStructuredReplies, kExtendedHeaders});
  const std::string saw = "EXTENDED_HEADERS: " + (alone ? TypesOf(*alone) : alone.error().saw);
  return alone && after && IsExtended(*after)
             ? About(SubjectOf(alone->back()), Broken(saw + "; after STRUCTURED_REPLY: NBD_REP_ACK", "NBD_REP_ACK"))
             : NotApplicable(saw);
}

// Each of `orders` ends with extended headers in force.
Judgement AreInForceAfter(CheckContext& context, const std::vector<Options>& orders) {
  constexpr std::string_view kAllowed = "a chunk with an extended header";
  for (const Options& order : orders) {
    NBDSPEC_TRY(session, After(context, order));
    if (!IsExtended(session)) {
      continue;  // It was refused: that is not this clause's.
    }
    NBDSPEC_TRY(answer, AnswerToRead(context, std::move(session)));
    const std::string saw = fmt::format("after {}, READ: ", NamesOf(order));
    if (answer.magic && *answer.magic != kExtendedChunkMagic) {
      return Broken(saw + "a reply that begins with " + MagicText(*answer.magic), kAllowed);
    }
    if (!answer.magic) {
      NBDSPEC_TRY(control, context.HaggleExtended());
      NBDSPEC_TRY(ordinary, AnswerToRead(context, std::move(control)));
      return ordinary.magic == kExtendedChunkMagic ? MayNotDisconnect(answer.magic.error(), saw, kAllowed)
                                                   : AsJudgement(answer.magic.error());
    }
  }
  return Holds();
}

// In whatever order the two were asked, and what selects contexts or asks about exports between them.
Judgement TakesPrecedence(CheckContext& context) {
  const Option select = SetOf(context, {kBaseAllocationQuery});
  return AreInForceAfter(context, {{kStructuredReplies, kExtendedHeaders},
                                   {kExtendedHeaders, kStructuredReplies},
                                   {kStructuredReplies, kExtendedHeaders, kStructuredReplies},
                                   {kStructuredReplies, select, kExtendedHeaders},
                                   {kExtendedHeaders, select, kStructuredReplies}});
}

Judgement StaysInForce(CheckContext& context) {
  const Option info = InfoOption(OptionType::kInfo, context.export_name, kEveryRequest);
  std::vector<Options> orders = {{kExtendedHeaders, kExtendedHeaders},
                                 {kStructuredReplies, kExtendedHeaders, kExtendedHeaders},
                                 {info, kExtendedHeaders, info}};
  const std::string unknown = context.UnknownName();
  if (LacksExport(context, unknown).value_or(false)) {
    orders.push_back({kExtendedHeaders, InfoOption(OptionType::kGo, unknown)});
  }
  // EXPORT_NAME, which a client may not send now, may be answered in any way that leaves the server up.
  NBDSPEC_TRY(rude, context.HaggleExtended());
  (void)rude.AskExportName(context.export_name, !rude.negotiated().pads_export_name_reply());
  return AreInForceAfter(context, orders);
}

// --- GO -----------------------------------------------------------------------------------------------------------

Judgement GoIsNotUnsupported(CheckContext& context) {
  const Option select = SetOf(context, {kBaseAllocationQuery});
  const std::vector<Options> orders = {{kExtendedHeaders},
                                       {kStructuredReplies, kExtendedHeaders},
                                       {kExtendedHeaders, kExtendedHeaders, select},
                                       {kExtendedHeaders, InfoOption(OptionType::kInfo, context.export_name)}};
  for (const Options& order : orders) {
    for (const Option& go :
         {InfoOption(OptionType::kGo, context.UnknownName()), InfoOption(OptionType::kGo, context.export_name, {}),
          InfoOption(OptionType::kGo, context.export_name)}) {
      NBDSPEC_TRY(session, After(context, order));
      NBDSPEC_TRY(replies, session.Try(go));
      if (IsExtended(session) && EndsIn(replies, OptionReplyType::kErrUnsup)) {
        return Broken(fmt::format("after {}, GO: {}", NamesOf(order), TypesOf(replies)),
                      "anything but NBD_REP_ERR_UNSUP");
      }
    }
  }
  return Holds();
}

Judgement GoEnters(CheckContext& context) {
  constexpr std::string_view kAllowed = "GO enters the export";
  const Option go = InfoOption(OptionType::kGo, context.export_name, kEveryRequest);
  NBDSPEC_TRY(session, context.HaggleExtended());
  const auto replies = session.Ask(go);
  if (!replies) {
    return MayNotDisconnect(replies.error(), "GO: ", kAllowed);
  }
  const std::string saw = "after EXTENDED_HEADERS, GO: " + TypesOf(*replies);
  if (IsAcknowledged(*replies) || EndsIn(*replies, OptionReplyType::kErrUnsup)) {
    return Require(IsAcknowledged(*replies), saw, kAllowed);
  }
  // Whether the export can be entered at all is not the option's affair, nor what the server decides by itself.
  NBDSPEC_TRY(compact, context.AskOption(go));
  return IsAcknowledged(compact) && !IsRefusal(replies->back().type)
             ? About(SubjectOf(replies->back()), Broken(saw + "; without it: NBD_REP_ACK", kAllowed))
             : NotApplicable(saw);
}

Judgement GoTakesCompactClients(CheckContext& context) {
  for (const Options& before : {Options{}, Options{kStructuredReplies, SetOf(context, {kBaseAllocationQuery})}}) {
    NBDSPEC_TRY(session, After(context, before));
    NBDSPEC_TRY(replies, session.Try(InfoOption(OptionType::kGo, context.export_name)));
    if (EndsIn(replies, OptionReplyType::kErrExtHeaderReqd)) {
      return Broken(fmt::format("after {}, GO: {}", NamesOf(before), TypesOf(replies)), "clients with compact headers");
    }
  }
  return Holds();
}

// --- Transmission flags -------------------------------------------------------------------------------------------

// `flag` is clear after each of `orders`; those are left out that do not lead where headers are as `extended` says, or
// at which the server hangs up, as it may when a client sends data that it must not.
Judgement IsClearAfter(CheckContext& context, std::uint16_t flag, bool extended, const std::vector<Options>& orders) {
  for (const Options& order : orders) {
    auto session = After(context, order);
    const bool is_legal = std::ranges::count(order, kWithData) == 0;
    if (!session && is_legal) {
      return std::move(session).error();
    }
    if (!session || IsExtended(*session) != extended) {
      continue;
    }
    NBDSPEC_TRY(entered, context.EnterExport(*std::move(session)));
    if (entered.Has(flag)) {
      return Broken(fmt::format("after {} the transmission flags are {}", NamesOf(order),
                                TransmissionFlagNames(entered.agreed->info.flags)),
                    TransmissionFlagNames(flag) + " is clear");
    }
  }
  return Holds();
}

Judgement DfIsClear(CheckContext& context) {
  return IsClearAfter(context, TransmissionFlag::kSendDf, /*extended=*/false,
                      {{}, {kWithData}, {InfoOption(OptionType::kInfo, context.export_name), kWithData}});
}

Judgement PayloadNeedsExtended(CheckContext& context) {
  const Option select = SetOf(context, {kBaseAllocationQuery});
  return IsClearAfter(context, TransmissionFlag::kBlockStatusPayload, /*extended=*/false,
                      {{}, {kStructuredReplies, select}, {kWithData, kStructuredReplies, select}});
}

Judgement PayloadNeedsSet(CheckContext& context) {
  return IsClearAfter(context, TransmissionFlag::kBlockStatusPayload, /*extended=*/true,
                      {{kExtendedHeaders}, {kStructuredReplies, kExtendedHeaders}});
}

Judgement PayloadNeedsSelection(CheckContext& context) {
  return IsClearAfter(context, TransmissionFlag::kBlockStatusPayload, /*extended=*/true,
                      {{kExtendedHeaders, SetOf(context, {})},
                       {kExtendedHeaders, SetOf(context, {kUnknownNamespaceQuery})},
                       {kExtendedHeaders, SetOf(context, {kBaseAllocationQuery}), SetOf(context, {})}});
}

// INFO says it before a client has agreed that will.
Judgement PayloadIsNotAdvertisedEarly(CheckContext& context) {
  NBDSPEC_TRY(session, After(context, {kStructuredReplies, SetOf(context, {kBaseAllocationQuery})}));
  NBDSPEC_TRY(replies, session.Try(InfoOption(OptionType::kInfo, context.export_name)));
  const auto* reply = FindInfo(replies, InfoType::kExport);
  const auto info = reply != nullptr ? DecodePayload<InfoExport>(reply->payload) : std::nullopt;
  if (!info) {
    return NotApplicable("INFO: " + TypesOf(replies));
  }
  return Require((info->flags & TransmissionFlag::kBlockStatusPayload) == 0,
                 "before EXTENDED_HEADERS INFO has the flags " + TransmissionFlagNames(info->flags),
                 "no flag of a feature that needs extended headers");
}

// --- STARTTLS -----------------------------------------------------------------------------------------------------

std::expected<Session, Judgement> FreshInTls(CheckContext& context) { return InTls(context); }

Judgement StarttlsDrops(CheckContext& context) {
  return HasCompactHeaders(
      context, [](CheckContext& each) { return InTls(each, std::span(&kExtendedHeaders, 1)); }, FreshInTls);
}

Judgement StarttlsDropsInjected(CheckContext& context) {
  return HasCompactHeaders(context, [](CheckContext& each) { return InTlsBehind(each, kExtendedHeaders); }, FreshInTls);
}

// Inside TLS it is asked for again.
Judgement AgreesAgainInTls(CheckContext& context) {
  NBDSPEC_TRY(fresh, InTls(context));
  NBDSPEC_TRY(first, fresh.Try(kExtendedHeaders));
  NBDSPEC_TRY(session, InTls(context, std::span(&kExtendedHeaders, 1)));
  NBDSPEC_TRY(again, session.Try(kExtendedHeaders));
  if (!IsAcknowledged(first) || !IsAcknowledged(again)) {
    return IsAcknowledged(first) ? Broken("asked before STARTTLS and again inside: " + TypesOf(again) +
                                              "; asked inside alone: " + TypesOf(first),
                                          "NBD_REP_ACK")
                                 : NotApplicable("inside TLS EXTENDED_HEADERS is answered " + TypesOf(first));
  }
  NBDSPEC_TRY(answer, AnswerToRead(context, std::move(session)));
  NBDSPEC_TRY(magic, std::move(answer.magic));
  return Require(magic == kExtendedChunkMagic, "the reply to READ begins with " + MagicText(magic),
                 "a chunk with an extended header");
}

// All that can be asked before STARTTLS leaves a client inside as it would be without: EXPORT_NAME, which nobody may
// ask after EXTENDED_HEADERS, serves it, with simple replies.
Judgement StarttlsDropsEverything(CheckContext& context) {
  constexpr std::string_view kAllowed = "what a client gets that asked nothing before STARTTLS";
  Options all;
  for (const auto& [feature, option] :
       {std::pair(Feature::kStructuredReplies, kStructuredReplies),
        std::pair(Feature::kInfo, InfoOption(OptionType::kInfo, context.export_name, kEveryRequest)),
        std::pair(Feature::kMetaContexts, SetOf(context, {kBaseAllocationQuery})),
        std::pair(Feature::kExtendedHeaders, kExtendedHeaders)}) {
    if (context.Offers(feature)) {
      all.push_back(option);
    }
  }
  NBDSPEC_TRY(fresh, InTls(context));
  if (const auto entered = fresh.EnterByName(context.export_name); !entered) {
    return NotApplicable("without them: " + entered.error());
  }
  NBDSPEC_TRY(session, InTls(context, all));
  const auto reply = session.AskExportName(context.export_name, !session.negotiated().pads_export_name_reply());
  const std::string after = "after " + NamesOf(all) + ": ";
  if (!reply) {
    return reply.error().kind == ReceiveError::kTimedOut
               ? AsJudgement(reply.error())
               : Broken(after + "NBD_OPT_EXPORT_NAME: " + reply.error().text, kAllowed);
  }
  if (reply->flags != fresh.negotiated().info.flags) {
    return Broken(after + "flags " + TransmissionFlagNames(reply->flags) + ", not " +
                      TransmissionFlagNames(fresh.negotiated().info.flags),
                  kAllowed);
  }
  const auto agreed = std::make_shared<Negotiated>(session.negotiated());
  Entered entered{.session = std::move(session), .agreed = agreed};
  NBDSPEC_TRY(read, FirstRead(entered));
  NBDSPEC_TRY(usual, fresh.Ask(read));
  const auto answer = entered.session.Ask(read);
  const bool is_usual = answer && answer->chunks.empty() == usual.chunks.empty();
  return answer ? Require(is_usual, after + "READ gets a reply of another form", kAllowed)
                : MayNotDisconnect(answer.error(), after + "READ: ", kAllowed);
}

Check WithTls(std::string_view id, std::string_view claim, CheckRun run, Features needs = kExtended) {
  return {.id = id, .claim = claim, .run = std::move(run), .needs = needs, .setup = Setup::kTlsOffered};
}

}  // namespace

std::vector<Check> ExtendedHandshakeChecks() {
  return {
      {kExtOptionWithoutStructured, "EXTENDED_HEADERS is acknowledged without STRUCTURED_REPLY, too.",
       WorksWithoutStructured, kFixed},
      {kExtOptionDataInvalid, "EXTENDED_HEADERS with data is ERR_INVALID.", RefusesData, kExtended},
      {kSub<kTransmissionMagicExtendedGatedServer, "refused">,
       "After an EXTENDED_HEADERS that was refused headers are compact.", RefusedHasNoEffect, kExtended},
      {kExtOptionPrecedence, "READ gets an extended chunk, in whatever order STRUCTURED_REPLY was asked.",
       TakesPrecedence, kExtended},
      {kSub<kExtOptionPrecedence, "again">,
       "READ gets an extended chunk, though EXTENDED_HEADERS was asked twice, or others were refused.", StaysInForce,
       kExtended},
      {kExtOptionGoSupported, "After EXTENDED_HEADERS GO enters the export.", GoEnters, kExtended},
      {kExtOptionNoEarlyAdvertise, "Before EXTENDED_HEADERS INFO does not show BLOCK_STATUS_PAYLOAD.",
       PayloadIsNotAdvertisedEarly, kExtended | kBase | Feature::kInfo},
      {kExtGoNoUnsup, "After EXTENDED_HEADERS GO does not get ERR_UNSUP.", GoIsNotUnsupported, kExtended},
      {kExtInteropNoReqd, "GO of clients with compact headers does not get ERR_EXT_HEADER_REQD.", GoTakesCompactClients,
       kExtended},
      {kExtEflagsDfClear, "SEND_DF is clear where neither was agreed.", DfIsClear, kExtended},
      {kExtEflagsBlockStatusPayloadGated, "BLOCK_STATUS_PAYLOAD is clear without extended headers.",
       PayloadNeedsExtended, kExtended},
      {kExtEflagsBlockStatusPayloadNeedsMeta, "BLOCK_STATUS_PAYLOAD is clear without SET_META_CONTEXT.",
       PayloadNeedsSet, kExtended},
      {kSub<kExtEflagsBlockStatusPayloadNeedsMeta, "nothing-selected">,
       "BLOCK_STATUS_PAYLOAD is clear after a SET_META_CONTEXT that selects nothing.", PayloadNeedsSelection,
       kExtended | kContexts},
      WithTls(kExtStarttlsDrop, "Extended headers that were agreed before TLS are not in force inside.", StarttlsDrops),
      WithTls(kSub<kExtStarttlsDrop, "injected">,
              "EXTENDED_HEADERS behind STARTTLS in the same segment has no effect inside TLS.", StarttlsDropsInjected),
      WithTls(kSub<kExtStarttlsDrop, "again">,
              "EXTENDED_HEADERS is acknowledged inside TLS, though it was before STARTTLS, too.", AgreesAgainInTls),
      WithTls(kOptionStarttlsDropOther,
              "After everything was asked before STARTTLS, EXPORT_NAME inside serves as if nothing had been.",
              StarttlsDropsEverything, /*needs=*/0),
  };
}

}  // namespace nbdspec::conformance
