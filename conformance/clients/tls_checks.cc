// SPDX-License-Identifier: BSD-3-Clause
// The checks of clients that are to use TLS, and of those that meet it unasked.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/clients/refusals.h"
#include "engine/faults/option_changes.h"
#include "engine/wire/protocol.h"

namespace nbdspec::conformance {

namespace {

using namespace engine::faults;  // The vocabulary of changes.
using engine::Record;
using engine::Seen;
using engine::TlsBegins;
using engine::TlsMode;

constexpr std::uint8_t kHandshakeRecord = 22;  // Of TLS: the type of the first record, a ClientHello.

bool IsTlsBegin(const Seen& seen) { return std::holds_alternative<TlsBegins>(seen.what); }

// Where the client sent STARTTLS.
std::optional<std::size_t> FindStarttls(const Record& record) {
  for (std::size_t i = 0; i < record.seen.size(); ++i) {
    const auto* message = std::get_if<engine::ClientMessage>(&record.seen[i].what);
    const auto* option = message != nullptr ? std::get_if<engine::Option>(message) : nullptr;
    if (option != nullptr && option->option == kStarttls) {
      return i;
    }
  }
  return {};
}

// Calls judge(record, place) for each connection; the first judgement that is broken, else the last that holds.
template <typename JudgeRecord>
ClientJudgement ForEachRecord(const Performance& performance, JudgeRecord judge, std::string_view missing) {
  ClientJudgement all{.judgement = NotApplicable(std::string(missing))};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientRun& run = performance.plays[i].run;
    for (std::size_t c = 0; c < run.records.size(); ++c) {
      ClientJudgement one{.judgement = judge(run, c), .place = {.play = i, .connection = c}};
      if (one.judgement.is_broken()) {
        return one;
      }
      if (one.judgement.holds()) {
        all = std::move(one);
      }
    }
  }
  return all;
}

constexpr std::string_view kNoTls = "the client did not begin TLS";

ClientJudgement JudgeUsesTls(const Performance& performance) {
  return ForEachRecord(
      performance,
      [](const ClientRun& run, std::size_t c) {
        const Record& record = run.records[c];
        const bool says_something = std::ranges::any_of(
            record.seen, [](const Seen& seen) { return std::holds_alternative<engine::ClientMessage>(seen.what); });
        return says_something ? Require(FindStarttls(record).has_value(), "a conversation without NBD_OPT_STARTTLS",
                                        "TLS, which nbds wants")
                              : NotApplicable("the client sent nothing");
      },
      kNoTls);
}

// What follows the acknowledgement of STARTTLS is the client's first record of TLS.
ClientJudgement JudgeBeginsTls(const Performance& performance) {
  return ForEachRecord(
      performance,
      [](const ClientRun& run, std::size_t c) {
        const Record& record = run.records[c];
        if (std::ranges::none_of(record.seen, IsTlsBegin) || record.behind_starttls.empty()) {
          return NotApplicable(std::string(kNoTls));
        }
        return Require(record.behind_starttls.front() == kHandshakeRecord,
                       fmt::format("a first byte of {}", record.behind_starttls.front()),
                       "a ClientHello behind the acknowledgement: a first byte of 22");
      },
      kNoTls);
}

// Whether `bytes` are records of TLS, as far as they go.
bool AreTlsRecords(engine::ByteView bytes) {
  constexpr std::size_t kHeaderBytes = 5;  // Type, version, length.
  while (!bytes.empty()) {
    const bool is_type = bytes[0] >= 20 && bytes[0] <= 24;
    if (!is_type || (bytes.size() > 1 && bytes[1] != 3)) {
      return false;
    }
    const std::size_t length =
        bytes.size() < kHeaderBytes ? bytes.size() : kHeaderBytes + bytes[3] * std::size_t{256} + bytes[4];
    bytes = bytes.subspan(std::min(length, bytes.size()));
  }
  return true;
}

// A handshake that failed is followed by nothing.
ClientJudgement JudgeEndsAtFailure(const Performance& performance) {
  return ForEachRecord(
      performance,
      [](const ClientRun& run, std::size_t c) {
        const Record& record = run.records[c];
        if (std::ranges::none_of(record.seen, IsTlsBegin) || run.was_up[c]) {
          return NotApplicable(std::string(kNoTls));
        }
        const auto* left = record.seen.empty() ? nullptr : std::get_if<engine::Departure>(&record.seen.back().what);
        const bool stays = left != nullptr && left->how == engine::Departure::How::kStayed;
        const bool is_plain = !AreTlsRecords(record.behind_starttls);
        return Require(!stays && !is_plain, stays ? "an open connection" : "plaintext behind a handshake that failed",
                       "the end of the connection");
      },
      kNoTls);
}

// A version before 1.2 is all that the server speaks.
ClientJudgement JudgeNotUp(const Performance& performance) {
  return ForEachRecord(
      performance,
      [](const ClientRun& run, std::size_t c) {
        return std::ranges::any_of(run.records[c].seen, IsTlsBegin)
                   ? Require(!run.was_up[c], "a session of TLS 1.1", "no version before TLS 1.2")
                   : NotApplicable(std::string(kNoTls));
      },
      kNoTls);
}

// Who asked for TLS on its first connection, and was refused, asks again on the others.
ClientJudgement JudgeAsksAgain(const Performance& performance) {
  ClientJudgement judgement{.judgement = NotApplicable("the client did not ask for TLS and connect again")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const auto& records = performance.plays[i].run.records;
    for (std::size_t c = 1; c < records.size() && FindStarttls(records.front()); ++c) {
      const bool asks = std::ranges::any_of(records[c].seen, [](const Seen& seen) {
        const auto* message = std::get_if<engine::ClientMessage>(&seen.what);
        return message != nullptr && std::holds_alternative<engine::Option>(*message);
      });
      if (asks && !judgement.judgement.is_broken()) {
        judgement = {.judgement = Require(FindStarttls(records[c]).has_value(), "no NBD_OPT_STARTTLS",
                                          "the question that it asked before: another session may have TLS"),
                     .place = {.play = i, .connection = c}};
      }
    }
  }
  return judgement;
}

// STARTTLS is refused, and the client wants nothing without: it enters nowhere.
ClientJudgement JudgeEntersNowhere(const Performance& performance) {
  ClientJudgement noticed = JudgeNotices(performance);
  if (noticed.judgement.is_broken()) {
    return noticed;
  }
  return ForEachRecord(
      performance,
      [](const ClientRun& run, std::size_t c) {
        const Record& record = run.records[c];
        const auto starttls = FindStarttls(record);
        if (!starttls) {
          return NotApplicable(std::string(kNoTls));
        }
        const bool entered = std::any_of(
            record.seen.begin() + static_cast<std::ptrdiff_t>(*starttls), record.seen.end(), [](const Seen& seen) {
              const auto* message = std::get_if<engine::ClientMessage>(&seen.what);
              const auto* option = message != nullptr ? std::get_if<engine::Option>(message) : nullptr;
              return option != nullptr && (option->option == kGo || option->option == kExportName);
            });
        return Require(!entered, "the client went on to enter the export", "the end of the session");
      },
      kNoTls);
}

// The client ends TLS before the connection.
template <bool in_transmission>
ClientJudgement JudgeEndsTls(const Performance& performance) {
  return ForEachRecord(
      performance,
      [](const ClientRun& run, std::size_t c) {
        const Record& record = run.records[c];
        const bool was_in = std::ranges::any_of(record.seen, [](const Seen& seen) {
          const auto* message = std::get_if<engine::ClientMessage>(&seen.what);
          return message != nullptr && std::holds_alternative<engine::Request>(*message);
        });
        if (std::ranges::none_of(record.seen, IsTlsBegin) || was_in != in_transmission || !run.was_up[c]) {
          return NotApplicable(in_transmission ? "the client did not leave transmission inside TLS"
                                               : "the client did not leave option haggling inside TLS");
        }
        return Require(run.said_close[c], "no close_notify before the end of the connection",
                       "the end of TLS, and then of TCP");
      },
      kNoTls);
}

// A server that demands TLS refuses who does not begin it. Some clients do unasked, which is their right.
ClientJudgement JudgeRefused(const Performance& performance) {
  const bool begins = std::ranges::any_of(performance.plays, [](const ClientPlay& play) {
    return std::ranges::any_of(play.run.records,
                               [](const Record& record) { return std::ranges::any_of(record.seen, IsTlsBegin); });
  });
  return begins ? ClientJudgement{.judgement = NotApplicable("the client begins TLS unasked")}
                : JudgeNotices(performance);
}

}  // namespace

std::vector<ScenarioCheck> TlsClientChecks() {
  constexpr ScenarioTls kWanted{.is_wanted = true};
  const engine::ServerOptions forced{.tls = TlsMode::kForced};
  const engine::ServerOptions selective{.tls = TlsMode::kSelective};
  const auto without = [](bool engine::TlsConduct::* version) {
    return std::vector<Change>{{.tls = [version](engine::TlsConduct& conduct) { conduct.*version = false; }}};
  };
  const std::vector<Change> speaks_1_1_alone = {{.tls = [](engine::TlsConduct& conduct) {
    conduct.speaks_1_1 = true;
    conduct.speaks_1_2 = conduct.speaks_1_3 = false;
  }}};
  const std::vector<Change> no_handshake = {{.tls = [](engine::TlsConduct& conduct) {
    conduct.plaintext_first = {'n', 'o', ' ', 'T', 'L', 'S', ' ', 'h', 'e', 'r', 'e', '\r', '\n', '\r', '\n', 0};
  }}};
  return {
      {std::string(kUriSchemeNbdsUsesTls), "nbds begins TLS", {.server = selective, .tls = kWanted}, JudgeUsesTls},
      {std::string(kInteropTlsClient), "a server that demands TLS is used", {.server = forced, .tls = kWanted}},
      {std::string(kTlsClientAllModes),
       "a server that has TLS, and does not demand it, is used without",
       {.server = selective}},
      {std::string(kTlsClientAllModes) + "/selective", "the same, with TLS", {.server = selective, .tls = kWanted}},
      {std::string(kTlsClientAllModes) + "/forced",
       "a server that demands TLS refuses who has none",
       {.serves = Serves::kRefusal, .server = forced},
       JudgeRefused},
      {std::string(kUriNoTlsError), "the same", {.serves = Serves::kRefusal, .server = forced}, JudgeRefused},
      {std::string(kTlsClientUpgradeOnAck),
       "TLS begins behind the acknowledgement",
       {.server = forced, .tls = kWanted},
       JudgeBeginsTls},
      {std::string(kTlsForcedAllOverTlsClient),
       "nothing is sent in plaintext behind the acknowledgement",
       {.server = forced, .tls = kWanted},
       JudgeBeginsTls},
      {std::string(kUriSchemeNbdsFailsWithoutTls),
       "nbds fails where the server has no TLS",
       {.serves = Serves::kRefusal, .tls = kWanted},
       JudgeNotices},
      {std::string(kTlsClientRefused),
       "STARTTLS is refused by policy, and the client leaves",
       {.serves = Serves::kRefusal,
        .server = selective,
        .changes = {RefusesOption(kStarttls, kErrPolicy)},
        .tls = kWanted},
       JudgeEntersNowhere},
      {std::string(kTlsClientTlsOnlyTerminates),
       "STARTTLS is unknown, and the client leaves",
       {.serves = Serves::kRefusal, .changes = {RefusesOption(kStarttls, kErrUnsup)}, .tls = kWanted},
       JudgeEntersNowhere},
      {std::string(kTlsDowngradeClientEnsures),
       "a server that forgets its TLS gets no request",
       {.serves = Serves::kRefusal, .changes = {RefusesOption(kStarttls, kErrInvalid)}, .tls = kWanted},
       JudgeEntersNowhere},
      {std::string(kTlsClientHandshakeFail),
       "a handshake that fails ends the session",
       {.serves = Serves::kWrong, .server = forced, .changes = no_handshake, .tls = kWanted},
       JudgeNotices},
      {std::string(kSessionMandatedHardIfNoSoftClient),
       "nothing follows a handshake that failed",
       {.serves = Serves::kWrong, .server = forced, .changes = no_handshake, .tls = kWanted},
       JudgeEndsAtFailure},
      {std::string(kTlsModeClientNoCarryOver),
       "TLS that one session lacked is asked for in the next",
       {.server = selective,
        .changes = {RefusesOption(kStarttls, kErrUnsup, /*only_first=*/true)},
        .may_fail = kAnyTask},
       JudgeAsksAgain},
      {std::string(kTlsVersionOlderNotDefaultClient),
       "a server that speaks TLS 1.1 alone gets no session",
       {.serves = Serves::kRefusal, .server = forced, .changes = speaks_1_1_alone, .tls = kWanted},
       JudgeNotUp},
      {std::string(kTlsVersion12Client),
       "a server that speaks TLS 1.2 alone is used",
       {.server = forced, .changes = without(&engine::TlsConduct::speaks_1_3), .tls = kWanted}},
      {std::string(kTlsVersionLaterClient),
       "a server that speaks TLS 1.3 alone is used",
       {.server = forced, .changes = without(&engine::TlsConduct::speaks_1_2), .tls = kWanted}},
      {std::string(kUriTlsVerifyDefault),
       "a server with a certificate of an unknown authority is refused",
       {.serves = Serves::kRefusal, .server = forced, .tls = {.is_wanted = true, .shows_stranger = true}},
       JudgeNotices},
      {std::string(kTransmissionHardTlsFirstClient),
       "TLS is ended before the connection",
       {.server = forced, .tls = kWanted},
       JudgeEndsTls<true>},
      {std::string(kSessionHardTlsShutdownFirstClient),
       "the same, where nobody is let in",
       {.serves = Serves::kRefusal, .server = forced, .changes = {RefusesEntry(kErrUnknown)}, .tls = kWanted},
       JudgeEndsTls<false>},
  };
}

}  // namespace nbdspec::conformance
