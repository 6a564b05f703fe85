// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/read_file.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "engine/base/quoted.h"

namespace nbdspec::fuzz {

std::expected<std::string, engine::Trouble> ReadFile(const std::string& path, std::uint64_t bytes_max) {
  const auto cannot_read = [&](const std::string& why) {
    return std::unexpected(
        engine::Trouble{"cannot read " + engine::Quoted(path, 200) + ": " + why + "; name a file that can be read"});
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) {
    return cannot_read(std::generic_category().message(errno));
  }
  std::string text;
  std::array<char, 65536> piece{};
  for (std::size_t got = piece.size(); got == piece.size() && text.size() <= bytes_max;) {
    got = std::fread(piece.data(), 1, piece.size(), file.get());
    text.append(piece.data(), got);
  }
  if (std::ferror(file.get()) != 0) {
    return cannot_read(std::generic_category().message(errno));
  }
  if (text.size() > bytes_max) {
    return cannot_read("it has more than " + std::to_string(bytes_max) + " bytes");
  }
  return text;
}

std::string CorpusFolderOf(const std::filesystem::path& path) {
  std::error_code error;
  const auto folder = std::filesystem::absolute(path, error).lexically_normal().parent_path();
  const auto part = folder.parent_path().filename();
  return part == "regressions" || part == "seeds" ? folder.filename().string() : "";
}

}  // namespace nbdspec::fuzz
