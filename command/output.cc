// SPDX-License-Identifier: BSD-3-Clause
#include "command/output.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "engine/base/quoted.h"

namespace nbdspec::command {

void Complain(const std::string& sentence) { std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr); }

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

bool IsTerminal(std::FILE* stream) { return ::isatty(::fileno(stream)) == 1; }

bool UseColor(bool refused) {
  const char* no_color = std::getenv("NO_COLOR");
  return !refused && (no_color == nullptr || *no_color == '\0') && IsTerminal(stdout);
}

std::size_t Columns() {
  constexpr std::size_t kUsual = 100;
  winsize size = {};
  const bool is_known = IsTerminal(stdout) && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return is_known ? std::clamp<std::size_t>(size.ws_col, 60, 160) : kUsual;
}

void ShowProgress(const std::string& line) {
  if (IsTerminal(stderr)) {
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

std::string CannotWrite(const std::string& file, int error) {
  return fmt::format("cannot write {}: {}; name a file in a directory where nbdspec may write",
                     file == "-" ? "standard output" : engine::Quoted(file, 200),
                     std::generic_category().message(error));
}

std::string WriteOutput(const std::string& file, const std::string& text) {
  const bool is_replaced = file != "-" && IsPlain(file);
  const std::string written = is_replaced ? fmt::format("{}.{}.tmp", file, ::getpid()) : file;  // Of this run alone.
  std::FILE* const stream = file == "-" ? stdout : std::fopen(written.c_str(), "wbe");
  int error = stream == nullptr ? errno : WriteTo(stream, text);
  if (stream != nullptr && stream != stdout) {
    std::fclose(stream);
  }
  if (error == 0 && is_replaced && std::rename(written.c_str(), file.c_str()) != 0) {
    error = errno;
  }
  if (error == 0) {
    return "";
  }
  if (is_replaced && IsPlain(written)) {
    std::remove(written.c_str());
  }
  return CannotWrite(file, error);
}

}  // namespace nbdspec::command
