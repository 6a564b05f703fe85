// SPDX-License-Identifier: BSD-3-Clause
// AnswerCounters: tells libFuzzer what kinds of answers the reference server gives, besides which code ran.
//
// The code of a server is soon covered; that a status of five descriptors was asked with REQ_ONE after a failed
// SET_META_CONTEXT is not code. Two answers are of one kind when the same was negotiated, and their messages, errors,
// numbers of descriptors and statuses are alike.

#pragma once

#include <vector>

#include "engine/server/server.h"

namespace nbdspec::fuzz {

// Changes nothing. What `inner`, which may be null, lets pass is what is counted.
class AnswerCounters : public engine::Interposer {
 public:
  explicit AnswerCounters(engine::Interposer* inner = nullptr) : inner_(inner) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::Negotiated& state) override;
  void AfterServer(const engine::ClientMessage* heard, const engine::Negotiated& state,
                   std::vector<engine::ServerMessage>& said) override;

 private:
  engine::Interposer* inner_;
};

}  // namespace nbdspec::fuzz
