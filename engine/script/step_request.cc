// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/step_request.h"

#include <algorithm>
#include <vector>

namespace nbdspec::engine {
namespace {

std::uint32_t UnselectedId(std::span<const MetaContext> contexts) {
  std::uint32_t id = 1;
  while (std::ranges::find(contexts, id, &MetaContext::id) != contexts.end()) {
    ++id;
  }
  return id;
}

std::vector<std::uint32_t> IdsFor(NamedContexts named, std::span<const MetaContext> contexts) {
  const std::uint32_t last = contexts.empty() ? 0 : contexts.back().id;
  std::vector<std::uint32_t> all;
  switch (named) {
    case NamedContexts::kNone:
      return {};
    case NamedContexts::kOne:
      return {last};
    case NamedContexts::kTwice:
      return {last, last};
    case NamedContexts::kUnknown:
      return {UnselectedId(contexts)};
    case NamedContexts::kAll:
    case NamedContexts::kRagged:
      std::ranges::transform(contexts, std::back_inserter(all), &MetaContext::id);
      return all;
  }
  return all;
}

Bytes PayloadOf(const RequestStep& step, std::span<const MetaContext> contexts) {
  if (step.command == Command::kStatus) {
    Bytes query = EncodePayload(StatusQuery{.length = step.length, .context_ids = IdsFor(step.contexts, contexts)});
    query.resize(query.size() + (step.contexts == NamedContexts::kRagged ? 1 : 0));
    return query;
  }
  return Bytes(static_cast<std::size_t>(std::min(step.length, kUselessPayloadBytesMax)));
}

}  // namespace

std::optional<Request> RequestFor(const RequestStep& step, HeaderForm form, std::span<const MetaContext> contexts) {
  const bool is_extended = form == HeaderForm::kExtended;
  const bool writes = step.command == Command::kWrite;
  if (step.length > UINT32_MAX && (!is_extended || writes)) {
    return std::nullopt;
  }
  Request request = {.form = form,
                     .flags = step.flags,
                     .type = static_cast<std::uint16_t>(step.command),
                     .offset = step.offset,
                     .length = step.length};
  if (is_extended && writes) {
    const auto others = static_cast<std::uint16_t>(step.flags & ~CommandFlag::kPayloadLen);
    request.flags = step.is_unannounced ? others : others | CommandFlag::kPayloadLen;
  } else if (is_extended && request.announces_payload()) {
    request.payload = PayloadOf(step, contexts);
    request.length = request.payload.size();
  }
  return request;
}

}  // namespace nbdspec::engine
