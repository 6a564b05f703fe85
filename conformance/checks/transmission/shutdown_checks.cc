// SPDX-License-Identifier: BSD-3-Clause
// Checks of a server that is asked to end (SIGTERM) in the middle of a conversation. It may end at once: what it says,
// or half says, from then on is judged, and never that it is silent or gone. Spec: proto.md, "Termination of the
// session during option haggling", "Terminating the transmission phase".
#include "conformance/checks/options/haggling.h"
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

constexpr int kTries = 5;  // The server may take note some time after it was asked.
constexpr std::chrono::milliseconds kEndWait{1000};

// Errors: not applicable to a server that cannot be asked.
Step AskToEnd(CheckContext& context) {
  if (const auto asked = context.peer.ShutDown(); !asked) {
    return Stop(NotApplicable(asked.error().sentence));
  }
  return {};
}

// What `judgement` of a server that was asked to end comes to: nothing where it does not.
Judgement OnceEnded(CheckContext& context, Session session, Judgement judgement) {
  {
    const Session over = std::move(session);
  }
  const bool ends = context.peer.HasShutDown(Transport::Clock::now() + kEndWait);
  return ends ? judgement : NotApplicable("the server does not end when it is asked to");
}

// --- In option haggling ---

Judgement OptionsGetErrShutdown(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const Option info = InfoOption(OptionType::kInfo, context.export_name);  // It may be asked again.
  NBDSPEC_TRY(before, session.Ask(info));
  if (!IsAcknowledged(before)) {
    return NotApplicable("NBD_OPT_INFO is answered " + TypesOf(before) + " at any time");
  }
  NBDSPEC_TRY(asked, AskToEnd(context));
  Judgement judgement;
  for (int i = 0; i < kTries; ++i) {
    const auto replies = session.Ask(info);
    if (!replies || EndsIn(*replies, OptionReplyType::kErrShutdown)) {
      judgement = replies ? Holds() : NotApplicable(replies.error().text);
      break;
    }
    judgement = Broken("NBD_OPT_INFO was answered " + TypesOf(*replies), "NBD_REP_ERR_SHUTDOWN");
    (void)session.ExpectSilence();  // It takes a moment.
  }
  return OnceEnded(context, std::move(session), std::move(judgement));
}

// --- In transmission ---

// A request and its answer.
struct Sent {
  Request request;
  Received<Answer> answer = std::unexpected(ReceiveError{});  // Until it comes.
};

// Errors: inconclusive where it does not, while all is well.
Step Succeeds(const Sent& sent) {
  if (sent.answer && sent.answer->error() == NbdError::kOk) {
    return {};
  }
  return Stop(sent.answer ? Inconclusive("NBD_CMD_READ: " + ErrorName(sent.answer->error()))
                          : AsJudgement(sent.answer.error()));
}

// Whether what failed did so by ESHUTDOWN.
Judgement FailsByEshutdown(std::span<const Sent> all) {
  Judgement judgement = NotApplicable("nothing fails");
  for (const Sent& each : all) {
    const std::uint32_t error = each.answer ? each.answer->error() : NbdError::kOk;
    if (error != NbdError::kOk && error != NbdError::kEshutdown) {
      return About(
          SubjectOf(each.request),
          Broken(fmt::format("{} was answered {}", CommandName(each.request.type), ErrorName(error)), "NBD_ESHUTDOWN"));
    }
    judgement = error == NbdError::kEshutdown ? Holds() : std::move(judgement);
  }
  return judgement;
}

// Whether no answer was cut off, or left out: one that was begun, or is behind one that came, was to a request in
// flight. Those of which nothing shows may not have reached the server.
Judgement WaitsFor(std::span<const Sent> all, bool is_torn) {
  constexpr std::string_view kAllowed = "answers to the requests in flight, then the end of the connection";
  const auto is_answered = [](const Sent& each) { return each.answer.has_value(); };
  const auto first = std::ranges::find_if_not(all, is_answered);
  if (first == all.end()) {
    return Holds();
  }
  const ReceiveError& ended = first->answer.error();
  const std::string which = fmt::format("request number {} of {}: ", first - all.begin() + 1, all.size());
  if (!ended.is_disconnect()) {
    return NotApplicable(which + ended.text);
  }
  const bool is_left_out = std::any_of(first, all.end(), is_answered);
  return Require(!is_torn && !is_left_out,
                 which + (is_left_out ? "only those behind it are answered; " : "") + ended.text, kAllowed);
}

// All requests to a server that was asked to end while it answered.
struct Talk {
  Session session;
  std::vector<Sent> sent;

  // Nothing for a reply to none of them.
  Sent* SentWith(const std::optional<ReplyHead>& head) {
    const auto found = std::ranges::find_if(
        sent, [&](const Sent& each) { return head && head->cookie == each.request.cookie && !each.answer; });
    return found == sent.end() ? nullptr : &*found;
  }

  // What is not answered will not be.
  void EndWith(const ReceiveError& ended) {
    for (Sent& each : sent) {
      if (!each.answer) {
        each.answer = std::unexpected(ended);
      }
    }
  }

  [[nodiscard]] Judgement WaitsForAll() const { return WaitsFor(sent, !session.pending().empty()); }
  [[nodiscard]] Judgement FailsWell() const { return FailsByEshutdown(sent); }
};

// READs of more than sockets hold, so that some are in flight, and WRITEs between them; the server is asked to end when
// the first answer has come.
std::expected<Talk, Judgement> AskToEndInFlight(CheckContext& context) {
  constexpr int kReads = 8;
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(first, FirstRead(entered));
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t longest = std::min<std::uint64_t>(kMiB, entered.block_size().maximum);
  first.length = static_cast<std::uint32_t>(std::min(UsableBytes(entered), longest / grid * grid));
  const auto scratch = ScratchRange(entered, kReads);
  Talk talk{.session = std::move(entered.session), .sent = {}};
  for (std::uint64_t i = 0; i < kReads; ++i) {
    talk.sent.push_back({.request = first});
    if (scratch && context.Offers(kWritable)) {
      talk.sent.push_back({.request = WriteOf(scratch->begin + i * grid, Pattern(grid, i))});
    }
  }
  for (Sent& each : talk.sent) {
    each.request.cookie = talk.session.NextCookie();
    talk.session.Send(each.request);
  }
  // Replies come in any order.
  for (std::size_t count = 1; count <= talk.sent.size(); ++count) {
    auto next = talk.session.Next();
    if (!next) {
      talk.EndWith(next.error());
      break;
    }
    Sent* const to = talk.SentWith(HeadOf(*next));
    auto* const reply = std::get_if<SimpleReply>(&*next);
    if (to == nullptr || reply == nullptr) {
      return Stop(Inconclusive(Describe(*next)));
    }
    to->answer = Answer{.simple = std::move(*reply)};
    if (count == 1) {
      NBDSPEC_TRY(answered, Succeeds(*to));
      talk.session.Rest();  // Now the next answers fill what is between the ends,
      NBDSPEC_TRY(asked, AskToEnd(context));
      talk.session.Rest();  // and the server takes note before there is room for more.
    }
  }
  return std::move(talk);
}

using JudgeTalk = Judgement (Talk::*)() const;
template <JudgeTalk judge>
Judgement InFlight(CheckContext& context) {
  NBDSPEC_TRY(talk, AskToEndInFlight(context));
  Judgement judgement = (talk.*judge)();
  return OnceEnded(context, std::move(talk.session), std::move(judgement));
}

Judgement LaterFailsWell(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(read, FirstRead(entered));
  std::vector<Sent> later;
  for (int i = 0; i <= kTries; ++i) {
    read.cookie = entered.session.NextCookie();
    Sent sent{.request = read, .answer = entered.session.Ask(read)};
    if (i == 0) {
      NBDSPEC_TRY(answered, Succeeds(sent));
      NBDSPEC_TRY(asked, AskToEnd(context));
      continue;
    }
    later.push_back(std::move(sent));
    if (!later.back().answer || later.back().answer->error() != NbdError::kOk) {
      break;
    }
    (void)entered.session.ExpectSilence();  // It takes a moment.
  }
  return OnceEnded(context, std::move(entered.session), FailsByEshutdown(later));
}

}  // namespace

std::vector<Check> ShutdownChecks() {
  return {
      {kSessionShutdownErrShutdown, "Asked to end, the server answers INFO with ERR_SHUTDOWN, if at all.",
       OptionsGetErrShutdown, kFixed | Feature::kInfo},
      {kTransmissionShutdownWaitInflight,
       "Asked to end while READs are in flight, the server neither cuts an answer off nor leaves one out.",
       InFlight<&Talk::WaitsForAll>},
      {kTransmissionShutdownEshutdownInflight,
       "Asked to end while READs are in flight, the server fails none but with ESHUTDOWN.", InFlight<&Talk::FailsWell>},
      {kTransmissionShutdownEshutdownLater, "Asked to end, the server fails no later READ but with ESHUTDOWN.",
       LaterFailsWell},
  };
}

}  // namespace nbdspec::conformance
