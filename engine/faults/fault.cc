// SPDX-License-Identifier: BSD-3-Clause
#include "engine/faults/fault.h"

#include <algorithm>
#include <iterator>

#include "engine/base/check.h"
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

class ChangedConnection : public Interposer {
 public:
  ChangedConnection(Change change, std::uint64_t number, Layer* layer)
      : change_(std::move(change)), on_{.number = number, .layer = layer} {}

  void BytesCame() override { ++on_.piece_count; }

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
    ForEach<OldstyleGreeting>(sent, [&](const OldstyleGreeting& greeting) { on_.export_bytes = greeting.size; });
    change_.sent(to, on_, sent);
    if (const auto* request = std::get_if<Request>(to)) {
      on_.previous = *request;
      on_.previous.payload.clear();
    }
  }

  void ChangeTls(TlsConduct& conduct) override { change_.tls(conduct); }

  void ChangeRemains(const Negotiated& state, Remains& remains) override { change_.remains(state, remains); }

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

std::span<const Fault> AllFaults() {
  static const std::vector<Fault> kAll = [] {
    std::vector<Fault> all;
    for (const auto table : {HandshakeFaults, TlsFaults, InfoFaults, ContextFaults, StatusFaults, ReplyFaults,
                             ReadFaults, WriteFaults, OverlapFaults, DataFaults, StorageFaults, DiskFaults,
                             ShutdownFaults, ExtendedHandshakeFaults, ExtendedReplyFaults}) {
      std::ranges::move(table(), std::back_inserter(all));
    }
    return all;
  }();
  return kAll;
}

const Fault& FaultNamed(std::string_view name) {
  const auto found = std::ranges::find(AllFaults(), name, &Fault::name);
  NBDSPEC_CHECK(found != AllFaults().end());
  return *found;
}

std::vector<Detection> DetectionsBy(Detector::Kind kind, std::string_view id) {
  std::vector<Detection> detections;
  for (const Fault& fault : AllFaults()) {
    for (const Detector& detector : fault.detectors) {
      if (detector.kind == kind && (id.empty() || detector.id == id)) {
        detections.push_back({.fault = fault, .detector = detector});
      }
    }
  }
  return detections;
}

std::string_view NameOf(Family family) {
  constexpr std::string_view kNames[] = {"bits",  "clip",    "coalesce", "edge",  "error", "lost",  "memory",
                                         "order", "REQ_ONE", "rule",     "shape", "stale", "width", "equivalent"};
  return kNames[static_cast<std::size_t>(family)];
}

}  // namespace nbdspec::engine::faults
