// SPDX-License-Identifier: BSD-3-Clause
// The reference client as a way: in this process, over memory.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "conformance/clients/client_way.h"
#include "conformance/peer/clients/recorded_connection.h"
#include "conformance/tls/certificates.h"
#include "conformance/tls/tls_filter.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::ByteView;
using engine::ReceiveError;
using engine::Trouble;

// A connection of a run, which outlives the client's end of it.
struct Line {
  explicit Line(const Serving& serving, std::uint64_t number) : connection(serving, number) {}
  RecordedConnection connection;
  bool has_ended = false;

  void End(Ending how) {
    if (!std::exchange(has_ended, true)) {
      connection.Ended(how);
    }
  }
};

// The client's end. What it sends arrives at once; what is said to it is taken when it asks.
class MemoryLink final : public engine::ClientLink {
 public:
  MemoryLink(Line& line, const engine::ClientTlsConduct& tls) : line_(line), tls_(tls) {}
  ~MemoryLink() override { line_.End(Ending::kClosed); }
  MemoryLink(const MemoryLink&) = delete;
  MemoryLink& operator=(const MemoryLink&) = delete;

  void Send(ByteView bytes) override {
    if (filter_) {
      filter_->Send(bytes);
      SendWire(filter_->TakeOutput());
    } else {
      SendWire(Bytes(bytes.begin(), bytes.end()));
    }
  }

  std::optional<ReceiveError> Receive(Bytes& out) override {
    for (Bytes wire = TakeWire(); !wire.empty(); wire = TakeWire()) {
      if (!filter_) {
        out.insert(out.end(), wire.begin(), wire.end());
        continue;
      }
      filter_->Receive(wire);
      const Bytes plain = filter_->TakePlaintext();
      out.insert(out.end(), plain.begin(), plain.end());
      SendWire(filter_->TakeOutput());
    }
    if (!out.empty()) {
      return {};
    }
    const bool is_closed = line_.has_ended || line_.connection.closed();
    return ReceiveError{.kind = is_closed ? ReceiveError::kClosed : ReceiveError::kTimedOut,
                        .text = is_closed ? "the server closed the connection" : "the server said nothing"};
  }

  std::expected<void, std::string> BeginTls(ByteView behind) override {
    const TlsMaterial& material = TheTlsMaterial();
    TlsOptions options{.credentials = material.OfClient(),
                       .oldest = tls_.speaks_1_1   ? TlsVersion::k1_1
                                 : tls_.speaks_1_2 ? TlsVersion::k1_2
                                                   : TlsVersion::k1_3,
                       .newest = tls_.speaks_1_3 ? TlsVersion::k1_3 : TlsVersion::k1_2};
    options.credentials.host = "localhost";
    if (!tls_.verifies) {
      options.credentials.authorities.clear();
      options.credentials.host.clear();
    }
    auto filter = TlsFilter::Make(TlsFilter::End::kClient, options);
    if (!filter) {
      return std::unexpected(filter.error().sentence);
    }
    filter_ = *std::move(filter);
    filter_->Receive(behind);
    SendWire(filter_->TakeOutput());
    std::string failure;
    while (!filter_->is_up() && failure.empty()) {
      const Bytes wire = TakeWire();
      filter_->Receive(wire);
      SendWire(filter_->TakeOutput());
      failure = wire.empty() ? "the server ended the handshake of TLS" : filter_->failure();
    }
    if (!failure.empty()) {
      filter_.reset();  // Who goes on does so in plaintext.
      return std::unexpected(std::move(failure));
    }
    return {};
  }

  void Close() override {
    if (filter_) {
      filter_->Close();
      SendWire(filter_->TakeOutput());
    }
    line_.End(Ending::kClosed);
  }
  void Drop() override { line_.End(Ending::kClosed); }

 private:
  // All that there is.
  Bytes TakeWire() {
    Bytes wire = line_.has_ended ? Bytes() : line_.connection.TakeOutput();
    if (wire.empty() && !line_.has_ended) {
      line_.connection.AllSent();
    }
    return wire;
  }

  void SendWire(const Bytes& bytes) {
    if (!line_.has_ended && !bytes.empty()) {
      line_.connection.Receive(bytes);
    }
  }

  Line& line_;
  const engine::ClientTlsConduct& tls_;
  std::optional<TlsFilter> filter_;
};

// As qemu-img prints a map.
std::string MapText(const std::vector<engine::ClientExtent>& extents) {
  nlohmann::json map = nlohmann::json::array();
  for (const engine::ClientExtent& each : extents) {
    map.push_back(
        {{"start", each.offset}, {"length", each.length}, {"zero", (each.flags & engine::AllocationFlag::kZero) != 0}});
  }
  return map.dump();
}

class ReferenceWay final : public ClientWay {
 public:
  ReferenceWay(ClientTasks tasks, std::string text, engine::ClientConduct conduct)
      : tasks_(tasks), text_(std::move(text)), conduct_(std::move(conduct)) {}

  [[nodiscard]] ClientTasks tasks() const override { return tasks_; }
  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] bool CanPlay(const Scenario&) const override { return true; }

  std::expected<ClientRun, Trouble> Run(const Scenario& scenario, const ServedExport& served,
                                        std::chrono::milliseconds) override {
    std::vector<std::unique_ptr<Line>> lines;
    const auto connect = [&]() -> std::unique_ptr<engine::ClientLink> {
      lines.push_back(std::make_unique<Line>(served.serving(), lines.size()));
      return std::make_unique<MemoryLink>(*lines.back(), conduct_.tls);
    };
    const auto has = [this](ClientTasks task) { return (tasks_ & task) != 0; };
    engine::ClientJob job{.export_name = scenario.export_name,
                          .tls = scenario.tls.is_wanted,
                          .maps = has(ClientTask::kMaps),
                          .copies_out = has(ClientTask::kCopiesOut)};
    if (has(ClientTask::kCopiesIn)) {
      job.copies_in = served.input();
    }
    engine::ClientResult result = engine::RunClient(connect, job, conduct_);
    ClientRun run{.ended = result.succeeded ? "exited with status 0" : "exited with status 1",
                  .exit_status = result.succeeded ? 0 : 1,
                  .words = std::move(result.why),
                  .output = std::move(result.bytes)};
    if (result.map) {
      run.map = MapText(*result.map);
    }
    for (const auto& line : lines) {
      line->End(Ending::kNone);
      run.records.push_back(line->connection.record());
      run.was_up.push_back(line->connection.was_up());
      run.said_close.push_back(line->connection.said_close());
    }
    run.at_once = lines.size();
    return run;
  }

 private:
  ClientTasks tasks_;
  std::string text_;
  engine::ClientConduct conduct_;
};

}  // namespace

ClientWays ReferenceClientWays(const engine::ClientConduct& conduct) {
  ClientWays ways;
  for (const auto& [tasks, text] : {std::pair{ClientTask::kVisits, "visit"},
                                    {ClientTask::kCopiesOut, "copy out"},
                                    {ClientTask::kCopiesIn, "copy in"},
                                    {ClientTask::kMaps, "map"}}) {
    ways.push_back(std::make_unique<ReferenceWay>(tasks, text, conduct));
  }
  return ways;
}

}  // namespace nbdspec::conformance
