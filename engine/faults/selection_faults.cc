// SPDX-License-Identifier: BSD-3-Clause
// Faults of which contexts are selected: what outlives an option that replaces it, and what does not outlive others.
#include <algorithm>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

constexpr std::uint32_t kSet = OptionType::kSetMetaContext;

using Selection = std::vector<MetaContext>;

// Answers BLOCK_STATUS for `contexts`, then with `others`.
Messages StatusOf(const Request& to, const Selection& contexts, Messages others = {}) {
  Messages sent;
  for (const MetaContext& context : contexts) {
    sent.emplace_back(StatusChunk(to, context.id, {{.length = to.length}}));
  }
  sent.insert(sent.end(), others.begin(), others.end());
  SetDoneOnLast(sent);
  return sent;
}

// Which contexts a change keeps after an option and its true answer; `latest` were the last ones selected before.
using Keep = std::function<Selection(const Option& to, const Messages& sent, const Selection& latest)>;

// Answers BLOCK_STATUS for contexts that it keeps, where none is selected.
Change Keeps(Keep keep) {
  return {.sent = [keep = std::move(keep), latest = Selection(), kept = Selection()](
                      const ClientMessage* to, const Connection& on, Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    const Selection& selected = on.negotiated->contexts;
    if (option != nullptr) {
      Selection more = keep(*option, sent, latest);
      kept = more.empty() && option->option != kSet ? kept : std::move(more);
      latest = selected.empty() ? latest : selected;
    } else if (request != nullptr && request->type == kBlockStatus && selected.empty() && !kept.empty() &&
               OnError(*request, sent)) {
      sent = StatusOf(*request, kept);
    }
  }};
}

// After SET_META_CONTEXT that selects nothing and ends with `reply_type`.
Change KeepsAfterSet(std::uint32_t reply_type) {
  return Keeps([reply_type](const Option& to, const Messages& sent, const Selection& latest) {
    const bool keeps = to.option == kSet && LastReplyType(sent) == reply_type && ContextsIn(sent).empty();
    return keeps ? latest : Selection();
  });
}

// After `option` that ends with `reply_type`.
Change KeepsAfter(std::uint32_t option, std::uint32_t reply_type) {
  return Keeps([=](const Option& to, const Messages& sent, const Selection& latest) {
    return to.option == option && LastReplyType(sent) == reply_type ? latest : Selection();
  });
}

// Answers BLOCK_STATUS for what an earlier SET_META_CONTEXT selected as well.
Change AddsToSelection() {
  return {.sent = [latest = Selection(), earlier = Selection()](const ClientMessage* to, const Connection& on,
                                                                Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    if (option != nullptr && option->option == kSet) {
      earlier = latest;
      latest = on.negotiated->contexts.empty() ? latest : on.negotiated->contexts;
    } else if (request != nullptr && request->type == kBlockStatus && !earlier.empty() && !sent.empty()) {
      // Where nothing is selected now the request was refused, and only the status of before remains.
      const bool succeeded = OnStructuredSuccess(*request, sent);
      sent = StatusOf(*request, earlier, succeeded ? std::move(sent) : Messages());
    }
  }};
}

// Answers BLOCK_STATUS with the ids of the first contexts that were selected.
Change UsesFirstIds() {
  return {.sent = [first = Selection()](const ClientMessage*, const Connection& on, Messages& sent) mutable {
    const Selection& now = on.negotiated->contexts;
    first = first.empty() ? now : first;
    ForEachStatus(sent, [&](BlockStatus& status) {
      const auto at =
          static_cast<std::size_t>(std::ranges::find(now, status.context_id, &MetaContext::id) - now.begin());
      status.context_id = at < first.size() ? first[at].id : status.context_id;
    });
  }};
}

// Refuses BLOCK_STATUS after `option` that ends with `reply_type` (0: with no option reply), until contexts are
// selected.
Change ForgetsAfter(std::uint32_t option, std::uint32_t reply_type) {
  return {.sent = [=, forgets = false](const ClientMessage* to, const Connection&, Messages& sent) mutable {
    const auto* asked = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    if (asked != nullptr) {
      forgets = asked->option != kSet && (forgets || (asked->option == option && LastReplyType(sent) == reply_type));
    } else if (request != nullptr && request->type == kBlockStatus && forgets) {
      AnswerWith(*request, kEinval, sent);
    }
  }};
}

// Selects what the queries before the malformed one ask for, and replies ERR_INVALID all the same.
Change KeepsPartOfFailedSet() {
  const Bytes payload = EncodePayload(MetaContextQuery{.export_name = "", .queries = {std::string(kBaseAllocation)}});
  return Both(ChangesOption(kSet, [payload](Option& option) { option.payload = payload; }),
              ReplacesReply(kSet, OptionReplyType::kAck, OptionReplyType::kErrInvalid));
}

}  // namespace

std::vector<Fault> SelectionFaults() {
  constexpr std::uint32_t kAck = OptionReplyType::kAck;
  return {
      {"server_keeps_selection_after_set_of_nothing",
       By(spec::kOptionSetMetaContextReplaces, spec::kSub<spec::kOptionSetMetaContextReplaces, "no-match">,
          Contexts(kStale, 1500)),
       KeepsAfterSet(kAck)},
      {"server_keeps_selection_after_unknown_export",
       By(spec::kOptionSetMetaContextReplacesOnFailure, Contexts(kStale, 7500)),
       KeepsAfterSet(OptionReplyType::kErrUnknown)},
      {"server_keeps_selection_after_malformed_set",
       By(spec::kSub<spec::kOptionSetMetaContextReplacesOnFailure, "query-overrun">,
          spec::kSub<spec::kOptionSetMetaContextReplacesOnFailure, "name-overrun">,
          spec::kSub<spec::kOptionSetMetaContextReplacesOnFailure, "no-data">, Contexts(kStale, 700)),
       KeepsAfterSet(OptionReplyType::kErrInvalid)},
      {"server_keeps_selection_after_too_long_set", Contexts(kStale, 5500), KeepsAfterSet(OptionReplyType::kErrTooBig)},
      {"server_never_drops_selection", By(Session(kStale, 950), Exchange(kStale, 5500)),
       Keeps([](const Option&, const Messages&, const Selection& latest) { return latest; })},
      {"server_keeps_selection_at_go_of_another_export", Contexts(kStale, 700), KeepsAfter(OptionType::kGo, kAck)},
      {"server_keeps_selection_at_export_name_of_another_export", Contexts(kStale, 450),
       KeepsAfter(OptionType::kExportName, 0)},
      {"server_keeps_part_of_failed_set", spec::kOptionSetMetaContextPartialFailure, KeepsPartOfFailedSet()},
      {"server_adds_to_selection", By(spec::kSub<spec::kOptionSetMetaContextReplaces, "other">, Contexts(kRule, 250)),
       AddsToSelection()},
      {"server_uses_ids_of_first_set", Contexts(kStale, 7000), UsesFirstIds()},
      {"server_selects_by_list", Contexts(kRule, 200),
       Keeps([](const Option& to, const Messages& sent, const Selection&) {
         return to.option == OptionType::kListMetaContext ? ContextsIn(sent) : Selection();
       })},
      {"server_drops_selection_at_list", By(spec::kOptionListMetaContextNoSelectionEffect, Contexts(kLost, 15'000)),
       ForgetsAfter(OptionType::kListMetaContext, kAck)},
      {"server_drops_selection_at_info", Contexts(kLost, 8000), ForgetsAfter(OptionType::kInfo, kAck)},
      {"server_drops_selection_at_refused_go", Contexts(kError, 30'000),
       ForgetsAfter(OptionType::kGo, OptionReplyType::kErrUnknown)},
      {"server_drops_selection_at_structured_reply", Contexts(kLost, 2000),
       ForgetsAfter(OptionType::kStructuredReply, kAck)},
      {"server_drops_selection_at_export_name", By(spec::kOptionSetMetaContextViaExportName, Contexts(kLost, 2500)),
       ForgetsAfter(OptionType::kExportName, 0)},
  };
}

}  // namespace nbdspec::engine::faults
