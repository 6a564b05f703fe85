// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec expected`: shows a list of expected failures, or brings one up to date.

#include <fmt/format.h>

#include <filesystem>

#include "command/command_table.h"
#include "command/expected_lists.h"
#include "command/output.h"
#include "command/report_files.h"
#include "conformance/expected/expected.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/read_file.h"

namespace nbdspec::command {

namespace {

std::expected<void, Refusal> Update(const std::string& file, const std::string& report) {
  NBDSPEC_ASSIGN_OR_RETURN(run, ReadReport(report));
  std::string text;
  if (std::filesystem::exists(file)) {
    NBDSPEC_ASSIGN_OR_RETURN(before, fuzz::ReadFile(file, kListBytesMax));
    text = before;
  }
  NBDSPEC_ASSIGN_OR_RETURN(updated, conformance::UpdateExpected(file, text, run, IdsOfOutcomes()));
  if (const std::string why = WriteOutput(file, updated.text); !why.empty()) {
    return Refuse(why, reports::ExitCode::kOurError);
  }
  for (const std::string& change : updated.changes) {
    Print(Plain(change) + "\n");
  }
  Print(fmt::format(
      "{}: {}{}\n", engine::Quoted(file, 200),
      updated.changes.empty() ? "it is up to date" : fmt::format("{} changed", updated.changes.size()),
      updated.needs_reasons
          ? fmt::format("; put the reasons in place of \"{}\", else the list is refused", conformance::kSayWhy)
          : ""));
  return {};
}

}  // namespace

ExitOrRefusal ExpectedCommand(const Options& options) {
  const std::string& what = options.words.front();
  if (what == "show" && options.words.size() == 2) {
    NBDSPEC_ASSIGN_OR_RETURN(text, ReadList(options.words[1]));
    Print(text);
    return reports::ExitCode::kSuccess;
  }
  if (what == "update" && options.words.size() == 3) {
    NBDSPEC_RETURN_IF_ERROR(Update(options.words[1], options.words[2]));
    return reports::ExitCode::kSuccess;
  }
  return Refuse("it is `nbdspec expected show LIST` or `nbdspec expected update FILE RUN.json`");
}

}  // namespace nbdspec::command
