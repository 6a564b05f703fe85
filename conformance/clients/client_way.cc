// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/client_way.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "conformance/clients/byte_bars.h"
#include "engine/base/or_return.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::Trouble;

constexpr std::uint64_t kOutputBytesMore = 1 << 20;  // Than the export has: so much too much is noticed.

class CommandWay final : public ClientWay {
 public:
  CommandWay(ClientCommand command, const CommandTraits& traits) : command_(std::move(command)), traits_(traits) {}

  [[nodiscard]] ClientTasks tasks() const override { return command_.tasks(); }
  [[nodiscard]] const std::string& text() const override { return command_.text(); }
  [[nodiscard]] bool CanPlay(const Scenario& scenario) const override {
    const bool is_told_tls = traits_.has_tls && (command_.takes_certificates() || command_.takes_uri());
    const bool is_told_name = command_.takes_export() || command_.takes_uri();
    return (scenario.tls.is_wanted ? is_told_tls : !command_.takes_certificates()) &&
           (scenario.export_name.empty() || is_told_name);
  }

  std::expected<ClientRun, Trouble> Run(const Scenario& scenario, const ServedExport& served,
                                        std::chrono::milliseconds time) override {
    return RunClientProcess(command_, served.serving(),
                            {.scenario = scenario.name,
                             .export_name = scenario.export_name,
                             .tls = scenario.tls.is_wanted,
                             .wants_tcp = traits_.wants_tcp,
                             .pace = scenario.pace,
                             .input = &served.input(),
                             .output_bytes_max = served.truth().size() + kOutputBytesMore,
                             .time = time});
  }

 private:
  ClientCommand command_;
  CommandTraits traits_;
};

class HandWay final : public ClientWay {
 public:
  HandWay(ClientListener listener, bool has_tls, ByHand by_hand)
      : listener_(std::move(listener)), has_tls_(has_tls), by_hand_(std::move(by_hand)) {}

  [[nodiscard]] ClientTasks tasks() const override { return ClientTask::kVisits; }
  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] bool CanPlay(const Scenario& scenario) const override { return has_tls_ || !scenario.tls.is_wanted; }

  std::expected<ClientRun, Trouble> Run(const Scenario& scenario, const ServedExport& served,
                                        std::chrono::milliseconds /*time*/) override {
    if (by_hand_.is_stopped()) {
      *by_hand_.is_over = true;
      return ClientRun{.ended = "was not started", .is_by_hand = true};
    }
    return listener_.Meet(
        served.serving(),
        {.scenario = scenario.name,
         .export_name = scenario.export_name,
         .tls = scenario.tls.is_wanted,
         .pace = scenario.pace},
        [&](const std::string& uri) { by_hand_.on_ready(scenario, uri); }, by_hand_.is_stopped);
  }

 private:
  std::string text_ = "a client that is started by hand";
  ClientListener listener_;
  bool has_tls_;
  ByHand by_hand_;
};

// Where `made` is not `due`; empty where they are equal.
std::string FindDifference(const Bytes& made, const Bytes& due, std::string_view what) {
  const auto [here, there] = std::ranges::mismatch(made, due);
  if (here != made.end() && there != due.end()) {
    return fmt::format("{} has 0x{:02x} at byte {}, and not 0x{:02x}", what, *here, here - made.begin(), *there);
  }
  return made.size() == due.size() ? "" : fmt::format("{} has {} bytes, and not {}", what, made.size(), due.size());
}

// What is wrong in a map; empty where nothing is. A range that is not said to be zero says nothing.
std::string FindWrongClaim(const std::vector<ClaimedExtent>& map, const Bytes& truth) {
  std::uint64_t at = 0;
  for (const ClaimedExtent& each : map) {
    if (each.offset != at || each.length == 0 || each.length > truth.size() - at) {
      return fmt::format("the map has an extent of {} bytes at {}, where one is due at {}", each.length, each.offset,
                         at);
    }
    const auto begin = truth.begin() + static_cast<std::ptrdiff_t>(at);
    at += each.length;
    const auto end = truth.begin() + static_cast<std::ptrdiff_t>(at);
    const auto data = std::find_if(begin, end, [](std::uint8_t byte) { return byte != 0; });
    if (each.is_zero && data != end) {
      return fmt::format("the map calls byte {} zero, which is 0x{:02x}", data - truth.begin(), *data);
    }
  }
  return at == truth.size() ? "" : fmt::format("the map ends at {} of {} bytes", at, truth.size());
}

void JudgeBytes(ClientPlay& play, ServedExport& served) {
  if (!play.succeeded()) {
    return;  // What is there then is nothing that it vouches for.
  }
  const std::vector<engine::Record>& records = play.run.records;
  std::string wrong;
  const auto is_due = [&](ClientTasks task) { return wrong.empty() && (play.tasks & task) != 0; };
  if (is_due(ClientTask::kCopiesOut)) {
    static const Bytes nothing;
    const Bytes& made = play.run.output ? *play.run.output : nothing;
    wrong = play.run.output ? FindDifference(made, served.truth(), "what it copied") : "it wrote no file";
    if (!wrong.empty()) {
      play.wrong_task = ClientTask::kCopiesOut;
      play.bars = BarsOfBytes(records, /*is_read=*/true, "copied", made, served.truth());
    }
  }
  if (is_due(ClientTask::kCopiesIn)) {
    const Bytes made = served.Contents();
    wrong = FindDifference(made, served.input(), "the export");
    if (!wrong.empty()) {
      play.wrong_task = ClientTask::kCopiesIn;
      play.bars = BarsOfBytes(records, /*is_read=*/false, "stored", made, served.input());
    }
  }
  if (is_due(ClientTask::kMaps)) {
    const auto claimed = play.run.map ? ReadMap(*play.run.map) : std::vector<ClaimedExtent>();
    wrong = !play.run.map ? "it wrote no map"
            : !claimed    ? "the map is " + claimed.error()
                          : FindWrongClaim(*claimed, served.truth());
    if (!wrong.empty()) {
      play.wrong_task = ClientTask::kMaps;
      play.bars = play.run.map && claimed ? BarsOfMap(records, *claimed, served.truth()) : std::vector<reports::Bar>();
    }
  }
  play.bytes = play.tasks == ClientTask::kVisits ? BytesVerdict::kNone
               : wrong.empty()                   ? BytesVerdict::kRight
                                                 : BytesVerdict::kWrong;
  play.bytes_text = std::move(wrong);
}

}  // namespace

std::unique_ptr<ClientWay> WayOf(ClientCommand command, const CommandTraits& traits) {
  return std::make_unique<CommandWay>(std::move(command), traits);
}

std::unique_ptr<ClientWay> WayByHand(ClientListener listener, bool has_tls, ByHand by_hand) {
  return std::make_unique<HandWay>(std::move(listener), has_tls, std::move(by_hand));
}

std::expected<ClientPlay, Trouble> PlayWay(const Scenario& scenario, ClientWay& way, std::chrono::milliseconds time) {
  ServedExport served(scenario);
  NBDSPEC_ASSIGN_OR_RETURN(run, way.Run(scenario, served, time));
  ClientPlay play{.command = way.text(), .tasks = way.tasks(), .run = std::move(run)};
  JudgeBytes(play, served);
  for (const engine::Record& record : play.run.records) {
    play.rulings.push_back(engine::JudgeConduct(record, scenario.serves != Serves::kWrong));
  }
  return play;
}

std::expected<Performance, Trouble> Play(const Scenario& scenario, const ClientWays& ways,
                                         std::chrono::milliseconds time) {
  Performance performance{.scenario = &scenario, .plays = {}};
  for (const auto& way : ways) {
    if (way->CanPlay(scenario)) {
      NBDSPEC_ASSIGN_OR_RETURN(play, PlayWay(scenario, *way, time));
      play.run.output.reset();  // It is judged, and would wait for the others: memory makes each start of one slower.
      performance.plays.push_back(std::move(play));
    }
  }
  return performance;
}

}  // namespace nbdspec::conformance
