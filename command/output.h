// SPDX-License-Identifier: BSD-3-Clause
// What the command writes: sentences on standard error, text on standard output, files whole or not at all.

#pragma once

#include <cstddef>
#include <cstdio>
#include <expected>
#include <string>
#include <utility>

#include "engine/base/error.h"
#include "reports/model/run.h"

namespace nbdspec::command {

// Why a command does not do its work, or cannot finish it, and the exit code that says so.
struct Refusal {
  std::string sentence;
  int exit = reports::ExitCode::kUsage;

  Refusal(std::string why, int exit_code) : sentence(std::move(why)), exit(exit_code) {}
  Refusal(engine::Trouble trouble) : sentence(std::move(trouble.sentence)) {}  // What a user named is of no use.
};
using ExitOrRefusal = std::expected<int, Refusal>;

inline std::unexpected<Refusal> Refuse(std::string sentence, int exit = reports::ExitCode::kUsage) {
  return std::unexpected(Refusal(std::move(sentence), exit));
}

// Prints "nbdspec: SENTENCE" on standard error, as Plain makes it: it may have others' words.
void Complain(const std::string& sentence);

// Prints `text` on standard output at once: what comes next may abort, or be killed.
void Print(const std::string& text);

// `text` with the bytes escaped that are not for a terminal: others may have written it. Each line break is followed by
// an indentation.
std::string Plain(const std::string& text);

bool IsTerminal(std::FILE* stream);

// Whether to write colour to standard output: it is a terminal, NO_COLOR is not set, and `refused` is false.
bool UseColor(bool refused);

// How wide a line of a report may be: as the terminal is, within reason, that standard output is; else 100.
std::size_t Columns();

// Shows `line` on standard error while that is a terminal, in place of the one before; "" only takes that away.
void ShowProgress(const std::string& line);

// Writes all of `text`. Returns 0, or the errno that says why not.
int WriteTo(std::FILE* stream, const std::string& text);

// Whether `file` may be replaced: a plain file, or none yet. Pipes, devices and links are written to as they are.
bool IsPlain(const std::string& file);

// The sentence that says so, for an errno; "-" is standard output.
std::string CannotWrite(const std::string& file, int error);

// Replaces a plain file in one step, so that whoever reads it never sees half of it. "-" is standard output.
// Returns a sentence that says why it cannot be written; empty when it was.
std::string WriteOutput(const std::string& file, const std::string& text);

// Before what takes long: the sentence that WriteOutput would return; empty when `file` can be written as yet.
std::string CannotWriteYet(const std::string& file);

}  // namespace nbdspec::command
