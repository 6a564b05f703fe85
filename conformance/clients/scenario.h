// SPDX-License-Identifier: BSD-3-Clause
// Scenario: what a client meets: an export whose bytes are known, served by the reference server that is plain, or odd
// and right, or wrong in one way.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/clients/client_process.h"
#include "conformance/peer/clients/recorded_connection.h"
#include "conformance/peer/socket/socket_server.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/faults/change.h"
#include "engine/server/server.h"

namespace nbdspec::conformance {

// What a client is to make of it.
enum class Serves : std::uint8_t {
  kRight,    // It can do what it is asked to do, and must.
  kRefusal,  // The server keeps the rules, and does not let it: whoever says it has done it is wrong.
  kWrong,    // The server breaks a rule: likewise.
};

// How a server behaves inside TLS, and whether a client is to use it.
struct ScenarioTls {
  bool is_wanted = false;       // The URI says nbds.
  bool shows_stranger = false;  // The server's certificate is by an authority that the client does not know.
};

struct Scenario {
  std::string name = {};
  Serves serves = Serves::kRight;
  engine::ServerOptions server = {};
  std::function<void(engine::ExportOptions& of)> offers = {};
  std::vector<engine::faults::Change> changes = {};  // None, or one.
  bool is_met_by_all = false;                        // Every client meets what it is about, changed message or not.
  ScenarioTls tls = {};
  std::string export_name = {};
  std::uint64_t size = 2 << 20;  // Of the export: bytes.
  // What the export holds in place of the usual, and what size it has. Range: at most Disk::kDiskBytesMax.
  std::function<engine::ExtentMap()> extents = {};
  Pace pace = {};
  // Tasks that it makes nothing right or wrong for: a client may fail at them or not, but with no wrong bytes.
  ClientTasks may_fail = 0;
};

// The export of a scenario and how it is served, for one run of one client.
class ServedExport {
 public:
  explicit ServedExport(const Scenario& scenario);

  [[nodiscard]] const Serving& serving() const { return serving_; }
  // What the export holds now. Not while it is served.
  [[nodiscard]] engine::Bytes Contents();
  // What it held at first.
  [[nodiscard]] const engine::Bytes& truth() const { return truth_; }
  // What a client is given to write into it: other bytes everywhere but where both have zeroes.
  [[nodiscard]] const engine::Bytes& input() const { return own_input_ ? *own_input_ : *input_; }

 private:
  engine::Export export_;
  engine::Export other_;
  Serving serving_;
  engine::Bytes truth_;
  const engine::Bytes* input_ = nullptr;
  std::optional<engine::Bytes> own_input_;  // Of a scenario with extents of its own.
};

// Every scenario that checks name, made once, each with a name of its own. "plain" is the first.
const std::vector<Scenario>& AllScenarios();
// Range: a name of theirs.
const Scenario& ScenarioNamed(std::string_view name);

}  // namespace nbdspec::conformance
