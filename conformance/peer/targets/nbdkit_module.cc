// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/nbdkit_module.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

constexpr std::string_view kBuiltIn = "engine/nbdkit";

}  // namespace

std::expected<std::string, engine::Trouble> FindNbdkitModule(std::string_view file) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<fs::path> folders;
  const char* const told = std::getenv("NBDSPEC_PLUGIN_DIR");
  if (told != nullptr && *told != '\0') {
    folders.emplace_back(told);
  } else {
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    folders.push_back(program.parent_path());
    // In Bazel's output tree a program is some folders below the one that also holds engine/nbdkit.
    fs::path above = program.parent_path();
    while (above.has_relative_path() && !fs::is_directory(above / kBuiltIn, ignored)) {
      above = above.parent_path();
    }
    folders.push_back(above / kBuiltIn);
  }
  std::string looked;
  for (const fs::path& folder : folders) {
    const fs::path candidate = fs::absolute(folder / file, ignored);
    if (fs::is_regular_file(candidate, ignored)) {
      return candidate.string();
    }
    looked += (looked.empty() ? "" : " and ") + engine::Quoted(folder.string(), 200);
  }
  return std::unexpected(engine::Trouble{"Cannot find " + std::string(file) + " in " + looked +
                                         ": build it with bazel build //engine/nbdkit/..., and set " +
                                         "NBDSPEC_PLUGIN_DIR to the folder that it is in."});
}

}  // namespace nbdspec::conformance
