// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/cli/options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "conformance/peer/reference_target.h"
#include "engine/wire/messages.h"

namespace nbdspec::conformance {

namespace {

constexpr std::array<std::string_view, 4> kServers = {"nbdkit", "nbdkit:extents", "qemu-nbd", "nbd-server"};

}  // namespace

bool UseColor(bool refused) {
  const char* no_color = std::getenv("NO_COLOR");
  return !refused && (no_color == nullptr || *no_color == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

std::expected<std::unique_ptr<Target>, engine::Trouble> TakeTarget(CheckOptions& options) {
  const std::string first = options.words.empty() ? "" : options.words.front();
  const bool is_uri = first.find("://") != std::string::npos || first.starts_with("nbd:");
  const bool is_server = std::ranges::find(kServers, first) != kServers.end();
  const bool is_target = is_uri || is_server || first == "reference";
  if (!options.spawn.empty() && is_target) {
    return std::unexpected(engine::Trouble{"--spawn and the target " + engine::Quoted(first, 200) +
                                           " both name a server: give one of them."});
  }
  if (!options.spawn.empty()) {
    return TargetFromSpawn(options.spawn, options.export_name);
  }
  if (!options.export_name.empty()) {
    return std::unexpected(engine::Trouble{
        "--export goes with --spawn: a URI names its export itself, and of a server known by name it is known."});
  }
  if (is_target) {
    options.words.erase(options.words.begin());
  }
  if (is_uri) {
    return TargetFromUri(first);
  }
  if (is_server) {
    return TargetFromName(first);
  }
  return ReferenceTarget();
}

}  // namespace nbdspec::conformance
