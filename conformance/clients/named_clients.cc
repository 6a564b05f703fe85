// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/named_clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "conformance/peer/process/process.h"
#include "conformance/peer/targets/other_debian.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::string_view kReference = "reference";
// Debian's python3, which has the module nbd; there may be others before it in PATH.
constexpr std::string_view kPythonNbd = "/usr/bin/python3 -mnbd";

struct NamedClient {
  std::string_view name;
  std::string_view program;  // Whose version is shown.
  bool has_tls = false;      // By nbds URIs, or {certs}.
  std::vector<std::string> commands;
};

// What `task` does with what qemu-nbd serves at $n, the export, and the file $1, which stands where `file` says.
std::string ThroughQemuNbd(std::string_view file, std::string_view flags, std::string_view task) {
  return fmt::format(
      "sh -c 'd=${{1%/*}}; n=\"nbd+unix:///?socket=$d/through\"; "
      "qemu-nbd --socket=\"$d/through\" --pid-file=\"$d/pid\" --format=raw {} \"$0\" & p=$!; "
      "while [ ! -s \"$d/pid\" ] && kill -0 $p; do sleep 0.01; done; "
      "{} || {{ e=$?; kill $p; exit $e; }}; wait $p' {{uri}} {}",
      flags, task, file);
}

// The same with the file $m, which nbdfuse makes of the export. It is mounted where a process may mount something.
std::string ThroughNbdfuse(std::string_view file, std::string_view task) {
  return fmt::format(
      "sh -c 'd=${{1%/*}}/mounted; m=\"$d/nbd\"; mkdir \"$d\"; nbdfuse \"$d\" \"$0\" & p=$!; "
      "while [ ! -e \"$m\" ] && kill -0 $p; do sleep 0.01; done; "
      "{}; e=$?; fusermount3 -u \"$d\"; wait $p && exit $e' {{uri}} {}",
      task, file);
}

// sh: what a program prints goes to a file.
const std::vector<NamedClient>& Table() {
  static const std::vector<NamedClient> kTable = {
      {"nbdinfo",
       "nbdinfo",
       true,
       {"nbdinfo {uri}", "nbdinfo --list {uri}", "nbdinfo --size {uri}",
        R"(sh -c 'nbdinfo --map --json "$0" > "$1"' {uri} {map})"}},
      {"nbdcopy",
       "nbdcopy",
       true,
       {"nbdcopy {uri} {output}", "nbdcopy --no-extents --synchronous {uri} {output}",
        "nbdcopy --connections=1 --requests=1 --request-size=65536 {uri} {output}", "nbdcopy --flush {input} {uri}",
        "nbdcopy --allocated --connections=1 {input} {uri}"}},
      {"nbdsh",
       "nbdsh",
       true,
       {fmt::format(
            "{} {}", kPythonNbd,
            R"(-u {uri} -c 'f = open("{output}", "wb")' -c 'size = h.get_size()' -c 'for at in range(0, size, 65536): f.write(h.pread(min(65536, size - at), at))' -c 'h.shutdown()')"),
        fmt::format(
            "{} {}", kPythonNbd,
            R"(-u {uri} -c 'b = open("{input}", "rb").read()' -c 'for at in range(0, len(b), 65536): h.pwrite(b[at:at + 65536], at)' -c 'h.flush() if h.can_flush() else None' -c 'h.shutdown()')")}},
      {"nbdfuse",
       "nbdfuse",
       true,
       {ThroughNbdfuse("{output}", R"(dd bs=64k if="$m" of="$1")"),
        ThroughNbdfuse("{input}", R"(dd bs=64k conv=notrunc,fsync if="$1" of="$m")")}},
      {"qemu-img",
       "qemu-img",
       false,
       {"qemu-img convert -f raw -O raw {uri} {output}",
        R"(sh -c 'qemu-img dd -f raw -O raw bs=64k if="$0" of="$1" && qemu-img compare -f raw -F raw "$0" "$1"' {uri} {output})",
        "qemu-img convert -n -f raw -O raw {input} {uri}", "qemu-img info -f raw {uri}",
        R"(sh -c 'qemu-img map -f raw --output=json "$0" > "$1"' {uri} {map})"}},
      {"qemu-io", "qemu-io", false, {"qemu-io -f raw -c 'read 0 1M' -c 'write -P 5 0 64k' -c flush {uri}"}},
      {"qemu-nbd",
       "qemu-nbd",
       false,
       {ThroughQemuNbd("{output}", "--read-only", R"(qemu-img convert -f raw -O raw "$n" "$1")"),
        ThroughQemuNbd("{input}", "", R"(qemu-img convert -n -f raw -O raw "$1" "$n")")}},
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
std::string VersionOf(std::vector<std::string> words) {
  constexpr std::chrono::seconds kTime{5};
  auto directory = PrivateDirectory::Choose();
  if (!directory) {
    return "";
  }
  words.emplace_back("--version");
  auto process = ServerProcess::Start(words, *std::move(directory));
  if (!process || !(*process)->EndedBy(Transport::Clock::now() + kTime)) {
    return "";
  }
  const std::string said = (*process)->LastWords();
  return said.substr(0, said.find('\n'));
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

std::expected<ClientWays, Trouble> WaysOf(const auto& commands, const ClientOptions& options,
                                          const std::string& before = "") {
  ClientWays ways;
  for (const auto& command : commands) {
    NBDSPEC_ASSIGN_OR_RETURN(made, ClientCommand::From(before + command));
    ways.push_back(WayOf(std::move(made), {.wants_tcp = options.tcp, .has_tls = options.tls}));
  }
  return ways;
}

// What makes the programs of `suite` come before others.
std::string PathOf(std::string_view suite) {
  const char* const path = std::getenv("PATH");
  return suite.empty() ? ""
                       : fmt::format("env {} ", QuoteWord(fmt::format("PATH={}:{}", PathInSuite(suite, "."),
                                                                      path != nullptr ? path : "/usr/bin:/bin")));
}

}  // namespace

bool IsClientName(std::string_view name) { return RowOf(SplitAtSuite(name).name) != nullptr; }

std::expected<ClientUnderTest, Trouble> ClientFromName(std::string_view text, const ClientOptions& options) {
  const auto [name, suite] = SplitAtSuite(text);
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
  const std::string program = suite.empty() ? std::string(row->program) : PathInSuite(suite, row->program);
  if (!FindExecutable(program)) {
    return std::unexpected(Trouble{
        suite.empty() ? fmt::format("{} is not installed: nbdspec found no {} in PATH.", name, row->program)
                      : fmt::format("There is no {}: `tools/other_debian {}` unpacks what it has.", program, suite)});
  }
  NBDSPEC_ASSIGN_OR_RETURN(ways, WaysOf(row->commands, {.tcp = options.tcp, .tls = row->has_tls}, PathOf(suite)));
  const bool is_module = row->commands.front().starts_with(kPythonNbd);
  const std::string version =
      VersionOf(is_module ? SplitCommand(kPythonNbd).value_or(std::vector{program}) : std::vector{program});
  return ClientUnderTest{
      .description = version.starts_with(row->program) ? version : fmt::format("{} {}", text, version),
      .words = std::string(text) + (options.tcp ? " --tcp" : ""),
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

std::expected<ClientUnderTest, Trouble> ClientByHand(const ClientOptions& options, ByHand by_hand) {
  NBDSPEC_ASSIGN_OR_RETURN(listener, ClientListener::Make({.tcp = options.tcp, .tls = options.tls}));
  ClientUnderTest client{
      .description = "a client that is started by hand", .words = "--listen", .program = "", .version = "", .ways = {}};
  client.ways.push_back(WayByHand(std::move(listener), options.tls, std::move(by_hand)));
  client.words += options.tcp ? " --tcp" : "";
  client.words += options.tls ? " --tls" : "";
  return client;
}

}  // namespace nbdspec::conformance
