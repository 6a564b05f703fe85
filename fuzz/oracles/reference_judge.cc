// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/reference_judge.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/exchange/rules.h"
#include "engine/server/server.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;
using engine::Chunk;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::HeaderForm;
using engine::Located;
using engine::NbdError;
using engine::Reason;
using engine::Request;
using engine::StatusChunk;

namespace {

constexpr std::size_t kOffsetBytes = 8;

// A run that does not fit one length of 32 bits may end anywhere in the last two sectors of what fits.
constexpr std::uint64_t kLongRunBytes = 0xffff'ffff - 1024;

std::string Describe(const ReceivedAnswer& answer) {
  std::string text = answer.simple ? engine::Describe(engine::ServerMessage(*answer.simple)) + "; " : "";
  for (const Chunk& chunk : answer.chunks) {
    text += engine::Describe(engine::ServerMessage(chunk)) + "; ";
  }
  return text + (answer.is_whole ? "that is all" : "DONE is missing");
}

// Of the errors that the specification permits, those that the reference server has chosen.
engine::ErrorSet ErrorsOf(const engine::Exchange& exchange) {
  const std::uint16_t command = exchange.request.type;
  const bool grows = command == CommandType::kWrite || command == CommandType::kWriteZeroes;
  // What answers a length of 0 is open, outside of the export too.
  const bool is_open = exchange.legality.Has(Reason::kUnspecified);
  engine::ErrorSet errors = is_open && grows ? engine::ErrorSet{NbdError::kEnospc} : engine::ErrorSet{};
  for (int i = 0; i < engine::kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    if (exchange.legality.Has(reason)) {
      errors.Add(reason == Reason::kPastEnd && grows ? engine::ErrorSet{NbdError::kEnospc}
                                                     : engine::ErrorsFor(reason, command));
    }
  }
  return errors;
}

}  // namespace

void ReceivedAnswer::Add(engine::ServerMessage reply) {
  if (auto* chunk = std::get_if<Chunk>(&reply)) {
    is_whole = chunk->is_done();
    chunks.push_back(std::move(*chunk));
  } else {
    is_whole = true;
    simple = std::get<engine::SimpleReply>(std::move(reply));
  }
}

std::optional<std::uint64_t> CookieOf(const engine::ServerMessage& message) {
  const auto* chunk = std::get_if<Chunk>(&message);
  const auto* simple = std::get_if<engine::SimpleReply>(&message);
  return chunk != nullptr    ? std::optional(chunk->cookie)
         : simple != nullptr ? std::optional(simple->cookie)
                             : std::nullopt;
}

Found ReferenceJudge::Judge(const Request& request, const engine::Negotiated& negotiated, bool is_plain,
                            const ReceivedAnswer& answer) {
  exchange_.Start(engine::RequestHead::Of(request), negotiated);
  if (answer.simple) {
    exchange_.answer.Add(*answer.simple);
  }
  for (const Chunk& chunk : answer.chunks) {
    exchange_.answer.Add(chunk);
  }
  if (!answer.is_whole || (answer.simple && !answer.chunks.empty())) {
    return Differ("an answer, of one kind", Describe(answer));
  }
  auto found = JudgeRules(is_plain);
  found = found ? found : JudgeError(request, is_plain);
  if (!found && request.type == CommandType::kRead && !exchange_.legality.is_illegal()) {
    found = JudgeRead(request, answer);
  }
  for (const engine::ReplyChunk& chunk : exchange_.answer.chunks()) {
    if (const auto status = engine::StatusChunk::From(chunk); !found && status && has_succeeded()) {
      found = JudgeClaims(*status, is_plain);
    }
  }
  if (!found && has_succeeded()) {
    model.Apply(request);
  }
  return found;
}

Found ReferenceJudge::JudgeRules(bool is_plain) const {
  const auto rules = is_plain ? engine::AllRules() : engine::RulesOf(spec::Severity::kFailure);
  const auto violation = engine::FirstViolation(exchange_, rules);
  return violation ? Differ(std::string(violation->requirement) + ": " + violation->expected, violation->saw) : Found();
}

// Each reason to refuse brings its errors; where several hold, any of theirs will do.
Found ReferenceJudge::JudgeError(const Request& request, bool is_plain) const {
  engine::ErrorSet errors = ErrorsOf(exchange_);
  bool must_fail = exchange_.legality.is_illegal();
  if (request.type == CommandType::kWrite && !must_fail && !model.Takes(request.offset, request.payload)) {
    errors = {NbdError::kEnospc};
    must_fail = true;
  }
  if (request.type == CommandType::kWrite && !request.announces_payload()) {
    errors.Add({NbdError::kEinval});  // With extended headers there is then nothing to write.
    must_fail = true;
  }
  const std::uint32_t error = exchange_.answer.error();
  if (has_succeeded()) {
    return must_fail ? Differ(errors.Text(), "success") : Found();
  }
  const bool is_whim = !is_plain && !must_fail && error == NbdError::kEio;  // UnusualAnswers fails like that.
  return is_whim || errors.Contains(error)
             ? Found()
             : Differ((must_fail ? "" : "success ") + errors.Text(), engine::ErrorName(error));
}

// What is sent is what is held, also before an error. That it covers the request once is the rule book's.
Found ReferenceJudge::JudgeRead(const Request& request, const ReceivedAnswer& answer) const {
  bool is_right = !answer.simple || !has_succeeded() ||
                  (answer.simple->data.size() == request.length && model.Holds(request.offset, answer.simple->data));
  for (std::size_t i = 0; i < answer.chunks.size(); ++i) {
    const Chunk& chunk = answer.chunks[i];
    if (const auto& content = exchange_.answer.chunks()[i].content) {
      is_right =
          is_right && (chunk.type == ChunkType::kOffsetData
                           ? model.Holds(content->offset, ByteView(chunk.payload).subspan(kOffsetBytes))
                           : model.HoldsZeroes({.begin = content->offset, .end = content->offset + content->length}));
    }
  }
  return is_right ? Found() : Differ("the bytes that the export holds", Describe(answer));
}

// The rules have said that the chunk's context is known.
Found ReferenceJudge::JudgeClaims(const StatusChunk& chunk, bool is_plain) const {
  const bool is_allocation = IsBaseAllocation(exchange_, chunk.context_id());
  if (is_allocation ? IsAllocation(chunk, is_plain) : IsBlockIndex(chunk)) {
    return std::nullopt;
  }
  std::string saw;
  ForEachDescriptor(chunk, exchange_.request.offset, [&saw](const Located& here) {
    saw += std::to_string(here.descriptor().length) + " with status " + std::to_string(here.descriptor().status) + "; ";
  });
  return Differ(is_allocation ? model.Describe(exchange_.request.range()) : "the index of the block", saw);
}

// Sound, or exactly what is true: every block its status, all that was asked, one run of equal blocks with REQ_ONE.
bool ReferenceJudge::IsAllocation(const StatusChunk& chunk, bool is_plain) const {
  const ByteRange asked = exchange_.request.range();
  std::uint64_t end = asked.begin;
  std::uint64_t last = 0;
  bool is_true = true;
  ForEachDescriptor(chunk, asked.begin, [&](const Located& here) {
    const ByteRange range = Intersect(here.range, {.begin = 0, .end = model.size()});
    last = here.descriptor().status;
    is_true = is_true && !range.empty() && model.AllHave(range, static_cast<std::uint32_t>(last), /*exactly=*/is_plain);
    end = here.range.end;
  });
  const bool is_cut = end - asked.begin >= kLongRunBytes && exchange_.negotiated->headers == HeaderForm::kCompact;
  const bool is_one_run =
      exchange_.HasFlag(CommandFlag::kReqOne) && end < asked.end && (model.StatusAt(end) != last || is_cut);
  return is_true && (!is_plain || end == asked.end || is_one_run);
}

bool ReferenceJudge::IsBlockIndex(const StatusChunk& chunk) const {
  const auto& contexts = exchange_.negotiated->contexts;
  const auto context = std::ranges::find(contexts, chunk.context_id(), &engine::MetaContext::id);
  const bool counts_down = context != contexts.end() && context->name == engine::kBlockCountdownContext;
  bool is_true = true;
  ForEachDescriptor(chunk, exchange_.request.offset, [&](const Located& here) {
    const std::uint64_t block = here.range.begin / engine::kBlockIndexBytes;
    const std::uint64_t expected = counts_down ? UINT64_MAX - block : static_cast<std::uint32_t>(block);
    is_true =
        is_true && here.descriptor().status == expected && (here.range.end - 1) / engine::kBlockIndexBytes == block;
  });
  return is_true;
}

}  // namespace nbdspec::fuzz
