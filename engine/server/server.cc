// SPDX-License-Identifier: BSD-3-Clause
#include "engine/server/server.h"

#include <utility>

#include "engine/wire/messages.h"

namespace nbdspec::engine {

Server::Server(const ServerOptions& options, std::vector<Export*> exports, Interposer* interposer)
    : options_(options), exports_(std::move(exports)), interposer_(interposer), decoder_(options.limits) {
  const Greeting greeting{.flags = options_.handshake_flags};
  state_.Apply(greeting);
  Send(nullptr, {greeting});
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
    Handle(std::get<ClientMessage>(std::move(*next)));
  }
}

void Server::Handle(ClientMessage received) {
  const ClientMessage as_it_came = interposer_ != nullptr ? received : ClientMessage{};
  Messages messages;
  if (interposer_ == nullptr || interposer_->BeforeServer(received, state_)) {
    if (const auto* flags = std::get_if<ClientFlags>(&received)) {
      messages = AnswerFlags(*flags);
    } else if (const auto* option = std::get_if<Option>(&received)) {
      messages = AnswerOption(*option);
    } else {
      messages = AnswerRequest(std::get<Request>(received));
    }
  }
  Send(&as_it_came, std::move(messages));
}

void Server::Send(const ClientMessage* received, Messages messages) {
  if (interposer_ != nullptr) {
    interposer_->AfterServer(received, state_, messages);
  }
  for (const ServerMessage& message : messages) {
    if (std::holds_alternative<HardDisconnect>(message)) {
      closed_ = true;
      return;
    }
    Encode(message, output_);
  }
}

}  // namespace nbdspec::engine
