// SPDX-License-Identifier: BSD-3-Clause
// A client under test: how a user names it, and one run of it as a process, against a server of ours on a socket.

#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/clients/recorded_connection.h"
#include "conformance/peer/process/process.h"
#include "conformance/peer/socket/socket_server.h"
#include "conformance/peer/target.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/conduct/record.h"

namespace nbdspec::conformance {

// What a command is asked to do, by the placeholders that stand in it.
using ClientTasks = std::uint8_t;
struct ClientTask {
  static constexpr ClientTasks kCopiesOut = 1 << 0;  // {output}: writes the export's bytes to that file.
  static constexpr ClientTasks kCopiesIn = 1 << 1;   // {input}: writes the bytes of that file to the export.
  static constexpr ClientTasks kMaps = 1 << 2;       // {map}: writes the extents to that file, as JSON.
  static constexpr ClientTasks kVisits = 1 << 3;     // None of them: enters the export, or lists it, and leaves.
};
inline constexpr ClientTasks kAnyTask =
    ClientTask::kCopiesOut | ClientTask::kCopiesIn | ClientTask::kMaps | ClientTask::kVisits;

// The command of a client, with {uri}, {socket} (a unix socket's path) or {port} (of 127.0.0.1) to find the server,
// {export} (its name), {certs} (a directory of certificates, where TLS is wanted), {output}, {input} and {map}.
class ClientCommand {
 public:
  // Splits `command` as SplitCommand does. Errors: its; nothing in it says where the server is, or two things do.
  static std::expected<ClientCommand, engine::Trouble> From(std::string_view command);

  [[nodiscard]] ClientTasks tasks() const { return tasks_; }
  [[nodiscard]] bool Has(ClientTasks task) const { return (tasks_ & task) != 0; }
  [[nodiscard]] bool is_on_tcp() const { return Contains("{port}"); }
  [[nodiscard]] bool takes_certificates() const { return Contains("{certs}"); }
  [[nodiscard]] bool takes_uri() const { return Contains("{uri}"); }
  [[nodiscard]] bool takes_export() const { return Contains("{export}"); }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }

 private:
  [[nodiscard]] bool Contains(std::string_view placeholder) const;

  std::string text_;
  std::vector<std::string> words_;
  ClientTasks tasks_ = 0;
};

// What a run needs besides the command.
struct ClientSetting {
  std::string scenario;          // For the environment: NBDSPEC_SCENARIO.
  std::string export_name = {};  //
  bool tls = false;              // The URI is of nbds, and {certs} are there.
  bool wants_tcp = false;        // {uri} is of TCP.
  Pace pace = {};
  const engine::Bytes* input = nullptr;       // What {input} holds; outlives the run.
  std::uint64_t output_bytes_max = 64 << 20;  // Of {output}, as much is read.
  std::chrono::milliseconds time{10'000};     // After it the client is stopped.
};

struct ClientRun {
  std::string ended = {};                    // "exited with status 1", "killed by SIGSEGV"; empty: stopped by us.
  std::optional<int> exit_status = {};       // Nothing when it was killed, or stopped.
  std::string words = {};                    // The end of what it said on both outputs, as it is.
  std::optional<engine::Bytes> output = {};  // What {output} held; nothing where there was no such file.
  std::optional<std::string> map = {};       // The same of {map}.
  std::vector<engine::Record> records = {};  // A connection each, in the order of their beginning.
  std::vector<bool> was_up = {};             // Of each: whether there was TLS,
  std::vector<bool> said_close = {};         // and whether close_notify came.
  std::size_t at_once = 0;                   // Connections that were open at the same time, at most.
  bool is_by_hand = false;                   // Somebody else started it: how it ended, and what it made, nobody knows.

  [[nodiscard]] bool has_hung() const { return ended.empty(); }
  [[nodiscard]] bool has_crashed() const { return !ended.empty() && !exit_status && !is_by_hand; }
};

// The URI of an export that is served at the socket of `directory`, or at `port` where it is not 0. The directory has
// the certificates, where there are some.
std::string ClientUri(const PrivateDirectory& directory, std::uint16_t port, const ClientSetting& setting);

// Serves `serving` to `command` until it ends, or its time is over.
// Errors: no such command; it cannot be started; no socket. (That it ends badly is data.)
std::expected<ClientRun, engine::Trouble> RunClientProcess(const ClientCommand& command, const Serving& serving,
                                                           const ClientSetting& setting);

// What {map} holds of extents: an array of objects as `nbdinfo --map --json` or `qemu-img map --output=json` print
// them.
struct ClaimedExtent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool is_zero = false;  // It is said to read as zeroes.
  bool operator==(const ClaimedExtent&) const = default;
};
// Errors: a sentence that says what it is instead.
std::expected<std::vector<ClaimedExtent>, std::string> ReadMap(std::string_view text);

}  // namespace nbdspec::conformance
