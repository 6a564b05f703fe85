// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target session_decode: sessions that are wrong in one way each.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/session_decode_differential.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Answer;
using conformance::Ending;
using conformance::Received;
using conformance::ReceiveError;
using conformance::Session;
using conformance::Transcript;
using conformance::Transport;

// --- What the session gets is not what was sent ---

// How what was received ended, and the piece that came; both may be changed. `count` is the session's, for whatever
// use.
using Spoil = Ending (*)(Ending ending, engine::Bytes& piece, unsigned& count);

template <Ending kFrom, Ending kTo>
Ending TakeForAnother(Ending ending, engine::Bytes& /*piece*/, unsigned& /*count*/) {
  return ending == kFrom ? kTo : ending;
}

Ending LoseTheLastByteOfLongPieces(Ending ending, engine::Bytes& piece, unsigned& /*count*/) {
  piece.resize(piece.size() < 100 ? piece.size() : piece.size() - 1);
  return ending;
}

// A piece that is one zero byte is not there.
Ending TakeAPieceForAnEndOfLine(Ending ending, engine::Bytes& piece, unsigned& count) {
  if (piece.size() == 1 && piece[0] == 0 && ++count % 8 == 0) {
    piece.clear();
  }
  return ending;
}

template <Spoil kSpoil>
struct Over : Session {
  struct Spoiled : Transport {
    explicit Spoiled(std::unique_ptr<Transport> transport) : right(std::move(transport)) {}
    Ending SendSome(engine::ByteView& bytes, Clock::time_point deadline) override {
      return right->SendSome(bytes, deadline);
    }
    Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
      return kSpoil(right->Receive(out, bytes_max, deadline), out, count);
    }
    void CloseSending() override { right->CloseSending(); }

    std::unique_ptr<Transport> right;
    unsigned count = 0;
  };

  Over(std::unique_ptr<Transport> transport, const Limits& limits, Transcript& transcript)
      : Session(std::make_unique<Spoiled>(std::move(transport)), limits, transcript) {}
};

// --- What limits it ---

template <auto kLimit>
struct Without : Session {
  Without(std::unique_ptr<Transport> transport, Limits limits, Transcript& transcript)
      : Session(std::move(transport), Unlimited(limits), transcript) {}

  static Limits& Unlimited(Limits& limits) {
    limits.*kLimit = std::numeric_limits<std::remove_reference_t<decltype(limits.*kLimit)>>::max();
    return limits;
  }
};

// --- What it makes of it ---

struct TakesTheNextReplyForTheAnswer : Session {
  using Session::Session;
  Received<Answer> NextAnswer(std::uint64_t /*cookie*/) {
    auto next = Next();
    if (!next) {
      return std::unexpected(next.error());
    }
    if (const auto* simple = std::get_if<engine::SimpleReply>(&*next)) {
      return Answer{.simple = *simple};
    }
    const auto* chunk = std::get_if<engine::Chunk>(&*next);
    return chunk == nullptr ? Received<Answer>(std::unexpected(ReceiveError{.kind = ReceiveError::kUnexpected}))
                            : Answer{.chunks = {*chunk}};
  }
};

struct LosesStrays : Session {
  using Session::Session;
  [[nodiscard]] std::vector<engine::ServerMessage> unmatched() const { return {}; }
};

struct GivesChunksInReverse : Session {
  using Session::Session;
  Received<Answer> NextAnswer(std::uint64_t cookie) {
    auto answer = Session::NextAnswer(cookie);
    if (answer) {
      std::ranges::reverse(answer->chunks);
    }
    return answer;
  }
};

struct ForgetsThatAReadWasSaid : Session {  // So its data is no part of the simple reply.
  using Session::Session;
  void Send(const engine::ClientMessage& message) {
    engine::ClientMessage other = message;
    std::get<engine::Request>(other).length = 0;
    Session::Send(other);
  }
};

struct GoesOnAfterAnErrorReply : Session {
  using Session::Session;
  Received<std::vector<engine::OptionReply>> NextOptionReplies() {
    auto replies = Session::NextOptionReplies();
    while (replies && replies->back().is_error()) {
      auto more = Session::NextOptionReplies();
      if (!more) {
        return more;
      }
      replies->insert(replies->end(), more->begin(), more->end());
    }
    return replies;
  }
};

struct HearsNothingInHalfAMessage : Session {  // Takes a server that stopped inside of one for a silent one.
  using Session::Session;
  std::optional<std::string> ExpectSilence() {
    auto heard = Session::ExpectSilence();
    return pending().empty() ? heard : std::nullopt;
  }
};

struct ReadsThePadWhereThereIsNone : Session {
  using Session::Session;
  Received<engine::ExportNameReply> AskExportName(std::string_view name, bool /*no_zeroes*/) {
    return Session::AskExportName(name, /*no_zeroes=*/false);
  }
};

struct ListensOnAfterTheEnd : Session {
  using Session::Session;
  ReceiveError WaitForEnd() {
    ReceiveError ended = Session::WaitForEnd();
    ended.kind = ended.kind == ReceiveError::kUndecodable ? ReceiveError::kTimedOut : ended.kind;
    return ended;
  }
};

struct CountsHalfAMessageTwice : Session {
  using Session::Session;
  [[nodiscard]] std::uint64_t received_byte_count() const { return Session::received_byte_count() + pending().size(); }
};

struct WritesSilenceDown : Session {  // In the transcript, as if the server had said something.
  WritesSilenceDown(std::unique_ptr<Transport> transport, const Limits& limits, Transcript& transcript)
      : Session(std::move(transport), limits, transcript), transcript(transcript) {}
  std::optional<std::string> ExpectSilence() {
    auto heard = Session::ExpectSilence();
    transcript.Add({.from = Transcript::From::kServer, .what = {.text = heard.value_or("nothing")}});
    return heard;
  }

  Transcript& transcript;
};

template <typename Subject>
FindBytesDisagreement With() {
  return [](engine::ByteView input) { return FindSessionDecodeDisagreement<Subject>(input); };
}

}  // namespace

CanaryTarget SessionDecodeCanaries() {
  return CanariesFor(
      SessionDecodeTarget(),
      {
          {"TakesResetForClosed", Family::kRule, 800, With<Over<TakeForAnother<Ending::kReset, Ending::kClosed>>>()},
          {"TakesSilenceForClosed", Family::kRule, 850,
           With<Over<TakeForAnother<Ending::kTimedOut, Ending::kClosed>>>()},
          {"LosesTheLastByteOfLongPieces", Family::kEdge, 7500, With<Over<LoseTheLastByteOfLongPieces>>()},
          {"TakesAPieceForAnEndOfLine", Family::kRule, 1000, With<Over<TakeAPieceForAnEndOfLine>>()},
          {"HasNoLimitOfMessages", Family::kRule, 7000, With<Without<&Session::Limits::messages_max>>()},
          {"HasNoLimitOfAnswerBytes", Family::kRule, 2000, With<Without<&Session::Limits::answer_bytes_max>>()},
          {"HasNoLimitOfReceivedBytes", Family::kRule, 1500, With<Without<&Session::Limits::received_bytes_max>>()},
          {"TakesTheNextReplyForTheAnswer", Family::kRule, 650, With<TakesTheNextReplyForTheAnswer>()},
          {"LosesStrays", Family::kLost, 150, With<LosesStrays>()},
          {"GivesChunksInReverse", Family::kOrder, 15'000, With<GivesChunksInReverse>()},
          {"ForgetsThatAReadWasSaid", Family::kLost, 5500, With<ForgetsThatAReadWasSaid>()},
          {"GoesOnAfterAnErrorReply", Family::kError, 2000, With<GoesOnAfterAnErrorReply>()},
          {"HearsNothingInHalfAMessage", Family::kLost, 100, With<HearsNothingInHalfAMessage>()},
          {"ReadsThePadWhereThereIsNone", Family::kRule, 400, With<ReadsThePadWhereThereIsNone>()},
          {"ListensOnAfterTheEnd", Family::kRule, 100, With<ListensOnAfterTheEnd>()},
          {"CountsHalfAMessageTwice", Family::kRule, 400, With<CountsHalfAMessageTwice>()},
          {"WritesSilenceDown", Family::kRule, 100, With<WritesSilenceDown>()},
      });
}

}  // namespace nbdspec::fuzz
