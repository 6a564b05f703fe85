// SPDX-License-Identifier: BSD-3-Clause
// The reports of a run, or of a matrix of runs, that a command line asks for: a file for each option that names a
// format (OptionRow::render), and text. Whatever makes or reads one writes them here.

#pragma once

#include <cstdio>
#include <expected>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>

#include "command/command_table.h"
#include "command/output.h"
#include "command/progress.h"
#include "reports/model/matrix.h"
#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::command {

// Errors: two options name the same file.
std::expected<void, Refusal> RefuseSharedFiles(const Options& options);

bool AsksForFiles(const Options& options);

// Whether a report goes to standard output, so that the text cannot.
bool TakesStdout(const Options& options);

// A report that is asked for where `file` is not empty.
struct ReportFile {
  std::string file;
  std::function<std::string()> render;
};
// Writes each that is asked for, even if another cannot be written. Errors: one was not.
std::expected<void, Refusal> WriteFiles(std::initializer_list<ReportFile> reports);

// Writes each report that goes to a file, even if another cannot be written. While a run is not finished, only to files
// that can be replaced. Errors: a sentence.
std::expected<void, std::string> WriteReports(const reports::Run& run, const Options& options, bool is_finished);
std::expected<void, std::string> WriteReports(const reports::Matrix& matrix, const Options& options, bool is_finished);

// Prints it as text on standard output, or on standard error where a report takes standard output.
// Errors: it cannot be printed; a reader who closed the pipe is none.
std::expected<void, Refusal> PrintReport(const reports::Run& run, const Options& options);
std::expected<void, Refusal> PrintReport(const reports::Matrix& matrix, const Options& options);

// Where something failed, names the list of that server or client, if one comes with nbdspec and is not used.
void HintAtList(const reports::Run& run, const Options& options);

// How options want text. To standard output, unless it goes elsewhere.
reports::TextOptions TextOptionsFrom(const Options& options);

// Prints `text`. Errors: as PrintReport.
std::expected<void, Refusal> PrintText(const std::string& text, std::FILE* stream);

// The run in the JSON report at `file`; "-" is standard input.
std::expected<reports::Run, Refusal> ReadReport(const std::string& file);

// The reports of a run that goes on: what was found is in the files soon, and at once in those of --ndjson, however it
// ends.
class LiveReports {
 public:
  // `so_far` is the run before its first outcome.
  LiveReports(const Options& options, reports::Run so_far)
      : options_(options), so_far_(std::move(so_far)), pace_(ReportPace::Clock::now()) {}
  ~LiveReports();
  LiveReports(const LiveReports&) = delete;
  LiveReports& operator=(const LiveReports&) = delete;

  // Writes what can be replaced later, before anything is found that could be lost. Errors: it cannot be written.
  std::expected<void, Refusal> Begin();
  // An outcome, or one that has changed.
  void Add(const reports::Outcome& outcome);
  // Writes all of `run`, and prints it. Errors: as WriteReports and PrintReport; or a line of --ndjson was not written.
  std::expected<void, Refusal> Finish(const reports::Run& run);

 private:
  void AddLine(const std::string& line);

  const Options& options_;
  reports::Run so_far_;
  ReportPace pace_;
  // Of --ndjson: a line for each outcome as soon as it is known or has changed, at the end one for the rest of the run.
  std::FILE* lines_ = nullptr;
  std::string lines_trouble_;  // Why one was not written.
};

}  // namespace nbdspec::command
