// SPDX-License-Identifier: BSD-3-Clause
// LibnbdLoop: one connection of the real libnbd to a server on a unix socket, kept full by its asynchronous API: what a
// client that looks at no answer reaches. To compare speeds with.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/error.h"

struct nbd_handle;  // libnbd's.

namespace nbdspec::fuzz {

class LibnbdLoop {
 public:
  // Structured replies and base:allocation are asked for. Errors: libnbd's.
  static std::expected<std::unique_ptr<LibnbdLoop>, engine::Trouble> Connect(const std::string& socket, int in_flight);
  ~LibnbdLoop();
  LibnbdLoop(const LibnbdLoop&) = delete;
  LibnbdLoop& operator=(const LibnbdLoop&) = delete;

  // Sends a command once fewer than `in_flight` are on their way. Range: what the server offers; at most kBytesMax to
  // read or write, bytes that stand ready. `type` is a CommandType. Errors: libnbd's.
  std::expected<void, engine::Trouble> Send(std::uint16_t type, std::uint16_t flags, std::uint64_t offset,
                                            std::uint32_t length);

  // Until everything sent is answered. Errors: libnbd's.
  std::expected<void, engine::Trouble> WaitForAll() { return WaitFor(slots_.size()); }

  static constexpr std::size_t kBytesMax = 1 << 20;

 private:
  struct Slot {
    LibnbdLoop* loop = nullptr;
    std::vector<std::uint8_t> buffer = {};
    bool is_free = true;
  };
  struct CloseHandle {
    void operator()(nbd_handle* handle) const;
  };

  LibnbdLoop(std::unique_ptr<nbd_handle, CloseHandle> handle, int in_flight);
  std::expected<void, engine::Trouble> WaitFor(std::size_t free_count);
  std::int64_t Start(std::uint16_t type, std::uint16_t flags, std::uint64_t offset, std::uint32_t length, Slot& slot);
  static int Done(void* slot, int* error);

  std::unique_ptr<nbd_handle, CloseHandle> handle_;
  std::vector<Slot> slots_;
  std::size_t free_count_ = 0;
};

}  // namespace nbdspec::fuzz
