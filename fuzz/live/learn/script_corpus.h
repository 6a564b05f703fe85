// SPDX-License-Identifier: BSD-3-Clause
// ScriptCorpus: a directory of scripts in text form, which several processes and hosts may share.
//
// Each script is a file; one that is added has a name made of its content, and appears whole, by a rename. So two that
// add the same write the same, and a directory can be copied into another one. What others add is seen at the next
// Open.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

class ScriptCorpus {
 public:
  // More are refused.
  static constexpr std::uint64_t kFileBytesMax = 1 << 20;
  static constexpr std::uint64_t kBytesMax = 256 << 20;
  static constexpr std::size_t kFilesMax = 50'000;

  // Makes `directory` where it is not there, and reads every file in it that does not begin with a dot.
  // Errors: it cannot be made or written to; one of them is no script, which is named, or too long, or there are too
  // many.
  static std::expected<ScriptCorpus, engine::Trouble> Open(std::string directory);

  // Those that were read, in the order of their names.
  [[nodiscard]] const std::vector<engine::Script>& scripts() const { return scripts_; }

  // Adds `script`, whole or not at all, where it is not there already. No more than kFilesMax are added.
  // Errors: the file system's.
  std::expected<void, engine::Trouble> Add(const engine::Script& script);

  [[nodiscard]] std::size_t added_count() const { return added_count_; }

 private:
  explicit ScriptCorpus(std::string directory) : directory_(std::move(directory)) {}

  std::string directory_;
  std::vector<engine::Script> scripts_;
  std::size_t added_count_ = 0;
};

// "0123456789abcdef0123456789abcdef.script": the same for the same text everywhere.
std::string NameInCorpus(std::string_view text);

}  // namespace nbdspec::fuzz
