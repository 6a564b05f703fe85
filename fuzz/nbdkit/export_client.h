// SPDX-License-Identifier: BSD-3-Clause
// ExportClient: a server and one connection to an export of it, with structured replies and some contexts selected.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/exchange/exchange.h"
#include "engine/extents/extent.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/oracles/disagreement.h"

namespace nbdspec::fuzz {

// The descriptors as extents from `begin` on. The type stands for the status, whatever that means in its context.
std::vector<engine::Extent> ExtentsFrom(std::uint64_t begin, const engine::BlockStatus& status);

// "block status of [0, 4K) with REQ_ONE"
std::string PrintQuestion(engine::ByteRange asked, bool req_one);

class ExportClient {
 public:
  // Errors, here and below: where the server did not serve, and what it did instead; the end of a process is more
  // telling than that of a connection.
  template <typename T>
  using Served = std::expected<T, Disagreement>;

  static Served<std::unique_ptr<ExportClient>> Enter(conformance::PeerOrTrouble peer,
                                                     conformance::Transport::Clock::time_point deadline,
                                                     const std::string& export_name = "",
                                                     const std::vector<std::string>& contexts = {
                                                         std::string(engine::kBaseAllocation)});

  ~ExportClient() { session_.Disconnect(); }
  ExportClient(const ExportClient&) = delete;
  ExportClient& operator=(const ExportClient&) = delete;

  // BLOCK_STATUS of `asked`, at most 2^32-1 bytes. An error reply is an exchange as well.
  Served<engine::Exchange> Status(engine::ByteRange asked, bool req_one);

  // Any command that must succeed.
  Served<conformance::Answer> Command(const engine::Request& request, const std::string& where);
  Served<engine::Bytes> Read(engine::ByteRange range);

  [[nodiscard]] const engine::Negotiated& negotiated() const { return session_.negotiated(); }
  [[nodiscard]] std::uint64_t size() const { return negotiated().info.size; }

  // What is wrong `where` the server does not serve.
  [[nodiscard]] Disagreement Lost(std::string where, const std::string& saw);

 private:
  ExportClient(std::unique_ptr<conformance::Peer> peer, std::unique_ptr<conformance::Transport> transport);
  Served<conformance::Answer> Ask(const engine::Request& request, const std::string& where);

  std::unique_ptr<conformance::Peer> peer_;  // It ends after the connection: nbdkit waits for its clients.
  conformance::Transcript transcript_;
  conformance::Session session_;
};

}  // namespace nbdspec::fuzz
