// SPDX-License-Identifier: BSD-3-Clause
// A client of one export whose bytes are written by hand, for tests of peers: they depend on nothing that they could be
// wrong with.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "conformance/peer/target.h"
#include "engine/base/bytes.h"

namespace nbdspec::conformance {

inline constexpr std::uint16_t kCommandFua = 1 << 0;  // NBD_CMD_FLAG_FUA

class Client {
 public:
  // Enters the export, without structured replies.
  Client(std::unique_ptr<Transport> transport, const std::string& export_name);

  // Expects success.
  engine::Bytes Read(std::uint64_t offset, std::uint32_t length);

  // Each returns the reply's error.
  std::uint64_t Write(std::uint64_t offset, const engine::Bytes& bytes, std::uint16_t flags = 0);
  std::uint64_t Flush();

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint16_t flags() const { return flags_; }

 private:
  void Send(const engine::Bytes& bytes);
  void Request(std::uint16_t type, std::uint16_t flags, std::uint64_t offset, std::uint64_t length);
  std::uint64_t Error();

  std::unique_ptr<Transport> transport_;
  std::uint64_t size_ = 0;
  std::uint16_t flags_ = 0;
};

}  // namespace nbdspec::conformance
