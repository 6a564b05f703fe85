// SPDX-License-Identifier: BSD-3-Clause
#include "command/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

constexpr const char* kOwnFiles = "/proc/self/fd/";
constexpr std::string_view kNewEnd = ".tmp";
constexpr std::size_t kRandomDigits = 16;

// While it is open it is locked, so that others see that it is not left.
struct NewFile {
  std::string name;
  std::FILE* stream = nullptr;  // Null where it cannot be made: errno says why.
  bool has_name = true;         // Else it is nowhere until GiveName, so that a kill leaves nothing.
};

// To become `file`: of a name that nobody guesses, for in a directory of others somebody may put a link there.
NewFile NewFileBeside(const std::string& file) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) {
    return {};
  }
  std::string name = fmt::format("{}.{:0{}x}{}", file, random, kRandomDigits, kNewEnd);
  const std::string directory = std::filesystem::path(file).parent_path().string();
  int descriptor = ::access(kOwnFiles, X_OK) != 0
                       ? -1
                       : ::open(directory.empty() ? "." : directory.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  const bool has_name = descriptor < 0;  // Not every file system can do without.
  if (has_name) {
    descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  }
  if (descriptor >= 0) {
    ::flock(descriptor, LOCK_EX | LOCK_NB);
  }
  std::FILE* const stream = descriptor < 0 ? nullptr : ::fdopen(descriptor, "wb");
  if (descriptor >= 0 && stream == nullptr) {
    ::close(descriptor);
  }
  return {.name = std::move(name), .stream = stream, .has_name = has_name};
}

bool IsNameOfNew(std::string_view name, std::string_view file) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return name.size() == file.size() + 1 + kRandomDigits + kNewEnd.size() && name.starts_with(file) &&
         name[file.size()] == '.' && name.ends_with(kNewEnd) &&
         name.substr(file.size() + 1, kRandomDigits).find_first_not_of(kDigits) == std::string_view::npos;
}

// Removes what a kill left, of who was about to put it in place of `file`: it is ours, and nobody has it open.
void RemoveLeft(const std::string& file) {
  const std::filesystem::path path(file);
  const std::string directory = path.parent_path().empty() ? "." : path.parent_path().string();
  std::error_code error;
  for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    if (!IsNameOfNew(each->path().filename().string(), path.filename().string())) {
      continue;
    }
    const int left = ::open(each->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status = {};
    if (left >= 0 && ::fstat(left, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid() &&
        ::flock(left, LOCK_EX | LOCK_NB) == 0) {
      ::unlink(each->path().c_str());
    }
    if (left >= 0) {
      ::close(left);
    }
  }
}

// Returns 0, or the errno that says why not.
int GiveName(NewFile& file) {
  const std::string own = kOwnFiles + std::to_string(::fileno(file.stream));
  file.has_name = file.has_name || ::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, file.name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  return file.has_name ? 0 : errno;
}

}  // namespace

void Complain(const std::string& sentence) {
  std::fputs(fmt::format("nbdspec: {}\n", Plain(sentence)).c_str(), stderr);
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
  if (is_replaced) {
    RemoveLeft(file);
  }
  NewFile beside = is_replaced ? NewFileBeside(file) : NewFile{};
  std::FILE* const stream = file == "-" ? stdout : is_replaced ? beside.stream : std::fopen(file.c_str(), "wbe");
  int error = stream == nullptr ? errno : WriteTo(stream, text);
  error = error == 0 && is_replaced ? GiveName(beside) : error;
  if (error == 0 && is_replaced && std::rename(beside.name.c_str(), file.c_str()) != 0) {
    error = errno;
  }
  if (error != 0 && beside.stream != nullptr && beside.has_name) {
    std::remove(beside.name.c_str());
  }
  if (stream != nullptr && stream != stdout) {
    std::fclose(stream);
  }
  return error == 0 ? "" : CannotWrite(file, error);
}

std::string CannotWriteYet(const std::string& file) {
  if (file == "-") {
    return "";
  }
  if (!IsPlain(file)) {
    return ::access(file.c_str(), W_OK) == 0 ? "" : CannotWrite(file, errno);
  }
  RemoveLeft(file);
  NewFile beside = NewFileBeside(file);
  const int error = beside.stream == nullptr ? errno : GiveName(beside);
  if (error == 0) {
    std::remove(beside.name.c_str());
  }
  if (beside.stream != nullptr) {
    std::fclose(beside.stream);
  }
  return error == 0 ? "" : CannotWrite(file, error);
}

}  // namespace nbdspec::command
