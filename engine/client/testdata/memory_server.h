// SPDX-License-Identifier: BSD-3-Clause
// The reference server at the other end of a client in memory, for tests: it writes down what every connection did.
//
// There is no TLS in it: where TLS is to begin, both ends go on as if it had.

#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/client/client.h"
#include "engine/conduct/client_rules.h"
#include "engine/conduct/record.h"
#include "engine/extents/extent_map.h"
#include "engine/faults/change.h"
#include "engine/server/server.h"

namespace nbdspec::engine {

class MemoryServer {
 public:
  // `exports` are served as they are; the first is what Client's jobs are about.
  explicit MemoryServer(std::vector<Export*> exports, ServerOptions options = {}, faults::Change change = {})
      : exports_(std::move(exports)), options_(options), change_(std::move(change)) {}

  [[nodiscard]] ConnectFunction Connector() {
    return [this]() -> std::unique_ptr<ClientLink> {
      connections_.push_back(std::make_unique<Connection>(*this, connections_.size()));
      if (is_shutting_down) {
        connections_.back()->server.ShutDown();
      }
      return std::make_unique<Link>(*connections_.back());
    };
  }

  [[nodiscard]] std::size_t connection_count() const { return connections_.size(); }
  [[nodiscard]] const Record& record(std::size_t index) const { return connections_[index]->recorder.record(); }

  // The clauses that clients violated, over all connections. `is_right` as of JudgeConduct.
  [[nodiscard]] std::set<std::string_view> Violated(bool is_right = true) const {
    std::set<std::string_view> violated;
    for (const auto& each : connections_) {
      for (const ConductRuling& ruling : JudgeConduct(each->recorder.record(), is_right)) {
        if (ruling.ruling.is_violated()) {
          violated.insert(ruling.requirement);
        }
      }
    }
    return violated;
  }

  // What the clients sent, in words, one message a line.
  [[nodiscard]] std::string Said() const {
    std::string said;
    for (const auto& each : connections_) {
      said += each->has_leaked ? "plaintext where TLS was due\n" : "";
      for (const Seen& seen : each->recorder.record().seen) {
        if (std::holds_alternative<ClientMessage>(seen.what)) {
          said += seen.words.text + (seen.is_early ? " (early)" : "") + "\n";
        } else if (const auto* departure = std::get_if<Departure>(&seen.what)) {
          said += "departure " + std::to_string(static_cast<int>(departure->how)) + "\n";
        } else if (std::holds_alternative<NoMessage>(seen.what)) {
          said += "no message\n";
        }
      }
    }
    return said;
  }

  // How often clients sent and received.
  [[nodiscard]] std::uint64_t call_count() const { return call_count_; }

  bool is_shutting_down = false;
  bool breaks_tls = false;  // No handshake of TLS succeeds.

 private:
  struct Connection {
    Connection(MemoryServer& of, std::uint64_t number)
        : owner(of),
          inner(faults::Interpose(of.change_, number, &of.exports_.front()->layer())),
          recorder(inner.get()),
          server(of.options_, of.exports_, &recorder) {}

    MemoryServer& owner;
    std::unique_ptr<Interposer> inner;
    Recorder recorder;
    Server server;
    Bytes said;               // By the client.
    bool has_leaked = false;  // It sent plaintext where TLS was due.
    bool has_left = false;
  };

  class Link final : public ClientLink {
   public:
    explicit Link(Connection& on) : on_(on) {}
    ~Link() override { Leave(Departure::How::kClosed); }

    void Send(ByteView bytes) override {
      ++on_.owner.call_count_;
      on_.has_leaked |= on_.server.tls_is_due();
      on_.said.insert(on_.said.end(), bytes.begin(), bytes.end());
      on_.server.Receive(bytes);
    }

    std::optional<ReceiveError> Receive(Bytes& out) override {
      ++on_.owner.call_count_;
      const std::size_t before = out.size();
      for (Bytes sent = on_.server.TakeOutput(); !sent.empty(); sent = on_.server.TakeOutput()) {
        out.insert(out.end(), sent.begin(), sent.end());
      }
      on_.recorder.AllSent();
      if (out.size() > before) {
        return {};
      }
      return on_.server.closed() ? ReceiveError{.kind = ReceiveError::kClosed, .text = "the server closed"}
                                 : ReceiveError{.kind = ReceiveError::kTimedOut, .text = "the server is silent"};
    }

    std::expected<void, std::string> BeginTls(ByteView behind) override {
      if (!on_.server.tls_is_due()) {
        const Bytes hello = {0x16, 0x03, 0x01, 0x00, 0x40, 0x01, 0x00, 0x00};
        Send(hello);
        return std::unexpected("the server knows of no TLS");
      }
      if (!behind.empty() || !on_.server.TakeOutput().empty()) {
        return std::unexpected("plaintext where TLS is due");
      }
      if (on_.owner.breaks_tls) {
        return std::unexpected("the handshake of TLS failed");
      }
      (void)on_.server.tls_conduct();
      (void)on_.server.BeginTls();
      return {};
    }

    void Close() override { Leave(Departure::How::kClosed); }
    void Drop() override { Leave(Departure::How::kReset); }

   private:
    void Leave(Departure::How how) {
      if (std::exchange(on_.has_left, true)) {
        return;
      }
      const std::uint64_t rest = on_.said.size() - on_.recorder.message_bytes();
      const bool has_ended = on_.recorder.has_server_ended();
      if (on_.server.closed() && !has_ended) {
        on_.recorder.CannotRead(ByteView(on_.said).last(rest));
      }
      on_.recorder.Left({.how = on_.server.closed() ? Departure::How::kServerEnd : how,
                         .cut_bytes = on_.server.closed() ? 0 : rest,
                         .after_bytes = has_ended ? rest : 0});
    }

    Connection& on_;
  };

  std::vector<Export*> exports_;
  ServerOptions options_;
  faults::Change change_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t call_count_ = 0;
};

// An export of some 200 KiB with data, holes and zeroes, whose end is no multiple of a block.
inline Export MixedExport(std::string name = "", std::uint64_t size = 200 * kKiB + 100) {
  ExtentMap extents(size, ExtentType::kData);
  const auto add = [&](std::uint64_t offset, std::uint64_t length, ExtentType type) {
    (void)extents.Add(offset, length, type);
  };
  add(8192, 16384, ExtentType::kHoleZero);
  add(65536, 4096, ExtentType::kZero);
  add(100 * kKiB, 50 * kKiB, ExtentType::kHoleZero);
  return {.options = {.name = std::move(name)}, .disk = Disk(std::move(extents))};
}

}  // namespace nbdspec::engine
