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

#include "conformance/peer/transport.h"
#include "conformance/session/session.h"
#include "conformance/session/transcript.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
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

// Between a transport and a session.
class PassedOn : public Transport {
 public:
  explicit PassedOn(std::unique_ptr<Transport> from) : from_(std::move(from)) {}
  Ending Send(engine::ByteView bytes, Clock::time_point deadline) override { return from_->Send(bytes, deadline); }
  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    return from_->Receive(out, bytes_max, deadline);
  }
  void CloseSending() override { from_->CloseSending(); }

 private:
  std::unique_ptr<Transport> from_;
};

template <Ending kFrom, Ending kTo>
class TakesEndingForAnother : public PassedOn {
 public:
  using PassedOn::PassedOn;
  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    const Ending ending = PassedOn::Receive(out, bytes_max, deadline);
    return ending == kFrom ? kTo : ending;
  }
};

class LosesTheLastByteOfLongPieces : public PassedOn {
 public:
  using PassedOn::PassedOn;
  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    const Ending ending = PassedOn::Receive(out, bytes_max, deadline);
    out.resize(out.size() < 100 ? out.size() : out.size() - 1);
    return ending;
  }
};

class TakesAPieceForAnEndOfLine : public PassedOn {  // A piece that is one zero byte is not there.
 public:
  using PassedOn::PassedOn;
  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    const Ending ending = PassedOn::Receive(out, bytes_max, deadline);
    if (out.size() == 1 && out[0] == 0 && ++zeroes_ % 8 == 0) {
      out.clear();
    }
    return ending;
  }

 private:
  unsigned zeroes_ = 0;
};

template <typename Passed>
class Over : public Session {
 public:
  Over(std::unique_ptr<Transport> transport, const Limits& limits, Transcript& transcript)
      : Session(std::make_unique<Passed>(std::move(transport)), limits, transcript) {}
};

// --- What limits it ---

template <auto kLimit>
class Without : public Session {
 public:
  Without(std::unique_ptr<Transport> transport, Limits limits, Transcript& transcript)
      : Session(std::move(transport), Unlimited(limits), transcript) {}

 private:
  static Limits& Unlimited(Limits& limits) {
    limits.*kLimit = std::numeric_limits<std::remove_reference_t<decltype(limits.*kLimit)>>::max();
    return limits;
  }
};

// --- What it makes of it ---

class TakesTheNextReplyForTheAnswer : public Session {
 public:
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

class LosesStrays : public Session {
 public:
  using Session::Session;
  [[nodiscard]] std::vector<engine::ServerMessage> unmatched() const { return {}; }
};

class GivesChunksInReverse : public Session {
 public:
  using Session::Session;
  Received<Answer> NextAnswer(std::uint64_t cookie) {
    auto answer = Session::NextAnswer(cookie);
    if (answer) {
      std::ranges::reverse(answer->chunks);
    }
    return answer;
  }
};

class ForgetsThatAReadWasSaid : public Session {  // So its data is no part of the simple reply.
 public:
  using Session::Session;
  void Send(const engine::ClientMessage& message) {
    engine::ClientMessage other = message;
    std::get<engine::Request>(other).length = 0;
    Session::Send(other);
  }
};

class GoesOnAfterAnErrorReply : public Session {
 public:
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

class HearsNothingInHalfAMessage : public Session {  // Takes a server that stopped inside of one for a silent one.
 public:
  using Session::Session;
  std::optional<std::string> ExpectSilence() {
    auto heard = Session::ExpectSilence();
    return pending().empty() ? heard : std::nullopt;
  }
};

class ReadsThePadWhereThereIsNone : public Session {
 public:
  using Session::Session;
  Received<engine::ExportNameReply> AskExportName(std::string_view name, bool /*no_zeroes*/) {
    return Session::AskExportName(name, /*no_zeroes=*/false);
  }
};

class ListensOnAfterTheEnd : public Session {
 public:
  using Session::Session;
  ReceiveError WaitForEnd() {
    ReceiveError ended = Session::WaitForEnd();
    ended.kind = ended.kind == ReceiveError::kUndecodable ? ReceiveError::kTimedOut : ended.kind;
    return ended;
  }
};

class CountsHalfAMessageTwice : public Session {
 public:
  using Session::Session;
  [[nodiscard]] std::uint64_t received_byte_count() const { return Session::received_byte_count() + pending().size(); }
};

class WritesSilenceDown : public Session {  // In the transcript, as if the server had said something.
 public:
  WritesSilenceDown(std::unique_ptr<Transport> transport, const Limits& limits, Transcript& transcript)
      : Session(std::move(transport), limits, transcript), transcript_(transcript) {}
  std::optional<std::string> ExpectSilence() {
    auto heard = Session::ExpectSilence();
    transcript_.Add({.direction = Transcript::Direction::kReceived, .text = heard.value_or("nothing")});
    return heard;
  }

 private:
  Transcript& transcript_;
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
          {"TakesResetForClosed", Family::kRule, 800,
           With<Over<TakesEndingForAnother<Ending::kReset, Ending::kClosed>>>()},
          {"TakesSilenceForClosed", Family::kRule, 850,
           With<Over<TakesEndingForAnother<Ending::kTimedOut, Ending::kClosed>>>()},
          {"LosesTheLastByteOfLongPieces", Family::kEdge, 7500, With<Over<LosesTheLastByteOfLongPieces>>()},
          {"TakesAPieceForAnEndOfLine", Family::kRule, 1000, With<Over<TakesAPieceForAnEndOfLine>>()},
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
