// SPDX-License-Identifier: BSD-3-Clause
// SELECT: which checks to run.

#pragma once

#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/checks/check.h"
#include "engine/base/error.h"

namespace nbdspec::command {

// Of `ids` those that `words` select, as indices that ascend: as SelectChecks does, which is one use of it.
std::expected<std::vector<std::size_t>, engine::Trouble> SelectFrom(std::span<const std::string_view> ids,
                                                                    std::span<const std::string> words);

// The checks that `words` select, in the order of AllChecks(). A word is an id, the beginning of some, or a glob
// with * and ?; a word that begins with ! takes away. With no words, or only words that take away, it starts from all.
// Errors: a word that matches nothing (with the nearest id), or nothing left.
std::expected<std::vector<conformance::Check>, engine::Trouble> SelectChecks(std::span<const std::string> words);

// A check that a word took away from those that it began with, or that other words selected; and that word.
struct Excluded {
  conformance::Check check;
  std::string word;
};

// In the order of AllChecks(). Of words that SelectChecks takes.
std::vector<Excluded> ExcludedChecks(std::span<const std::string> words);

// "; did you mean ID?" for the id nearest to `word` by edit distance; "." when none is near.
std::string DidYouMean(std::string_view word, std::span<const std::string_view> ids);

}  // namespace nbdspec::command
