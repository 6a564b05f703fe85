// SPDX-License-Identifier: BSD-3-Clause
#include "engine/server/server.h"

#include <utility>

#include "engine/wire/encode.h"

namespace nbdspec::engine {

Server::Server(const ServerOptions& options, std::vector<Export*> exports, Interposer* interposer)
    : options_(options), exports_(std::move(exports)), interposer_(interposer), decoder_(options.limits) {
  state_.handshake_flags = options_.handshake_flags;
  Say(nullptr, {Greeting{.flags = options_.handshake_flags}});
}

void Server::Receive(ByteView bytes) {
  if (closed_) {
    return;
  }
  decoder_.Feed(bytes);
  Pump();
}

Bytes Server::TakeOutput() {
  Bytes taken = std::exchange(output_, {});
  Pump();
  return taken;
}

void Server::Pump() {
  while (!closed_ && output_.size() <= kOutputBytesMax) {
    auto next = decoder_.Next();
    if (!next) {
      return;
    }
    if (std::holds_alternative<Undecodable>(*next)) {
      closed_ = true;  // session.violation.may-hard.server: there is no telling where the next message begins.
      return;
    }
    Hear(std::get<ClientMessage>(std::move(*next)));
  }
}

void Server::Hear(ClientMessage heard) {
  const ClientMessage as_it_came = interposer_ != nullptr ? heard : ClientMessage{};
  Said said;
  if (interposer_ == nullptr || interposer_->BeforeServer(heard, state_)) {
    if (const auto* flags = std::get_if<ClientFlags>(&heard)) {
      said = AnswerFlags(*flags);
    } else if (const auto* option = std::get_if<Option>(&heard)) {
      said = AnswerOption(*option);
    } else {
      said = AnswerRequest(std::get<Request>(heard));
    }
  }
  Say(&as_it_came, std::move(said));
}

void Server::Say(const ClientMessage* heard, Said said) {
  if (interposer_ != nullptr) {
    interposer_->AfterServer(heard, state_, said);
  }
  for (const ServerMessage& message : said) {
    if (std::holds_alternative<HardDisconnect>(message)) {
      closed_ = true;
      return;
    }
    Encode(message, output_);
  }
}

void Server::Enter(Export& entered) {
  entered_ = &entered;
  state_.transmission = true;
  state_.export_name = entered.options.name;
  if (state_.context_export != entered.options.name) {
    state_.contexts.clear();  // option.set-meta-context.other-export
  }
  decoder_.EnterTransmission();
}

}  // namespace nbdspec::engine
