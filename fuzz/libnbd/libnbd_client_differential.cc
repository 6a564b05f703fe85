// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/libnbd_client_differential.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/quoted.h"
#include "engine/server/server.h"
#include "engine/wire/big_endian.h"
#include "fuzz/exchange/answer_counters.h"
#include "fuzz/exchange/unusual_answers.h"
#include "fuzz/libnbd/recorder.h"
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

// The errno that stands for an error of the protocol; what is not defined is EINVAL. Spec: proto.md, "Error values".
int ErrnoOf(std::uint32_t error) {
  switch (error) {
    case NbdError::kOk:
      return 0;
    case NbdError::kEperm:
      return EPERM;
    case NbdError::kEio:
      return EIO;
    case NbdError::kEnomem:
      return ENOMEM;
    case NbdError::kEnospc:
      return ENOSPC;
    case NbdError::kEoverflow:
      return EOVERFLOW;
    case NbdError::kEnotsup:
      return ENOTSUP;
    case NbdError::kEshutdown:
      return ESHUTDOWN;
    default:
      return EINVAL;
  }
}

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
  std::string text = "completed " + std::to_string(report.completion_count) + " times, error " +
                     std::to_string(report.completion_error) + ", then " + std::to_string(report.error);
  for (const LibnbdReport::Chunk& chunk : report.chunks) {
    text += "; chunk " + std::to_string(chunk.status) + " at " + std::to_string(chunk.offset) + " +" +
            std::to_string(chunk.length) + " error " + std::to_string(chunk.error) +
            (chunk.is_in_place ? "" : " elsewhere");
  }
  for (const LibnbdReport::Extents& extents : report.extents) {
    text += "; " + engine::Quoted(extents.context) + " from " + std::to_string(extents.offset) + ":";
    for (const std::uint32_t entry : extents.entries) {
      text += " " + std::to_string(entry);
    }
    text += " error " + std::to_string(extents.error);
  }
  return text;
}

std::string Describe(const LibnbdCommand& command) {
  return engine::CommandName(command.type) + " offset " + std::to_string(command.offset) + " length " +
         std::to_string(command.length) + " flags " +
         engine::CommandFlagNames(static_cast<std::uint16_t>(command.flags));
}

// Buffers that outlive an execution.
struct Buffers {
  std::vector<engine::Bytes> payloads;
  std::vector<LibnbdCommand> commands;
  std::vector<LibnbdReport> reports;
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
        recorder_(&unusual_, script.steps.size()),
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
    std::optional<Disagreement> found;
    if (!client_->IsDead()) {
      found = RunRequests();
    }
    return found;
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
    const auto& info = recorder_.info();
    const std::string told = std::to_string(info ? info->size : 0) + " bytes, " +
                             engine::TransmissionFlagNames(info ? info->flags : std::uint16_t{0});
    const std::string known =
        std::to_string(client_->Size()) + " bytes, " + engine::TransmissionFlagNames(client_->TransmissionFlags());
    if (told != known) {
      return Disagreement{.where = "haggling", .expected = told, .saw = known};
    }
    if (client_->HasStructuredReplies() != recorder_.is_structured()) {
      return Disagreement{.where = "haggling", .expected = "structured replies as negotiated", .saw = "the contrary"};
    }
    for (const std::string& name : options.contexts) {
      const bool is_told = std::ranges::count(recorder_.contexts(), name, &engine::MetaContext::name) > 0;
      if (client_->CanMetaContext(name) != is_told) {
        return Disagreement{.where = "haggling, context " + engine::Quoted(name),
                            .expected = is_told ? "selected" : "not selected",
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
    const std::size_t index = count_++;
    if (index == buffers_.commands.size()) {
      buffers_.commands.emplace_back();
      buffers_.payloads.emplace_back();
    }
    LibnbdCommand& command = buffers_.commands[index];
    command = {.type = static_cast<std::uint16_t>(step.command),
               .flags = step.flags,
               .offset = step.offset,
               .length = step.length};
    if (step.command == engine::Command::kRead || step.command == engine::Command::kWrite) {
      command.length = std::min(command.length, kLengthMax);
    }
    if (step.command == engine::Command::kWrite) {
      engine::Bytes& payload = buffers_.payloads[index];
      payload.resize(command.length);
      engine::FillWithPattern(step.pattern, step.offset, payload);
    }
    if (step.command == engine::Command::kFlush) {
      command.offset = 0;  // libnbd has no way to say it.
      command.length = 0;
    }
  }

  // Everything queued, in flight together.
  std::optional<Disagreement> SendAll() {
    const std::size_t count = std::exchange(count_, 0);
    if (buffers_.reports.size() < count) {
      buffers_.reports.resize(count);
    }
    std::size_t sent_count = 0;
    for (std::size_t i = 0; i < count; ++i) {
      LibnbdCommand& command = buffers_.commands[i];
      command.payload =
          command.type == CommandType::kWrite ? engine::ByteView(buffers_.payloads[i]) : engine::ByteView();
      buffers_.reports[i].Clear();
      client_->Send(command, buffers_.reports[i]);
      sent_count += buffers_.reports[i].cookie >= 0 ? 1 : 0;
    }
    unusual_.HoldAnswers(sent_count);
    client_->Pump();
    for (std::size_t i = 0; i < count; ++i) {
      LibnbdReport& report = buffers_.reports[i];
      client_->Retire(report);
      if (spoilers_.spoil) {
        spoilers_.spoil(report);
      }
      if (auto found = Judge(buffers_.commands[i], report)) {
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
    const Recorded& recorded = recorder_.Of(static_cast<std::uint64_t>(report.cookie));
    const auto& heard = recorded.heard;
    if (!heard || heard->type != command.type || heard->flags != command.flags || heard->offset != command.offset ||
        heard->length != command.length || !std::ranges::equal(heard->payload, command.payload)) {
      return differ("the server hears what was asked",
                    heard ? engine::Describe(engine::ClientMessage(*heard)) : "nothing");
    }
    LibnbdReport& expected = buffers_.expected;
    expected.Clear();
    Interpreter(command, recorder_.contexts(), expected).Interpret(recorded.said);
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
