// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec man`: manual pages, from the tables that --help shows.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>

#include "command/command_line.h"
#include "command/command_table.h"
#include "command/output.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

// A line of roff that shows `text` as it is: nothing in it is a request, an escape, or a hyphen that may be broken at.
std::string Roff(std::string_view text) {
  std::string escaped = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (const char c : text) {
    escaped += c == '\\' ? std::string("\\e") : c == '-' ? std::string("\\-") : std::string(1, c);
  }
  return escaped;
}

std::string Title(std::string_view page, std::string_view summary) {
  return fmt::format(".TH {} 1 \"\" \"nbdspec {}\"\n.SH NAME\n{} \\- {}\n", Roff(page), kVersion, Roff(page),
                     Roff(summary));
}

// What a value is without the option; "" where that says nothing.
std::string DefaultOf(const OptionRow& option, const Options& defaults) {
  struct Printer {
    const Options& defaults;
    std::string operator()(bool Options::*) const { return {}; }
    std::string operator()(std::vector<std::string> Options::*) const { return {}; }
    std::string operator()(engine::Shard Options::*) const { return {}; }
    std::string operator()(std::string Options::* member) const { return defaults.*member; }
    std::string operator()(double Options::* member) const { return fmt::format("{} s", defaults.*member); }
    std::string operator()(int Options::* member) const { return fmt::format("{}", defaults.*member); }
    std::string operator()(std::uint64_t Options::* member) const { return fmt::format("{}", defaults.*member); }
  };
  return std::visit(Printer{defaults}, option.member);
}

std::string OptionParagraph(const OptionRow& option, const Options& defaults) {
  const std::string value = *option.value != '\0' ? option.value : TakesValue(option) ? "N" : "";
  const std::string usual = DefaultOf(option, defaults);
  return fmt::format(".TP\n.B {}{}\n{}{}.\n", Roff(fmt::format("{}", fmt::join(NamesOf(option), ", "))),
                     value.empty() ? "" : " " + Roff(value), Roff(option.summary),
                     usual.empty() ? "" : Roff(fmt::format(" (by default {})", usual)));
}

// `text` of --help: paragraphs, and lines behind two blanks, which stay as they are.
std::string Paragraphs(const char* text) {
  std::string page;
  bool is_example = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool begins_example = line.starts_with("  ");
    if (begins_example != is_example) {
      page += begins_example ? ".SH EXAMPLES\n.nf\n" : ".fi\n";
      is_example = begins_example;
    }
    page += line.empty() ? "" : Roff(is_example ? line.substr(2) : line) + "\n";
  }
  return page + (is_example ? ".fi\n" : "");
}

std::string PageOf(const CommandRow& command) {
  const std::string name(command.name);
  std::string page = Title("nbdspec-" + name, command.summary);
  page += fmt::format(".SH SYNOPSIS\n.B {}\n[OPTIONS] {}\n", Roff("nbdspec " + name), Roff(command.usage));
  const auto options = OptionsOf(command);
  page += options.empty() ? "" : ".SH OPTIONS\n";
  for (const OptionRow& option : options) {
    page += OptionParagraph(option, command.defaults);
  }
  const std::string more = Paragraphs(command.footer);
  page += more.empty() || more.starts_with(".SH") ? more : ".SH NOTES\n" + more;
  return page + ".SH SEE ALSO\n.BR nbdspec (1)\n";
}

std::string MainPage() {
  std::string page = Title("nbdspec", "conformance and fuzzing of Network Block Device servers");
  page += ".SH SYNOPSIS\n.B nbdspec\nCOMMAND [OPTIONS]\n.SH DESCRIPTION\n" + Paragraphs(kAbout) + ".SH COMMANDS\n";
  for (const CommandRow& command : Commands()) {
    page += fmt::format(".TP\n.BR {} (1)\n{}.\n", Roff(fmt::format("nbdspec-{}", command.name)), Roff(command.summary));
  }
  return page;
}

}  // namespace

ExitOrRefusal ManCommand(const Options& options) {
  if (options.words.empty()) {
    Print(MainPage());
    return reports::ExitCode::kSuccess;
  }
  const auto command = std::ranges::find(Commands(), options.words.front(), &CommandRow::name);
  if (command == Commands().end()) {
    return Refuse(
        fmt::format("there is no command {}; `nbdspec --help` shows them.", engine::Quoted(options.words.front())));
  }
  Print(PageOf(*command));
  return reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
