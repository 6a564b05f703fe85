// SPDX-License-Identifier: BSD-3-Clause
#include "command/servers.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <utility>

#include "conformance/peer/process/process.h"
#include "conformance/peer/reference_target.h"
#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "reports/model/run.h"

namespace nbdspec::command {

using engine::Quoted;
using engine::Trouble;

namespace {

constexpr std::size_t kWordShownMax = 200;

std::atomic<bool> interrupted = false;
std::atomic<int> interrupt_signal = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler may only touch lock-free atomics");

void Note(int signal) {
  interrupt_signal = signal;
  interrupted = true;
}

// A file or directory may be named from here; a server may run elsewhere.
std::string Absolute(const std::string& path) { return path.empty() ? path : std::filesystem::absolute(path).string(); }

TargetOrTrouble TakeAnyTarget(Options& options) {
  const conformance::StartOptions start = {
      .power_cut = options.power_cut,
      .tls = {
          .is_wanted = options.tls || !options.tls_certificates.empty() || !options.tls_psk.empty(),
          .certificates = Absolute(options.tls_certificates),
          .shared_keys = Absolute(options.tls_psk),
          .host = options.tls_hostname,
      }};
  const std::string first = options.words.empty() ? "" : options.words.front();
  const bool is_uri = first.find("://") != std::string::npos || first.starts_with("nbd:");
  const bool is_name = conformance::IsServerName(first);
  const bool is_target = is_uri || is_name || first == "reference";
  if (!options.spawn.empty() && is_target) {
    return std::unexpected(Trouble{"--spawn and the target " + Quoted(first, kWordShownMax) +
                                   " both name a server: give only one of them."});
  }
  if (!options.spawn.empty()) {
    return conformance::TargetFromSpawn(options.spawn, options.export_name, start);
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
    return conformance::TargetFromUri(first, start.tls);
  }
  return is_name ? conformance::TargetFromName(first, start)
                 : conformance::ReferenceTarget({.tls = start.tls.is_wanted});
}

}  // namespace

TargetOrTrouble TakeTarget(Options& options) {
  auto target = TakeAnyTarget(options);
  if (target && options.power_cut && !(*target)->CanSetUp(conformance::Setup::kOnStorage)) {
    return std::unexpected(Trouble{
        "--power-cut needs a server that nbdspec starts, and whose disk can be nbdspec's: " + (*target)->Describe() +
        " is none; a command has {image} or {image-uri} where it takes its disk."});
  }
  return target;
}

Options ServerOptionsOf(const Options& given) {
  return {.allow_write = given.allow_write,
          .power_cut = given.power_cut,
          .tls = given.tls,
          .tls_certificates = given.tls_certificates,
          .tls_psk = given.tls_psk,
          .tls_hostname = given.tls_hostname};
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

TargetOrTrouble WritableTarget(const std::string& word, const Options& given) {
  Options options = ServerOptionsOf(given);
  options.export_name = given.export_name;
  if (word.contains("{socket}") || word.contains("{port}")) {
    options.spawn = word;
  } else {
    options.words = {word};
  }
  return WritableTarget(std::move(options));
}

std::expected<void, Refusal> NeedDescriptors() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kDescriptorsMin) {
    return {};
  }
  return Refuse(fmt::format("only {} files may be open at once, and nbdspec and servers need {}: raise that limit "
                            "(ulimit -n {})",
                            limit.rlim_cur, kDescriptorsMin, kDescriptorsMin),
                reports::ExitCode::kOurError);
}

void CatchInterrupts() {
  conformance::EndWaitsForServersWhen(interrupted);
  struct sigaction action = {};
  action.sa_handler = Note;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (signal != SIGHUP || before.sa_handler != SIG_IGN) {  // Under nohup a hangup is no reason to stop.
      ::sigaction(signal, &action, nullptr);
    }
  }
}

const std::atomic<bool>& Interrupted() { return interrupted; }

int InterruptSignal() { return interrupt_signal; }

ExitOrRefusal Unusable(const engine::Trouble& trouble) {
  if (InterruptSignal() != 0) {
    return 128 + InterruptSignal();
  }
  return Refuse(trouble.sentence, reports::ExitCode::kTargetUnusable);
}

std::chrono::milliseconds FromSeconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

fuzz::LiveOptions LiveOptionsFrom(const Options& options) {
  return {.in_flight = options.in_flight,
          .reply_timeout = FromSeconds(options.reply_timeout_s),
          .cancelled = &Interrupted(),
          .power_cut = options.power_cut};
}

std::string WarningsText(const fuzz::Warnings& warnings, const std::string& whose) {
  std::string text;
  for (const auto& [requirement, warning] : warnings) {
    text += fmt::format("warn  {}{}, {} time{}, first in script {}: {}\n  expected  {}\n  saw       {}\n", whose,
                        requirement, warning.count, warning.count == 1 ? "" : "s", warning.script_number, warning.step,
                        Plain(warning.expected), Plain(warning.saw));
  }
  return text;
}

}  // namespace nbdspec::command
