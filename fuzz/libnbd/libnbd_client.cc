// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/libnbd_client.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::CommandFlag;
using engine::CommandType;
using engine::TransmissionFlag;
using engine::Trouble;

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

Trouble TroubleOfLibnbd(const std::string& doing) {
  return {"libnbd: " + doing + ": " + LibnbdClient::LastError() + "; is libnbd0 whole?"};
}

}  // namespace

void LibnbdReport::Clear() {
  cookie = -1;
  completion_count = 0;
  completion_error = 0;
  error = 0;
  data.clear();
  chunks.clear();
  extents.clear();
  offset = 0;
}

std::string LibnbdClient::LastError() {
  const char* const error = nbd_get_error();
  return error != nullptr ? error : "no error";
}

LibnbdClient::LibnbdClient(LibnbdHandle handle, conformance::FileDescriptor wire, engine::Server& server)
    : handle_(std::move(handle)), wire_(std::move(wire)), server_(server) {}

std::expected<std::unique_ptr<LibnbdClient>, Trouble> LibnbdClient::Connect(const LibnbdOptions& options,
                                                                            engine::Server& server) {
  LibnbdHandle handle(nbd_create());
  if (handle == nullptr) {
    return std::unexpected(TroubleOfLibnbd("a new handle"));
  }
  // What is illegal is for the server to refuse.
  bool is_set = nbd_set_strict_mode(handle.get(), 0) == 0 &&
                nbd_set_export_name(handle.get(), options.export_name.c_str()) == 0 &&
                nbd_set_request_structured_replies(handle.get(), options.structured_replies) == 0;
  for (const std::string& context : options.contexts) {
    is_set = is_set && nbd_add_meta_context(handle.get(), context.c_str()) == 0;
  }
  if (!is_set) {
    return std::unexpected(TroubleOfLibnbd("setting options"));
  }
  std::array<int, 2> ends = {};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return std::unexpected(
        Trouble{std::string("no socket pair: ") + std::strerror(errno) + "; are there too many open files?"});
  }
  conformance::FileDescriptor wire(ends[0]);
  if (nbd_aio_connect_socket(handle.get(), ends[1]) != 0) {  // It owns its end, also when it fails.
    return std::unexpected(TroubleOfLibnbd("connecting"));
  }
  return std::unique_ptr<LibnbdClient>(new LibnbdClient(std::move(handle), std::move(wire), server));
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
  if (given_ == said_.size()) {
    said_ = server_.TakeOutput();
    given_ = 0;
  }
  if (said_.empty() || IsDead()) {
    return false;
  }
  std::size_t piece = said_.size() - given_;
  if (piece_bytes_max_ > 0) {
    piece_bytes_ = (piece_bytes_ * 31 + 7) % piece_bytes_max_;
    piece = std::min(piece, 1 + piece_bytes_);
  }
  const ssize_t count = send(wire_.get(), said_.data() + given_, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
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

bool LibnbdClient::IsReady() const { return nbd_aio_is_ready(handle_.get()) == 1; }

bool LibnbdClient::IsDead() const {
  return nbd_aio_is_dead(handle_.get()) == 1 || nbd_aio_is_closed(handle_.get()) == 1;
}

std::int64_t LibnbdClient::Size() const { return nbd_get_size(handle_.get()); }

std::uint16_t LibnbdClient::TransmissionFlags() const {
  nbd_handle* const handle = handle_.get();
  std::uint16_t flags = TransmissionFlag::kHasFlags;
  const auto set = [&](int has, std::uint16_t flag) { flags |= has == 1 ? flag : std::uint16_t{0}; };
  set(nbd_is_read_only(handle), TransmissionFlag::kReadOnly);
  set(nbd_can_flush(handle), TransmissionFlag::kSendFlush);
  set(nbd_can_fua(handle), TransmissionFlag::kSendFua);
  set(nbd_is_rotational(handle), TransmissionFlag::kRotational);
  set(nbd_can_trim(handle), TransmissionFlag::kSendTrim);
  set(nbd_can_zero(handle), TransmissionFlag::kSendWriteZeroes);
  set(nbd_can_df(handle), TransmissionFlag::kSendDf);
  set(nbd_can_multi_conn(handle), TransmissionFlag::kCanMultiConn);
  set(nbd_can_cache(handle), TransmissionFlag::kSendCache);
  set(nbd_can_fast_zero(handle), TransmissionFlag::kSendFastZero);
  return flags;
}

bool LibnbdClient::CanMetaContext(const std::string& name) const {
  return nbd_can_meta_context(handle_.get(), name.c_str()) == 1;
}

bool LibnbdClient::HasStructuredReplies() const { return nbd_get_structured_replies_negotiated(handle_.get()) == 1; }

// --- Commands -------------------------------------------------------------------------------------------------

std::int64_t SendToLibnbd(nbd_handle* handle, const LibnbdCommand& command, nbd_extent_callback extents,
                          nbd_completion_callback completion) {
  const auto& [type, flags, offset, length, payload] = command;
  switch (type) {
    case CommandType::kWrite:
      return nbd_aio_pwrite(handle, payload.empty() ? "" : static_cast<const void*>(payload.data()), payload.size(),
                            offset, completion, flags);
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

void LibnbdClient::Send(const LibnbdCommand& command, LibnbdReport& report) {
  const nbd_completion_callback completion = {.callback = OnCompletion, .user_data = &report};
  report.offset = command.offset;
  if (command.type == CommandType::kRead) {
    report.data.assign(std::max<std::size_t>(command.length, 1), 0xa5);  // A buffer may not be null.
    report.cookie = nbd_aio_pread_structured(handle_.get(), report.data.data(), command.length, command.offset,
                                             {.callback = OnChunk, .user_data = &report}, completion, command.flags);
  } else {
    report.cookie = SendToLibnbd(handle_.get(), command, {.callback = OnExtents, .user_data = &report}, completion);
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
