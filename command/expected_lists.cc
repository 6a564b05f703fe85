// SPDX-License-Identifier: BSD-3-Clause
#include "command/expected_lists.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "conformance/checks/check.h"
#include "conformance/clients/client_check.h"
#include "engine/base/or_return.h"
#include "engine/spec/catalogue.h"
#include "fuzz/findings/read_file.h"

namespace nbdspec::command {

using engine::Trouble;

std::vector<std::string_view> IdsOfOutcomes() {
  std::vector<std::string_view> ids;
  std::ranges::transform(conformance::AllChecks(), std::back_inserter(ids), &conformance::Check::id);
  std::ranges::transform(conformance::AllClientChecks(), std::back_inserter(ids), &conformance::ClientCheck::id);
  ids.insert(ids.end(), std::begin(conformance::kSanityIds), std::end(conformance::kSanityIds));
  return ids;
}

std::string WhatStockDoes(std::string_view id, const spec::Requirement& clause) {
  static const std::vector<std::string_view> ids = IdsOfOutcomes();
  static const std::array lists = {conformance::StockLists(spec::Role::kServer, ids),
                                   conformance::StockLists(spec::Role::kClient, ids)};  // In the order of Role.
  const std::vector<conformance::StockList>& stock = lists.at(static_cast<std::size_t>(clause.role));
  return std::ranges::find(ids, id) != ids.end() ? conformance::StockOn(stock, id)
                                                 : "of its clause: " + conformance::StockOnClause(stock, clause.id);
}

void TellOfStock(reports::Outcome& outcome) {
  const spec::Requirement* const clause = spec::TheCatalogue().Find(outcome.requirement);
  const bool is_told = outcome.verdict == reports::Verdict::kWarn || IsFailure(outcome.verdict);
  outcome.stock = is_told && clause != nullptr ? WhatStockDoes(outcome.id, *clause) : outcome.stock;
}

std::function<void(const reports::Outcome&)> TellingOfStock(std::function<void(const reports::Outcome&)> to) {
  return [to = std::move(to)](const reports::Outcome& outcome) {
    reports::Outcome whole = outcome;
    TellOfStock(whole);
    if (to) {
      to(whole);
    }
  };
}

std::expected<std::string, Trouble> ReadList(const std::string& name) {
  const auto shipped = conformance::ShippedLists();
  const auto found = std::ranges::find(shipped, name, &conformance::ShippedList::name);
  if (found != shipped.end()) {
    return std::string(found->text);
  }
  auto text = fuzz::ReadFile(name, kListBytesMax);
  if (!text) {
    std::vector<std::string_view> names;
    std::ranges::transform(shipped, std::back_inserter(names), &conformance::ShippedList::name);
    return std::unexpected(
        Trouble{fmt::format("{} With nbdspec come the lists {}.", text.error().sentence, fmt::join(names, ", "))});
  }
  return *std::move(text);
}

std::expected<std::vector<conformance::ExpectedList>, Trouble> ReadLists(const std::vector<std::string>& names) {
  std::vector<conformance::ExpectedList> lists;
  for (const std::string& name : names) {
    NBDSPEC_ASSIGN_OR_RETURN(text, ReadList(name));
    NBDSPEC_ASSIGN_OR_RETURN(list, conformance::ParseExpected(name, text, IdsOfOutcomes()));
    lists.push_back(std::move(list));
  }
  return lists;
}

}  // namespace nbdspec::command
