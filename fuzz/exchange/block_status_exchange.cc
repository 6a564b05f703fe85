// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/block_status_exchange.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/negotiation/client_negotiation.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/exchange/answer_counters.h"
#include "fuzz/exchange/unusual_answers.h"
#include "fuzz/oracles/export_model.h"
#include "fuzz/oracles/reference_judge.h"
#include "fuzz/oracles/server_session_judge.h"

namespace nbdspec::fuzz {
namespace {

using engine::ClientMessage;
using engine::OptionStep;
using engine::OptionType;
using engine::Request;
using engine::RequestStep;
using engine::ServerMessage;

constexpr std::uint64_t kOtherBytes = 4096;
constexpr std::uint32_t kOtherBlockBytes = 512;

const OptionStep kStructuredReply = {.option = OptionType::kStructuredReply};
const OptionStep kExtendedHeaders = {.option = OptionType::kExtendedHeaders};
const OptionStep kSetBoth = {.option = OptionType::kSetMetaContext,
                             .names = {std::string(engine::kBaseAllocation), std::string(engine::kBlockIndexContext)}};
const OptionStep kSetAll = {.option = OptionType::kSetMetaContext,
                            .names = {std::string(engine::kBaseAllocation), std::string(engine::kBlockIndexContext),
                                      std::string(engine::kBlockCountdownContext)}};
const OptionStep kGo = {.option = OptionType::kGo};

// Whether compact headers cannot carry `step`, or not all of it.
bool IsExtended(const RequestStep& step) {
  return step.length > UINT32_MAX || step.is_unannounced || (step.flags & engine::CommandFlag::kPayloadLen) != 0;
}

// What the connections of `script` say: its options, or the usual ones.
std::vector<const OptionStep*> OptionsOf(const engine::Script& script) {
  std::vector<const OptionStep*> options = HagglingOf(script);
  const auto first = std::ranges::find_if(
      script.steps, [](const engine::Step& step) { return std::holds_alternative<RequestStep>(step); });
  const bool has_none = options.empty();
  const bool is_extended = has_none ? first != script.steps.end() && IsExtended(std::get<RequestStep>(*first))
                                    : *options[0] == kExtendedHeaders;
  if (is_extended && options.size() < 2) {
    options = {&kExtendedHeaders, &kSetAll};
  } else if (has_none) {
    options = {&kStructuredReply, &kSetBoth};
  }
  return options;
}

// One connection to the reference server in memory, from the greeting to the last answer.
class ExchangeClient : private engine::ClientNegotiation {
 public:
  // To `served` and `other`, an export by another name; both outlive this, as does nothing else. `wrong` may be null.
  // Not plain: answers are unusual, and bytes come in pieces.
  ExchangeClient(engine::Export& served, engine::Export& other, std::uint8_t connection,
                 std::unique_ptr<engine::Interposer> wrong)
      : ClientNegotiation(Limits{}),
        is_plain_(connection == 1),
        connection_(connection),
        wrong_(std::move(wrong)),
        unusual_(is_plain_ ? std::nullopt : std::optional<UnusualAnswers>(std::in_place, connection, wrong_.get())),
        server_({}, {&served, &other}, unusual_ ? &*unusual_ : wrong_.get()),
        judge_({}, {&served, &other}, is_plain_) {
    Deliver({});  // The server sends its greeting unasked.
  }

  // Haggles: `options`, then what is missing.
  Found Haggle(std::span<const OptionStep* const> options) {
    const auto greeting = Greet();
    if (!greeting || *greeting != engine::Greeting{}) {
      return Disagreement{.expected = "a greeting",
                          .saw = greeting ? engine::Describe(ServerMessage(*greeting)) : greeting.error()};
    }
    judge_.SetFlags(negotiated().client_flags);
    for (const OptionStep* option : options) {
      if (auto found = judge_.has_ended() ? Found() : Do(*option)) {
        return found;
      }
    }
    return judge_.has_ended() ? Found() : Do(kGo);
  }

  // Sends `requests`, whose cookies are their indices from `cookie` on, and takes everything that answers them:
  // answers[i] to requests[i].
  Found Exchange(std::span<const Request> requests, std::uint64_t cookie, std::vector<ReceivedAnswer>& answers) {
    to_send_.clear();
    for (const Request& request : requests) {
      Encode(ClientMessage(request), to_send_);
      if (!negotiated().structured_replies && request.type == engine::CommandType::kRead) {
        decoder_.ExpectData(request.cookie, request.length);
      }
    }
    answers.assign(requests.size(), {});
    if (unusual_) {
      unusual_->HoldAnswers(requests.size());
    }
    Deliver(to_send_);
    while (auto message = Next()) {
      const std::uint64_t index = CookieOf(*message).value_or(0) - cookie;
      if (index >= answers.size() || answers[index].is_whole) {
        return Disagreement{.expected = "an answer to a request that waits for one", .saw = engine::Describe(*message)};
      }
      answers[index].Add(*std::move(message));
    }
    if (!decoder_.Pending().empty() || server_.closed()) {
      return Disagreement{.expected = "whole messages, and an open connection",
                          .saw = std::to_string(decoder_.Pending().size()) + " bytes more" +
                                 (server_.closed() ? ", and the end of the connection" : "")};
    }
    return std::nullopt;
  }

  [[nodiscard]] bool is_plain() const { return is_plain_; }

  // What was negotiated, once transmission has begun. The block sizes are the export's, also where it sent none.
  [[nodiscard]] const engine::Negotiated& agreed() const { return judge_.negotiated(); }

  // What was entered; null if haggling ended in no transmission, and never will.
  [[nodiscard]] engine::Export* entered() const { return judge_.entered(); }

 private:
  Found Do(const OptionStep& step) {
    const engine::Option option =
        engine::MakeOption(step.option, {.export_name = step.export_name, .queries = step.names});
    if (step.option == OptionType::kExportName) {
      if (!judge_.EnterByName(option)) {
        Send(option);
        return std::nullopt;
      }
      const auto entered = EnterByName(step.export_name);
      return entered ? Compare("", judge_.negotiated().info.size, negotiated().info.size)
                     : Found({.expected = "the size of the export", .saw = entered.error()});
    }
    const auto replies = Ask(option);
    if (!replies) {
      return Disagreement{.expected = "replies to " + engine::OptionName(step.option), .saw = replies.error().text};
    }
    CountReplies(*replies, negotiated());
    return judge_.Judge(option, *replies);
  }

  void SendMessage(const ClientMessage& message) override {
    to_send_.clear();
    Encode(message, to_send_);
    Deliver(to_send_);
  }

  engine::Received<ServerMessage> ReceiveMessage() override {
    auto message = Next();
    return message ? engine::Received<ServerMessage>(*std::move(message))
                   : std::unexpected(engine::ReceiveError{.text = "nothing that can be read"});
  }

  // Sends all at once, or in pieces of sizes that depend on what is sent; then receives what answers it.
  void Deliver(engine::ByteView bytes) {
    std::size_t piece = bytes.size();
    while (!bytes.empty()) {
      if (!is_plain_) {
        piece = std::min<std::size_t>(1 + (piece * 7 + bytes[0] + connection_) % 61, bytes.size());
      }
      server_.Receive(bytes.first(piece));
      bytes = bytes.subspan(piece);
    }
    for (engine::Bytes output = server_.TakeOutput(); !output.empty(); output = server_.TakeOutput()) {
      decoder_.Feed(output);
    }
  }

  // The next message; none if there is none that can be read.
  std::optional<ServerMessage> Next() {
    auto next = decoder_.Next();
    auto* placed = next ? std::get_if<engine::PlacedServerMessage>(&*next) : nullptr;
    return placed != nullptr ? std::optional(std::move(placed->message)) : std::nullopt;
  }

  bool is_plain_;
  std::uint8_t connection_;
  std::unique_ptr<engine::Interposer> wrong_;
  std::optional<UnusualAnswers> unusual_;
  engine::Server server_;
  engine::Bytes to_send_;  // Used again.
  HagglingJudge judge_;
};

// Buffers that outlive an execution: allocating them costs more than the small exchanges they serve.
struct Buffers {
  std::array<std::vector<const RequestStep*>, engine::kConnectionsMax> steps;  // Not yet sent, by connection.
  std::vector<Request> requests;
  std::vector<ReceivedAnswer> answers;
  ReferenceJudge judge;
};

class ExchangeRun {
 public:
  ExchangeRun(const engine::Script& script, const MakeExchangeInterposer& make_interposer, Buffers& buffers)
      : script_(script),
        make_interposer_(make_interposer),
        buffers_(buffers),
        served_(MakeExport(script)),
        haggling_(OptionsOf(script)) {
    served_.options.block_size.maximum = kRequestBytesMax;
    std::ranges::for_each(buffers_.steps, [](auto& steps) { steps.clear(); });
  }

  Found Run() {
    for (const engine::Step& step : script_.steps) {
      if (const auto* request = std::get_if<RequestStep>(&step)) {
        buffers_.steps[(request->connection - 1U) % engine::kConnectionsMax].push_back(request);
      } else if (std::holds_alternative<engine::WaitStep>(step)) {
        if (auto found = SendAll()) {
          return found;
        }
      }
    }
    return SendAll();
  }

 private:
  Found SendAll() {
    for (std::size_t connection = 0; connection < engine::kConnectionsMax; ++connection) {
      std::vector<const RequestStep*>& steps = buffers_.steps[connection];
      if (auto found = steps.empty() ? Found() : Send(connection, steps)) {
        return found;
      }
      steps.clear();
    }
    return std::nullopt;
  }

  Found Send(std::size_t connection, std::span<const RequestStep* const> steps) {
    std::unique_ptr<ExchangeClient>& client = clients_[connection];
    if (client == nullptr) {
      const auto number = static_cast<std::uint8_t>(connection + 1);
      client = std::make_unique<ExchangeClient>(served_, other_, number,
                                                make_interposer_ ? make_interposer_(served_, number) : nullptr);
      if (auto found = client->Haggle(haggling_)) {
        return Under("haggling on connection " + std::to_string(number), std::move(found));
      }
    }
    if (client->entered() == nullptr) {
      return std::nullopt;
    }
    if (entered_ == nullptr) {
      Enter(*client->entered());
    }
    const std::uint64_t cookie = cookie_;
    std::vector<Request>& requests = buffers_.requests;
    requests.clear();
    for (const RequestStep* step : steps) {
      if (auto request = MakeRequest(*step, client->agreed().headers, client->agreed().contexts)) {
        request->cookie = cookie_++;
        requests.push_back(*std::move(request));
      }
    }
    if (requests.empty()) {
      return std::nullopt;
    }
    if (auto found = client->Exchange(requests, cookie, buffers_.answers)) {
      return Under("requests " + std::to_string(cookie) + " to " + std::to_string(cookie_ - 1), std::move(found));
    }
    return Judge(*client, requests);
  }

  // All connections enter the same export, for they haggle alike.
  void Enter(engine::Export& entered) {
    entered_ = &entered;
    if (entered_ == &served_) {
      buffers_.judge.model.Reset(script_, served_);
    } else {
      buffers_.judge.model.Reset(other_);
    }
  }

  Found Judge(const ExchangeClient& client, std::span<const Request> requests) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CountAnswer(requests[i], client.agreed(), buffers_.answers[i]);
      if (auto found = buffers_.judge.Judge(requests[i], client.agreed(), client.is_plain(), buffers_.answers[i])) {
        return Under("request " + std::to_string(requests[i].cookie) + ", " +
                         engine::Describe(engine::ClientMessage(requests[i])) +
                         (client.is_plain() ? "" : ", answered unusually"),
                     std::move(found));
      }
    }
    return std::nullopt;
  }

  const engine::Script& script_;
  const MakeExchangeInterposer& make_interposer_;
  Buffers& buffers_;
  engine::Export served_;
  engine::Export other_ = {.options = {.name = "other",
                                       .read_only = true,
                                       .block_size = {.minimum = kOtherBlockBytes, .maximum = kRequestBytesMax}},
                           .disk = engine::Disk(kOtherBytes)};
  engine::Export* entered_ = nullptr;
  std::vector<const OptionStep*> haggling_;
  std::array<std::unique_ptr<ExchangeClient>, engine::kConnectionsMax> clients_;
  std::uint64_t cookie_ = 1;
};

}  // namespace

Found FindBlockStatusExchangeDisagreement(const engine::Script& script, const MakeExchangeInterposer& make_interposer) {
  static Buffers buffers;
  return ExchangeRun(script, make_interposer, buffers).Run();
}

FuzzTarget BlockStatusExchangeTarget() {
  return {.name = "block_status_exchange",
          .subject = "whole exchanges with the reference server",
          .against = "a model of the export, and the rules",
          .inputs = ScriptKind(kExchangeLimits),
          .find_in_script = [](const engine::Script& script) { return FindBlockStatusExchangeDisagreement(script); },
          .check_runs = 20'000};
}

}  // namespace nbdspec::fuzz
