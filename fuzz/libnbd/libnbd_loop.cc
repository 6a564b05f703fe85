// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/libnbd_loop.h"

#include <libnbd.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::CommandType;
using engine::Trouble;

namespace {

constexpr std::uint8_t kWrittenByte = 0x5a;

std::unexpected<Trouble> LibnbdTrouble() {
  const char* const why = nbd_get_error();
  return std::unexpected(Trouble{std::string("libnbd: ") + (why == nullptr ? "it does not say why" : why)});
}

int Ignore(void*, const char*, std::uint64_t, std::uint32_t*, std::size_t, int*) { return 0; }

}  // namespace

void LibnbdLoop::CloseHandle::operator()(nbd_handle* handle) const { nbd_close(handle); }

LibnbdLoop::LibnbdLoop(std::unique_ptr<nbd_handle, CloseHandle> handle, int in_flight)
    : handle_(std::move(handle)), slots_(static_cast<std::size_t>(in_flight)), free_count_(slots_.size()) {
  for (Slot& slot : slots_) {
    slot.loop = this;
    slot.buffer.resize(kBytesMax, kWrittenByte);
  }
}

LibnbdLoop::~LibnbdLoop() { nbd_shutdown(handle_.get(), 0); }

std::expected<std::unique_ptr<LibnbdLoop>, Trouble> LibnbdLoop::Connect(const std::string& socket, int in_flight) {
  std::unique_ptr<nbd_handle, CloseHandle> handle(nbd_create());
  // Its own checks are off: they do not know that DF may stand with any READ.
  if (handle == nullptr || nbd_set_strict_mode(handle.get(), 0) == -1 ||
      nbd_add_meta_context(handle.get(), LIBNBD_CONTEXT_BASE_ALLOCATION) == -1 ||
      nbd_connect_unix(handle.get(), socket.c_str()) == -1) {
    return LibnbdTrouble();
  }
  return std::unique_ptr<LibnbdLoop>(new LibnbdLoop(std::move(handle), in_flight));
}

std::expected<void, Trouble> LibnbdLoop::WaitFor(std::size_t free_count) {
  while (free_count_ < free_count) {
    if (nbd_poll(handle_.get(), -1) == -1) {
      return LibnbdTrouble();
    }
  }
  return {};
}

int LibnbdLoop::Done(void* slot, int* /*error*/) {
  auto* const done = static_cast<Slot*>(slot);
  done->is_free = true;
  ++done->loop->free_count_;
  return 1;  // It need not be asked for.
}

std::int64_t LibnbdLoop::Start(std::uint16_t type, std::uint16_t flags, std::uint64_t offset, std::uint32_t length,
                               Slot& slot) {
  const nbd_completion_callback done = {.callback = Done, .user_data = &slot, .free = nullptr};
  const nbd_extent_callback extents = {.callback = Ignore, .user_data = nullptr, .free = nullptr};
  nbd_handle* const handle = handle_.get();
  switch (type) {
    case CommandType::kRead:
      return nbd_aio_pread(handle, slot.buffer.data(), length, offset, done, flags);
    case CommandType::kWrite:
      return nbd_aio_pwrite(handle, slot.buffer.data(), length, offset, done, flags);
    case CommandType::kWriteZeroes:
      return nbd_aio_zero(handle, length, offset, done, flags);
    case CommandType::kTrim:
      return nbd_aio_trim(handle, length, offset, done, flags);
    case CommandType::kCache:
      return nbd_aio_cache(handle, length, offset, done, flags);
    case CommandType::kFlush:
      return nbd_aio_flush(handle, done, flags);
    case CommandType::kBlockStatus:
      return nbd_aio_block_status(handle, length, offset, extents, done, flags);
    default:
      return -1;
  }
}

std::expected<void, Trouble> LibnbdLoop::Send(std::uint16_t type, std::uint16_t flags, std::uint64_t offset,
                                              std::uint32_t length) {
  NBDSPEC_CHECK(length <= kBytesMax || (type != CommandType::kRead && type != CommandType::kWrite));
  if (auto waited = WaitFor(1); !waited) {
    return waited;
  }
  Slot& slot = *std::ranges::find(slots_, true, &Slot::is_free);
  slot.is_free = false;
  --free_count_;
  if (Start(type, flags, offset, length, slot) == -1) {
    return LibnbdTrouble();
  }
  return {};
}

}  // namespace nbdspec::fuzz
