// SPDX-License-Identifier: BSD-3-Clause
#include "command/output_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace nbdspec::conformance {

namespace {

int WriteToFile(const std::string& file, const std::string& text) {
  std::FILE* const stream = std::fopen(file.c_str(), "wbe");
  if (stream == nullptr) {
    return errno;
  }
  const int error = WriteTo(stream, text);
  std::fclose(stream);
  return error;
}

}  // namespace

int WriteTo(std::FILE* stream, const std::string& text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stream) == text.size();
  return written && std::fflush(stream) == 0 ? 0 : (errno != 0 ? errno : EIO);
}

bool IsPlain(const std::string& file) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(file, error);
  return !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
}

int WriteOutput(const std::string& file, const std::string& text) {
  if (file == "-") {
    return WriteTo(stdout, text);
  }
  if (!IsPlain(file)) {
    return WriteToFile(file, text);
  }
  const std::string written = fmt::format("{}.{}.tmp", file, ::getpid());  // Two runs may share a report.
  int error = WriteToFile(written, text);
  if (error == 0 && std::rename(written.c_str(), file.c_str()) != 0) {
    error = errno;
  }
  if (error != 0 && IsPlain(written)) {
    std::remove(written.c_str());
  }
  return error;
}

}  // namespace nbdspec::conformance
