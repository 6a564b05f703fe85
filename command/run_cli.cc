// SPDX-License-Identifier: BSD-3-Clause
#include "command/run_cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <map>
#include <system_error>

#include "command/command_table.h"
#include "command/output.h"
#include "engine/base/quoted.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

constexpr char kAbout[] =
    "nbdspec: is what an NBD server says allowed by the truth and by the specification?\n"
    "Exit codes: 0 nothing wrong, 1 a failure, 2 usage, 3 the target was never usable, 5 nbdspec's own error.";

// An empty word is most often a variable that is not set. Returns what is wrong, as CLI11 wants it.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty" : ""; }

// CLI11 by itself takes -1 and 2^64, and makes 2^64 - 1 of them.
std::string RefuseBadCount(const std::string& text) {
  std::uint64_t count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc() && stop == text.data() + text.size() ? "" : text + " is not in [0, 2^64)";
}

// Adds an option whose value is a `value`, as its kind is read and shown.
class OptionAdder {
 public:
  OptionAdder(CLI::App& app, const OptionRow& row) : app_(app), row_(row) {}

  void Add(bool& value) { app_.add_flag(row_.name, value, row_.summary); }
  void Add(int& value) {
    app_.add_option(row_.name, value, row_.summary)
        ->check(CLI::Range(static_cast<int>(row_.least), static_cast<int>(row_.most)))
        ->capture_default_str();
  }
  void Add(std::uint64_t& value) {
    app_.add_option(row_.name, value, row_.summary)->check(RefuseBadCount)->capture_default_str();
  }
  void Add(double& value) {
    const std::map<std::string, double> units = {{"ms", 0.001}, {"s", 1}, {"m", 60}};
    app_.add_option(row_.name, value, row_.summary)
        ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE, "SECONDS"))
        ->option_text(fmt::format("SECONDS, or as 500ms, 30s, 10m [{}]", value))
        ->check(CLI::Range(row_.least, row_.most));
  }
  void Add(std::string& value) {
    app_.add_option(row_.name, value, row_.summary)
        ->option_text(value.empty() ? row_.value : fmt::format("{} [{}]", row_.value, value))
        ->check(RefuseEmpty);
  }

 private:
  CLI::App& app_;
  const OptionRow& row_;
};

void AddCommand(CLI::App& app, const CommandRow& row, Options& options, int& exit) {
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
      std::visit([&](auto member) { OptionAdder(*command, option).Add(options.*member); }, option.member);
    }
  }
  command->callback([&row, &options, &exit] { exit = row.run(options); });
}

int CannotPrint(const std::string& why) { return Refuse("cannot print: " + why, reports::ExitCode::kOurError); }

}  // namespace

int RunCli(std::span<const std::string> arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app(kAbout, "nbdspec");
  app.set_version_flag("--version", std::string("nbdspec ") + kVersion);
  app.require_subcommand(1);
  int exit = reports::ExitCode::kSuccess;
  std::map<std::string_view, Options> options;
  for (const CommandRow& row : Commands()) {
    AddCommand(app, row, options[row.name] = row.defaults, exit);
  }
  if (!arguments.empty() && !arguments[0].starts_with("-") && !options.contains(arguments[0])) {
    return Refuse(fmt::format("there is no command {}; `nbdspec --help` shows them.", engine::Quoted(arguments[0])),
                  reports::ExitCode::kUsage);
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
    return error.code().value() == EPIPE ? reports::ExitCode::kSuccess : CannotPrint(error.code().message());
  }
  return exit;
}

}  // namespace nbdspec::command
