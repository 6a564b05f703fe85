// SPDX-License-Identifier: BSD-3-Clause
// What a path on the command line holds: a finding, a script for a server, or an input of a fuzz target, which is for
// another program (docs/decisions/0006).

#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

struct FindingSubject {
  std::string path;  // Of its directory.
  Finding finding;
};

struct ScriptSubject {
  std::string path;
  engine::Script script = {};
  std::vector<std::string> header = {};  // Its comments: what, when, why it is right.
};

struct TargetInput {
  std::string path;
  std::string target = {};  // "extent_map". Empty: nothing says of which target it is an input, or that it is one.
};

using ReplaySubject = std::variant<FindingSubject, ScriptSubject, TargetInput>;

// The paths to replay: `path` itself, or what the directory holds, sorted: its findings when it has some, else every
// file in it and below. Errors: it is not there, or nothing is in it.
std::expected<std::vector<std::string>, engine::Trouble> SubjectsIn(const std::string& path);

// Reads `path`. `for_server`: a script with requests is for a server, also where it is an input of a fuzz target.
// Errors: a sentence that says what it should have been.
std::expected<ReplaySubject, engine::Trouble> ReadSubject(const std::string& path, bool for_server);

// Says that `input`, and so many more of its target, is for another program. The line that does `what` ("replay") with
// it follows.
std::string DescribeInput(const TargetInput& input, const std::string& what, std::size_t more_count = 0);

// The command that replays `input`, and the one that makes it smaller.
std::string TargetReplayLine(const TargetInput& input);
std::string TargetShrinkLine(const TargetInput& input);

// The comments that stand before the first step of a script's text, its header aside, without "# ".
std::vector<std::string> CommentsOf(std::string_view text);

// The same script as text, with these comments again.
std::string PrintWithComments(const engine::Script& script, const std::vector<std::string>& comments);

}  // namespace nbdspec::fuzz
