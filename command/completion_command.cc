// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec completion`: the words of a command line for shells, from the tables that --help shows.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "conformance/peer/target.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

// --- What completes a word ---

constexpr std::string_view kShells = "bash zsh fish";

// What a word may be, by how help shows it: "[TARGET] [SELECT...]".
struct Words {
  bool files = false;
  std::string commands = {};  // For a shell; print the words. Those come from the program itself: none is ever stale.
};

std::string CommandNames() {
  std::string names;
  for (const CommandRow& command : Commands()) {
    names += fmt::format("{}{}", names.empty() ? "" : " ", command.name);
  }
  return names;
}

// `text` inside single quotes, in all three shells.
std::string InQuotes(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

Words WordsOf(std::string_view shown) {
  struct Named {
    std::string_view part;
    std::string command;  // Empty: files.
  };
  const std::string servers = fmt::format("printf '%s\\n' {} reference", fmt::join(conformance::ServerNames(), " "));
  const std::string checks = "nbdspec list 2>/dev/null | sed 's/ .*//'";
  const Named named[] = {{"TARGET", servers},
                         {"A B", servers},
                         {"ID", checks},
                         {"PREFIX", checks},
                         {"SELECT", checks},
                         {"[COMMAND]", "printf '%s\\n' " + CommandNames()},
                         {"SHELL", fmt::format("printf '%s\\n' {}", kShells)},
                         {"FILE", ""},
                         {"DIR", ""},
                         {".json", ""},
                         {"LIST", ""}};
  Words words;
  for (const Named& each : named) {
    if (shown.find(each.part) == std::string_view::npos) {
      continue;
    }
    words.files = words.files || each.command.empty();
    words.commands += fmt::format("{}{}", words.commands.empty() || each.command.empty() ? "" : "; ", each.command);
  }
  return words;
}

// --- bash ---

std::string BashReply(std::string_view shown) {
  const Words words = WordsOf(shown);
  return words.files              ? "compgen -f -- \"$word\""
         : words.commands.empty() ? "true"
                                  : fmt::format("compgen -W \"$({})\" -- \"$word\"", words.commands);
}

std::string BashCase(const CommandRow& command) {
  std::string names;
  std::string values;
  for (const OptionRow& option : OptionsOf(command)) {
    names += fmt::format(" {}", fmt::join(NamesOf(option), " "));
    if (TakesValue(option)) {
      values += fmt::format("        {}) {}; return ;;\n", fmt::join(NamesOf(option), "|"), BashReply(option.value));
    }
  }
  return fmt::format(
      "    {})\n      case $before in\n{}      esac\n      case $word in\n        -*) compgen -W '--help{}' -- "
      "\"$word\" "
      ";;\n        *) {} ;;\n      esac ;;\n",
      command.name, values, names, BashReply(command.usage));
}

std::string Bash() {
  std::string cases;
  for (const CommandRow& command : Commands()) {
    cases += BashCase(command);
  }
  return fmt::format(
      "# bash completion of nbdspec. Where bash-completion finds it: /usr/share/bash-completion/completions/nbdspec.\n"
      "_nbdspec_words() {{\n"
      "  local word=$1 before=$2 command=$3\n"
      "  case $command in\n{}"
      "    *) compgen -W '--help --version {}' -- \"$word\" ;;\n"
      "  esac\n"
      "}}\n"
      "_nbdspec() {{\n"
      "  local command=\n"
      "  [ \"$COMP_CWORD\" -gt 1 ] && command=${{COMP_WORDS[1]}}\n"
      "  mapfile -t COMPREPLY < <(_nbdspec_words \"$2\" \"$3\" \"$command\")\n"
      "}}\n"
      "complete -o filenames -F _nbdspec nbdspec\n",
      cases, CommandNames());
}

// --- zsh ---

// Puts a backslash before each of `special`, which _arguments would understand.
std::string EscapeAll(std::string_view text, std::string_view special) {
  std::string escaped;
  for (const char c : text) {
    escaped += special.find(c) == std::string_view::npos ? std::string(1, c) : std::string("\\") + c;
  }
  return escaped;
}

std::string ZshAction(std::string_view shown) {
  const Words words = WordsOf(shown);
  return words.files              ? "_files"
         : words.commands.empty() ? " "
                                  : fmt::format("{{ compadd -- $({}) }}", EscapeAll(words.commands, ":"));
}

std::string ZshCase(const CommandRow& command) {
  std::string arguments;
  for (const OptionRow& option : OptionsOf(command)) {
    for (const std::string& name : NamesOf(option)) {
      const std::string value =
          TakesValue(option)
              ? fmt::format(":{}:{}", *option.value == '\0' ? "value" : option.value, ZshAction(option.value))
              : "";
      arguments += " \\\n        " + InQuotes(fmt::format("{}[{}]{}", name, EscapeAll(option.summary, "[]:\\"), value));
    }
  }
  const std::string words =
      command.words_max > 0 ? " \\\n        " + InQuotes("*:word:" + ZshAction(command.usage)) : "";
  return fmt::format("    {})\n      _arguments '--help[{}]'{}{} ;;\n", command.name, "Print help", arguments, words);
}

std::string Zsh() {
  std::string commands;
  std::string cases;
  for (const CommandRow& command : Commands()) {
    commands += " \\\n    " + InQuotes(fmt::format("{}:{}", command.name, command.summary));
    cases += ZshCase(command);
  }
  return fmt::format(
      "#compdef nbdspec\n"
      "# zsh completion of nbdspec. It belongs into a directory of $fpath, as _nbdspec.\n"
      "_nbdspec() {{\n"
      "  local -a commands=({})\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $words[1] in\n{}"
      "  esac\n"
      "}}\n"
      "compdef _nbdspec nbdspec\n",
      commands, cases);
}

// --- fish ---

std::string FishValue(std::string_view shown) {
  const Words words = WordsOf(shown);
  return words.files ? " -r -F" : words.commands.empty() ? " -x" : fmt::format(" -x -a \"({})\"", words.commands);
}

std::string FishName(const std::string& name) {
  return name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
}

std::string Fish() {
  std::string text =
      "# fish completion of nbdspec. It belongs into ~/.config/fish/completions, as nbdspec.fish.\n"
      "complete -c nbdspec -f\n";
  for (const CommandRow& command : Commands()) {
    text += fmt::format("complete -c nbdspec -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        InQuotes(command.summary));
    const std::string here = fmt::format("complete -c nbdspec -n '__fish_seen_subcommand_from {}'", command.name);
    for (const OptionRow& option : OptionsOf(command)) {
      std::string names;
      for (const std::string& name : NamesOf(option)) {
        names += FishName(name);
      }
      text += fmt::format("{}{}{} -d {}\n", here, names, TakesValue(option) ? FishValue(option.value) : "",
                          InQuotes(option.summary));
    }
    if (command.words_max > 0) {
      text += here + FishValue(command.usage) + "\n";
    }
  }
  return text;
}

}  // namespace

ExitOrRefusal CompletionCommand(const Options& options) {
  const std::string& shell = options.words.front();
  if (shell != "bash" && shell != "zsh" && shell != "fish") {
    return Refuse(fmt::format("there is no completion for {}; there is for {}", engine::Quoted(shell), kShells));
  }
  Print(shell == "bash" ? Bash() : shell == "zsh" ? Zsh() : Fish());
  return reports::ExitCode::kSuccess;
}

}  // namespace nbdspec::command
