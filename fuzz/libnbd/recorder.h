// SPDX-License-Identifier: BSD-3-Clause
// Recorder: writes down what a server hears and says, by cookie.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/server/server.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

// One request, and all that answers it, in the order in which it was said.
struct Recorded {
  std::optional<engine::Request> heard = {};
  std::vector<engine::ServerMessage> said = {};
};

class Recorder : public engine::Interposer {
 public:
  // Records what `inner`, which may be null and outlives this, lets pass. Room for `requests_max` requests.
  Recorder(engine::Interposer* inner, std::size_t requests_max) : inner_(inner), recorded_(requests_max + 1) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::Negotiated& state) override;
  void AfterServer(const engine::ClientMessage* heard, const engine::Negotiated& state,
                   std::vector<engine::ServerMessage>& said) override;

  // Of the request with `cookie`: libnbd counts from 1.
  [[nodiscard]] const Recorded& Of(std::uint64_t cookie) const { return recorded_[Index(cookie)]; }

  [[nodiscard]] const std::vector<engine::MetaContext>& contexts() const { return contexts_; }
  [[nodiscard]] const std::optional<engine::InfoExport>& info() const { return info_; }
  [[nodiscard]] bool is_structured() const { return is_structured_; }

 private:
  [[nodiscard]] std::size_t Index(std::uint64_t cookie) const { return cookie < recorded_.size() ? cookie : 0; }
  void RecordOptionReply(const engine::OptionReply& reply);

  engine::Interposer* inner_;
  std::vector<Recorded> recorded_;             // By cookie; the first is for all other cookies.
  std::vector<engine::MetaContext> contexts_;  // Said in answer to SET_META_CONTEXT.
  std::optional<engine::InfoExport> info_;
  bool is_structured_ = false;
};

}  // namespace nbdspec::fuzz
