// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/libnbd_client_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/quoted.h"
#include "engine/exchange/legality.h"
#include "fuzz/exchange/answer_counters.h"
#include "fuzz/exchange/unusual_answers.h"
#include "fuzz/oracles/export_model.h"
#include "fuzz/oracles/reference_judge.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::ChunkType;
using engine::CommandType;
using engine::NbdError;
using engine::OptionStep;
using engine::OptionType;
using engine::Request;
using engine::RequestStep;
using engine::ServerMessage;

constexpr std::size_t kPieceBytesMax = 509;
constexpr std::size_t kNameBytesMax = 255;

// LIBNBD_READ_*.
constexpr unsigned kReadData = 1;
constexpr unsigned kReadHole = 2;
constexpr unsigned kReadError = 3;

// The errno that stands for an error of the protocol, whose values are Linux's; what is not defined is EINVAL.
// Spec: proto.md, "Error values".
int ErrnoOf(std::uint32_t error) {
  static_assert(NbdError::kEnomem == ENOMEM && NbdError::kEoverflow == EOVERFLOW && NbdError::kEnotsup == ENOTSUP);
  const bool is_known = error == NbdError::kOk || engine::kDefinedErrors.Contains(error);
  return is_known ? static_cast<int>(error) : EINVAL;
}

// Writes down what the server receives and sends, by cookie, and what that negotiates.
class Recorder : public engine::Interposer {
 public:
  // One request, and all that answers it.
  struct Recorded {
    std::optional<Request> received = {};
    ReceivedAnswer answer = {};
  };

  // Records what `inner`, which outlives this, lets pass. Room for `requests_max` requests.
  Recorder(engine::Interposer& inner, std::size_t requests_max) : inner_(inner), recorded_(requests_max + 1) {}

  bool BeforeServer(engine::ClientMessage& received, const engine::Negotiated& state) override {
    if (const auto* request = std::get_if<Request>(&received)) {
      At(request->cookie).received = *request;
    }
    return inner_.BeforeServer(received, state);
  }

  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated& state,
                   std::vector<ServerMessage>& sent) override {
    inner_.AfterServer(received, state, sent);
    engine::OptionReplies replies;
    for (const ServerMessage& message : sent) {
      if (const auto cookie = CookieOf(message)) {
        At(*cookie).answer.Add(message);
      } else if (const auto* reply = std::get_if<engine::OptionReply>(&message)) {
        replies.push_back(*reply);
      }
    }
    if (!replies.empty()) {
      negotiated_.Apply(std::get<engine::Option>(*received), replies);
      CountReplies(replies, negotiated_);
    }
  }

  // Of the request with `cookie`: libnbd counts from 1. The first is for all cookies that there is no room for.
  Recorded& At(std::uint64_t cookie) { return recorded_[cookie < recorded_.size() ? cookie : 0]; }
  [[nodiscard]] const engine::Negotiated& negotiated() const { return negotiated_; }

 private:
  engine::Interposer& inner_;
  std::vector<Recorded> recorded_;
  engine::Negotiated negotiated_;
};

LibnbdReport::Extents ExtentsOf(const Chunk& chunk, const std::vector<engine::MetaContext>& contexts) {
  const auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
  const auto context = std::ranges::find(contexts, status->context_id, &engine::MetaContext::id);
  LibnbdReport::Extents extents = {.context = context == contexts.end() ? "" : context->name};
  for (const engine::Descriptor& descriptor : status->descriptors) {
    extents.entries.push_back(static_cast<std::uint32_t>(descriptor.length));
    extents.entries.push_back(static_cast<std::uint32_t>(descriptor.status));
  }
  return extents;
}

// What libnbd must report of `request` by what answered it, which is legal, so it is taken at its word.
LibnbdReport ReportOf(const Request& request, const ReceivedAnswer& answer,
                      const std::vector<engine::MetaContext>& contexts) {
  const bool reads = request.type == CommandType::kRead;
  LibnbdReport report = {.cookie = static_cast<std::int64_t>(request.cookie),
                         .completion_count = answer.is_whole ? 1 : 0,
                         .data = engine::Bytes(reads ? request.length : 0),  // libnbd clears the buffer.
                         .offset = request.offset};
  if (answer.simple) {
    report.error = ErrnoOf(answer.simple->error);
    if (report.error == 0 && reads) {
      report.data = answer.simple->data;
      report.chunks.push_back({.offset = request.offset, .length = report.data.size(), .status = kReadData});
    }
  }
  for (const Chunk& chunk : answer.chunks) {
    if (chunk.is_error()) {  // The first error counts; the callback receives one at an offset.
      const auto payload = engine::DecodeErrorPayload(chunk.type, chunk.payload);
      const int error = payload ? ErrnoOf(payload->error) : EINVAL;
      if (payload && payload->offset && reads) {
        report.chunks.push_back({.offset = *payload->offset, .status = kReadError, .error = error});
      }
      report.error = report.error == 0 ? error : report.error;
    } else if (chunk.type == ChunkType::kOffsetData) {
      const auto [offset, data] = *engine::DecodePayload<engine::OffsetData>(chunk.payload);
      std::ranges::copy(data, report.data.begin() + static_cast<std::ptrdiff_t>(offset - request.offset));
      report.chunks.push_back({.offset = offset, .length = data.size(), .status = kReadData, .error = report.error});
    } else if (chunk.type == ChunkType::kOffsetHole) {
      const auto [offset, length] = *engine::DecodePayload<engine::OffsetHole>(chunk.payload);
      report.chunks.push_back({.offset = offset, .length = length, .status = kReadHole, .error = report.error});
    } else if (chunk.type == ChunkType::kBlockStatus) {
      LibnbdReport::Extents& extents = report.extents.emplace_back(ExtentsOf(chunk, contexts));
      extents.offset = request.offset;
      extents.error = report.error;
    }
  }
  report.completion_error = report.error;
  return report;
}

std::string Describe(const LibnbdReport& report) {
  std::string text = fmt::format("completed {} times, error {}, then {}", report.completion_count,
                                 report.completion_error, report.error);
  for (const LibnbdReport::Chunk& chunk : report.chunks) {
    text += fmt::format("; chunk {} at {} +{} error {}{}", chunk.status, chunk.offset, chunk.length, chunk.error,
                        chunk.is_in_place ? "" : " elsewhere");
  }
  for (const LibnbdReport::Extents& extents : report.extents) {
    text += fmt::format("; {} from {}: {} error {}", engine::Quoted(extents.context), extents.offset,
                        fmt::join(extents.entries, " "), extents.error);
  }
  return text;
}

// The options of a script say what libnbd is to negotiate; everything if there are none.
LibnbdOptions OptionsOf(const engine::Script& script, const std::string& other_name) {
  const std::vector<const OptionStep*> haggling = HagglingOf(script);
  LibnbdOptions options = {.structured_replies = haggling.empty(),
                           .piece_bytes_max = script.size % 2 == 0 ? 0 : kPieceBytesMax};
  if (haggling.empty()) {
    options.contexts = {std::string(engine::kBlockIndexContext), std::string(engine::kBaseAllocation)};
  }
  for (const OptionStep* option : haggling) {
    options.structured_replies = options.structured_replies || option->option == OptionType::kStructuredReply;
    if (option->option == OptionType::kSetMetaContext) {
      options.contexts = option->names;
      std::erase_if(options.contexts, [](const std::string& name) {
        return name.size() > kNameBytesMax || !engine::IsValidString(name);
      });
    }
    options.export_name = option->export_name == other_name ? option->export_name : options.export_name;
  }
  return options;
}

class LibnbdRun {
 public:
  LibnbdRun(const engine::Script& script, const LibnbdSpoilers& spoilers)
      : script_(script),
        spoilers_(spoilers),
        served_(MakeExport(script)),
        unusual_(script.size),
        recorder_(unusual_, script.steps.size()),
        liar_(spoilers.make_liar ? spoilers.make_liar(recorder_) : nullptr),
        server_({.extended_headers = false}, {&served_, &other_}, liar_ != nullptr ? liar_.get() : &recorder_),
        options_(OptionsOf(script, other_.options.name)),
        client_(options_, server_) {}

  Found Run() {
    client_.Pump();
    if (auto found = JudgeHaggling()) {
      return found;
    }
    for (const engine::Step& step : script_.steps) {
      if (const auto* request = std::get_if<RequestStep>(&step)) {
        if (auto made = MakeRequest(*request)) {
          requests_.push_back(*std::move(made));
        }
      } else if (std::holds_alternative<engine::WaitStep>(step)) {
        if (auto found = SendAll()) {
          return found;
        }
      }
    }
    return SendAll();
  }

 private:
  // libnbd is ready, and knows what the server sent.
  Found JudgeHaggling() const {
    if (!client_.IsReady()) {
      return Disagreement{.where = "haggling", .expected = "libnbd is ready", .saw = LibnbdClient::LastError()};
    }
    const engine::Negotiated& agreed = recorder_.negotiated();
    const auto describe = [](const engine::InfoExport& info, bool is_structured) {
      return fmt::format("{} bytes, {}, {} replies", info.size, engine::TransmissionFlagNames(info.flags),
                         is_structured ? "structured" : "simple");
    };
    if (auto found = Compare("haggling", describe(agreed.info, agreed.structured_replies),
                             describe(client_.Info(), client_.HasStructuredReplies()))) {
      return found;
    }
    for (const std::string& name : options_.contexts) {
      const bool is_selected = std::ranges::count(agreed.contexts, name, &engine::MetaContext::name) > 0;
      if (client_.CanMetaContext(name) != is_selected) {
        return Disagreement{.where = "haggling, context " + engine::Quoted(name),
                            .expected = is_selected ? "selected" : "not selected",
                            .saw = "the contrary"};
      }
    }
    return std::nullopt;
  }

  // Everything queued, in flight together.
  Found SendAll() {
    reports_.assign(requests_.size(), {});
    std::size_t sent_count = 0;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i].type == CommandType::kFlush) {  // libnbd has no way to give it a range.
        requests_[i].offset = 0;
        requests_[i].length = 0;
      }
      client_.Send(requests_[i], reports_[i]);
      sent_count += reports_[i].cookie >= 0 ? 1 : 0;
    }
    unusual_.HoldAnswers(sent_count);
    client_.Pump();
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      client_.Retire(reports_[i]);
      if (spoilers_.spoil) {
        spoilers_.spoil(reports_[i]);
      }
      if (auto found = Judge(requests_[i], reports_[i])) {
        return found;
      }
    }
    requests_.clear();
    return std::nullopt;
  }

  Found Judge(Request& request, LibnbdReport& report) {
    if (report.cookie < 0) {
      return std::nullopt;  // libnbd would not even send it.
    }
    const auto differ = [&](std::string expected, std::string saw) {
      return Disagreement{
          .where = "command " + std::to_string(report.cookie) + ", " + Describe(engine::ClientMessage(request)),
          .expected = std::move(expected),
          .saw = std::move(saw) + (client_.IsDead() ? "; libnbd has given up: " + LibnbdClient::LastError() : "")};
    };
    request.cookie = static_cast<std::uint64_t>(report.cookie);
    const auto& [received, answer] = recorder_.At(request.cookie);
    if (received != request) {
      return differ("the server receives what was requested",
                    received ? engine::Describe(engine::ClientMessage(*received)) : "nothing");
    }
    CountAnswer(request, recorder_.negotiated(), answer);
    const LibnbdReport expected = ReportOf(request, answer, recorder_.negotiated().contexts);
    report.data.resize(expected.data.size());  // A buffer of no bytes had one.
    return report == expected
               ? Found()
               : differ(Describe(expected), Describe(report) + (report.data == expected.data ? "" : "; other bytes"));
  }

  const engine::Script& script_;
  const LibnbdSpoilers& spoilers_;
  engine::Export served_;
  engine::Export other_ = {.options = {.name = "other", .read_only = true}, .disk = engine::Disk(4096)};
  UnusualAnswers unusual_;
  Recorder recorder_;
  std::unique_ptr<engine::Interposer> liar_;
  engine::Server server_;
  LibnbdOptions options_;
  std::vector<Request> requests_;  // Queued, then in flight; each has a report.
  std::vector<LibnbdReport> reports_;
  LibnbdClient client_;
};

}  // namespace

Found FindLibnbdClientDisagreement(const engine::Script& script, const LibnbdSpoilers& spoilers) {
  return LibnbdRun(script, spoilers).Run();
}

FuzzTarget LibnbdClientTarget() {
  return {.name = "libnbd_client",
          .subject = "libnbd, by legal but unusual answers",
          .against = "what was sent",
          .inputs = ScriptKind(kLibnbdLimits),
          .find_in_script = [](const engine::Script& script) { return FindLibnbdClientDisagreement(script); },
          .test_runs = 1000,
          .check_runs = 20'000};
}

}  // namespace nbdspec::fuzz
