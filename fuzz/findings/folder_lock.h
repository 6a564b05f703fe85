// SPDX-License-Identifier: BSD-3-Clause
// A folder that processes of several hosts use at once: who uses it, and who changes what is in it. A lock ends with
// its process, however that ends.

#pragma once

#include <fcntl.h>

#include <chrono>
#include <memory>
#include <string>

namespace nbdspec::fuzz {

// Two locks on one file in the folder, ".lock". Those of fcntl, of the open file: NFS carries them to its server, and
// they hold between its clients and what runs on the server itself.
class FolderLock {
 public:
  // Null where the folder or its file system has no such file or no locks: whoever shares it is not known then.
  static std::shared_ptr<FolderLock> Open(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Whether nobody else uses the folder. Then nobody begins to before Use is called.
  bool UseAlone();
  // From now on this process uses it, beside others.
  void Use();

  // Keeps others from changing what is in the folder, as long as the result is kept. Null: somebody else did all of
  // `patience`. Nobody who has it asks for it again.
  class Held {
   public:
    explicit Held(FolderLock* lock) : lock_(lock) {}
    ~Held() { lock_->Set(F_UNLCK, kChanges); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    FolderLock* lock_;
  };
  std::unique_ptr<Held> Hold(std::chrono::milliseconds patience);

 private:
  // Which byte of the file each lock is on.
  static constexpr int kUsers = 0;
  static constexpr int kChanges = 1;

  explicit FolderLock(int fd) : fd_(fd) {}
  bool Set(short type, int byte);

  int fd_;
};

}  // namespace nbdspec::fuzz
