// SPDX-License-Identifier: BSD-3-Clause
// The image that servers are given to serve: see started_peer.h.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/targets/started_peer.h"
#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

using engine::Trouble;

namespace {

engine::Bytes ImageBytes(engine::ByteRange data) {
  engine::Bytes bytes;
  for (std::uint64_t offset = data.begin; offset < data.end; ++offset) {
    bytes.push_back(DataByteAt(offset));
  }
  return bytes;
}

bool WriteAll(int fd, engine::ByteRange range, const engine::Bytes& bytes) {
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

void WriteImage(engine::VolatileDisk& disk, Setup setup) {
  for (const engine::ByteRange data : ImageData(setup)) {
    NBDSPEC_CHECK(disk.Write(data.begin, ImageBytes(data)));
  }
  NBDSPEC_CHECK(disk.WriteZeroes(kImageWrittenZeroes, /*may_punch_hole=*/false));
  NBDSPEC_CHECK(disk.Flush());
}

std::expected<void, Trouble> WriteImage(const std::string& path, Setup setup) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  bool is_written = file.is_open() && ftruncate(file.get(), static_cast<off_t>(ImageSize(setup))) == 0;
  for (const engine::ByteRange data : ImageData(setup)) {
    is_written = is_written && WriteAll(file.get(), data, ImageBytes(data));
  }
  if (!is_written || !WriteAll(file.get(), kImageWrittenZeroes, engine::Bytes(kImageWrittenZeroes.length()))) {
    return std::unexpected(Trouble{"Cannot write the test image " + engine::Quoted(path, 200) + ": " +
                                   std::generic_category().message(errno) +
                                   ". Set TMPDIR to a directory with 8 MiB to spare."});
  }
  return {};
}

}  // namespace nbdspec::conformance
