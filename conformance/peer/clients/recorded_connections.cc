// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/clients/recorded_connections.h"

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

class RecordedConnections::Noted final : public ServedConnection {
 public:
  Noted(RecordedConnections& all, std::size_t number) : all_(all), number_(number), connection_(all.serving_, number) {}

  void Receive(engine::ByteView bytes) override { connection_.Receive(bytes); }
  engine::Bytes TakeOutput() override { return connection_.TakeOutput(); }
  [[nodiscard]] bool closed() const override { return connection_.closed(); }
  void AllSent() override { connection_.AllSent(); }
  void Ended(Ending how) override {
    connection_.Ended(how);
    --all_.open_;
    all_.run_.records[number_] = connection_.record();
    all_.run_.was_up[number_] = connection_.was_up();
    all_.run_.said_close[number_] = connection_.said_close();
  }

 private:
  RecordedConnections& all_;
  std::size_t number_;
  RecordedConnection connection_;
};

std::unique_ptr<ServedConnection> RecordedConnections::Next() {
  const std::size_t number = count();
  run_.records.emplace_back();
  run_.was_up.push_back(false);
  run_.said_close.push_back(false);
  run_.at_once = std::max(run_.at_once, ++open_);
  return std::make_unique<Noted>(*this, number);
}

void RecordedConnections::GiveTo(ClientRun& run) {
  run.records = std::move(run_.records);
  run.was_up = std::move(run_.was_up);
  run.said_close = std::move(run_.said_close);
  run.at_once = run_.at_once;
}

}  // namespace nbdspec::conformance
