// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "engine/base/quoted.h"
#include "engine/wire/messages.h"

namespace nbdspec::fuzz {

namespace {

using engine::Trouble;

constexpr std::size_t kPathShownMax = 200;

std::unexpected<Trouble> CannotRead(const std::string& path, const std::string& why) {
  return std::unexpected(
      Trouble{"cannot read " + engine::Quoted(path, kPathShownMax) + ": " + why + "; name a file that can be read"});
}

// What can be read of `fd`, or a little more than `bytes_max`. Errors: errno.
std::expected<std::string, int> ReadAll(int fd, std::uint64_t bytes_max) {
  std::string text;
  std::array<char, 65536> piece{};
  while (text.size() <= bytes_max) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got == 0) {
      break;
    }
    if (got < 0 && errno != EINTR) {
      return std::unexpected(errno);
    }
    text.append(piece.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

std::expected<std::string, Trouble> ReadFile(const std::string& path, std::uint64_t bytes_max) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return CannotRead(path, std::generic_category().message(errno));
  }
  auto text = ReadAll(fd, bytes_max);
  ::close(fd);
  if (!text) {
    return CannotRead(path, std::generic_category().message(text.error()));
  }
  if (text->size() > bytes_max) {
    return CannotRead(path, "it has more than " + std::to_string(bytes_max) + " bytes");
  }
  return *std::move(text);
}

}  // namespace nbdspec::fuzz
