// SPDX-License-Identifier: BSD-3-Clause
#include "command/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

// Returns 0 or an errno; so the next.
int WriteToFile(const std::string& file, const std::string& text) {
  std::FILE* const stream = std::fopen(file.c_str(), "wbe");
  if (stream == nullptr) {
    return errno;
  }
  const int error = WriteTo(stream, text);
  std::fclose(stream);
  return error;
}

int ReplaceFile(const std::string& file, const std::string& text) {
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

}  // namespace

int Refuse(const std::string& sentence, int exit) {
  std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr);
  return exit;
}

void Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);  // Not fmt::print, which throws.
  std::fflush(stdout);
}

std::string Plain(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      plain += "\n            ";
    } else if (byte < 0x20 || byte >= 0x7f) {
      plain += fmt::format("\\x{:02x}", byte);
    } else {
      plain += c;
    }
  }
  return plain;
}

bool UseColor(bool refused) {
  const char* no_color = std::getenv("NO_COLOR");
  return !refused && (no_color == nullptr || *no_color == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

void ShowProgress(const std::string& line) {
  if (::isatty(STDERR_FILENO) == 1) {
    std::fputs(("\r\x1b[K" + line).c_str(), stderr);
  }
}

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

std::string WriteOutput(const std::string& file, const std::string& text) {
  const int error = file == "-"     ? WriteTo(stdout, text)
                    : IsPlain(file) ? ReplaceFile(file, text)
                                    : WriteToFile(file, text);
  return error == 0 ? ""
                    : fmt::format("cannot write {}: {}; name a file in a directory where nbdspec may write",
                                  file == "-" ? "standard output" : engine::Quoted(file, 200),
                                  std::generic_category().message(error));
}

}  // namespace nbdspec::command
