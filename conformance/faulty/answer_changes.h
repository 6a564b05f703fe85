// SPDX-License-Identifier: BSD-3-Clause
// How faults change what answers a request.

#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "conformance/faulty/fault.h"
#include "engine/wire/payloads.h"

namespace nbdspec::conformance {

using Said = std::vector<engine::ServerMessage>;

// An AnswersWrong for the chunks of the answer.
inline Fault ChunksWrong(std::string_view name, std::string_view check, std::uint16_t command,
                         std::function<void(const engine::Request& to, engine::Chunk& chunk)> change) {
  return AnswersWrong(name, check, command, [change = std::move(change)](const engine::Request& to, Said& said) {
    for (engine::ServerMessage& each : said) {
      if (auto* chunk = std::get_if<engine::Chunk>(&each)) {
        change(to, *chunk);
      }
    }
  });
}

// A SaysWrong for whatever answers a request of any type; `heard` tells structured replies.
inline Fault EveryAnswerWrong(std::string_view name, std::string_view check,
                              std::function<void(const engine::Request& to, bool structured, Said& said)> change) {
  return SaysWrong(name, check,
                   [change = std::move(change)](const engine::ClientMessage* heard,
                                                const engine::ConnectionState& state, Said& said) {
                     const auto* to = heard != nullptr ? std::get_if<engine::Request>(heard) : nullptr;
                     if (to != nullptr) {
                       change(*to, state.structured_replies, said);
                     }
                   });
}

// Whether `said` is a successful answer.
inline bool Succeeds(const Said& said) {
  return !said.empty() && std::ranges::all_of(said, [](const engine::ServerMessage& each) {
    const auto* simple = std::get_if<engine::SimpleReply>(&each);
    const auto* chunk = std::get_if<engine::Chunk>(&each);
    return (simple != nullptr && simple->error == engine::NbdError::kOk) || (chunk != nullptr && !chunk->is_error());
  });
}

inline engine::Chunk ChunkFor(const engine::Request& to, std::uint16_t type, engine::Bytes payload,
                              std::uint16_t flags = 0) {
  return {.flags = flags, .type = type, .cookie = to.cookie, .payload = std::move(payload)};
}

// Takes DONE from the last chunk and adds `last` with it.
inline void AddLast(engine::Chunk last, Said& said) {
  if (auto* chunk = std::get_if<engine::Chunk>(&said.back())) {
    chunk->flags = 0;
  }
  last.flags |= engine::ChunkFlag::kDone;
  said.emplace_back(std::move(last));
}

// An answer that is only `error`, in the form that the connection has.
inline void AnswerWith(const engine::Request& to, std::uint32_t error, Said& said) {
  const bool simple = !said.empty() && std::holds_alternative<engine::SimpleReply>(said.front());
  if (simple) {
    said = {engine::SimpleReply{.error = error, .cookie = to.cookie}};
  } else if (error == engine::NbdError::kOk) {
    said = {ChunkFor(to, engine::ChunkType::kNone, {}, engine::ChunkFlag::kDone)};
  } else {
    said = {ChunkFor(to, engine::ChunkType::kError, EncodePayload(engine::ErrorPayload{.error = error}),
                     engine::ChunkFlag::kDone)};
  }
}

// An AnswersWrong that says `error` instead, where the true answer was an error (`of_errors`) or a success.
inline Fault AnswersWithError(std::string_view name, std::string_view check, std::uint16_t command, bool of_errors,
                              std::uint32_t error) {
  return AnswersWrong(name, check, command, [of_errors, error](const engine::Request& to, Said& said) {
    if (Succeeds(said) != of_errors) {
      AnswerWith(to, error, said);
    }
  });
}

// A RepliesWrong for the transmission flags in the reply to GO.
inline Fault AdvertisesFlags(std::string_view name, std::string_view check,
                             std::function<void(std::uint16_t& flags)> change) {
  return RepliesWrong(name, check, engine::OptionType::kGo,
                      [change = std::move(change)](const engine::Option&, engine::OptionReply& reply) {
                        if (auto info = engine::DecodeInfoExport(reply.payload)) {
                          change(info->flags);
                          reply.payload = EncodePayload(*info);
                        }
                      });
}

// Wrong in both ways: first in that of `first`.
inline std::unique_ptr<engine::Interposer> BothOf(std::unique_ptr<engine::Interposer> first,
                                                  std::unique_ptr<engine::Interposer> second) {
  class Both : public engine::Interposer {
   public:
    Both(std::unique_ptr<engine::Interposer> a, std::unique_ptr<engine::Interposer> b)
        : a_(std::move(a)), b_(std::move(b)) {}
    bool BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState& state) override {
      return a_->BeforeServer(heard, state) && b_->BeforeServer(heard, state);
    }
    void AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState& state, Said& said) override {
      a_->AfterServer(heard, state, said);
      b_->AfterServer(heard, state, said);
    }

   private:
    std::unique_ptr<engine::Interposer> a_;
    std::unique_ptr<engine::Interposer> b_;
  };
  return std::make_unique<Both>(std::move(first), std::move(second));
}

// A fault that is `first` and `second` at once, with the name and the check of `first`.
inline Fault Both(const Fault& first, const Fault& second) {
  return {
      .name = first.name, .check = first.check, .make = [a = first.make, b = second.make] { return BothOf(a(), b()); }};
}

}  // namespace nbdspec::conformance
