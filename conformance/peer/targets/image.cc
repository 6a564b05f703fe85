// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/bytes.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

bool WriteRange(int fd, engine::ByteRange range) {
  engine::Bytes bytes;
  for (std::uint64_t offset = range.begin; offset < range.end; ++offset) {
    bytes.push_back(ImageByteAt(offset));
  }
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written =
        pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(range.begin + done));
    if (written < 0 && errno != EINTR) {
      return false;
    }
    done += static_cast<std::size_t>(std::max<ssize_t>(written, 0));
  }
  return true;
}

}  // namespace

std::expected<void, engine::Trouble> WriteImage(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  bool is_written = file.is_open() && ftruncate(file.get(), kImageBytes) == 0;
  for (const engine::ByteRange data : kImageData) {
    is_written = is_written && WriteRange(file.get(), data);
  }
  if (!is_written || !WriteRange(file.get(), kImageWrittenZeroes)) {
    return std::unexpected(engine::Trouble{"Cannot write the test image " + engine::Quoted(path, 200) + ": " +
                                           std::generic_category().message(errno) +
                                           ". Set TMPDIR to a directory with 8 MiB to spare."});
  }
  return {};
}

}  // namespace nbdspec::conformance
