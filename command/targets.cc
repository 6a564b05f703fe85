// SPDX-License-Identifier: BSD-3-Clause
#include "command/targets.h"

#include <utility>

#include "conformance/peer/process/command_line.h"
#include "conformance/peer/reference_target.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

using engine::Quoted;
using engine::Trouble;

namespace {

constexpr std::size_t kWordShownMax = 200;

}  // namespace

TargetOrTrouble TakeTarget(Options& options) {
  const std::string first = options.words.empty() ? "" : options.words.front();
  const bool is_uri = first.find("://") != std::string::npos || first.starts_with("nbd:");
  auto server = conformance::TargetFromName(first);  // Its only error is that there is none of that name.
  const bool is_target = is_uri || server || first == "reference";
  if (!options.spawn.empty() && is_target) {
    return std::unexpected(Trouble{"--spawn and the target " + Quoted(first, kWordShownMax) +
                                   " both name a server: give only one of them."});
  }
  if (!options.spawn.empty()) {
    return conformance::TargetFromSpawn(options.spawn, options.export_name);
  }
  if (!options.export_name.empty()) {
    return std::unexpected(
        Trouble{"--export goes with --spawn: a URI names its export itself, and nbdspec knows the export of a server "
                "that it starts by name."});
  }
  if (is_target) {
    options.words.erase(options.words.begin());
  }
  if (is_uri) {
    return conformance::TargetFromUri(first);
  }
  return server ? std::move(server) : conformance::ReferenceTarget();
}

TargetOrTrouble WritableTarget(Options options) {
  auto target = TakeTarget(options);
  if (target && !options.words.empty()) {
    return std::unexpected(Trouble{"there is no server " + Quoted(options.words.front(), kWordShownMax) +
                                   "; `nbdspec check --help` lists the servers that nbdspec knows by name"});
  }
  if (target && !(*target)->IsOurs() && !options.allow_write) {
    return std::unexpected(
        Trouble{"a script overwrites the export at " + (*target)->Describe() + ": pass --allow-write to permit this"});
  }
  return target;
}

TargetOrTrouble WritableTarget(const std::string& word, bool allow_write) {
  Options options{.allow_write = allow_write};
  if (word.find("{socket}") != std::string::npos) {
    options.spawn = word;
  } else {
    options.words = {word};
  }
  return WritableTarget(std::move(options));
}

TargetOrTrouble TargetOf(const std::string& recorded, const Options& given) {
  if (!given.target.empty()) {
    return WritableTarget(given.target, given.allow_write);
  }
  auto words = conformance::SplitCommand(recorded);
  if (!words) {
    return std::unexpected(words.error());
  }
  Options options{.allow_write = given.allow_write};
  for (std::size_t i = 0; i < words->size(); ++i) {
    std::string& word = (*words)[i];
    const bool has_value = i + 1 < words->size();
    if (word == "--spawn" && has_value) {
      options.spawn = (*words)[++i];
    } else if (word == "--export" && has_value) {
      options.export_name = (*words)[++i];
    } else {
      options.words.push_back(std::move(word));
    }
  }
  return WritableTarget(std::move(options));
}

}  // namespace nbdspec::command
