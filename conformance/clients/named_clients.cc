// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/named_clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "conformance/peer/process/process.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::string_view kReference = "reference";

struct NamedClient {
  std::string_view name;
  std::string_view program;  // Whose version is shown.
  bool has_tls = false;      // By nbds URIs, or {certs}.
  std::vector<std::string_view> commands;
};

// sh: what a program prints goes to a file.
const std::vector<NamedClient>& Table() {
  static const std::vector<NamedClient> kTable = {
      {"nbdinfo",
       "nbdinfo",
       true,
       {"nbdinfo {uri}", "nbdinfo --list {uri}", "nbdinfo --size {uri}", "nbdinfo --can connect {uri}",
        R"(sh -c 'nbdinfo --map --json "$0" > "$1"' {uri} {map})"}},
      {"nbdcopy",
       "nbdcopy",
       true,
       {"nbdcopy {uri} {output}", "nbdcopy --no-extents {uri} {output}",
        "nbdcopy --connections=1 --requests=1 --request-size=65536 {uri} {output}",
        "nbdcopy --synchronous {uri} {output}", "nbdcopy --flush {input} {uri}",
        "nbdcopy --allocated --connections=1 {input} {uri}"}},
      {"nbdsh",
       "nbdsh",
       true,
       {R"(nbdsh -u {uri} -c 'f = open("{output}", "wb")' -c 'size = h.get_size()' -c 'for at in range(0, size, 65536): f.write(h.pread(min(65536, size - at), at))')",
        R"(nbdsh -u {uri} -c 'b = open("{input}", "rb").read()' -c 'for at in range(0, len(b), 65536): h.pwrite(b[at:at + 65536], at)' -c 'h.flush() if h.can_flush() else None' -c 'h.shutdown()')"}},
      {"qemu-img",
       "qemu-img",
       false,
       {"qemu-img convert -f raw -O raw {uri} {output}", "qemu-img dd -f raw -O raw bs=64k if={uri} of={output}",
        "qemu-img convert -n -f raw -O raw {input} {uri}", "qemu-img info -f raw {uri}",
        R"(sh -c 'qemu-img map -f raw --output=json "$0" > "$1"' {uri} {map})"}},
      {"qemu-io", "qemu-io", false, {"qemu-io -f raw -c 'read 0 1M' -c 'write -P 5 0 64k' -c flush {uri}"}},
      {"nbdkit-nbd",
       "nbdkit",
       true,
       {R"(nbdkit -U - nbd {uri} --run 'nbdcopy "$uri" {output}')",
        R"(nbdkit -U - nbd {uri} --run 'nbdcopy --flush {input} "$uri"')",
        R"(nbdkit -U - nbd {uri} --run 'nbdinfo --map --json "$uri" > {map}')"}},
      {"fio",
       "fio",
       false,
       {"fio --name=nbdspec --ioengine=nbd --uri={uri} --rw=randrw --size=1m --bs=64k --end_fsync=1"}},
      {"nbd-client", "nbd-client", false, {"nbd-client -l 127.0.0.1 {port}"}},
      {kReference, "", true, {}},
  };
  return kTable;
}

const NamedClient* RowOf(std::string_view name) {
  const auto row = std::ranges::find(Table(), name, &NamedClient::name);
  return row == Table().end() ? nullptr : &*row;
}

// The first line of what the program says of itself; empty where it does not.
std::string VersionOf(std::string_view program) {
  constexpr std::chrono::seconds kTime{5};
  auto directory = PrivateDirectory::Make();
  if (!directory) {
    return "";
  }
  auto process = ServerProcess::Start({std::string(program), "--version"}, *std::move(directory));
  if (!process || !(*process)->EndedBy(Transport::Clock::now() + kTime)) {
    return "";
  }
  const std::string words = (*process)->LastWords();
  return words.substr(0, words.find('\n'));
}

// "7.2.22" of "qemu-img version 7.2.22 (Debian ...)", "3.33" of "fio-3.33".
std::string NumberIn(const std::string& line) {
  constexpr std::string_view kDigits = "0123456789";
  for (std::size_t at = line.find_first_of(kDigits); at != std::string::npos;) {
    const std::size_t end = std::min(line.find_first_not_of("0123456789.", at), line.size());
    if (std::string number = line.substr(at, end - at); number.contains('.')) {
      return number;
    }
    at = line.find_first_of(kDigits, end);
  }
  return "";
}

std::expected<ClientWays, Trouble> WaysOf(const auto& commands, const ClientOptions& options) {
  ClientWays ways;
  for (const auto& command : commands) {
    NBDSPEC_ASSIGN_OR_RETURN(made, ClientCommand::From(command));
    ways.push_back(WayOf(std::move(made), {.wants_tcp = options.tcp, .has_tls = options.tls}));
  }
  return ways;
}

}  // namespace

bool IsClientName(std::string_view name) { return RowOf(name) != nullptr; }

std::expected<ClientUnderTest, Trouble> ClientFromName(std::string_view name, const ClientOptions& options) {
  const NamedClient* row = RowOf(name);
  if (row == nullptr) {
    return std::unexpected(Trouble{"There is no client " + engine::Quoted(name) + " that nbdspec knows by name."});
  }
  if (name == kReference) {
    return ClientUnderTest{.description = "nbdspec's reference client",
                           .words = std::string(name),
                           .program = std::string(name),
                           .version = "",
                           .ways = ReferenceClientWays()};
  }
  if (!FindExecutable(std::string(row->program))) {
    return std::unexpected(
        Trouble{fmt::format("{} is not installed: nbdspec found no {} in PATH.", name, row->program)});
  }
  NBDSPEC_ASSIGN_OR_RETURN(ways, WaysOf(row->commands, {.tcp = options.tcp, .tls = row->has_tls}));
  const std::string version = VersionOf(row->program);
  return ClientUnderTest{
      .description = version.starts_with(row->program) ? version : fmt::format("{} {}", name, version),
      .words = std::string(name) + (options.tcp ? " --tcp" : ""),
      .program = std::string(name),
      .version = NumberIn(version),
      .ways = std::move(ways)};
}

std::expected<ClientUnderTest, Trouble> ClientFromCommands(const std::vector<std::string>& commands,
                                                           const ClientOptions& options) {
  NBDSPEC_ASSIGN_OR_RETURN(ways, WaysOf(commands, options));
  ClientUnderTest client{
      .description = commands.front(), .words = "", .program = "", .version = "", .ways = std::move(ways)};
  for (const std::string& command : commands) {
    client.words += fmt::format("{}--run {}", client.words.empty() ? "" : " ", QuoteWord(command));
  }
  client.words += options.tcp ? " --tcp" : "";
  client.words += options.tls ? " --tls" : "";
  return client;
}

}  // namespace nbdspec::conformance
