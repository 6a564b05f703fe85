// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/libnbd_client_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/quoted.h"
#include "engine/server/server.h"
#include "engine/wire/fields.h"
#include "fuzz/exchange/answer_counters.h"
#include "fuzz/exchange/unusual_answers.h"
#include "fuzz/oracles/export_model.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::ChunkType;
using engine::CommandType;
using engine::GetBigEndian;
using engine::NbdError;
using engine::OptionStep;
using engine::OptionType;
using engine::RequestStep;
using engine::ServerMessage;

constexpr std::uint32_t kLengthMax = 1 << 20;  // Of a read or write, in a script of people's.
constexpr std::size_t kPieceBytesMax = 509;
constexpr std::size_t kOffsetBytes = 8;
constexpr std::size_t kNameBytesMax = 255;

// LIBNBD_READ_*.
constexpr unsigned kReadData = 1;
constexpr unsigned kReadHole = 2;
constexpr unsigned kReadError = 3;

// The errno that stands for an error of the protocol, whose values are Linux's; what is not defined is EINVAL.
// Spec: proto.md, "Error values".
int ErrnoOf(std::uint32_t error) {
  static_assert(NbdError::kEnomem == ENOMEM && NbdError::kEoverflow == EOVERFLOW && NbdError::kEnotsup == ENOTSUP);
  constexpr std::uint32_t kDefined[] = {NbdError::kOk,      NbdError::kEperm,    NbdError::kEio,
                                        NbdError::kEnomem,  NbdError::kEnospc,   NbdError::kEoverflow,
                                        NbdError::kEnotsup, NbdError::kEshutdown};
  return std::ranges::count(kDefined, error) > 0 ? static_cast<int>(error) : EINVAL;
}

// Writes down what the server receives and sends, by cookie, and what that negotiates.
class Recorder : public engine::Interposer {
 public:
  // One request, and all that answers it, in the order in which it was sent.
  struct Recorded {
    std::optional<engine::Request> received = {};
    std::vector<ServerMessage> sent = {};
  };

  // Records what `inner`, which outlives this, lets pass. Room for `requests_max` requests.
  Recorder(engine::Interposer& inner, std::size_t requests_max) : inner_(inner), recorded_(requests_max + 1) {}

  bool BeforeServer(engine::ClientMessage& received, const engine::Negotiated& state) override {
    if (const auto* request = std::get_if<engine::Request>(&received)) {
      At(request->cookie).received = *request;
    }
    return inner_.BeforeServer(received, state);
  }

  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated& state,
                   std::vector<ServerMessage>& sent) override {
    inner_.AfterServer(received, state, sent);
    engine::OptionReplies replies;
    for (const ServerMessage& message : sent) {
      if (const auto* chunk = std::get_if<Chunk>(&message)) {
        At(chunk->cookie).sent.push_back(message);
      } else if (const auto* simple = std::get_if<engine::SimpleReply>(&message)) {
        At(simple->cookie).sent.push_back(message);
      } else if (const auto* reply = std::get_if<engine::OptionReply>(&message)) {
        replies.push_back(*reply);
      }
    }
    if (!replies.empty()) {
      negotiated_.Apply(std::get<engine::Option>(*received), replies);
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

// Says what libnbd must report of one command, from what was said to it: legal, so it is taken at its word.
class Interpreter {
 public:
  Interpreter(const LibnbdCommand& command, const std::vector<engine::MetaContext>& contexts, LibnbdReport& report)
      : command_(command), contexts_(contexts), report_(report) {
    report_.offset = command.offset;
    report_.data.assign(command.type == CommandType::kRead ? command.length : 0, 0);  // libnbd clears the buffer.
  }

  void Interpret(std::span<const ServerMessage> said) {
    for (const ServerMessage& message : said) {
      if (const auto* simple = std::get_if<engine::SimpleReply>(&message)) {
        Take(*simple);
      } else {
        Take(std::get<Chunk>(message));
      }
    }
    report_.completion_error = report_.error;
  }

 private:
  void Take(const engine::SimpleReply& simple) {
    report_.completion_count = 1;
    report_.error = ErrnoOf(simple.error);
    if (simple.error == NbdError::kOk && command_.type == CommandType::kRead) {
      report_.data = simple.data;
      report_.chunks.push_back({.offset = command_.offset, .length = simple.data.size(), .status = kReadData});
    }
  }

  void Take(const Chunk& chunk) {
    report_.completion_count += chunk.is_done() ? 1 : 0;
    if (chunk.is_error()) {
      return TakeError(chunk);
    }
    switch (chunk.type) {
      case ChunkType::kOffsetData: {
        const auto offset = GetBigEndian<std::uint64_t>(chunk.payload);
        const auto data = engine::ByteView(chunk.payload).subspan(kOffsetBytes);
        std::ranges::copy(data, report_.data.begin() + static_cast<std::ptrdiff_t>(offset - command_.offset));
        report_.chunks.push_back(
            {.offset = offset, .length = data.size(), .status = kReadData, .error = report_.error});
        return;
      }
      case ChunkType::kOffsetHole: {
        report_.chunks.push_back({.offset = GetBigEndian<std::uint64_t>(chunk.payload),
                                  .length = GetBigEndian<std::uint32_t>(chunk.payload, kOffsetBytes),
                                  .status = kReadHole,
                                  .error = report_.error});
        return;
      }
      case ChunkType::kBlockStatus:
        return TakeStatus(chunk);
      default:
        return;
    }
  }

  // The first error counts; the callback hears of one at an offset.
  void TakeError(const Chunk& chunk) {
    const auto payload = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    const int error = payload ? ErrnoOf(payload->error) : EINVAL;
    if (payload && payload->offset && command_.type == CommandType::kRead) {
      report_.chunks.push_back({.offset = *payload->offset, .status = kReadError, .error = error});
    }
    report_.error = report_.error == 0 ? error : report_.error;
  }

  void TakeStatus(const Chunk& chunk) {
    const auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
    const auto context = std::ranges::find(contexts_, status->context_id, &engine::MetaContext::id);
    LibnbdReport::Extents extents = {
        .context = context == contexts_.end() ? "" : context->name, .offset = command_.offset, .error = report_.error};
    for (const engine::Descriptor& descriptor : status->descriptors) {
      extents.entries.push_back(descriptor.length);
      extents.entries.push_back(descriptor.status);
    }
    report_.extents.push_back(std::move(extents));
  }

  const LibnbdCommand& command_;
  const std::vector<engine::MetaContext>& contexts_;
  LibnbdReport& report_;
};

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

std::string Describe(const LibnbdCommand& command) {
  return fmt::format("{} offset {} length {} flags {}", engine::CommandName(command.type), command.offset,
                     command.length, engine::CommandFlagNames(static_cast<std::uint16_t>(command.flags)));
}

// One command on its way. Their memory outlives an execution.
struct Queued {
  LibnbdCommand command;
  engine::Bytes payload;
  LibnbdReport report;
};
struct Buffers {
  std::vector<Queued> queue;
  LibnbdReport expected;
};

class LibnbdRun {
 public:
  LibnbdRun(const engine::Script& script, const LibnbdSpoilers& spoilers, Buffers& buffers)
      : script_(script),
        spoilers_(spoilers),
        buffers_(buffers),
        served_(MakeExport(script)),
        unusual_(script.size),
        recorder_(unusual_, script.steps.size()),
        liar_(spoilers.make_liar ? spoilers.make_liar(recorder_) : nullptr),
        server_({}, {&served_, &other_}, liar_ != nullptr ? liar_.get() : &recorder_) {
    other_.options.name = "other";
    other_.options.read_only = true;
  }

  std::optional<Disagreement> Run() {
    const LibnbdOptions options = TakeOptions();
    auto connected = LibnbdClient::Connect(options, server_);
    NBDSPEC_CHECK(connected.has_value());
    client_ = std::move(*connected);
    client_->SetPieces(script_.size % 2 == 0 ? 0 : kPieceBytesMax);
    client_->Pump();
    if (auto found = JudgeHaggling(options)) {
      return found;
    }
    return client_->IsDead() ? std::nullopt : RunRequests();
  }

 private:
  LibnbdOptions TakeOptions() const {
    LibnbdOptions options;
    bool has_options = false;
    for (const engine::Step& step : script_.steps) {
      if (std::holds_alternative<RequestStep>(step)) {
        break;
      }
      if (const auto* option = std::get_if<OptionStep>(&step)) {
        options.structured_replies =
            option->option == OptionType::kStructuredReply || (has_options && options.structured_replies);
        has_options = true;
        if (option->option == OptionType::kSetMetaContext) {
          options.contexts = option->names;
          std::erase_if(options.contexts, [](const std::string& name) {
            return name.size() > kNameBytesMax || !engine::IsValidString(name);
          });
        }
        options.export_name = option->export_name == other_.options.name ? option->export_name : options.export_name;
      }
    }
    if (!has_options) {
      options.contexts = {std::string(engine::kBlockIndexContext), std::string(engine::kBaseAllocation)};
    }
    return options;
  }

  // libnbd is ready, and knows what the server sent.
  std::optional<Disagreement> JudgeHaggling(const LibnbdOptions& options) const {
    if (!client_->IsReady()) {
      return Disagreement{.where = "haggling", .expected = "libnbd is ready", .saw = LibnbdClient::LastError()};
    }
    const engine::Negotiated& agreed = recorder_.negotiated();
    const auto describe = [](auto size, std::uint16_t flags, bool is_structured) {
      return fmt::format("{} bytes, {}, {} replies", size, engine::TransmissionFlagNames(flags),
                         is_structured ? "structured" : "simple");
    };
    const std::string sent = describe(agreed.info.size, agreed.info.flags, agreed.structured_replies);
    const std::string known = describe(client_->Size(), client_->TransmissionFlags(), client_->HasStructuredReplies());
    if (sent != known) {
      return Disagreement{.where = "haggling", .expected = sent, .saw = known};
    }
    for (const std::string& name : options.contexts) {
      const bool is_selected = std::ranges::count(agreed.contexts, name, &engine::MetaContext::name) > 0;
      if (client_->CanMetaContext(name) != is_selected) {
        return Disagreement{.where = "haggling, context " + engine::Quoted(name),
                            .expected = is_selected ? "selected" : "not selected",
                            .saw = "the contrary"};
      }
    }
    return std::nullopt;
  }

  std::optional<Disagreement> RunRequests() {
    for (const engine::Step& step : script_.steps) {
      if (const auto* request = std::get_if<RequestStep>(&step)) {
        Queue(*request);
      } else if (std::holds_alternative<engine::WaitStep>(step)) {
        if (auto found = SendAll()) {
          return found;
        }
      }
    }
    return SendAll();
  }

  void Queue(const RequestStep& step) {
    if (count_ == buffers_.queue.size()) {
      buffers_.queue.emplace_back();
    }
    const bool is_flush = step.command == engine::Command::kFlush;  // libnbd has no way to give it a range.
    const bool has_data = step.command == engine::Command::kRead || step.command == engine::Command::kWrite;
    auto& [command, payload, report] = buffers_.queue[count_++];
    command = {.type = static_cast<std::uint16_t>(step.command),
               .flags = step.flags,
               .offset = is_flush ? 0 : step.offset,
               .length = is_flush   ? 0
                         : has_data ? std::min(step.length, kLengthMax)
                                    : step.length};
    payload.resize(step.command == engine::Command::kWrite ? command.length : 0);
    engine::FillWithPattern(step.pattern, step.offset, payload);
  }

  // Everything queued, in flight together.
  std::optional<Disagreement> SendAll() {
    const auto queue = std::span(buffers_.queue).first(std::exchange(count_, 0));
    std::size_t sent_count = 0;
    for (Queued& each : queue) {
      each.command.payload = each.payload;
      each.report.Clear();
      client_->Send(each.command, each.report);
      sent_count += each.report.cookie >= 0 ? 1 : 0;
    }
    unusual_.HoldAnswers(sent_count);
    client_->Pump();
    for (Queued& each : queue) {
      client_->Retire(each.report);
      if (spoilers_.spoil) {
        spoilers_.spoil(each.report);
      }
      if (auto found = Judge(each.command, each.report)) {
        return found;
      }
    }
    return std::nullopt;
  }

  std::optional<Disagreement> Judge(const LibnbdCommand& command, LibnbdReport& report) {
    if (report.cookie < 0) {
      return std::nullopt;  // libnbd would not even send it.
    }
    const auto differ = [&](std::string expected, std::string saw) {
      return Disagreement{
          .where = "command " + std::to_string(report.cookie) + ", " + Describe(command),
          .expected = std::move(expected),
          .saw = std::move(saw) + (client_->IsDead() ? "; libnbd has given up: " + LibnbdClient::LastError() : "")};
    };
    const Recorder::Recorded& recorded = recorder_.At(static_cast<std::uint64_t>(report.cookie));
    const auto& received = recorded.received;
    if (!received || received->type != command.type || received->flags != command.flags ||
        received->offset != command.offset || received->length != command.length ||
        !std::ranges::equal(received->payload, command.payload)) {
      return differ("the server receives what was asked",
                    received ? engine::Describe(engine::ClientMessage(*received)) : "nothing");
    }
    LibnbdReport& expected = buffers_.expected;
    expected.Clear();
    Interpreter(command, recorder_.negotiated().contexts, expected).Interpret(recorded.sent);
    report.data.resize(expected.data.size());  // A buffer of no bytes had one.
    if (report.completion_count != expected.completion_count || report.completion_error != expected.completion_error ||
        report.error != expected.error || report.chunks != expected.chunks || report.extents != expected.extents) {
      return differ(Describe(expected), Describe(report));
    }
    if (report.data != expected.data) {
      return differ("the bytes that were sent", "other bytes");
    }
    return std::nullopt;
  }

  const engine::Script& script_;
  const LibnbdSpoilers& spoilers_;
  Buffers& buffers_;
  engine::Export served_;
  engine::Export other_ = {.disk = engine::Disk(4096)};
  UnusualAnswers unusual_;
  Recorder recorder_;
  std::unique_ptr<engine::Interposer> liar_;
  engine::Server server_;
  std::unique_ptr<LibnbdClient> client_;
  std::size_t count_ = 0;  // Of commands queued.
};

}  // namespace

std::optional<Disagreement> FindLibnbdClientDisagreement(const engine::Script& script, const LibnbdSpoilers& spoilers) {
  static Buffers buffers;
  return LibnbdRun(script, spoilers, buffers).Run();
}

FuzzTarget LibnbdClientTarget() {
  return {.name = "libnbd_client",
          .subject = "libnbd, by legal but unusual answers",
          .against = "what was sent",
          .inputs = ScriptKind(kLibnbdLimits),
          .find_in_script =
              [](const engine::Script& script) {
                return FindLibnbdClientDisagreement(script, {.make_liar = [](engine::Interposer& recorder) {
                                                      return std::make_unique<AnswerCounters>(&recorder);
                                                    }});
              },
          .test_runs = 1000,
          .check_runs = 20'000};
}

}  // namespace nbdspec::fuzz
