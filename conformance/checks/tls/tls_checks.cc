// SPDX-License-Identifier: BSD-3-Clause
// Checks of TLS: what a server says before it, how it begins and ends, and that nothing of before is left inside of it.
// Spec: proto.md, "TLS support", "NBD_OPT_STARTTLS", "Termination of the session".
//
// Each looks first which mode the server is in: a user's server is what it is, and one that nbdspec starts is asked in
// both. Checks of NOTLS are with the options. None has two clients at once before transmission: nbdkit with a plugin
// that serialises requests haggles with one at a time.
#include <array>

#include "conformance/checks/tls/into_tls.h"
#include "conformance/tls/certificates.h"
#include "engine/wire/fields.h"

namespace nbdspec::conformance {

namespace {

constexpr std::string_view kEndOfSession = "the server ends the session";

// --- Modes ---

enum class Mode : std::uint8_t { kNone, kSelective, kForced };

// One of three options may be answered wrongly, and the mode is still known by the others. Whoever holds conversations
// inside TLS says by that that the server has it.
std::expected<Mode, Judgement> ModeOf(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  int demand_count = 0;
  for (const std::uint32_t option : {OptionType::kList, OptionType::kStructuredReply, kUnknownOption}) {
    NBDSPEC_TRY(replies, session.Try({.option = option}));
    demand_count += IsTlsReqd(replies) ? 1 : 0;
  }
  if (demand_count >= 2) {
    return Mode::kForced;
  }
  if (context.peer.tls() != nullptr) {
    return Mode::kSelective;
  }
  NBDSPEC_TRY(starttls, session.Try(kStarttls));
  return IsAcknowledged(starttls) ? Mode::kSelective : Mode::kNone;
}

// Applies `run` to a server in `mode`.
CheckRun In(Mode mode, CheckRun run) {
  return [mode, run = std::move(run)](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(is, ModeOf(context));
    constexpr std::array kNames = {"NOTLS", "SELECTIVETLS", "FORCEDTLS"};
    return is == mode ? run(context)
                      : NotApplicable(fmt::format("the server is in {} mode", kNames[static_cast<std::size_t>(is)]));
  };
}

// --- STARTTLS ---

Judgement StarttlsAcknowledged(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Ask(kStarttls));
  return Require(replies.size() == 1 && IsAcknowledged(replies), TypesOf(replies), "NBD_REP_ACK");
}

std::vector<Option> OptionsBeforeTls(CheckContext& context) {
  return {{.option = OptionType::kList},
          InfoOption(OptionType::kInfo, context.export_name),
          {.option = kUnknownOption, .payload = Bytes(5, 0x5a)},
          {.option = OptionType::kStructuredReply},
          {.option = OptionType::kExtendedHeaders},
          MakeOption(OptionType::kListMetaContext, {.export_name = context.export_name}),
          MakeOption(OptionType::kSetMetaContext,
                     {.export_name = context.export_name, .queries = {std::string(kBaseAllocation)}})};
}

// STARTTLS may be sent at any time.
Judgement StarttlsAfterEachOption(CheckContext& context) {
  for (const Option& option : OptionsBeforeTls(context)) {
    NBDSPEC_TRY(session, context.HagglePlain());
    NBDSPEC_TRY(before, session.Try(option));
    NBDSPEC_TRY(replies, session.Ask(kStarttls));
    if (!IsAcknowledged(replies)) {
      return Broken("after " + OptionName(option.option) + ": " + TypesOf(replies), "NBD_REP_ACK");
    }
  }
  return Holds();
}

// It may be refused, or taken. Where it is refused the next option is understood.
Judgement StarttlsWithData(CheckContext& context) {
  constexpr std::string_view kAllowed = "NBD_REP_ACK, or an error after which the next option is answered";
  NBDSPEC_TRY(session, context.HagglePlain());
  const Option with_data{.option = OptionType::kStarttls, .payload = Bytes(4, 0x5a)};
  const auto replies = session.Ask(with_data);
  if (!replies) {
    return MayDisconnect(replies.error(), kAllowed);
  }
  if (!replies->back().is_error()) {
    return Require(IsAcknowledged(*replies), TypesOf(*replies), kAllowed);
  }
  const auto next = session.Ask({.option = kUnknownOption});
  return About(
      WhatFollows(SubjectOf(with_data)),
      next ? Require(next->back().option == kUnknownOption, "a reply for " + OptionName(next->back().option), kAllowed)
           : MayDisconnect(next.error(), kAllowed));
}

Judgement SecondStarttlsInvalid(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context));
  constexpr std::string_view kAllowed = "NBD_REP_ERR_INVALID";
  const auto replies = session.Ask(kStarttls);
  return replies ? Require(replies->size() == 1 && EndsIn(*replies, OptionReplyType::kErrInvalid), TypesOf(*replies),
                           kAllowed)
                 : Broken(replies.error().text, kAllowed);
}

Judgement ReadyAfterAck(CheckContext& context) {
  NBDSPEC_TRY(ours, OurTls(context));
  NBDSPEC_TRY(session, TlsIsDue(context));
  const auto up = session.StartTls(ours);
  return Require(up.has_value(), up ? "" : up.error(), "a TLS handshake at once");
}

// --- Nothing but TLS on the wire ---

// Where `bytes`, which may be cut off, hold something else than TLS records.
std::optional<std::string> NoRecordIn(ByteView bytes) {
  constexpr std::size_t kHeaderBytes = 5;
  const ByteView all = bytes;
  while (!bytes.empty()) {
    const bool is_type = bytes[0] >= 20 && bytes[0] <= 23;
    if (!is_type || (bytes.size() > 1 && bytes[1] != 3)) {
      const std::size_t at = all.size() - bytes.size();
      const ByteView shown = bytes.first(std::min<std::size_t>(bytes.size(), 16));
      return fmt::format("byte {} after the acknowledgement of STARTTLS begins no TLS record: {}", at,
                         Quoted({reinterpret_cast<const char*>(shown.data()), shown.size()}));
    }
    if (bytes.size() < kHeaderBytes) {
      break;
    }
    const std::size_t length = kHeaderBytes + GetBigEndian<std::uint16_t>(bytes, 3);
    bytes = bytes.subspan(std::min(length, bytes.size()));
  }
  return {};
}

Judgement OnlyRecordsAfterAck(CheckContext& context) {
  NBDSPEC_TRY(ours, OurTls(context));
  NBDSPEC_TRY(session, TlsIsDue(context));
  (void)session.StartTls(ours);  // What came is kept however it ends.
  const auto noise = NoRecordIn(session.tls()->raw());
  return Require(!noise, noise.value_or(""), "nothing but TLS records");
}

Judgement NeverBack(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context));
  for (const Option& option : OptionsBeforeTls(context)) {
    (void)session.Ask(option);
  }
  session.Send(Option{.option = OptionType::kAbort});
  (void)session.WaitForEnd();
  const auto noise = NoRecordIn(session.tls()->raw());
  return Require(!noise, noise.value_or(""), "nothing but TLS records");
}

// --- Handshakes that fail ---

// After `say` there is no TLS; then an option in plaintext must not be answered, and the session must end.
CheckRun EndsAfter(std::function<std::optional<Judgement>(CheckContext& context, Session& session)> say) {
  return [say = std::move(say)](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(session, TlsIsDue(context));
    if (auto inapplicable = say(context, session)) {
      return *std::move(inapplicable);
    }
    session.SendBeneathTls(Encode(Option{.option = OptionType::kList}), "NBD_OPT_LIST");
    Bytes came;
    const Ending end = session.WaitForEndBeneathTls(came);
    Bytes magic = Encode(ServerMessage(OptionReply{}));
    magic.resize(sizeof engine::kOptionReplyMagic);
    if (!std::ranges::search(came, magic).empty()) {
      return Broken("the server answers options in plaintext", kEndOfSession);
    }
    return Require(end != Ending::kTimedOut, "the session is still open", kEndOfSession);
  };
}

// A client that shows what `change` makes of our certificates. A server may not look at them.
template <typename Change>
CheckRun EndsAfterCertificate(Change change) {
  return EndsAfter([change](CheckContext& context, Session& session) -> std::optional<Judgement> {
    const auto ours = OurTls(context);
    if (!ours) {
      return ours.error();
    }
    TlsOptions options = *ours;
    if (!options.credentials.shared_key.empty() || options.credentials.certificate.empty()) {
      return NotApplicable("the server does not know its clients by certificates");
    }
    change(options.credentials);
    // In TLS 1.3 the client is up before the server has looked at its certificate: what comes then shows it.
    if (session.StartTls(options) && !session.ExpectSilence() && session.Ask(Option{.option = OptionType::kList})) {
      return NotApplicable("the server does not look at its clients' certificates");
    }
    return {};
  });
}

void ShowStranger(TlsCredentials& credentials) {
  credentials.certificate = TheTlsMaterial().stranger_certificate;
  credentials.key = TheTlsMaterial().stranger_key;
}

void ShowNone(TlsCredentials& credentials) {
  credentials.certificate.clear();
  credentials.key.clear();
}

// No type of a record, and a length that no record may have. (The high bit would make it an SSL 2 record, of which more
// may have to come.)
std::optional<Judgement> SayGarbage(CheckContext& /*context*/, Session& session) {
  session.SendBeneathTls(Bytes(512, 0x5a), "512 bytes that are no TLS");
  return {};
}

// The option that EndsAfter sends in plaintext is all.
std::optional<Judgement> SayNothing(CheckContext& /*context*/, Session& /*session*/) { return {}; }

// --- FORCEDTLS: before TLS ---

Judgement OtherOptionsRefused(CheckContext& context) {
  for (const Option& option : OptionsBeforeTls(context)) {
    NBDSPEC_TRY(session, context.HagglePlain());
    const auto replies = session.Ask(option);
    if (!replies || replies->size() > 1 || !IsTlsReqd(*replies)) {
      return Broken(OptionName(option.option) + ": " + (replies ? TypesOf(*replies) : replies.error().text),
                    "NBD_REP_ERR_TLS_REQD, and nothing else");
    }
  }
  return Holds();
}

Judgement GoRefused(CheckContext& context) {
  for (const std::string& name : {context.export_name, context.UnknownName()}) {
    NBDSPEC_TRY(session, context.HagglePlain());
    const auto replies = session.Ask(InfoOption(OptionType::kGo, name));
    if (!replies || replies->size() > 1 || !IsTlsReqd(*replies)) {
      return Broken("GO for " + Quoted(name) + ": " + (replies ? TypesOf(*replies) : replies.error().text),
                    "NBD_REP_ERR_TLS_REQD, and nothing else");
    }
  }
  return Holds();
}

Judgement AbortHonoured(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  const auto replies = session.Ask({.option = OptionType::kAbort});
  return Require(!replies || !IsTlsReqd(*replies), "NBD_REP_ERR_TLS_REQD", "ABORT is honoured before TLS");
}

// EXPORT_NAME of `name` before TLS.
Judgement NotServedByName(CheckContext& context, const std::string& name) {
  NBDSPEC_TRY(session, context.HagglePlain());
  const auto reply = session.AskExportName(name, /*no_zeroes=*/!session.negotiated().pads_export_name_reply());
  if (reply) {
    return Broken(fmt::format("size {} and flags {}", reply->size, TransmissionFlagNames(reply->flags)), kEndOfSession);
  }
  return Require(reply.error().is_disconnect() && session.pending().empty(), reply.error().text, kEndOfSession);
}

Judgement ExportNotServedByName(CheckContext& context) { return NotServedByName(context, context.export_name); }

Judgement NoInfoBeforeRefusal(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Ask(InfoOption(OptionType::kInfo, context.export_name, kEveryRequest)));
  const bool has_info = std::ranges::count(replies, OptionReplyType::kInfo, &OptionReply::type) > 0;
  return Require(!has_info, TypesOf(replies), "NBD_REP_ERR_TLS_REQD without NBD_REP_INFO");
}

// --- SELECTIVETLS: before TLS ---

// The exports that LIST names before TLS.
std::expected<std::vector<ListedExport>, Judgement> ListedBeforeTls(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Try({.option = OptionType::kList}));
  return ListedIn(replies);
}

// An export that LIST names inside TLS and not before it.
std::expected<std::string, Judgement> TlsOnlyExport(CheckContext& context) {
  NBDSPEC_TRY(listed_before, ListedBeforeTls(context));
  NBDSPEC_TRY(session, InTls(context));
  NBDSPEC_TRY(inside, session.Try({.option = OptionType::kList}));
  for (const ListedExport& each : ListedIn(inside)) {
    if (std::ranges::count(listed_before, each.name, &ListedExport::name) == 0) {
      return each.name;
    }
  }
  return Stop(NotApplicable("no export is listed inside TLS alone"));
}

template <std::uint32_t option>
Judgement TlsOnlyRefused(CheckContext& context) {
  NBDSPEC_TRY(name, TlsOnlyExport(context));
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Ask(InfoOption(option, name)));
  return Require(IsTlsReqd(replies), OptionName(option) + " for " + Quoted(name) + ": " + TypesOf(replies),
                 "NBD_REP_ERR_TLS_REQD");
}

Judgement TlsOnlyNotServedByName(CheckContext& context) {
  NBDSPEC_TRY(name, TlsOnlyExport(context));
  return NotServedByName(context, name);
}

Judgement OnlyInfoAndGoDemand(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  for (const std::uint32_t option : {OptionType::kList, OptionType::kStructuredReply, kUnknownOption}) {
    NBDSPEC_TRY(replies, session.Ask({.option = option}));
    if (IsTlsReqd(replies)) {
      return Broken(OptionName(option) + ": NBD_REP_ERR_TLS_REQD",
                    "TLS is demanded for INFO, GO and EXPORT_NAME alone");
    }
  }
  return Holds();
}

// What answers `option` before TLS, on a connection of its own.
std::expected<Replies, Judgement> AskBeforeTls(CheckContext& context, const Option& option) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Ask(option));
  return std::move(replies);
}

Judgement ListedDoNotDemand(CheckContext& context) {
  constexpr std::size_t kAskedMax = 8;
  NBDSPEC_TRY(listed, ListedBeforeTls(context));
  for (const ListedExport& each : std::span(listed).first(std::min(listed.size(), kAskedMax))) {
    NBDSPEC_TRY(go, AskBeforeTls(context, InfoOption(OptionType::kGo, each.name)));
    NBDSPEC_TRY(info, AskBeforeTls(context, InfoOption(OptionType::kInfo, each.name)));
    if (IsAcknowledged(go) && IsTlsReqd(info)) {
      return Broken("INFO for " + Quoted(each.name) + ": NBD_REP_ERR_TLS_REQD, and GO serves it",
                    "what is served without TLS does not demand it");
    }
  }
  return Holds();
}

Judgement HiddenDoNotInform(CheckContext& context) {
  NBDSPEC_TRY(name, TlsOnlyExport(context));
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(unknown, session.Ask(InfoOption(OptionType::kInfo, context.UnknownName())));
  NBDSPEC_TRY(hidden, session.Ask(InfoOption(OptionType::kInfo, name)));
  if (!IsTlsReqd(unknown)) {
    return NotApplicable("the server says of unknown exports " + TypesOf(unknown));
  }
  return Require(TypesOf(hidden) == TypesOf(unknown), Quoted(name) + ": " + TypesOf(hidden),
                 "as for an unknown export: " + TypesOf(unknown));
}

// --- Inside TLS ---

Judgement NoDemandInside(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context));
  std::vector<Option> options = OptionsBeforeTls(context);
  options.push_back(InfoOption(OptionType::kInfo, context.UnknownName()));
  options.push_back(InfoOption(OptionType::kGo, context.export_name));
  for (const Option& option : options) {
    NBDSPEC_TRY(replies, session.Ask(option));
    if (IsTlsReqd(replies)) {
      return Broken(OptionName(option.option) + ": NBD_REP_ERR_TLS_REQD", "TLS is not demanded inside of it");
    }
  }
  return Holds();
}

const Option kStructuredReply{.option = OptionType::kStructuredReply};

std::vector<Option> SelectBase(CheckContext& context) {
  return {kStructuredReply, MakeOption(OptionType::kSetMetaContext, {.export_name = context.export_name,
                                                                     .queries = {std::string(kBaseAllocation)}})};
}

// No structured replies are agreed on `session`, inside TLS.
Judgement HasNoStructuredReplies(CheckContext& context, Session session) {
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  constexpr std::string_view kAllowed = "no structured replies that were asked for before TLS";
  if (entered.Has(TransmissionFlag::kSendDf)) {
    return Broken("the flag SEND_DF", kAllowed);
  }
  const std::uint32_t length = std::max(512U, entered.block_size().minimum);
  if (entered.size() < length) {
    return NotApplicable("the export is too small to be read");
  }
  NBDSPEC_TRY(answer, entered.session.Ask(Request{.length = length}));
  return Require(answer.chunks.empty(), "a structured reply to READ", kAllowed);
}

Judgement DropsStructuredReplies(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context, std::span(&kStructuredReply, 1)));
  return HasNoStructuredReplies(context, std::move(session));
}

Judgement DropsContexts(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context, SelectBase(context)));
  NBDSPEC_TRY(structured, session.Require(kStructuredReply));
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  NBDSPEC_TRY(answer, entered.session.Ask(Request{
                          .type = CommandType::kBlockStatus,
                          .length = static_cast<std::uint32_t>(std::min<std::uint64_t>(entered.size(), 65536))}));
  return Require(answer.error() != 0, "BLOCK_STATUS succeeds", "an error: no context is selected inside TLS");
}

// CVE-2021-3716.
Judgement DropsInjected(CheckContext& context) {
  NBDSPEC_TRY(session, InTlsBehind(context, kStructuredReply));
  return HasNoStructuredReplies(context, std::move(session));
}

// --- Versions ---

std::expected<std::expected<void, std::string>, Judgement> StartWith(CheckContext& context, TlsVersion version) {
  NBDSPEC_TRY(ours, OurTls(context));
  NBDSPEC_TRY(session, TlsIsDue(context));
  return session.StartTls({.credentials = ours.credentials, .oldest = version, .newest = version});
}

template <TlsVersion version>
Judgement SpeaksVersion(CheckContext& context) {
  NBDSPEC_TRY(up, StartWith(context, version));
  return Require(up.has_value(), up ? "" : up.error(), "a TLS handshake");
}

Judgement RefusesOldVersion(CheckContext& context) {
  NBDSPEC_TRY(up, StartWith(context, TlsVersion::k1_1));
  return Require(!up.has_value(), "a handshake in TLS 1.1", "versions before TLS 1.2 are refused by default");
}

// --- The end ---

// Whether the server said that it ends (close_notify) before it ended the connection. Not applicable where it did not
// end it.
Judgement SaysItsEnd(Session& session) {
  const ReceiveError end = session.WaitForEnd();
  if (!end.is_disconnect()) {
    return NotApplicable("the server does not end the connection: " + end.text);
  }
  return Require(session.tls()->filter().other_end_closed(), end.text + ", without a close_notify",
                 "close_notify, then the end of the connection");
}

Judgement DiscClosesTls(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context));
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  entered.session.Send(Request{.type = CommandType::kDisc, .cookie = entered.session.NextCookie()});
  return SaysItsEnd(entered.session);
}

Judgement ErrorClosesTls(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context));
  session.SendRaw(Bytes(32, 0xa5), "32 bytes that are no option");
  return SaysItsEnd(session);
}

Judgement ErrorInTransmissionClosesTls(CheckContext& context) {
  NBDSPEC_TRY(session, InTls(context));
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  entered.session.SendRaw(Bytes(64, 0xa5), "64 bytes that are no request");
  return SaysItsEnd(entered.session);
}

// The rows of both modes.
Check Forced(std::string_view id, std::string_view claim, CheckRun run) {
  return {.id = id, .claim = claim, .run = In(Mode::kForced, std::move(run)), .setup = Setup::kTlsDemanded};
}

Check Selective(std::string_view id, std::string_view claim, CheckRun run, Features needs = 0) {
  return {.id = id,
          .claim = claim,
          .run = In(Mode::kSelective, std::move(run)),
          .needs = needs,
          .setup = Setup::kTlsOffered};
}

// In any mode with TLS.
Check WithTls(std::string_view id, std::string_view claim, CheckRun run) {
  return {.id = id, .claim = claim, .run = std::move(run), .setup = Setup::kTlsDemanded};
}

}  // namespace

std::vector<Check> TlsChecks() {
  return {
      Forced(kTlsForcedStarttlsAck, "STARTTLS is acknowledged.", StarttlsAcknowledged),
      Forced(kTlsForcedSecondStarttls, "STARTTLS inside TLS gets ERR_INVALID.", SecondStarttlsInvalid),
      WithTls(kTlsForcedReadyAfterAck, "A TLS handshake succeeds right after the ACK.", ReadyAfterAck),
      WithTls(kTlsForcedAllOverTlsServer, "Only TLS records follow the ACK of STARTTLS.", OnlyRecordsAfterAck),
      WithTls(kTlsForcedNoDowngrade, "Only TLS records come until the end of a session.", NeverBack),
      WithTls(kTlsForcedHandshakeFail, "512 bytes of garbage in place of a handshake end the session.",
              EndsAfter(SayGarbage)),
      WithTls(kSub<kTlsForcedHandshakeFail, "plaintext">, "An option in place of a handshake ends the session.",
              EndsAfter(SayNothing)),
      WithTls(kSub<kTlsForcedHandshakeFail, "unknown-certificate">,
              "A client whose certificate an unknown authority has signed is not served.",
              EndsAfterCertificate(ShowStranger)),
      WithTls(kSub<kTlsForcedHandshakeFail, "no-certificate">,
              "A client without a certificate is not served, where it needs one.", EndsAfterCertificate(ShowNone)),
      Forced(kTlsForcedOtherOptions,
             "LIST, INFO, STRUCTURED_REPLY, options for contexts and unknown ones get TLS_REQD.", OtherOptionsRefused),
      Forced(kTlsForcedAbortAllowed, "ABORT does not get TLS_REQD.", AbortHonoured),
      Forced(kTlsForcedExportName, "EXPORT_NAME ends the session without a byte.", ExportNotServedByName),
      Forced(kTlsForcedGo, "GO gets TLS_REQD, for an export and for an unknown name.", GoRefused),
      Forced(kTlsForcedNoTlsReqdAfter, "No option inside TLS gets TLS_REQD.", NoDemandInside),
      Forced(kOptionInfoTlsReqdForcedNoInfo, "INFO gets TLS_REQD and no information.", NoInfoBeforeRefusal),
      Selective(kTlsSelectiveStarttlsAck, "STARTTLS is acknowledged.", StarttlsAcknowledged),
      Selective(kSub<kTlsSelectiveStarttlsAck, "later">, "STARTTLS is acknowledged after each other option.",
                StarttlsAfterEachOption),
      Selective(kTlsSelectiveSecondStarttls, "STARTTLS inside TLS gets ERR_INVALID.", SecondStarttlsInvalid),
      Selective(kTlsSelectiveInfoTlsOnly, "INFO for an export that is listed inside TLS alone gets TLS_REQD before it.",
                TlsOnlyRefused<OptionType::kInfo>),
      Selective(kTlsSelectiveGoTlsOnly, "GO for an export that is listed inside TLS alone gets TLS_REQD before it.",
                TlsOnlyRefused<OptionType::kGo>),
      Selective(kTlsSelectiveExportNameTlsOnly,
                "EXPORT_NAME for an export that is listed inside TLS alone ends the session before it.",
                TlsOnlyNotServedByName),
      Selective(kOptionExportNameUnmetTerminates,
                "EXPORT_NAME for an export that needs TLS ends the session before it.", TlsOnlyNotServedByName),
      Selective(kTlsSelectiveNoTlsReqdAfter, "No option inside TLS gets TLS_REQD.", NoDemandInside),
      Selective(kTlsSelectiveTlsReqdOnlyInfoGo, "LIST, STRUCTURED_REPLY and an unknown option do not get TLS_REQD.",
                OnlyInfoAndGoDemand),
      Selective(kTlsSelectiveTlsReqdOnlyHidden, "INFO for what GO serves before TLS does not get TLS_REQD.",
                ListedDoNotDemand),
      Selective(kOptionInfoHideUnknownNoInfo,
                "Where unknown exports get TLS_REQD, those that need TLS get no information before it.",
                HiddenDoNotInform),
      Selective(kOptionStarttlsDropStructured,
                "Structured replies that were agreed before TLS are not in force inside.", DropsStructuredReplies,
                kChunks),
      Selective(kSub<kOptionStarttlsDropStructured, "injected">,
                "STRUCTURED_REPLY behind STARTTLS in the same segment has no effect inside TLS.", DropsInjected),
      Selective(kOptionStarttlsDropMeta, "Contexts that were selected before TLS are not selected inside.",
                DropsContexts, kBase),
      WithTls(kSub<kOptionStarttlsReply, "data">,
              "STARTTLS with data is taken, or refused and the next option answered.", StarttlsWithData),
      WithTls(kTlsVersion12Server, "A handshake in TLS 1.2 succeeds.", SpeaksVersion<TlsVersion::k1_2>),
      WithTls(kTlsVersionLaterServer, "A handshake in TLS 1.3 succeeds.", SpeaksVersion<TlsVersion::k1_3>),
      WithTls(kTlsVersionOlderNotDefaultServer, "A handshake in TLS 1.1 is refused.", RefusesOldVersion),
      WithTls(kDiscServerClosesTls, "DISC inside TLS gets a close_notify before the end of the connection.",
              DiscClosesTls),
      WithTls(kSessionHardTlsShutdownFirstServer,
              "Where the server ends a session for bytes that are no option, close_notify comes first.",
              ErrorClosesTls),
      WithTls(kTransmissionHardTlsFirstServer,
              "Where the server ends a session for bytes that are no request, close_notify comes first.",
              ErrorInTransmissionClosesTls),
  };
}

}  // namespace nbdspec::conformance
