// SPDX-License-Identifier: BSD-3-Clause
// Lists of expected failures, as a command line names them.

#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/expected/expected.h"
#include "engine/base/error.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::command {

inline constexpr std::size_t kListBytesMax = 1 << 20;

// The ids that entries may have.
std::vector<std::string_view> IdsOfOutcomes();

// Says in `outcome`, where it fails or warns, what stock servers, or clients, are known to do there: of what is no
// outcome of a check (a finding), in any check of its clause.
void TellOfStock(reports::Outcome& outcome);
// Each outcome, told of so, goes on to `to`, if there is one.
std::function<void(const reports::Outcome&)> TellingOfStock(std::function<void(const reports::Outcome&)> to);
// The same in words, of the check `id` of `clause`.
std::string WhatStockDoes(std::string_view id, const spec::Requirement& clause);

// The text of the list that comes with nbdspec under `name`, or of the file. Errors: there is none.
std::expected<std::string, engine::Trouble> ReadList(const std::string& name);

// The lists that `names` name: those that come with nbdspec, and files.
// Errors: there is none; it cannot be read (file and line).
std::expected<std::vector<conformance::ExpectedList>, engine::Trouble> ReadLists(const std::vector<std::string>& names);

}  // namespace nbdspec::command
