// SPDX-License-Identifier: BSD-3-Clause
#include "engine/client/client.h"

#include <algorithm>
#include <utility>

#include "engine/client/connection.h"
#include "engine/client/copying.h"
#include "engine/client/haggling.h"

namespace nbdspec::engine {

namespace {

class Client {
 public:
  Client(const ConnectFunction& connect, const ClientJob& job, const ClientConduct& conduct)
      : connect_(connect), job_(job), conduct_(conduct), lacks_(conduct.failings) {}

  ClientResult Run() {
    OrGivesUp<void> done = Look();
    if (done) {
      done = DoJob();
      LeaveAll(done ? nullptr : &done.error());
    }
    result_.succeeded = done.has_value();
    result_.why = done ? "" : done.error().why;
    Spoil();
    return std::move(result_);
  }

 private:
  OrGivesUp<std::unique_ptr<ClientConnection>> Connect() {
    auto link = connect_();
    if (link == nullptr) {
      return Hard("there is no connection to be made");
    }
    auto connection = std::make_unique<ClientConnection>(std::move(link), job_, conduct_, count_++);
    connection->wants_tls &= !was_refused_tls_;
    return connection;
  }

  static void BreakIf(const OrGivesUp<void>& done, ClientConnection& on) {
    if (!done && done.error().is_hard) {
      on.Break();
    }
  }

  // A connection that only looks around.
  OrGivesUp<void> Look() {
    if (conduct_.haggling.looks_first == HagglingConduct::Looks::kNot) {
      return {};
    }
    NBDSPEC_ASSIGN_OR_RETURN(connection, Connect());
    const auto looked = LookAround(*connection);
    BreakIf(looked, *connection);
    was_refused_tls_ = lacks_.remembers_tls_refusal && !connection->negotiated().tls;
    connection->Leave(looked ? nullptr : &looked.error());
    if (looked && lacks_.fails_when_abort_is_not_answered && !connection->is_abort_answered()) {
      return Hard("NBD_OPT_ABORT was not answered");
    }
    return looked;
  }

  OrGivesUp<void> Enter() {
    NBDSPEC_ASSIGN_OR_RETURN(connection, Connect());
    connections_.push_back(std::move(connection));
    ClientConnection& entered = *connections_.back();
    const auto done =
        EnterExport(entered, job_.maps || conduct_.haggling.wants_contexts || conduct_.transfer.skips_zeroes);
    BreakIf(done, entered);
    NBDSPEC_RETURN_IF_ERROR(done);
    if (lacks_.keeps_ids && connections_.size() > 1) {
      entered.contexts = connections_.front()->contexts;
    }
    return {};
  }

  OrGivesUp<void> EnterOthers() {
    const ClientConnection& first = *connections_.front();
    const bool may = first.negotiated().Has(TransmissionFlag::kCanMultiConn) || lacks_.connects_often_unoffered;
    for (std::uint32_t i = 1; may && i < conduct_.transfer.connections; ++i) {
      NBDSPEC_RETURN_IF_ERROR(Enter());
    }
    return {};
  }

  OrGivesUp<void> DoJob() {
    NBDSPEC_RETURN_IF_ERROR(Enter());
    NBDSPEC_RETURN_IF_ERROR(EnterOthers());
    ClientConnection& first = *connections_.front();
    result_.export_bytes = first.export_bytes();
    NBDSPEC_RETURN_IF_ERROR(SendFirstRequests(connections_));
    if (job_.copies_in && !lacks_.writes_nothing) {
      Bytes bytes = *job_.copies_in;
      if (lacks_.writes_wrong_bytes && !bytes.empty()) {
        bytes.back() ^= 0xff;
      }
      NBDSPEC_RETURN_IF_ERROR(CopyIn(connections_, bytes));
    }
    if (job_.maps) {
      auto map = MapExport(*connections_.back());
      if (!map) {
        BreakIf(std::unexpected(map.error()), *connections_.back());
        return std::unexpected(map.error());
      }
      result_.map = *std::move(map);
    }
    if (job_.copies_out) {
      NBDSPEC_ASSIGN_OR_RETURN(bytes, CopyOut(connections_));
      result_.bytes = std::move(bytes);
    }
    return conduct_.transfer.flushes_always ? FlushExport(connections_) : OrGivesUp<void>();
  }

  void LeaveAll(const GivesUp* gives_up) {
    for (const auto& each : connections_) {
      each->Leave(gives_up);
    }
  }

  // What a faulty client makes of its result.
  void Spoil() {
    if (!result_.succeeded && lacks_.succeeds_though_it_failed) {
      result_.succeeded = true;
      result_.bytes = job_.copies_out
                          ? result_.bytes.value_or(Bytes(std::min(result_.export_bytes, job_.export_bytes_max)))
                          : result_.bytes;
    }
    result_.succeeded = result_.succeeded && !lacks_.fails_though_it_succeeded;
    if (Bytes* bytes = result_.bytes ? &*result_.bytes : nullptr; bytes != nullptr && bytes->size() > 1) {
      if (lacks_.swaps_bytes) {
        std::swap((*bytes)[0], (*bytes)[1]);
      }
      if (lacks_.shifts_bytes) {
        std::ranges::rotate(*bytes, bytes->begin() + 1);
      }
      if (lacks_.truncates) {
        bytes->resize(bytes->size() / 2);
      }
    }
    if (result_.map && lacks_.writes_map_shifted && !result_.map->empty()) {
      for (ClientExtent& each : *result_.map) {
        each.offset += 512;
      }
    }
  }

  const ConnectFunction& connect_;
  const ClientJob& job_;
  const ClientConduct& conduct_;
  const ClientFailings& lacks_;
  std::uint64_t count_ = 0;       // Of connections.
  bool was_refused_tls_ = false;  // remembers_tls_refusal
  Connections connections_;
  ClientResult result_;
};

}  // namespace

ClientResult RunClient(const ConnectFunction& connect, const ClientJob& job, const ClientConduct& conduct) {
  return Client(connect, job, conduct).Run();
}

}  // namespace nbdspec::engine
