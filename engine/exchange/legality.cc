// SPDX-License-Identifier: BSD-3-Clause
#include "engine/exchange/legality.h"

#include <algorithm>
#include <utility>

#include "engine/wire/payloads.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint16_t kKnownFlags =
    CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kDf | CommandFlag::kReqOne | CommandFlag::kFastZero;

// What the specification gives to a command, and which transmission flag offers it (0: nothing needs to).
struct CommandRow {
  std::uint16_t command;
  std::uint16_t offered_by;
  std::uint16_t flags;  // That belong to it.
};
constexpr CommandRow kCommands[] = {
    {CommandType::kRead, 0, CommandFlag::kDf},
    {CommandType::kWrite, 0, 0},
    {CommandType::kDisc, 0, 0},
    {CommandType::kFlush, TransmissionFlag::kSendFlush, 0},
    {CommandType::kTrim, TransmissionFlag::kSendTrim, 0},
    {CommandType::kCache, TransmissionFlag::kSendCache, 0},
    {CommandType::kWriteZeroes, TransmissionFlag::kSendWriteZeroes, CommandFlag::kNoHole | CommandFlag::kFastZero},
    {CommandType::kBlockStatus, 0, CommandFlag::kReqOne},
};

const CommandRow* RowOf(std::uint16_t command) {
  const auto* row = std::ranges::find(kCommands, command, &CommandRow::command);
  return row == std::end(kCommands) ? nullptr : row;
}

void AddReasonsOfFlags(const RequestHead& request, const Negotiated& negotiated, Legality& legality) {
  const CommandRow* row = RowOf(request.type);
  const bool is_extended = negotiated.headers == HeaderForm::kExtended;
  const bool has_payload_form = request.type == CommandType::kWrite || request.type == CommandType::kBlockStatus;
  const std::uint16_t payload_len = is_extended ? CommandFlag::kPayloadLen : std::uint16_t{0};
  const std::uint16_t known = kKnownFlags | payload_len;
  // FUA belongs to every command: cmdflag.fua.accept-all
  const std::uint16_t applicable = CommandFlag::kFua | (row != nullptr ? row->flags : std::uint16_t{0}) |
                                   (has_payload_form ? payload_len : std::uint16_t{0});
  std::uint16_t offered = applicable;
  const auto needs = [&](bool is_offered, std::uint16_t flag) {
    offered &= is_offered ? ~std::uint16_t{0} : static_cast<std::uint16_t>(~flag);
  };
  needs(negotiated.Has(TransmissionFlag::kSendFua), CommandFlag::kFua);
  needs(negotiated.structured_replies && negotiated.Has(TransmissionFlag::kSendDf), CommandFlag::kDf);
  needs(negotiated.Has(TransmissionFlag::kSendFastZero), CommandFlag::kFastZero);
  needs(request.type == CommandType::kWrite || negotiated.Has(TransmissionFlag::kBlockStatusPayload),
        CommandFlag::kPayloadLen);
  const std::uint16_t wrong = request.flags & ~offered;
  if ((wrong & ~known) != 0) {
    legality.Add(Reason::kUnknownFlag);
  }
  if ((wrong & known & ~applicable) != 0) {
    legality.Add(Reason::kInapplicableFlag);
  }
  if ((wrong & applicable) != 0) {
    legality.Add(Reason::kFlagNotOffered);
  }
}

void AddReasonsOfRange(const RequestHead& request, const Negotiated& negotiated, Legality& legality) {
  const std::uint64_t size = negotiated.info.size;
  if (request.offset > size || request.length > size - request.offset) {
    legality.Add(Reason::kPastEnd);
  }
  const std::uint32_t block = std::max(1U, negotiated.block_size.minimum);
  if (request.offset % block != 0 || request.length % block != 0) {
    legality.Add(Reason::kMisaligned);
  }
  const bool has_payload = request.type == CommandType::kRead || request.type == CommandType::kWrite;
  if (has_payload && request.length > std::max(block, negotiated.block_size.maximum)) {
    legality.Add(Reason::kTooLong);
  }
}

// What answers a query that names no context is open.
void AddReasonsOfQuery(const RequestHead& request, const Negotiated& negotiated, Legality& legality) {
  std::vector<std::uint32_t> ids = request.context_ids.value_or(std::vector<std::uint32_t>{});
  std::ranges::sort(ids);
  const bool are_selected = std::ranges::all_of(
      ids, [&](std::uint32_t id) { return std::ranges::count(negotiated.contexts, id, &MetaContext::id) > 0; });
  if (!request.context_ids || !are_selected || std::ranges::adjacent_find(ids) != ids.end()) {
    legality.Add(Reason::kBadQuery);
  } else if (ids.empty()) {
    legality.Add(Reason::kUnspecified);
  }
}

}  // namespace

RequestHead RequestHead::Of(const Request& request) {
  RequestHead head = {.flags = request.flags,
                      .type = request.type,
                      .cookie = request.cookie,
                      .offset = request.offset,
                      .length = request.length};
  if (request.announces_payload() && request.type != CommandType::kWrite) {
    auto query = request.type == CommandType::kBlockStatus ? DecodePayload<StatusQuery>(request.payload) : std::nullopt;
    head.length = query ? query->length : 0;
    head.context_ids = query ? std::optional(std::move(query->context_ids)) : std::nullopt;
  }
  return head;
}

std::string Describe(const RequestHead& request) {
  return CommandName(request.type) + " at " + std::to_string(request.offset) + ", " + std::to_string(request.length) +
         " bytes" + (request.flags != 0 ? ", with " + CommandFlagNames(request.flags) : "");
}

std::string ErrorSet::Text() const {
  std::string text;
  for (std::uint32_t error = 1; error < 128; ++error) {
    if (Contains(error)) {
      text += (text.empty() ? "" : " or ") + ErrorName(error);
    }
  }
  return text;
}

Legality LegalityOf(const RequestHead& request, const Negotiated& negotiated) {
  Legality legality;
  const CommandRow* row = RowOf(request.type);
  if (row == nullptr) {
    legality.Add(Reason::kUnknownCommand);
  } else if (row->offered_by != 0 && !negotiated.Has(row->offered_by)) {
    legality.Add(Reason::kNotOffered);
  }
  AddReasonsOfFlags(request, negotiated, legality);
  if (Changes(request.type) && negotiated.Has(TransmissionFlag::kReadOnly)) {
    legality.Add(Reason::kReadOnly);
  }
  if (request.type == CommandType::kBlockStatus && (!negotiated.structured_replies || negotiated.contexts.empty())) {
    legality.Add(Reason::kNoContext);
  }
  if (request.has_query() && negotiated.headers == HeaderForm::kExtended) {
    AddReasonsOfQuery(request, negotiated, legality);
  }
  const bool is_flush = request.type == CommandType::kFlush;
  if (is_flush ? request.offset != 0 || request.length != 0 : request.length == 0) {
    legality.Add(Reason::kUnspecified);
  } else if (!is_flush) {
    AddReasonsOfRange(request, negotiated, legality);
  }
  return legality;
}

ErrorSet ErrorsFor(Reason reason, std::uint16_t command) {
  const bool grows = command == CommandType::kWrite || command == CommandType::kWriteZeroes;
  switch (reason) {
    case Reason::kReadOnly:
      return {NbdError::kEperm};
    case Reason::kPastEnd:  // "Error values" asks for ENOSPC there, "Size constraints" for EINVAL.
      return grows ? ErrorSet{NbdError::kEnospc, NbdError::kEinval} : ErrorSet{NbdError::kEinval};
    default:
      return {NbdError::kEinval};
  }
}

ErrorSet ErrorsFor(const Legality& legality, std::uint16_t command) {
  ErrorSet errors;
  for (int i = 0; i < kReasonCount; ++i) {
    if (legality.Has(static_cast<Reason>(i))) {
      errors.Add(ErrorsFor(static_cast<Reason>(i), command));
    }
  }
  return errors;
}

}  // namespace nbdspec::engine
