// SPDX-License-Identifier: BSD-3-Clause
#include "command/report_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "conformance/expected/expected.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/read_file.h"
#include "reports/render/read_json.h"

namespace nbdspec::command {

namespace {

// A report that `options` ask for.
struct Asked {
  const OptionRow* format;
  std::string file;
};

std::vector<Asked> AskedOf(const Options& options) {
  std::vector<Asked> asked;
  for (const OptionRow& row : AllOptions()) {
    const auto* const member = std::get_if<std::string Options::*>(&row.member);
    if (member != nullptr && row.render != nullptr && !(options.**member).empty()) {
      asked.push_back({&row, options.**member});
    }
  }
  return asked;
}

std::string RenderAs(const OptionRow& format, const reports::Run& run) { return format.render(run); }
std::string RenderAs(const OptionRow& format, const reports::Matrix& matrix) { return format.render_matrix(matrix); }

template <typename Reported>
std::expected<void, std::string> Write(const Reported& reported, const Options& options, bool is_finished) {
  std::expected<void, std::string> written;
  for (const auto& [format, file] : AskedOf(options)) {
    const bool is_wanted = is_finished || (file != "-" && IsPlain(file));
    if (std::string why = is_wanted ? WriteOutput(file, RenderAs(*format, reported)) : ""; !why.empty()) {
      written = std::unexpected(std::move(why));
    }
  }
  return written;
}

template <typename Reported>
std::expected<void, Refusal> PrintAsText(const Reported& reported, const Options& options) {
  const bool takes_stdout = TakesStdout(options);
  reports::TextOptions text_options = TextOptionsFrom(options);
  text_options.color = text_options.color && !takes_stdout;
  return PrintText(reports::RenderText(reported, text_options), takes_stdout ? stderr : stdout);
}

}  // namespace

std::expected<void, Refusal> RefuseSharedFiles(const Options& options) {
  std::vector<std::pair<const char*, std::string>> files;
  for (const auto& [format, file] : AskedOf(options)) {
    files.emplace_back(format->name, file);
  }
  if (!options.ndjson_file.empty()) {
    files.emplace_back("--ndjson", options.ndjson_file);
  }
  std::map<std::string, const char*> flag_of_file;
  for (const auto& [flag, file] : files) {
    const auto [other, is_new] = flag_of_file.emplace(file, flag);
    if (!is_new) {
      return Refuse(fmt::format("{} and {} name the same file: give each its own", other->second, flag));
    }
  }
  return {};
}

bool AsksForFiles(const Options& options) { return !AskedOf(options).empty(); }

bool TakesStdout(const Options& options) {
  return options.ndjson_file == "-" ||
         std::ranges::any_of(AskedOf(options), [](const Asked& asked) { return asked.file == "-"; });
}

std::expected<void, Refusal> WriteFiles(std::initializer_list<ReportFile> reports) {
  std::string wrong;
  for (const auto& [file, render] : reports) {
    if (std::string why = file.empty() ? "" : WriteOutput(file, render()); !why.empty()) {
      wrong = std::move(why);
    }
  }
  if (!wrong.empty()) {
    return Refuse(wrong, reports::ExitCode::kOurError);
  }
  return {};
}

std::expected<void, std::string> WriteReports(const reports::Run& run, const Options& options, bool is_finished) {
  return Write(run, options, is_finished);
}
std::expected<void, std::string> WriteReports(const reports::Matrix& matrix, const Options& options, bool is_finished) {
  return Write(matrix, options, is_finished);
}

std::expected<void, Refusal> PrintReport(const reports::Run& run, const Options& options) {
  return PrintAsText(run, options);
}
std::expected<void, Refusal> PrintReport(const reports::Matrix& matrix, const Options& options) {
  return PrintAsText(matrix, options);
}

void HintAtList(const reports::Run& run, const Options& options) {
  const auto shipped = conformance::ShippedLists();
  const bool has_list =
      std::ranges::find(shipped, run.server.program, &conformance::ShippedList::name) != shipped.end();
  if (has_list && options.expected.empty() && !options.quiet && FailuresOf(run).fresh > 0) {
    Complain(
        fmt::format("what is known of {}, and why it is so: --expected {}", run.server.program, run.server.program));
  }
}

reports::TextOptions TextOptionsFrom(const Options& options) {
  return {
      .color = UseColor(options.no_color), .verbose = options.verbose, .quiet = options.quiet, .columns = Columns()};
}

std::expected<void, Refusal> PrintText(const std::string& text, std::FILE* stream) {
  const int error = WriteTo(stream, text);
  if (error != 0 && error != EPIPE) {
    return Refuse("cannot print the report: " + std::generic_category().message(error), reports::ExitCode::kOurError);
  }
  return {};
}

std::expected<reports::Run, Refusal> ReadReport(const std::string& file) {
  const bool is_stdin = file == "-";
  NBDSPEC_ASSIGN_OR_RETURN(text, fuzz::ReadFile(is_stdin ? "/dev/stdin" : file, reports::kJsonBytesMax));
  NBDSPEC_ASSIGN_OR_RETURN(run, reports::ReadJson(text, is_stdin ? "standard input" : engine::Quoted(file, 200)));
  return std::move(run);
}

LiveReports::~LiveReports() {
  if (lines_ != nullptr && lines_ != stdout) {
    std::fclose(lines_);
  }
}

std::expected<void, Refusal> LiveReports::Begin() {
  if (const auto written = WriteReports(so_far_, options_, /*is_finished=*/false); !written) {
    return Refuse(written.error());
  }
  const std::string& file = options_.ndjson_file;
  if (!file.empty()) {
    lines_ = file == "-" ? stdout : std::fopen(file.c_str(), "wbe");
    if (lines_ == nullptr) {
      return Refuse(CannotWrite(file, errno));
    }
  }
  return {};
}

void LiveReports::Add(const reports::Outcome& outcome) {
  AddLine(lines_ == nullptr ? "" : reports::RenderOutcomeLine(outcome));
  const auto before = std::ranges::find(so_far_.outcomes, outcome.id, &reports::Outcome::id);
  if (before == so_far_.outcomes.end()) {
    so_far_.outcomes.push_back(outcome);
  } else {
    *before = outcome;
  }
  using enum reports::Verdict;
  const bool has_news = outcome.verdict != kPass && outcome.verdict != kNotApplicable && outcome.verdict != kSkip;
  const auto now = ReportPace::Clock::now();
  if (has_news && pace_.IsTime(now)) {
    (void)WriteReports(so_far_, options_, /*is_finished=*/false);
    pace_.Took(ReportPace::Clock::now() - now);
  }
}

std::expected<void, Refusal> LiveReports::Finish(const reports::Run& run) {
  for (const reports::Outcome& outcome : run.outcomes) {
    const auto before = std::ranges::find(so_far_.outcomes, outcome.id, &reports::Outcome::id);
    const std::string line = lines_ == nullptr ? "" : reports::RenderOutcomeLine(outcome);
    if (before == so_far_.outcomes.end() || line != reports::RenderOutcomeLine(*before)) {
      AddLine(line);
    }
  }
  AddLine(reports::RenderHeadLine(run));
  const auto written = WriteReports(run, options_, /*is_finished=*/true);
  const auto printed = PrintReport(run, options_);
  if (!written || !lines_trouble_.empty()) {
    return Refuse(written ? lines_trouble_ : written.error(), reports::ExitCode::kOurError);
  }
  return printed;
}

void LiveReports::AddLine(const std::string& line) {
  if (const int error = lines_ != nullptr && lines_trouble_.empty() ? WriteTo(lines_, line) : 0; error != 0) {
    lines_trouble_ = CannotWrite(options_.ndjson_file, error);
  }
}

}  // namespace nbdspec::command
