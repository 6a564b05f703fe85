// SPDX-License-Identifier: BSD-3-Clause
#include "command/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "command/servers.h"
#include "engine/base/check.h"
#include "engine/base/quoted.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

constexpr std::uint64_t kShardsMax = 1 << 20;

// An empty word is most often a variable that is not set. Returns what is wrong, as CLI11 wants it.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty" : ""; }

// CLI11 by itself takes -1 and 2^64, and makes 2^64 - 1 of them.
std::string RefuseBadCount(const std::string& text, std::uint64_t least) {
  std::uint64_t count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool is_count = error == std::errc() && stop == text.data() + text.size() && count >= least;
  return is_count ? "" : fmt::format("{} is not in [{}, 2^64)", text, least);
}

// Each adds an option whose value is `value`, as its kind is read and shown.
void AddOption(CLI::App& app, const OptionRow& row, bool& value) { app.add_flag(row.name, value, row.summary); }

void AddOption(CLI::App& app, const OptionRow& row, int& value) {
  app.add_option(row.name, value, row.summary)
      ->check(CLI::Range(static_cast<int>(row.least), static_cast<int>(row.most)))
      ->capture_default_str();
}

void AddOption(CLI::App& app, const OptionRow& row, std::uint64_t& value) {
  const auto refuse = [least = static_cast<std::uint64_t>(row.least)](const std::string& text) {
    return RefuseBadCount(text, least);
  };
  app.add_option(row.name, value, row.summary)->check(refuse)->capture_default_str();
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

void AddOption(CLI::App& app, const OptionRow& row, std::vector<std::string>& values) {
  app.add_option(row.name, values, row.summary)
      ->option_text(fmt::format("{} ...", row.value))
      ->allow_extra_args(false)  // The next word is no value of it; it may be given again.
      ->check(RefuseEmpty);
}

// "2/4": the second of four. Nothing for what is no part of a whole.
std::optional<engine::Shard> ShardFrom(const std::string& text) {
  std::uint64_t place = 0;
  engine::Shard shard;
  const char* const end = text.data() + text.size();
  const auto [slash, place_error] = std::from_chars(text.data(), end, place);
  if (place_error != std::errc() || slash == end || *slash != '/') {
    return {};
  }
  const auto [stop, count_error] = std::from_chars(slash + 1, end, shard.count);
  shard.index = place - 1;
  const bool is_part = count_error == std::errc() && stop == end && place > 0 && place <= shard.count;
  return is_part && shard.count <= kShardsMax ? std::optional(shard) : std::nullopt;
}

void AddOption(CLI::App& app, const OptionRow& row, engine::Shard& value) {
  const auto refuse = [](const std::string& text) -> std::string {
    return ShardFrom(text) ? "" : fmt::format("{} is not I/N with I in [1, N] and N in [1, {}]", text, kShardsMax);
  };
  app.add_option_function<std::string>(
         row.name, [&value](const std::string& text) { value = *ShardFrom(text); }, row.summary)
      ->option_text(row.value)
      ->check(refuse);
}

// The first line names the words as the table of commands does; CLI11 would call them "words(0x)".
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    const auto words = app->get_options([](const CLI::Option* option) { return option->get_positional(); });
    return words.empty() ? CLI::Formatter::make_usage(app, std::move(name))
                         : fmt::format("Usage: {} [OPTIONS] {}\n", name, words.front()->get_description());
  }
  std::string make_positionals(const CLI::App*) const override { return ""; }
};

// The words and the options of `row`, for `options`.
void AddAll(CLI::App& command, const CommandRow& row, Options& options) {
  if (row.words_max > 0) {
    CLI::Option* words = command.add_option(row.words, options.words, row.usage)->option_text(" ");
    words->expected(row.words_min, row.words_max);
    if (row.words_min > 0) {
      words->required();
    }
  }
  for (const OptionRow& option : OptionsOf(row)) {
    std::visit([&](auto member) { AddOption(command, option, options.*member); }, option.member);
  }
}

void AddCommand(CLI::App& app, const CommandRow& row, Options& options, ExitOrRefusal& exit) {
  CLI::App* command = app.add_subcommand(std::string(row.name), row.summary);
  command->footer(row.footer);
  AddAll(*command, row, options);
  command->callback([&row, &options, &exit] {
    const auto room = row.needs_descriptors ? NeedDescriptors() : std::expected<void, Refusal>();
    exit = room ? row.run(options) : std::unexpected(room.error());
  });
}

std::unexpected<Refusal> CannotPrint(const std::string& why) {
  return Refuse("cannot print: " + why, reports::ExitCode::kOurError);
}

}  // namespace

ExitOrRefusal RunCommandLine(const std::vector<std::string>& arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // Where files may not be that long, writing fails.
  CLI::App app(kAbout, "nbdspec");
  app.set_version_flag("--version", std::string("nbdspec ") + kVersion);
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormatter>());
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
    if (error.get_exit_code() == 0) {  // It is the help.
      return app.exit(error);
    }
    std::fputs((Plain(error.what()) + "\nRun with --help for more information.\n").c_str(), stderr);
    return reports::ExitCode::kUsage;
  } catch (const std::system_error& error) {  // From fmt::print. A reader who closed the pipe has read enough.
    if (error.code().value() != EPIPE) {
      return CannotPrint(error.code().message());
    }
    return reports::ExitCode::kSuccess;
  }
  return exit;
}

std::expected<Options, engine::Trouble> ReadOptions(std::string_view command, const std::vector<std::string>& words) {
  const auto row = std::ranges::find(Commands(), command, &CommandRow::name);
  NBDSPEC_CHECK(row != Commands().end());
  CLI::App app;
  app.set_help_flag();  // There is nobody to be helped.
  Options options = row->defaults;
  AddAll(app, *row, options);
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // As CLI11 wants them.
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(engine::Trouble{error.what()});
  }
  return options;
}

}  // namespace nbdspec::command
