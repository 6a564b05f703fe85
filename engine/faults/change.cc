// SPDX-License-Identifier: BSD-3-Clause
#include "engine/faults/change.h"

namespace nbdspec::engine::faults {

namespace {

class ChangedConnection : public Interposer {
 public:
  ChangedConnection(Change change, std::uint64_t number, Layer* layer)
      : change_(std::move(change)), on_{.number = number, .layer = layer} {}

  bool BeforeServer(ClientMessage& received, const Negotiated& state) override {
    on_.negotiated = &state;
    if (const auto* request = std::get_if<Request>(&received)) {
      ++on_.request_count;
      KeepWhatIsOverwritten(*request);
    }
    return change_.received(received, on_);
  }

  void AfterServer(const ClientMessage* to, const Negotiated& state, Messages& sent) override {
    on_.negotiated = &state;
    ForEach<OptionReply>(sent, [&](const OptionReply& reply) {
      const auto info = DecodePayload<InfoExport>(reply.payload);
      on_.export_bytes = info && reply.type == OptionReplyType::kInfo ? info->size : on_.export_bytes;
    });
    ForEach<ExportNameReply>(sent, [&](const ExportNameReply& reply) { on_.export_bytes = reply.size; });
    change_.sent(to, on_, sent);
    if (const auto* request = std::get_if<Request>(to)) {
      on_.previous = *request;
      on_.previous.payload.clear();
    }
  }

 private:
  void KeepWhatIsOverwritten(const Request& request) {
    const bool is_inside = on_.layer != nullptr && request.offset < on_.layer->size() &&
                           request.length <= on_.layer->size() - request.offset;
    if (request.type == CommandType::kWrite && is_inside) {
      on_.overwritten.resize(request.length);
      (void)on_.layer->Read(request.offset, on_.overwritten);
    }
  }

  Change change_;
  Connection on_;
};

}  // namespace

std::unique_ptr<Interposer> Interpose(const Change& change, std::uint64_t number, Layer* layer) {
  return std::make_unique<ChangedConnection>(change, number, layer);
}

Change Both(const Change& first, const Change& second) {
  return {.received = [a = first.received, b = second.received](
                          ClientMessage& received, const Connection& on) { return a(received, on) && b(received, on); },
          .sent =
              [a = first.sent, b = second.sent](const ClientMessage* to, const Connection& on, Messages& sent) {
                a(to, on, sent);
                b(to, on, sent);
              }};
}

Change ChangesGreeting(std::function<void(Greeting& greeting)> change) {
  return {.sent = [change = std::move(change)](const ClientMessage* to, const Connection&, Messages& sent) {
    if (to == nullptr) {
      change(std::get<Greeting>(sent.front()));
    }
  }};
}

Change IgnoresClientFlags(std::uint32_t flags) {
  return {.received = [flags](ClientMessage& received, const Connection&) {
    if (auto* client = std::get_if<ClientFlags>(&received)) {
      client->flags &= ~flags;
    }
    return true;
  }};
}

}  // namespace nbdspec::engine::faults
