// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec matrix`: every check on every server, or every client, of a list.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>
#include <variant>

#include "command/command_line.h"
#include "command/command_table.h"
#include "command/output.h"
#include "command/planned_check.h"
#include "command/planned_client.h"
#include "command/progress.h"
#include "command/report_files.h"
#include "command/servers.h"
#include "conformance/peer/process/process.h"
#include "conformance/peer/process/room.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/read_file.h"
#include "reports/model/matrix.h"
#include "reports/render/render.h"

namespace nbdspec::command {

using engine::Trouble;

namespace {

constexpr std::size_t kListBytesMax = 1 << 20;

// A line of the list: "my server: --spawn 'srv --socket {socket}' --expected my.list".
struct Line {
  std::string name;
  std::variant<PlannedCheck, PlannedClient> planned;
};

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// What the words of a line ask for.
std::expected<std::variant<PlannedCheck, PlannedClient>, Refusal> Plan(std::vector<std::string> words) {
  const bool is_client = words.front() == "client";
  if (is_client) {
    words.erase(words.begin());
  }
  NBDSPEC_ASSIGN_OR_RETURN(options, ReadOptions(is_client ? "client" : "check", words));
  if (AsksForFiles(options) || !options.ndjson_file.empty() || !options.again.empty() || options.listen) {
    return std::unexpected(Trouble{
        "reports are of all lines: give their options to `nbdspec matrix`, and leave out --again and --listen"});
  }
  const auto given = [](auto planned) -> std::expected<std::variant<PlannedCheck, PlannedClient>, Refusal> {
    if (!planned) {
      return std::unexpected(planned.error());
    }
    return *std::move(planned);
  };
  return is_client ? given(PlanClient(options)) : given(PlanCheck(options));
}

// What `text` asks for, and the words of `select` behind it.
std::expected<Line, Refusal> ReadLine(std::string_view text, const std::vector<std::string>& select) {
  const std::size_t colon = text.find(": ");
  if (colon == std::string_view::npos || colon == 0) {
    return std::unexpected(Trouble{
        "a line is a name, a colon, and the words of a `nbdspec check`, or client and those of a `nbdspec client`: "
        "\"disk: nbdkit\""});
  }
  NBDSPEC_ASSIGN_OR_RETURN(words, conformance::SplitCommand(text.substr(colon + 2)));
  words.insert(words.end(), select.begin(), select.end());
  NBDSPEC_ASSIGN_OR_RETURN(planned, Plan(std::move(words)));
  return Line{.name = std::string(Trimmed(text.substr(0, colon))), .planned = std::move(planned)};
}

std::expected<std::vector<Line>, Refusal> ReadLines(const std::string& file, const std::vector<std::string>& select) {
  NBDSPEC_ASSIGN_OR_RETURN(text, fuzz::ReadFile(file, kListBytesMax));
  std::istringstream stream(text);
  std::vector<Line> lines;
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    const std::string_view trimmed = Trimmed(line);
    if (trimmed.empty() || trimmed.starts_with('#')) {
      continue;
    }
    auto read = ReadLine(trimmed, select);
    if (read && std::ranges::find(lines, read->name, &Line::name) != lines.end()) {
      read = std::unexpected(Trouble{fmt::format("{} stands above already", engine::Quoted(read->name))});
    }
    if (!read) {
      return Refuse(fmt::format("{}:{}: {}", file, number, read.error().sentence), read.error().exit);
    }
    lines.push_back(*std::move(read));
  }
  if (lines.empty()) {
    return std::unexpected(Trouble{fmt::format("{} names no server and no client", engine::Quoted(file, 200))});
  }
  return lines;
}

// Runs the lines, some at once, and keeps what is known of them for a report at any time.
class MatrixRunner {
 public:
  MatrixRunner(std::vector<Line> lines, const Options& options) : lines_(std::move(lines)), options_(options) {
    std::size_t check_count = 0;
    for (const Line& line : lines_) {
      std::visit(
          [&](const auto& planned) {
            matrix_.runs.push_back({.name = line.name, .run = planned.Begun()});
            check_count += planned.checks.size();
          },
          line.planned);
    }
    progress_.emplace(check_count, shown_, start_);
  }

  // Returns the exit code.
  ExitOrRefusal Run() {
    if (const auto written = Write(/*is_finished=*/false); !written) {
      return Refuse(written.error());  // Before anything is found that could be lost.
    }
    const int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const int thread_count = options_.targets_at_once > 0 ? options_.targets_at_once : processors;
    {
      const auto threads =
          conformance::StartThreads(std::min(thread_count, static_cast<int>(lines_.size())) - 1, [this] { Work(); });
      Work();
    }
    ShowProgress("");
    const auto written = Write(/*is_finished=*/true);
    NBDSPEC_RETURN_IF_ERROR(PrintReport(matrix_, options_));
    return written ? ExitOrRefusal(matrix_.exit) : Refuse(written.error(), reports::ExitCode::kOurError);
  }

 private:
  void Work() {
    for (std::size_t i = next_++; i < lines_.size() && !Interrupted(); i = next_++) {
      reports::Run run = std::visit(
          [&](auto& planned) {
            planned.run.on_outcome = [&](const reports::Outcome& outcome) { Note(lines_[i].name + ": " + outcome.id); };
            return planned.Run();
          },
          lines_[i].planned);
      const std::lock_guard lock(mutex_);
      matrix_.runs[i].run = std::move(run);
      (void)Write(/*is_finished=*/false);  // What cannot be written now is said at the end.
    }
  }

  void Note(const std::string& what) {
    const std::lock_guard lock(mutex_);
    const auto line = progress_->Add(what, Progress::Clock::now());
    if (line && shown_ == Shown::kInPlace) {
      ShowProgress(*line);
    } else if (line && !options_.quiet) {
      Complain(*line);
    }
  }

  // Writes what is known to the files that were asked for. Errors: a sentence.
  std::expected<void, std::string> Write(bool is_finished) {
    matrix_.exit = ExitFor(matrix_);
    matrix_.duration_ms = std::chrono::duration<double, std::milli>(Progress::Clock::now() - start_).count();
    return WriteReports(matrix_, options_, is_finished);
  }

  std::vector<Line> lines_;
  const Options& options_;
  Progress::Clock::time_point start_ = Progress::Clock::now();
  Shown shown_ = IsTerminal(stderr) ? Shown::kInPlace : Shown::kAsLines;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;  // Guards the two below.
  std::optional<Progress> progress_;
  reports::Matrix matrix_ = {.version = kVersion};
};

}  // namespace

ExitOrRefusal MatrixCommand(const Options& options) {
  NBDSPEC_RETURN_IF_ERROR(RefuseSharedFiles(options));
  const std::vector<std::string> select(options.words.begin() + 1, options.words.end());
  NBDSPEC_ASSIGN_OR_RETURN(lines, ReadLines(options.words.front(), select));
  CatchInterrupts();
  return MatrixRunner(std::move(lines), options).Run();
}

}  // namespace nbdspec::command
