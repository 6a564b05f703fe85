// SPDX-License-Identifier: BSD-3-Clause
// What a path on the command line holds: a finding, an input of a fuzz target, or a script.

#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/replay/corpus_target.h"

namespace nbdspec::fuzz {

struct FindingSubject {
  std::string path;  // Of its directory.
  Finding finding;
};

// An input of a fuzz target.
struct CorpusSubject {
  std::string path;
  const CorpusTarget* target = nullptr;
  engine::Bytes input = {};
  std::vector<std::string> header = {};  // Its comments: what, when, why right. Empty of bytes.
};

// A script with requests, for a server. (One without is an input of extent_map.)
struct ScriptSubject {
  std::string path;
  engine::Script script = {};
  std::vector<std::string> header = {};
};

using ReplaySubject = std::variant<FindingSubject, CorpusSubject, ScriptSubject>;

// The paths to replay: `path` itself, or what the directory holds, sorted: its findings when it has some, else every
// file in it and below. Errors: it is not there, or nothing is in it.
std::expected<std::vector<std::string>, engine::Trouble> SubjectsIn(const std::string& path);

// Reads `path`. `as` names the fuzz target whose input it is; empty: by its folder.
// Errors: a sentence that says what it should have been.
std::expected<ReplaySubject, engine::Trouble> ReadSubject(const std::string& path, std::string_view as);

// The comments that stand before the first step of a script's text, its header aside, without "# ".
std::vector<std::string> CommentsOf(std::string_view text);

// The same script as text, with these comments again.
std::string PrintWithComments(const engine::Script& script, const std::vector<std::string>& comments);

// Whether the script asks a server for anything.
bool HasRequests(const engine::Script& script);

}  // namespace nbdspec::fuzz
