// SPDX-License-Identifier: BSD-3-Clause
// Checks of how requests come: in pieces, and several in one piece. Each gets the reply that it gets when it comes
// whole and alone. Spec: proto.md, "Transmission".
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

constexpr std::string_view kAllowed = "one reply to each request, as when it comes whole and alone";
constexpr int kPieces = 40;  // Of a message at most, for each is a line of the transcript.

// READ, WRITE, READ of what was written, and what else is offered.
std::expected<std::vector<Request>, Judgement> Requests(CheckContext& context, Entered& entered) {
  NBDSPEC_TRY(scratch, ScratchRange(entered, 2));
  const ByteRange cell{.begin = scratch.begin, .end = scratch.begin + GridOf(entered)};
  std::vector<Request> requests = {RequestFor(CommandType::kRead, cell)};
  if (context.Offers(kWritable)) {
    requests.push_back(WriteOf(cell.begin, Pattern(cell.length(), context.random())));
    requests.push_back(RequestFor(CommandType::kRead, cell));
  }
  for (const std::uint16_t command : {CommandType::kFlush, CommandType::kCache}) {
    if (IsOffered(entered, command)) {
      requests.push_back(RequestFor(command, command == CommandType::kFlush ? ByteRange{} : cell));
    }
  }
  for (Request& request : requests) {
    request.cookie = entered.session.NextCookie();
  }
  return requests;
}

// Which request gets which error when each comes whole, one after the other.
std::expected<std::vector<std::uint32_t>, Judgement> ErrorsAlone(Session& session,
                                                                 const std::vector<Request>& requests) {
  std::vector<std::uint32_t> errors;
  for (Request request : requests) {
    request.cookie = 0;
    NBDSPEC_TRY(answer, session.Ask(request));
    errors.push_back(answer.error());
  }
  return errors;
}

// Takes the answers to `requests`, whose errors are to be `errors`.
Judgement GetAnswers(Session& session, const std::vector<Request>& requests, const std::vector<std::uint32_t>& errors,
                     std::string_view how) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::string what = fmt::format("{} {}: ", Describe(requests[i]), how);
    const auto answer = session.NextAnswer(requests[i].cookie);
    if (!answer) {
      return About(SubjectOf(requests[i]), Broken(what + answer.error().text, kAllowed));
    }
    if (answer->error() != errors[i]) {
      return About(SubjectOf(requests[i]), Broken(what + ErrorName(answer->error()), kAllowed));
    }
  }
  return Require(session.unmatched().empty(), fmt::format("replies with cookies never sent, {}", how), kAllowed);
}

Judgement AnswersRequestsInPieces(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(requests, Requests(context, entered));
  NBDSPEC_TRY(errors, ErrorsAlone(entered.session, requests));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    entered.session.SendInPieces(requests[i], 1 + requests[i].payload.size() / kPieces);
    if (Judgement judgement = GetAnswers(entered.session, {requests[i]}, {errors[i]}, "in pieces");
        !judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

// A READ and a WRITE of the same bytes are in flight together: which comes first is not judged.
Judgement AnswersRequestsTogether(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(requests, Requests(context, entered));
  NBDSPEC_TRY(errors, ErrorsAlone(entered.session, requests));
  entered.session.SendTogether(std::vector<engine::ClientMessage>(requests.begin(), requests.end()));
  return GetAnswers(entered.session, requests, errors, "in one segment with others");
}

}  // namespace

std::vector<Check> RequestDeliveryChecks() {
  return {
      {kSub<kTransmissionReplyPerRequest, "pieces">, "Requests that come in small pieces get their replies.",
       AnswersRequestsInPieces},
      {kSub<kTransmissionReplyPerRequest, "one-segment">, "Requests that come in one segment get their replies.",
       AnswersRequestsTogether},
  };
}

}  // namespace nbdspec::conformance
