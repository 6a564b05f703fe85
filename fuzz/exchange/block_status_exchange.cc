// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/block_status_exchange.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/exchange/answer_counters.h"
#include "fuzz/exchange/exchange_client.h"
#include "fuzz/oracles/export_model.h"
#include "fuzz/oracles/reference_judge.h"

namespace nbdspec::fuzz {
namespace {

using engine::CommandType;
using engine::OptionStep;
using engine::Request;
using engine::RequestStep;

constexpr std::uint64_t kOtherBytes = 4096;
constexpr std::uint32_t kOtherBlockBytes = 512;
constexpr std::uint32_t kPayloadBytesMax = 1 << 20;  // A script of people's may ask for any length.

// Buffers that outlive an execution: allocating them costs more than the small exchanges they serve.
struct Buffers {
  std::array<std::vector<Request>, engine::kConnectionsMax> requests;  // Not yet sent, by connection.
  std::array<std::size_t, engine::kConnectionsMax> counts = {};        // Of them; what is past it is to be used again.
  std::vector<ReceivedAnswer> answers;
  ExportModel model;
};

class ExchangeRun {
 public:
  ExchangeRun(const engine::Script& script, const MakeExchangeInterposer& make_interposer, Buffers& buffers)
      : script_(script), make_interposer_(make_interposer), buffers_(buffers), served_(MakeExport(script)) {
    served_.options.block_size.maximum = kPayloadBytesMax;
    other_.options.name = "other";
    other_.options.read_only = true;
    other_.options.block_size = {.minimum = kOtherBlockBytes, .maximum = kPayloadBytesMax};
    buffers_.counts.fill(0);
  }

  std::optional<Disagreement> Run() {
    TakeOptions();
    for (std::size_t i = 0; i < script_.steps.size(); ++i) {
      if (const auto* request = std::get_if<RequestStep>(&script_.steps[i])) {
        Queue(*request);
      } else if (std::holds_alternative<engine::WaitStep>(script_.steps[i])) {
        if (auto found = SendAll()) {
          return found;
        }
      }
    }
    return SendAll();
  }

 private:
  // Up to the first request, options are the haggling of every connection.
  void TakeOptions() {
    for (const engine::Step& step : script_.steps) {
      if (std::holds_alternative<RequestStep>(step)) {
        return;
      }
      if (const auto* option = std::get_if<OptionStep>(&step)) {
        options_.push_back(option);
      }
    }
  }

  void Queue(const RequestStep& step) {
    const std::size_t connection = (step.connection - 1U) % engine::kConnectionsMax;
    std::vector<Request>& requests = buffers_.requests[connection];
    const std::size_t index = buffers_.counts[connection]++;
    if (requests.size() <= index) {
      requests.emplace_back();
    }
    Request& request = requests[index];
    request.flags = step.flags;
    request.type = static_cast<std::uint16_t>(step.command);
    request.offset = step.offset;
    request.length = step.length;
    request.payload.clear();
    const bool has_payload = request.type == CommandType::kRead || request.type == CommandType::kWrite;
    if (has_payload) {
      request.length = std::min(request.length, kPayloadBytesMax + 1);
    }
    if (request.type == CommandType::kWrite) {
      request.payload.resize(request.length);
      engine::FillWithPattern(step.pattern, request.offset, request.payload);
    }
  }

  std::optional<Disagreement> SendAll() {
    for (std::size_t connection = 0; connection < engine::kConnectionsMax; ++connection) {
      if (const std::size_t count = std::exchange(buffers_.counts[connection], 0); count > 0) {
        if (auto found = Send(connection, std::span(buffers_.requests[connection]).first(count))) {
          return found;
        }
      }
    }
    return std::nullopt;
  }

  std::optional<Disagreement> Send(std::size_t connection, std::span<Request> requests) {
    std::unique_ptr<ExchangeClient>& client = clients_[connection];
    if (client == nullptr) {
      const auto number = static_cast<std::uint8_t>(connection + 1);
      client = std::make_unique<ExchangeClient>(served_, other_, number,
                                                make_interposer_ ? make_interposer_(served_, number) : nullptr);
      if (auto found = client->Haggle(options_)) {
        return At("haggling on connection " + std::to_string(number), std::move(*found));
      }
    }
    if (client->entered() == nullptr) {
      return std::nullopt;
    }
    if (entered_ == nullptr) {
      Enter(*client->entered());
    }
    const std::uint64_t cookie = cookie_;
    for (Request& request : requests) {
      request.cookie = cookie_++;
    }
    if (auto found = client->Exchange(requests, cookie, buffers_.answers)) {
      return At("requests " + std::to_string(cookie) + " to " + std::to_string(cookie_ - 1), std::move(*found));
    }
    return Judge(*client, requests);
  }

  // All connections enter the same export, for they haggle alike.
  void Enter(const engine::Export& entered) {
    entered_ = &entered == &served_ ? &served_ : &other_;
    buffers_.model.Reset(
        entered_ == &served_ ? script_ : engine::Script{.size = kOtherBytes, .initial = engine::ExtentType::kHoleZero},
        *entered_);
  }

  std::optional<Disagreement> Judge(const ExchangeClient& client, std::span<const Request> requests) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (auto found = judge_.Judge(requests[i], client.agreed(), client.is_plain(), buffers_.answers[i])) {
        return At("request " + std::to_string(requests[i].cookie) + ", " +
                      engine::Describe(engine::ClientMessage(requests[i])) +
                      (client.is_plain() ? "" : ", answered unusually"),
                  std::move(*found));
      }
      if (judge_.has_succeeded()) {
        buffers_.model.Apply(requests[i]);
      }
    }
    return std::nullopt;
  }

  static Disagreement At(std::string where, Disagreement found) {
    found.where = std::move(where);
    return found;
  }

  const engine::Script& script_;
  const MakeExchangeInterposer& make_interposer_;
  Buffers& buffers_;
  ReferenceJudge judge_{buffers_.model};
  engine::Export served_;
  engine::Export other_ = {.disk = engine::Disk(kOtherBytes)};
  engine::Export* entered_ = nullptr;
  std::vector<const OptionStep*> options_;
  std::array<std::unique_ptr<ExchangeClient>, engine::kConnectionsMax> clients_;
  std::uint64_t cookie_ = 1;
};

}  // namespace

std::optional<Disagreement> FindBlockStatusExchangeDisagreement(const engine::Script& script,
                                                                const MakeExchangeInterposer& make_interposer) {
  static Buffers buffers;
  return ExchangeRun(script, make_interposer, buffers).Run();
}

FuzzTarget BlockStatusExchangeTarget() {
  return {.name = "block_status_exchange",
          .subject = "whole exchanges with the reference server",
          .against = "a model of the export, and the rules",
          .inputs = ScriptKind(kExchangeLimits),
          .find_in_script =
              [](const engine::Script& script) {
                return FindBlockStatusExchangeDisagreement(
                    script, [](engine::Export&, std::uint8_t) { return std::make_unique<AnswerCounters>(); });
              },
          .check_runs = 20'000};
}

}  // namespace nbdspec::fuzz
