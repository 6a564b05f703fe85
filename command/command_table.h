// SPDX-License-Identifier: BSD-3-Clause
// The commands and their options as data. To add a command: its row in Commands, its name in the rows of the options
// that it takes, and a file for its function. To add an option: its row in AllOptions, and a member of Options.

#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "command/options.h"

namespace nbdspec::command {

struct CommandRow {
  std::string_view name;
  const char* summary;
  const char* words;  // How its words are called where one is wrong.
  const char* usage;  // How help shows them.
  int words_min = 0;
  int words_max = 0;
  ExitOrRefusal (*run)(const Options& options) = nullptr;
  Options defaults = {};
  const char* footer = "";
};

struct OptionRow {
  const char* name;           // "-v,--verbose".
  std::string_view commands;  // Their names, between blanks.
  const char* summary;
  std::variant<bool Options::*, int Options::*, double Options::*, std::uint64_t Options::*, std::string Options::*>
      member;                // Of double: seconds.
  const char* value = "";    // How help shows the value of a string.
  double least = 0;          // Of int and double.
  double most = 30 * 86400;  // The same.
};

std::span<const CommandRow> Commands();
std::span<const OptionRow> AllOptions();

}  // namespace nbdspec::command
