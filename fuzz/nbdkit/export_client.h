// SPDX-License-Identifier: BSD-3-Clause
// ExportClient: one connection to an export of a server, with structured replies and some contexts selected.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/transport.h"
#include "conformance/session/session.h"
#include "conformance/session/transcript.h"
#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/exchange/status.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

class ExportClient {
 public:
  // Errors, here and below: a sentence that says what the server did.
  static std::expected<std::unique_ptr<ExportClient>, std::string> Enter(
      std::unique_ptr<conformance::Transport> transport, const std::string& export_name = "",
      std::vector<std::string> contexts = {std::string(engine::kBaseAllocation)});

  ~ExportClient() { session_.Disconnect(); }
  ExportClient(const ExportClient&) = delete;
  ExportClient& operator=(const ExportClient&) = delete;

  // BLOCK_STATUS of `asked`, at most 2^32-1 bytes. An error reply is an exchange as well.
  std::expected<engine::StatusExchange, std::string> Status(engine::ByteRange asked, bool req_one);

  std::expected<engine::Bytes, std::string> Read(engine::ByteRange range);

  // Any other command, whose answer must say no more than success.
  std::expected<void, std::string> Command(engine::Request request);

  [[nodiscard]] std::uint64_t size() const { return info_.size; }
  [[nodiscard]] const std::vector<engine::MetaContext>& contexts() const { return contexts_; }
  // Whether the transmission flag (engine::TransmissionFlag) is set.
  [[nodiscard]] bool Offers(std::uint16_t flag) const { return (info_.flags & flag) != 0; }

 private:
  explicit ExportClient(std::unique_ptr<conformance::Transport> transport);
  std::optional<std::string> Haggle(const std::string& export_name, std::vector<std::string> contexts);

  conformance::Transcript transcript_;
  conformance::Session session_;
  engine::InfoExport info_;
  std::vector<engine::MetaContext> contexts_;
};

}  // namespace nbdspec::fuzz
