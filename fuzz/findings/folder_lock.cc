// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/folder_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace nbdspec::fuzz {

namespace {

constexpr std::chrono::milliseconds kPause{2};

}  // namespace

std::shared_ptr<FolderLock> FolderLock::Open(const std::string& folder) {
  const int fd = ::open((folder + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) {
    return nullptr;
  }
  std::shared_ptr<FolderLock> lock(new FolderLock(fd));
  const bool has_locks = lock->Set(F_WRLCK, kChanges) || errno == EAGAIN || errno == EACCES;
  lock->Set(F_UNLCK, kChanges);
  return has_locks ? lock : nullptr;
}

FolderLock::~FolderLock() { ::close(fd_); }

bool FolderLock::Set(short type, int byte) {
  struct flock wanted = {};
  wanted.l_type = type;
  wanted.l_whence = SEEK_SET;
  wanted.l_start = byte;
  wanted.l_len = 1;
  return ::fcntl(fd_, F_OFD_SETLK, &wanted) == 0;
}

bool FolderLock::UseAlone() { return Set(F_WRLCK, kUsers); }

void FolderLock::Use() {
  constexpr int kTries = 1000;  // Who is alone is soon done.
  for (int i = 0; i < kTries && !Set(F_RDLCK, kUsers); ++i) {
    std::this_thread::sleep_for(kPause);
  }
}

std::unique_ptr<FolderLock::Held> FolderLock::Hold(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!Set(F_WRLCK, kChanges)) {
    if (std::chrono::steady_clock::now() >= until) {
      return nullptr;
    }
    std::this_thread::sleep_for(kPause);
  }
  return std::make_unique<Held>(this);
}

}  // namespace nbdspec::fuzz
