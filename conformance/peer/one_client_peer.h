// SPDX-License-Identifier: BSD-3-Clause
// OneClientPeer: a peer whose server serves one client at a time, so that a second one would wait or be refused.
//
// A new connection is made only when the one before it has ended on the server's side too. Who still uses that one
// needs two at once, and cannot be served: the peer takes a note.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "conformance/peer/target.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

class OneClientPeer final : public Peer {
 public:
  explicit OneClientPeer(std::unique_ptr<Peer> peer) : peer_(std::move(peer)) {}
  ~OneClientPeer() override;
  OneClientPeer(const OneClientPeer&) = delete;
  OneClientPeer& operator=(const OneClientPeer&) = delete;

  // Ends the connection before, waiting for the server at most two seconds.
  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override;

  // Whether some connection was used after the next one was made, since this was called last.
  bool TakeNeededTwo();

  std::optional<std::string> Ended() override { return peer_->Ended(); }
  std::optional<std::string> EndedBy(Transport::Clock::time_point deadline) override {
    return peer_->EndedBy(deadline);
  }
  std::expected<void, engine::Trouble> ShutDown() override { return peer_->ShutDown(); }
  bool HasShutDown(Transport::Clock::time_point deadline) override { return peer_->HasShutDown(deadline); }
  void MayEndWithItsClient() override { peer_->MayEndWithItsClient(); }
  std::expected<void, engine::Trouble> Restart() override { return peer_->Restart(); }
  const TlsCredentials* tls() override { return peer_->tls(); }
  Storage* storage() override { return peer_->storage(); }
  std::optional<Usage> ReadUsage() override { return peer_->ReadUsage(); }
  std::optional<std::uint16_t> tcp_port() override { return peer_->tcp_port(); }
  std::shared_ptr<void> LoseEnd(std::uint64_t bytes) override { return peer_->LoseEnd(bytes); }
  std::string StandardError() override { return peer_->StandardError(); }

 private:
  struct Line;  // A connection, as both sides of this class know it.
  class Turn;

  std::unique_ptr<Peer> peer_;
  std::shared_ptr<Line> last_;
  std::shared_ptr<bool> needed_two_ = std::make_shared<bool>(false);
};

}  // namespace nbdspec::conformance
