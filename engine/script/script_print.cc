// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdio>
#include <string>

#include "engine/base/check.h"
#include "engine/script/script.h"
#include "engine/script/script_words.h"

namespace nbdspec::engine {
namespace {

// `bytes` in its largest unit; empty if it is no multiple of one.
std::string PrintInUnits(Wide bytes) {
  for (std::size_t unit = kUnits.size(); unit-- > 0;) {
    if (bytes != 0 && bytes % UnitBytes(unit) == 0) {
      return std::to_string(static_cast<std::uint64_t>(bytes / UnitBytes(unit))) + kUnits[unit];
    }
  }
  return "";
}

std::string PrintBits(std::uint32_t bits) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%02x", static_cast<unsigned>(bits));
  return text;
}

std::string PrintName(std::string_view name) {
  std::string text(name.empty() ? kEmptyName : "");
  for (const char c : name) {
    if (IsPlainInNames(c)) {
      text += c;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    text += escaped;
  }
  return text;
}

std::string PrintOption(std::uint32_t option) {
  for (const auto& word : kOptionWords) {
    if (word.number == option) {
      return std::string(word.name);
    }
  }
  return PrintBits(option);
}

std::string PrintFlags(std::uint16_t flags) {
  std::string text;
  for (const auto& word : kFlagWords) {
    if ((flags & word.number) != 0) {
      text += " " + std::string(word.name);
      flags = static_cast<std::uint16_t>(flags & ~word.number);
    }
  }
  return flags == 0 ? text : text + " flags " + PrintBits(flags);
}

struct StepPrinter {
  std::string operator()(const AddStep& step) const {
    return "add " + PrintNumber(step.offset) + " +" + PrintNumber(step.length) + " " + Print(step.type);
  }
  std::string operator()(const ClearStep&) const { return "clear"; }
  std::string operator()(const ForEachStep& step) const {
    return "foreach " + PrintNumber(step.bounds.begin) + " +" + PrintNumber(step.bounds.length()) +
           (step.stop_at == 0 ? "" : " stop " + std::to_string(step.stop_at));
  }
  std::string operator()(const LookupStep& step) const { return "lookup " + PrintNumber(step.offset); }
  std::string operator()(const RequestStep& step) const {
    std::string text = Print(step.command);
    if (step.command != Command::kFlush || step.offset != 0 || step.length != 0) {
      text += " " + PrintNumber(step.offset) + " +" + PrintNumber(step.length);
    }
    if (step.pattern != 0) {
      text += " pattern " + std::to_string(step.pattern);
    }
    text += PrintFlags(step.flags);
    return step.connection == 1 ? text : text + " on " + std::to_string(step.connection);
  }
  std::string operator()(const WaitStep&) const { return "wait"; }
  std::string operator()(const OptionStep& step) const {
    std::string text = "option " + PrintOption(step.option);
    if (!step.export_name.empty()) {
      text += " @" + PrintName(step.export_name);
    }
    for (const std::string& name : step.names) {
      text += " " + PrintName(name);
    }
    return text;
  }
};

}  // namespace

std::string PrintNumber(std::uint64_t bytes) {
  // Numbers beside a large power of two are clearer as such: 4294967295 is 4G-1.
  constexpr Wide kGiga = UnitBytes(2);
  const Wide wide = bytes;
  if (std::string exact = PrintInUnits(wide); !exact.empty()) {
    return exact;
  }
  if ((wide + 1) % kGiga == 0) {
    return PrintInUnits(wide + 1) + "-1";
  }
  if (wide > 1 && (wide - 1) % kGiga == 0) {
    return PrintInUnits(wide - 1) + "+1";
  }
  return std::to_string(bytes);
}

std::string Print(Command command) {
  for (const auto& word : kCommandWords) {
    if (word.number == command) {
      return std::string(word.name);
    }
  }
  NBDSPEC_CHECK(false);
}

std::string Print(ExtentType type) {
  switch (type) {
    case ExtentType::kData:
      return "data";
    case ExtentType::kHole:
      return "hole";
    case ExtentType::kZero:
      return "zero";
    case ExtentType::kHoleZero:
      return "hole,zero";
  }
  return PrintBits(static_cast<std::uint8_t>(type));
}

std::string Print(Extent extent) {
  return "[" + PrintNumber(extent.range.begin) + ", " + PrintNumber(extent.range.end) + ") " + Print(extent.type);
}

std::string Print(const Step& step) { return std::visit(StepPrinter{}, step); }

std::string Print(const Script& script) {
  std::string text(kScriptHeader);
  text += "\nsize " + PrintNumber(script.size) + "\ninitial " + Print(script.initial) + "\n";
  for (const Step& step : script.steps) {
    text += Print(step) + "\n";
  }
  return text;
}

void FillWithPattern(std::uint8_t pattern, std::uint64_t offset, std::span<std::uint8_t> out) {
  constexpr std::size_t kPeriod = 251;  // PatternByteAt's. What repeats is copied, for fuzzers write much.
  for (std::size_t i = 0; i < std::min(out.size(), kPeriod); ++i) {
    out[i] = PatternByteAt(pattern, offset + i);
  }
  for (std::size_t filled = kPeriod; filled < out.size(); filled *= 2) {
    std::copy_n(out.begin(), std::min(filled, out.size() - filled), out.begin() + static_cast<std::ptrdiff_t>(filled));
  }
}

}  // namespace nbdspec::engine
