// SPDX-License-Identifier: BSD-3-Clause
// Prints the text form of scripts.

#include <cstdio>
#include <optional>

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

std::string PrintHex(const char* prefix, std::uint32_t bits) {
  char text[16];
  std::snprintf(text, sizeof text, "%s%02x", prefix, static_cast<unsigned>(bits));
  return text;
}

std::string PrintName(std::string_view name) {
  std::string text(name.empty() ? kEmptyName : "");
  for (const char c : name) {
    text += IsPlainInNames(c) ? std::string(1, c) : PrintHex("\\x", static_cast<std::uint8_t>(c));
  }
  return text;
}

std::string PrintFlags(std::uint16_t flags) {
  std::string text;
  for (const auto& word : kFlagWords) {
    if ((flags & word.number) != 0) {
      text += " " + std::string(word.name);
      flags = static_cast<std::uint16_t>(flags & ~word.number);
    }
  }
  return flags == 0 ? text : text + " flags " + PrintHex("0x", flags);
}

struct StepPrinter {
  const Step& step;

  std::string Range() const {
    const auto range = *RangeOf(step);
    return " " + PrintNumber(range.offset) + " +" + PrintNumber(range.length);
  }

  std::string operator()(const AddStep& add) const { return "add" + Range() + " " + Print(add.type); }
  std::string operator()(const ClearStep&) const { return "clear"; }
  std::string operator()(const ForEachStep& all) const {
    return "foreach" + Range() + (all.stop_at == 0 ? "" : " stop " + std::to_string(all.stop_at));
  }
  std::string operator()(const LookupStep& lookup) const { return "lookup " + PrintNumber(lookup.offset); }
  std::string operator()(const RequestStep& request) const {
    const bool has_range = request.command != Command::kFlush || request.offset != 0 || request.length != 0;
    return Print(request.command) + (has_range ? Range() : "") +
           (request.pattern == 0 ? "" : " pattern " + std::to_string(request.pattern)) + PrintFlags(request.flags) +
           (request.contexts == NamedContexts::kAll
                ? ""
                : " contexts " + std::string(*NameOf(kContextsWords, request.contexts))) +
           (request.is_unannounced ? " unannounced" : "") +
           (request.connection == 1 ? "" : " on " + std::to_string(request.connection));
  }
  std::string operator()(const WaitStep&) const { return "wait"; }
  std::string operator()(const LeaveStep&) const { return "leave"; }
  std::string operator()(const SendStep& send) const {
    return std::string("send") + (send.bytes == 0 ? "" : " " + PrintNumber(send.bytes)) +
           (send.connection == 1 ? "" : " on " + std::to_string(send.connection));
  }
  std::string operator()(const VisitStep& visit) const {
    return "visit " + std::to_string(visit.count) +
           (visit.visit == Visit::kEnters ? "" : " " + std::string(*NameOf(kVisitWords, visit.visit)));
  }
  std::string operator()(const CutStep& power) const {
    const PowerCut& cut = power.cut;
    return "cut " + std::string(*NameOf(kKeepsWords, cut.keeps)) +
           (cut.one == 0 ? "" : " one " + PrintNumber(cut.one)) +
           (cut.seed == 0 ? "" : " seed " + PrintNumber(cut.seed)) + (cut.tears ? " torn" : "");
  }
  std::string operator()(const OptionStep& option) const {
    const auto word = NameOf(kOptionWords, option.option);
    std::string text = std::string("option ") + (option.is_glued ? "glued " : "") +
                       (option.split == 0 ? "" : "split " + std::to_string(option.split) + " ") +
                       (word ? std::string(*word) : PrintHex("0x", option.option));
    text += option.export_name.empty() ? "" : " @" + PrintName(option.export_name);
    for (const std::string& name : option.names) {
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
  const auto word = NameOf(kCommandWords, command);
  NBDSPEC_CHECK(word.has_value());
  return std::string(*word);
}

std::string Print(ExtentType type) {
  const auto word = NameOf(kTypeWords, type);
  return word ? std::string(*word) : PrintHex("0x", static_cast<std::uint8_t>(type));
}

std::string Print(Extent extent) {
  return "[" + PrintNumber(extent.range.begin) + ", " + PrintNumber(extent.range.end) + ") " + Print(extent.type);
}

std::string Print(const Step& step) { return std::visit(StepPrinter{step}, step); }

std::string Print(const Script& script) {
  std::string text(kScriptHeader);
  text += "\nsize " + PrintNumber(script.size) + "\ninitial " + Print(script.initial) + "\n";
  for (const Step& step : script.steps) {
    text += Print(step) + "\n";
  }
  return text;
}

}  // namespace nbdspec::engine
