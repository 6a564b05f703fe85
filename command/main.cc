// SPDX-License-Identifier: BSD-3-Clause
// The nbdspec program: reads the command line, as command_table.cc describes it, and runs one command.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "engine/base/quoted.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

// A closed standard stream would give its number to the next file or socket, and that would get the report.
void OpenClosedStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) {
      ::open("/dev/null", O_RDWR);  // Takes the lowest number that is free.
    }
  }
}

// `bazel run` starts its program elsewhere: names of files are meant where the user stands.
bool GoWhereTheUserStands() {
  const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
  return directory == nullptr || ::chdir(directory) == 0;
}

constexpr char kAbout[] =
    "nbdspec: is what an NBD server says allowed by the truth and by the specification?\n"
    "Exit codes: 0 nothing wrong, 1 a failure, 2 usage, 3 the target could not be used, or not all of it, 5 nbdspec's "
    "own error.";

// An empty word is most often a variable that is not set. Returns what is wrong, as CLI11 wants it.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty" : ""; }

// CLI11 by itself takes -1 and 2^64, and makes 2^64 - 1 of them.
std::string RefuseBadCount(const std::string& text) {
  std::uint64_t count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc() && stop == text.data() + text.size() ? "" : text + " is not in [0, 2^64)";
}

// Each adds an option whose value is `value`, as its kind is read and shown.
void AddOption(CLI::App& app, const OptionRow& row, bool& value) { app.add_flag(row.name, value, row.summary); }

void AddOption(CLI::App& app, const OptionRow& row, int& value) {
  app.add_option(row.name, value, row.summary)
      ->check(CLI::Range(static_cast<int>(row.least), static_cast<int>(row.most)))
      ->capture_default_str();
}

void AddOption(CLI::App& app, const OptionRow& row, std::uint64_t& value) {
  app.add_option(row.name, value, row.summary)->check(RefuseBadCount)->capture_default_str();
}

void AddOption(CLI::App& app, const OptionRow& row, double& value) {
  const std::map<std::string, double> units = {{"ms", 0.001}, {"s", 1}, {"m", 60}};
  app.add_option(row.name, value, row.summary)
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE, "SECONDS"))
      ->option_text(fmt::format("SECONDS, or as 500ms, 30s, 10m [{}]", value))
      ->check(CLI::Range(row.least, row.most));
}

void AddOption(CLI::App& app, const OptionRow& row, std::string& value) {
  app.add_option(row.name, value, row.summary)
      ->option_text(value.empty() ? row.value : fmt::format("{} [{}]", row.value, value))
      ->check(RefuseEmpty);
}

void AddCommand(CLI::App& app, const CommandRow& row, Options& options, ExitOrRefusal& exit) {
  CLI::App* command = app.add_subcommand(std::string(row.name), row.summary);
  command->footer(row.footer);
  if (row.words_max > 0) {
    CLI::Option* words = command->add_option(row.words, options.words, row.usage)->option_text(" ");
    words->expected(row.words_min, row.words_max);
    if (row.words_min > 0) {
      words->required();
    }
  }
  for (const OptionRow& option : AllOptions()) {
    if (option.commands.find(fmt::format(" {} ", row.name)) != std::string_view::npos) {
      std::visit([&](auto member) { AddOption(*command, option, options.*member); }, option.member);
    }
  }
  command->callback([&row, &options, &exit] { exit = row.run(options); });
}

std::unexpected<Refusal> CannotPrint(const std::string& why) {
  return Refuse("cannot print: " + why, reports::ExitCode::kOurError);
}

// Runs `nbdspec ARGUMENTS...` (without the program's name) on standard output and error.
// Returns the exit code: see reports::ExitCode; 128 + N after signal N.
ExitOrRefusal RunCommand(const std::vector<std::string>& arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app(kAbout, "nbdspec");
  app.set_version_flag("--version", std::string("nbdspec ") + kVersion);
  app.require_subcommand(1);
  ExitOrRefusal exit = reports::ExitCode::kSuccess;
  std::map<std::string_view, Options> options;
  for (const CommandRow& row : Commands()) {
    AddCommand(app, row, options[row.name] = row.defaults, exit);
  }
  if (!arguments.empty() && !arguments[0].starts_with("-") && !options.contains(arguments[0])) {
    return Refuse(fmt::format("there is no command {}; `nbdspec --help` shows them.", engine::Quoted(arguments[0])));
  }
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // As CLI11 wants them.
  try {
    app.parse(reversed);
    if (std::fflush(stdout) != 0 && errno != EPIPE) {
      return CannotPrint(std::generic_category().message(errno));
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? reports::ExitCode::kSuccess : reports::ExitCode::kUsage;
  } catch (const std::system_error& error) {  // From fmt::print. A reader who closed the pipe has read enough.
    if (error.code().value() != EPIPE) {
      return CannotPrint(error.code().message());
    }
    return reports::ExitCode::kSuccess;
  }
  return exit;
}

}  // namespace

}  // namespace nbdspec::command

int main(int argc, char** argv) {
  using namespace nbdspec::command;
  OpenClosedStreams();
  if (!GoWhereTheUserStands()) {
    std::perror("nbdspec: cannot go to $BUILD_WORKING_DIRECTORY");
    return nbdspec::reports::ExitCode::kOurError;
  }
  const auto exit = RunCommand({argv + (argc > 0 ? 1 : 0), argv + argc});
  if (!exit) {
    Complain(exit.error().sentence);
  }
  return exit ? *exit : exit.error().exit;
}
