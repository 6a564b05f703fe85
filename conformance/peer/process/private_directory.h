// SPDX-License-Identifier: BSD-3-Clause
// A directory of our own for one server: its socket, image, configuration and log. Nobody else may look into it.

#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace nbdspec::conformance {

class PrivateDirectory {
 public:
  // Makes a new one with mode 0700 in $TMPDIR, or in /tmp.
  // Errors: it cannot be made, or a unix socket's path in it would be too long.
  static std::expected<PrivateDirectory, engine::Trouble> Make();

  // Removes it with all that is in it, unless released.
  ~PrivateDirectory();
  PrivateDirectory(PrivateDirectory&& other) noexcept : path_(other.Release()) {}
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;

  // Absolute.
  [[nodiscard]] const std::string& path() const { return path_; }

  // The path of a file in it.
  [[nodiscard]] std::string PathOf(std::string_view name) const { return path_ + "/" + std::string(name); }

  // The unix socket in it: short enough for one.
  [[nodiscard]] std::string socket_path() const { return PathOf("socket"); }

  // Leaves its removal to the caller; returns its path.
  std::string Release();

 private:
  explicit PrivateDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;  // Empty when released.
};

}  // namespace nbdspec::conformance
