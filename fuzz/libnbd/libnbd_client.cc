// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/libnbd_client.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::CommandFlag;
using engine::CommandType;
using engine::TransmissionFlag;

namespace {

constexpr std::size_t kReceiveBytes = 1 << 16;

// libnbd's flags have the wire's values.
static_assert(LIBNBD_CMD_FLAG_FUA == CommandFlag::kFua && LIBNBD_CMD_FLAG_NO_HOLE == CommandFlag::kNoHole &&
              LIBNBD_CMD_FLAG_DF == CommandFlag::kDf && LIBNBD_CMD_FLAG_REQ_ONE == CommandFlag::kReqOne &&
              LIBNBD_CMD_FLAG_FAST_ZERO == CommandFlag::kFastZero);

int OnChunk(void* user_data, const void* bytes, std::size_t count, std::uint64_t offset, unsigned status, int* error) {
  auto& report = *static_cast<LibnbdReport*>(user_data);
  const auto in_place = reinterpret_cast<std::uintptr_t>(report.data.data()) + (offset - report.offset);
  report.chunks.push_back({.offset = offset,
                           .length = count,
                           .status = status,
                           .error = *error,
                           .is_in_place = reinterpret_cast<std::uintptr_t>(bytes) == in_place});
  return 0;
}

int OnExtents(void* user_data, const char* context, std::uint64_t offset, std::uint32_t* entries, std::size_t count,
              int* error) {
  auto& report = *static_cast<LibnbdReport*>(user_data);
  report.extents.push_back(
      {.context = context, .offset = offset, .entries = {entries, entries + count}, .error = *error});
  return 0;
}

int OnCompletion(void* user_data, int* error) {
  auto& report = *static_cast<LibnbdReport*>(user_data);
  ++report.completion_count;
  report.completion_error = *error;
  return 0;
}

}  // namespace

std::string LibnbdClient::LastError() {
  const char* const error = nbd_get_error();
  return error != nullptr ? error : "no error";
}

LibnbdClient::LibnbdClient(const LibnbdOptions& options, engine::Server& server)
    : handle_(nbd_create()), server_(server), piece_bytes_max_(options.piece_bytes_max) {
  NBDSPEC_CHECK(handle_ != nullptr);
  // What is illegal is for the server to refuse.
  NBDSPEC_CHECK(nbd_set_strict_mode(handle_.get(), 0) == 0);
  NBDSPEC_CHECK(nbd_set_export_name(handle_.get(), options.export_name.c_str()) == 0);
  NBDSPEC_CHECK(nbd_set_request_structured_replies(handle_.get(), options.structured_replies) == 0);
  for (const std::string& context : options.contexts) {
    NBDSPEC_CHECK(nbd_add_meta_context(handle_.get(), context.c_str()) == 0);
  }
  std::array<int, 2> ends = {};
  NBDSPEC_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0);
  wire_ = conformance::FileDescriptor(ends[0]);
  NBDSPEC_CHECK(nbd_aio_connect_socket(handle_.get(), ends[1]) == 0);  // It owns its end.
}

// --- Bytes, back and forth ------------------------------------------------------------------------------------

void LibnbdClient::Pump() {
  for (bool moves = true; moves;) {
    moves = TakeFromLibnbd();
    moves = GiveToLibnbd() || moves;
  }
}

// Returns whether there was anything.
bool LibnbdClient::TakeFromLibnbd() {
  static thread_local std::array<std::uint8_t, kReceiveBytes> buffer;
  const ssize_t count = recv(wire_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count > 0) {
    server_.Receive(engine::ByteView(buffer).first(static_cast<std::size_t>(count)));
  }
  if ((nbd_aio_get_direction(handle_.get()) & LIBNBD_AIO_DIRECTION_WRITE) != 0) {  // It had no room, and now it has.
    nbd_aio_notify_write(handle_.get());
    return true;
  }
  return count > 0;
}

// Gives one piece. Returns whether there was any.
bool LibnbdClient::GiveToLibnbd() {
  if (given_ == sent_.size()) {
    sent_ = server_.TakeOutput();
    given_ = 0;
  }
  if (sent_.empty() || IsDead()) {
    return false;
  }
  std::size_t piece = sent_.size() - given_;
  if (piece_bytes_max_ > 0) {
    piece_bytes_ = (piece_bytes_ * 31 + 7) % piece_bytes_max_;
    piece = std::min(piece, 1 + piece_bytes_);
  }
  const ssize_t count = send(wire_.get(), sent_.data() + given_, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0) {
    given_ += static_cast<std::size_t>(count);
  }
  // It takes one message at a time, and leaves the rest in its socket.
  const int fd = nbd_aio_get_fd(handle_.get());
  int unread = 0;
  while ((nbd_aio_get_direction(handle_.get()) & LIBNBD_AIO_DIRECTION_READ) != 0 && ioctl(fd, FIONREAD, &unread) == 0 &&
         unread > 0) {
    nbd_aio_notify_read(handle_.get());
  }
  return count > 0;
}

// --- What libnbd knows ----------------------------------------------------------------------------------------

engine::InfoExport LibnbdClient::Info() const {
  constexpr std::pair<int (*)(nbd_handle*), std::uint16_t> kQuestions[] = {
      {nbd_is_read_only, TransmissionFlag::kReadOnly}, {nbd_can_flush, TransmissionFlag::kSendFlush},
      {nbd_can_fua, TransmissionFlag::kSendFua},       {nbd_is_rotational, TransmissionFlag::kRotational},
      {nbd_can_trim, TransmissionFlag::kSendTrim},     {nbd_can_zero, TransmissionFlag::kSendWriteZeroes},
      {nbd_can_df, TransmissionFlag::kSendDf},         {nbd_can_multi_conn, TransmissionFlag::kCanMultiConn},
      {nbd_can_cache, TransmissionFlag::kSendCache},   {nbd_can_fast_zero, TransmissionFlag::kSendFastZero}};
  engine::InfoExport info = {.size = static_cast<std::uint64_t>(nbd_get_size(handle_.get())),
                             .flags = TransmissionFlag::kHasFlags};
  for (const auto& [has, flag] : kQuestions) {
    info.flags |= has(handle_.get()) == 1 ? flag : std::uint16_t{0};
  }
  return info;
}

// --- Commands -------------------------------------------------------------------------------------------------

std::int64_t SendToLibnbd(nbd_handle* handle, const engine::Request& request, nbd_extent_callback extents,
                          nbd_completion_callback completion) {
  const std::uint32_t flags = request.flags;
  const std::uint64_t offset = request.offset;
  const std::uint64_t length = request.length;
  switch (request.type) {
    case CommandType::kWrite:
      return nbd_aio_pwrite(handle, length == 0 ? "" : static_cast<const void*>(request.payload.data()), length, offset,
                            completion, flags);
    case CommandType::kFlush:
      return nbd_aio_flush(handle, completion, flags);
    case CommandType::kTrim:
      return nbd_aio_trim(handle, length, offset, completion, flags);
    case CommandType::kCache:
      return nbd_aio_cache(handle, length, offset, completion, flags);
    case CommandType::kWriteZeroes:
      return nbd_aio_zero(handle, length, offset, completion, flags);
    case CommandType::kBlockStatus:
      return nbd_aio_block_status(handle, length, offset, extents, completion, flags);
    default:
      return -1;
  }
}

void LibnbdClient::Send(const engine::Request& request, LibnbdReport& report) {
  const nbd_completion_callback completion = {.callback = OnCompletion, .user_data = &report};
  report.offset = request.offset;
  if (request.type == CommandType::kRead) {
    report.data.assign(std::max<std::size_t>(request.length, 1), 0xa5);  // A buffer may not be null.
    report.cookie = nbd_aio_pread_structured(handle_.get(), report.data.data(), request.length, request.offset,
                                             {.callback = OnChunk, .user_data = &report}, completion, request.flags);
  } else {
    report.cookie = SendToLibnbd(handle_.get(), request, {.callback = OnExtents, .user_data = &report}, completion);
  }
}

void LibnbdClient::Retire(LibnbdReport& report) {
  if (report.cookie < 0) {
    return;
  }
  const int completed = nbd_aio_command_completed(handle_.get(), static_cast<std::uint64_t>(report.cookie));
  report.error = completed == 0 ? EBUSY : completed == 1 ? 0 : nbd_get_errno();
}

}  // namespace nbdspec::fuzz
