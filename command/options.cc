// SPDX-License-Identifier: BSD-3-Clause
#include "command/options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "conformance/peer/process/command_line.h"
#include "conformance/peer/reference_target.h"
#include "engine/base/quoted.h"
#include "engine/wire/messages.h"

namespace nbdspec::conformance {

namespace {

constexpr std::array<std::string_view, 4> kServers = {"nbdkit", "nbdkit:extents", "qemu-nbd", "nbd-server"};

// The target that `options` name, with nothing left over, to be written to.
std::expected<std::unique_ptr<Target>, engine::Trouble> WritableTarget(CheckOptions options, bool allow_write) {
  auto target = TakeTarget(options);
  if (target && !options.words.empty()) {
    return std::unexpected(engine::Trouble{"there is no server " + engine::Quoted(options.words.front(), 200) +
                                           "; `nbdspec check --help` names them"});
  }
  if (target && !(*target)->IsOurs() && !allow_write) {
    return std::unexpected(engine::Trouble{"a script overwrites the export at " + (*target)->Describe() +
                                           ": pass --allow-write to permit this"});
  }
  return target;
}

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

std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromWord(const std::string& word, bool allow_write) {
  CheckOptions options;
  if (word.find("{socket}") != std::string::npos) {
    options.spawn = word;
  } else {
    options.words = {word};
  }
  return WritableTarget(std::move(options), allow_write);
}

std::expected<std::unique_ptr<Target>, engine::Trouble> TargetFromCommandLine(const std::string& line,
                                                                              bool allow_write) {
  auto words = SplitCommand(line);
  if (!words) {
    return std::unexpected(words.error());
  }
  CheckOptions options;
  for (std::size_t i = 0; i < words->size(); ++i) {
    const bool has_value = i + 1 < words->size();
    if ((*words)[i] == "--spawn" && has_value) {
      options.spawn = (*words)[++i];
    } else if ((*words)[i] == "--export" && has_value) {
      options.export_name = (*words)[++i];
    } else {
      options.words.push_back((*words)[i]);
    }
  }
  return WritableTarget(std::move(options), allow_write);
}

}  // namespace nbdspec::conformance
