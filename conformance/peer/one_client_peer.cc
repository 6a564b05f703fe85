// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/one_client_peer.h"

#include <chrono>
#include <cstddef>

#include "engine/base/bytes.h"
#include "engine/base/or_return.h"

namespace nbdspec::conformance {

namespace {

constexpr std::chrono::milliseconds kGoodbyeWait{2000};
constexpr std::size_t kReceiveBytesMax = 1 << 16;

}  // namespace

struct OneClientPeer::Line {
  std::unique_ptr<Transport> transport;  // Nothing once it has ended.

  // Says that nothing more comes, and waits until the server has nothing more to say.
  void End() {
    if (transport == nullptr) {
      return;
    }
    transport->CloseSending();
    const auto deadline = Transport::Clock::now() + kGoodbyeWait;
    engine::Bytes rest;
    while (transport->Receive(rest, kReceiveBytesMax, deadline) == Ending::kNone &&
           Transport::Clock::now() < deadline) {
      rest.clear();
    }
    transport.reset();
  }
};

class OneClientPeer::Turn final : public Transport {
 public:
  Turn(std::shared_ptr<Line> line, std::shared_ptr<bool> needed_two)
      : line_(std::move(line)), needed_two_(std::move(needed_two)) {}
  ~Turn() override { line_->End(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  Ending SendSome(engine::ByteView& bytes, Clock::time_point deadline) override {
    return IsOver() ? Ending::kTimedOut : line_->transport->SendSome(bytes, deadline);
  }

  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    return IsOver() ? Ending::kTimedOut : line_->transport->Receive(out, bytes_max, deadline);
  }

  void CloseSending() override {
    if (line_->transport != nullptr) {
      line_->transport->CloseSending();
    }
  }

 private:
  bool IsOver() {
    const bool is_over = line_->transport == nullptr;
    *needed_two_ = *needed_two_ || is_over;
    return is_over;
  }

  std::shared_ptr<Line> line_;
  std::shared_ptr<bool> needed_two_;
};

OneClientPeer::~OneClientPeer() = default;

std::expected<std::unique_ptr<Transport>, engine::Trouble> OneClientPeer::Connect(
    Transport::Clock::time_point deadline) {
  if (last_ != nullptr) {
    last_->End();
  }
  NBDSPEC_ASSIGN_OR_RETURN(transport, peer_->Connect(deadline));
  last_ = std::make_shared<Line>();
  last_->transport = std::move(transport);
  return std::make_unique<Turn>(last_, needed_two_);
}

bool OneClientPeer::TakeNeededTwo() { return std::exchange(*needed_two_, false); }

}  // namespace nbdspec::conformance
