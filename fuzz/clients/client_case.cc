// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/clients/client_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>

#include "conformance/clients/odd_scenario.h"
#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "engine/oddities/oddity.h"

namespace nbdspec::fuzz {

namespace {

using engine::AddStep;
using engine::ExtentMap;
using engine::Trouble;
using engine::oddities::AllOddities;
using engine::oddities::Oddity;

constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
constexpr std::uint64_t kPieceBytesMax = 1 << 20;
constexpr std::uint64_t kWaitMsMax = 1000;
constexpr std::size_t kExtentsShownMax = 8;

std::unexpected<Trouble> Wrong(std::size_t line, const std::string& what) {
  return std::unexpected(Trouble{fmt::format("line {}: {}", line, what)});
}

std::optional<std::uint64_t> NumberIn(std::string_view text, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= most ? std::optional(number)
                                                                                    : std::nullopt;
}

// Takes one line that is no script's. Returns whether it was one. Errors: what is wrong with it.
std::expected<bool, std::string> TakeLine(std::string_view line, ClientCase& met) {
  const std::string_view word = line.substr(0, line.find(' '));
  std::string_view rest = line.substr(std::min(line.size(), word.size() + 1));
  if (word == "command") {
    met.command = rest;
    return true;
  }
  rest = rest.substr(0, rest.find('#'));
  rest = rest.substr(0, rest.find_last_not_of(' ') + 1);
  if (word == "odd") {
    if (std::ranges::find(AllOddities(), rest, &Oddity::name) == AllOddities().end()) {
      return std::unexpected("nbdspec knows of no oddity " + engine::Quoted(rest, 80));
    }
    met.oddities.emplace_back(rest);
    return true;
  }
  if (word == "tcp" || word == "tls") {
    (word == "tcp" ? met.tcp : met.tls) = true;
    return true;
  }
  if (word == "pieces" || word == "wait") {
    const auto number = NumberIn(rest, word == "pieces" ? kPieceBytesMax : kWaitMsMax);
    if (!number) {
      return std::unexpected(fmt::format("{} takes a number, and not {}", word, engine::Quoted(rest, 80)));
    }
    if (word == "pieces") {
      met.pace.piece_bytes_max = *number;
    } else {
      met.pace.wait = std::chrono::milliseconds(*number);
    }
    return true;
  }
  return false;
}

// So that cases that are the same are equal.
void SortOddities(std::vector<std::string>& names) {
  std::ranges::sort(names, {},
                    [](const std::string& name) { return std::ranges::find(AllOddities(), name, &Oddity::name); });
  const auto twice = std::ranges::unique(names);
  names.erase(twice.begin(), twice.end());
}

// Errors: a truth has no such step.
std::expected<void, Trouble> CheckTruth(const engine::Script& truth) {
  if (truth.size > kCaseBytesMax) {
    return std::unexpected(Trouble{fmt::format("an export of a case has at most {} bytes, and not {}",
                                               engine::PrintNumber(kCaseBytesMax), engine::PrintNumber(truth.size))});
  }
  for (const engine::Step& step : truth.steps) {
    const auto* add = std::get_if<AddStep>(&step);
    ExtentMap one(truth.size, truth.initial);
    if (add == nullptr || !one.Add(add->offset, add->length, add->type)) {
      return std::unexpected(
          Trouble{engine::Quoted(Print(step), 100) + " is nothing that a truth has: only add, with a type"});
    }
  }
  return {};
}

}  // namespace

std::string Print(const ClientCase& met) {
  std::string text(kClientCaseHeader);
  text += "\ncommand " + met.command + "\n";
  for (const std::string& name : met.oddities) {
    const auto oddity = std::ranges::find(AllOddities(), name, &Oddity::name);
    text += fmt::format("odd {}  # {} permits it\n", name, oddity->permitted_by);
  }
  text += met.pace.piece_bytes_max > 0 ? fmt::format("pieces {}\n", met.pace.piece_bytes_max) : "";
  text += met.pace.wait.count() > 0 ? fmt::format("wait {}\n", met.pace.wait.count()) : "";
  text += met.tcp ? "tcp\n" : "";
  text += met.tls ? "tls\n" : "";
  const std::string truth = Print(met.truth);
  return text + truth.substr(truth.find('\n') + 1);
}

std::expected<ClientCase, Trouble> ParseClientCase(std::string_view text) {
  if (!text.starts_with(kClientCaseHeader) || text.size() > kTextBytesMax) {
    return Wrong(
        1, fmt::format("a case begins with \"{}\", and is no longer than {} bytes", kClientCaseHeader, kTextBytesMax));
  }
  ClientCase met;
  std::string truth;  // Empty lines keep the numbers of the others.
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto is_ours = TakeLine(line, met);
    if (!is_ours) {
      return Wrong(number, is_ours.error());
    }
    truth += *is_ours ? "\n" : std::string(line) + "\n";
  }
  NBDSPEC_ASSIGN_OR_RETURN(script, engine::ParseScript(truth));
  NBDSPEC_RETURN_IF_ERROR(CheckTruth(script));
  met.truth = std::move(script);
  SortOddities(met.oddities);
  return met;
}

ExtentMap ExtentsOf(const ClientCase& met) {
  ExtentMap extents(met.truth.size, met.truth.initial);
  for (const engine::Step& step : met.truth.steps) {
    const auto& add = std::get<AddStep>(step);
    NBDSPEC_CHECK(extents.Add(add.offset, add.length, add.type));
  }
  return extents;
}

conformance::Scenario ScenarioOf(const ClientCase& met) {
  conformance::Scenario scenario{.name = "fuzz-client", .pace = met.pace};
  if (met.tls) {
    scenario.server.tls = engine::TlsMode::kSelective;
    scenario.tls.is_wanted = true;
  }
  for (const std::string& name : met.oddities) {
    const auto oddity = std::ranges::find(AllOddities(), name, &Oddity::name);
    NBDSPEC_CHECK(oddity != AllOddities().end());
    MakeOdd(*oddity, scenario);
  }
  engine::ExportOptions offered;
  if (scenario.offers) {
    scenario.offers(offered);
  }
  const std::uint64_t block = std::max<std::uint64_t>(offered.block_size.minimum, 1);
  scenario.size = (met.truth.size + block - 1) / block * block;
  scenario.extents = [met, size = scenario.size] {
    const ExtentMap extents = ExtentsOf(met);
    ExtentMap padded(size, engine::ExtentType::kHoleZero);
    extents.ForEach(extents.range(), [&padded](engine::Extent extent) {
      NBDSPEC_CHECK(padded.Add(extent.range.begin, extent.range.length(), extent.type));
      return true;
    });
    return padded;
  };
  return scenario;
}

std::string DescribeTruth(const ClientCase& met) {
  const ExtentMap extents = ExtentsOf(met);
  std::string text = engine::PrintNumber(met.truth.size) + " bytes";
  std::size_t count = 0;
  extents.ForEach(extents.range(), [&](engine::Extent extent) {
    const bool is_shown = count++ < kExtentsShownMax;
    text += is_shown ? (count == 1 ? ": " : ", ") + Print(extent) : "";
    return is_shown;
  });
  return text + (count > kExtentsShownMax ? ", ..." : "");
}

}  // namespace nbdspec::fuzz
