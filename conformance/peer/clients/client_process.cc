// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/clients/client_process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "conformance/peer/clients/recorded_connections.h"
#include "conformance/peer/process/process.h"
#include "conformance/peer/targets/tls_files.h"
#include "conformance/peer/targets/uri.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::Trouble;

constexpr std::size_t kMapBytesMax = 16 << 20;

struct TaskRow {
  std::string_view placeholder;
  ClientTasks task;
  std::string_view file;
};
constexpr TaskRow kTasks[] = {
    {"{output}", ClientTask::kCopiesOut, "output"},
    {"{input}", ClientTask::kCopiesIn, "input"},
    {"{map}", ClientTask::kMaps, "map"},
};

// What a client made of `path`: a plain file, and no more than `bytes_max` of it.
template <typename Content>
std::optional<Content> ReadMade(const std::string& path, std::uint64_t bytes_max) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status = {};
  if (!file.is_open() || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return {};
  }
  Content content(std::min(static_cast<std::uint64_t>(status.st_size), bytes_max), {});
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = read(file.get(), content.data() + done, content.size() - done);
    if (got <= 0 && errno != EINTR) {
      break;
    }
    done += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  }
  content.resize(done);
  return content;
}

std::expected<void, Trouble> WriteFiles(const ClientCommand& command, const ClientSetting& setting,
                                        const std::string& directory) {
  if (command.Has(ClientTask::kCopiesIn)) {
    const Bytes& input = *setting.input;
    NBDSPEC_RETURN_IF_ERROR(
        WriteNewFile(directory + "/input", {reinterpret_cast<const char*>(input.data()), input.size()}));
  }
  return setting.tls ? WriteTlsMaterial(directory) : std::expected<void, Trouble>();
}

// The words of the process: the command with its placeholders filled, in the environment of the scenario.
std::vector<std::string> WordsFor(const ClientCommand& command, const ClientSetting& setting,
                                  const PrivateDirectory& directory, std::uint16_t port) {
  const std::string uri = ClientUri(directory, port, setting);
  std::vector<std::string> words = {"env", "NBDSPEC_SCENARIO=" + setting.scenario};
  for (std::string word : command.words()) {
    for (const TaskRow& row : kTasks) {
      word = Filled(std::move(word), row.placeholder, directory.PathOf(row.file));
    }
    word = Filled(std::move(word), "{uri}", uri);
    word = Filled(std::move(word), "{socket}", directory.socket_path());
    word = Filled(std::move(word), "{port}", std::to_string(port));
    word = Filled(std::move(word), "{export}", setting.export_name);
    words.push_back(Filled(std::move(word), "{certs}", directory.path()));
  }
  return words;
}

}  // namespace

std::string ClientUri(const PrivateDirectory& directory, std::uint16_t port, const ClientSetting& setting) {
  std::string uri = UnixUriOf(directory.socket_path(), setting.export_name, setting.tls);
  if (port != 0) {
    uri = TcpUriOf(port, setting.export_name, setting.tls);
  }
  if (setting.tls) {
    uri += (uri.contains('?') ? "&" : "?") + ("tls-certificates=" + directory.path());
  }
  return uri;
}

bool ClientCommand::Contains(std::string_view placeholder) const {
  return std::ranges::any_of(words_, [&](const std::string& word) { return word.contains(placeholder); });
}

std::expected<ClientCommand, Trouble> ClientCommand::From(std::string_view command) {
  NBDSPEC_ASSIGN_OR_RETURN(words, SplitCommand(command));
  ClientCommand made;
  made.text_ = command;
  made.words_ = std::move(words);
  const int places = int{made.Contains("{uri}")} + int{made.Contains("{socket}")} + int{made.Contains("{port}")};
  if (places != 1) {
    return std::unexpected(
        Trouble{"The command " + engine::Quoted(command, 200) +
                (places == 0 ? " does not say where the server is: write one of {uri}, {socket} and "
                               "{port} where the client takes it."
                             : " has more than one of {uri}, {socket} and {port}: write one of them.")});
  }
  for (const TaskRow& row : kTasks) {
    made.tasks_ |= made.Contains(row.placeholder) ? row.task : ClientTasks{0};
  }
  made.tasks_ = made.tasks_ == 0 ? ClientTask::kVisits : made.tasks_;
  return made;
}

std::expected<ClientRun, Trouble> RunClientProcess(const ClientCommand& command, const Serving& serving,
                                                   const ClientSetting& setting) {
  if (AreWaitsForServersOver()) {
    return ClientRun{.ended = "was not started"};
  }
  RecordedConnections connections(serving);
  NBDSPEC_ASSIGN_OR_RETURN(server, SocketServer::Make([&] { return connections.Next(); },
                                                      {.connections_max = RecordedConnections::kAtOnceMax,
                                                       .pace = setting.pace,
                                                       .hears_to_the_end = true}));
  NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
  const std::string path = directory.path();
  std::uint16_t port = 0;
  if (command.is_on_tcp() || setting.wants_tcp) {
    NBDSPEC_ASSIGN_OR_RETURN(free_port, server->ListenOnTcp());
    port = free_port;
  }
  const auto prepare = [&, socket_path = directory.socket_path()] -> std::expected<void, Trouble> {
    if (port == 0) {
      NBDSPEC_RETURN_IF_ERROR(server->Listen(socket_path));
    }
    return WriteFiles(command, setting, path);
  };
  const std::vector<std::string> words = WordsFor(command, setting, directory, port);
  NBDSPEC_ASSIGN_OR_RETURN(process, ServerProcess::Start(words, std::move(directory), prepare));
  ClientRun run;
  run.ended = process->EndedUnlessCancelled(Transport::Clock::now() + setting.time).value_or("");
  run.exit_status = process->ExitStatus();
  run.words = process->LastWords();
  run.output = ReadMade<Bytes>(path + "/output", setting.output_bytes_max);
  run.map = ReadMade<std::string>(path + "/map", kMapBytesMax);
  process.reset();
  server->Finish(Transport::Clock::now() + (AreWaitsForServersOver() ? std::chrono::milliseconds(0) : kDepartureTime));
  server.reset();
  connections.GiveTo(run);
  return run;
}

std::expected<std::vector<ClaimedExtent>, std::string> ReadMap(std::string_view text) {
  constexpr std::uint64_t kZeroBit = engine::AllocationFlag::kZero;
  const nlohmann::json map = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!map.is_array()) {
    return std::unexpected("no JSON array, but " + engine::Quoted(text, 100));
  }
  std::vector<ClaimedExtent> extents;
  for (const nlohmann::json& each : map) {
    const auto number = [&each](const char* name) -> std::optional<std::uint64_t> {
      const auto found = each.is_object() ? each.find(name) : each.end();
      return found != each.end() && found->is_number_unsigned() ? std::optional(found->get<std::uint64_t>())
                                                                : std::nullopt;
    };
    // nbdinfo calls it offset, and has the flags as a number; qemu-img calls it start.
    const auto offset = number("offset") && !number("start") ? number("offset") : number("start");
    const auto length = number("length");
    if (!offset || !length) {
      return std::unexpected("an extent without offset or length: " + engine::Quoted(each.dump(), 100));
    }
    const auto zero = each.find("zero");  // A client may write anything there.
    const bool is_zero =
        (number("type").value_or(0) & kZeroBit) != 0 || (zero != each.end() && zero->is_boolean() && zero->get<bool>());
    extents.push_back({.offset = *offset, .length = *length, .is_zero = is_zero});
  }
  return extents;
}

}  // namespace nbdspec::conformance
