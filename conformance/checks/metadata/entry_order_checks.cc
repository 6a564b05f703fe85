// SPDX-License-Identifier: BSD-3-Clause
// Checks of which export a selection of contexts holds for, in every order of INFO, SET_META_CONTEXT and GO of two
// exports. Spec: proto.md, "Metadata querying", "NBD_OPT_SET_META_CONTEXT".
#include <array>

#include "conformance/checks/metadata/meta_contexts.h"
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

// The size of the export `name`, when the server says.
std::optional<std::uint64_t> SizeOf(Session& session, const std::string& name) {
  const auto replies = session.Ask(InfoOption(OptionType::kInfo, name));
  const auto* reply = replies && IsAcknowledged(*replies) ? FindInfo(*replies, InfoType::kExport) : nullptr;
  const auto info = reply != nullptr ? DecodePayload<InfoExport>(reply->payload) : std::nullopt;
  return info ? std::optional(info->size) : std::nullopt;
}

// An export that is certainly not the one under test. The empty name may be another name of a listed export, so there
// the sizes must differ. Errors: there is none.
std::expected<std::string, Judgement> OtherExport(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const std::string& own = context.export_name;
  constexpr std::size_t kTriedMax = 4;
  std::size_t tried = 0;
  for (const ListedExport& listed : context.profile.exports) {
    if (listed.name == own || ++tried > kTriedMax) {
      continue;
    }
    const std::optional<std::uint64_t> size = SizeOf(session, listed.name);
    const bool may_be_same = own.empty() || listed.name.empty();
    if (size && (!may_be_same || *size != context.profile.info.size)) {
      return listed.name;
    }
  }
  return Stop(NotApplicable("the server lists no second export that is certainly another"));
}

// --- Every order -----------------------------------------------------------------------------------------------

struct Act {
  enum What { kInfo, kSet, kGo };
  What what = kGo;
  bool is_other = false;  // Of the other export, not the one under test.
};
// What comes behind the GO does not count.
using Order = std::array<Act, 3>;

constexpr Act kInfo = {Act::kInfo};
constexpr Act kInfoOther = {Act::kInfo, true};
constexpr Act kSet = {Act::kSet};
constexpr Act kSetOther = {Act::kSet, true};
constexpr Act kGo = {Act::kGo};
constexpr Act kGoOther = {Act::kGo, true};

std::string Text(const Order& order) {
  constexpr std::string_view kNames[] = {"INFO", "SET_META_CONTEXT", "GO"};
  std::string text;
  for (const Act& act : order) {
    text += fmt::format("{}{} of the {} export", text.empty() ? "" : ", ", kNames[act.what],
                        act.is_other ? "other" : "tested");
    if (act.what == Act::kGo) {
      break;
    }
  }
  return text;
}

const Act& GoOf(const Order& order) { return *std::ranges::find(order, Act::kGo, &Act::what); }

// Whether the last selection is of the export that is entered.
bool IsOfEntered(const Order& order) {
  bool is_other = false;
  for (const Act& act : order) {
    is_other = act.what == Act::kSet ? act.is_other : is_other;
  }
  return GoOf(order).is_other == is_other;
}

// Does what comes before GO. Errors: not applicable where nothing can be selected.
Step Prepare(CheckContext& context, Session& session, const Order& order, const std::string& other) {
  for (const Act& act : order) {
    const std::string& name = act.is_other ? other : context.export_name;
    if (act.what == Act::kGo) {
      break;
    }
    if (act.what == Act::kInfo) {
      NBDSPEC_TRY(info, session.Try(InfoOption(OptionType::kInfo, name)));
      continue;
    }
    const MetaContextQuery query{.export_name = name, .queries = {kBaseAllocationQuery}};
    NBDSPEC_TRY(set, AskRaw(session, OptionType::kSetMetaContext, EncodePayload(query)));
    if (!set.is_ack() || set.contexts.empty()) {
      return Stop(NotApplicable("nothing can be selected for the export " + Quoted(name) + ": " + set.Text()));
    }
  }
  return {};
}

// The export under test is the one that is entered, to whoever judges that.
Judgement AfterOrder(CheckContext& context, const Order& order, const std::string& other) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  NBDSPEC_TRY(prepared, Prepare(context, session, order, other));
  const std::string own = context.export_name;
  context.export_name = GoOf(order).is_other ? other : own;
  Judgement judgement;
  if (IsOfEntered(order)) {
    const auto batch = EnterAndAskStatus(context, std::move(session));
    judgement = batch ? MustHaveStatus(context, *batch, "after " + Text(order) + ":",
                                       "status of base:allocation, selected last for the export that was entered")
                      : batch.error();
  } else {
    judgement = MustHaveNothingSelected(context, std::move(session), "after " + Text(order));
  }
  context.export_name = own;
  return judgement;
}

template <Order... orders>
Judgement AfterOrders(CheckContext& context) {
  NBDSPEC_TRY(other, OtherExport(context));
  for (const Order& order : {orders...}) {
    Judgement judgement = AfterOrder(context, order, other);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> EntryOrderChecks() {
  return {
      {kOptionSetMetaContextOtherExport,
       "What was selected for another export does not hold for the one that is entered.",
       AfterOrders<Order{kSetOther, kGo}>, kBase | Feature::kInfo},
      {kSub<kOptionSetMetaContextOtherExport, "every-order">,
       "Whatever came before, a last selection for another export does not hold for the one that is entered.",
       AfterOrders<Order{kSet, kGoOther}, Order{kSetOther, kInfo, kGo}, Order{kInfo, kSetOther, kGo},
                   Order{kSet, kSetOther, kGo}, Order{kSetOther, kSet, kGoOther}, Order{kInfoOther, kSet, kGoOther},
                   Order{kSet, kInfoOther, kGoOther}>,
       kBase | Feature::kInfo},
      {kSub<kOptionSetMetaContextReplaces, "every-order">,
       "Whatever came before, the last selection holds for its export.",
       AfterOrders<Order{kSetOther, kSet, kGo}, Order{kInfoOther, kSet, kGo}, Order{kSet, kInfoOther, kGo},
                   Order{kSet, kInfo, kGo}, Order{kSet, kSetOther, kGoOther}, Order{kInfo, kSetOther, kGoOther},
                   Order{kSetOther, kInfo, kGoOther}>,
       kBase | Feature::kInfo},
  };
}

}  // namespace nbdspec::conformance
