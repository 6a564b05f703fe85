// SPDX-License-Identifier: BSD-3-Clause
// Readers of files that are wrong in one way each are found by the comparison of the fuzz target report_input, in time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "conformance/requirements/catalogue.h"
#include "fuzz/canary/canary.h"
#include "fuzz/harness/report_input_differential.h"
#include "fuzz/live/nbdkit_case.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Catalogue;
using engine::Trouble;

// A catalogue's views are into its text: what a planted bug reads instead lives as long as the next.
std::expected<Catalogue, Trouble> ParseInstead(std::string text) {
  static std::string kept;
  kept = std::move(text);
  return Catalogue::Parse(kept);
}

std::size_t EndOfLine(std::string_view text, std::size_t number) {
  std::size_t at = 0;
  for (; number > 0 && at < text.size(); --number) {
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  }
  return at;
}

// Reads only the lines before the one that `error` is about.
std::expected<Catalogue, Trouble> ParseUpTo(std::string_view text, const Trouble& error) {
  const std::string& sentence = error.sentence;
  const std::size_t line = std::stoul(sentence.substr(sentence.find("line ") + 5));
  return ParseInstead(std::string(text.substr(0, EndOfLine(text, line - 1))));
}

using ParseCatalogue = std::function<std::expected<Catalogue, Trouble>(std::string_view)>;

// Takes errors of one kind for the end of the text.
ParseCatalogue Forgives(const std::string& kind) {
  return [kind](std::string_view text) {
    auto parsed = Catalogue::Parse(text);
    const bool is_of_kind = !parsed && parsed.error().sentence.find(kind) != std::string::npos;
    return is_of_kind ? ParseUpTo(text, parsed.error()) : std::move(parsed);
  };
}

std::expected<Catalogue, Trouble> LosesALastLineWithoutEnd(std::string_view text) {
  return ParseInstead(std::string(text.substr(0, text.rfind('\n') + 1)));
}

std::expected<Catalogue, Trouble> DropsCarriageReturns(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '\r');
  return ParseInstead(plain);
}

std::expected<Catalogue, Trouble> EndsAtTheSecondComment(std::string_view text) {
  return ParseInstead(std::string(text.substr(0, text.find("\n#") + 1)));
}

std::expected<Catalogue, Trouble> CountsLinesWithoutComments(std::string_view text) {
  auto parsed = Catalogue::Parse(text);
  if (parsed || parsed.error().sentence.find("line ") == std::string::npos) {
    return parsed;
  }
  std::string sentence = parsed.error().sentence;
  const std::size_t at = sentence.find("line ") + 5;
  const std::size_t line = std::stoul(sentence.substr(at));
  const std::string_view before = text.substr(0, EndOfLine(text, line));
  std::size_t comments = before.starts_with('#') ? 1 : 0;
  for (std::size_t here = before.find("\n#"); here != std::string_view::npos; here = before.find("\n#", here + 1)) {
    ++comments;
  }
  sentence.replace(at, std::to_string(line).size(), std::to_string(line - comments));
  return std::unexpected(Trouble{sentence});
}

std::expected<Catalogue, Trouble> QuotesRawBytes(std::string_view text) {
  auto parsed = Catalogue::Parse(text);
  if (!parsed) {
    return std::unexpected(Trouble{parsed.error().sentence + ": " + std::string(text.substr(0, 80))});
  }
  return parsed;
}

using ChangeCase = std::function<void(NbdkitCase&)>;

ReportReaders WithCases(const ChangeCase& change) {
  return {.parse_case = [change](std::string_view text) {
    auto read = ParseNbdkitCase(text);
    if (read) {
      change(*read);
    }
    return read;
  }};
}

ReportReaders PrintsCases(const ChangeCase& change) {
  return {.print_case = [change](NbdkitCase read) {
    change(read);
    return Print(read);
  }};
}

std::expected<NbdkitCase, Trouble> IgnoresUnknownLayers(std::string_view text) {
  auto read = ParseNbdkitCase(text);
  const bool is_unknown = !read && read.error().sentence.find("is no layer") != std::string::npos;
  return is_unknown ? NbdkitCase{.script = *engine::ParseScript(text)} : std::move(read);
}

std::expected<NbdkitCase, Trouble> TakesStacksThatDoNotFit(std::string_view text) {
  auto read = ParseNbdkitCase(text);
  const bool is_unfit = !read && read.error().sentence.find("does not fit") != std::string::npos;
  return is_unfit ? NbdkitCase{.script = *engine::ParseScript(text)} : std::move(read);
}

std::expected<NbdkitCase, Trouble> NamesNoLine(std::string_view text) {
  auto read = ParseNbdkitCase(text);
  if (!read) {
    return std::unexpected(Trouble{read.error().sentence.substr(read.error().sentence.find(": "))});
  }
  return read;
}

struct PlantedBug {
  const char* name;
  ReportReaders readers;
  std::uint64_t inputs_max;  // Random inputs within which the fuzz target finds it.
};

void PrintTo(const PlantedBug& planted, std::ostream* out) { *out << planted.name; }

const PlantedBug kPlantedBugs[] = {
    {"CatalogueLosesALastLineWithoutEnd", {.parse_catalogue = LosesALastLineWithoutEnd}, 100},
    {"CatalogueDropsCarriageReturns", {.parse_catalogue = DropsCarriageReturns}, 1400},
    {"CatalogueEndsAtTheSecondComment", {.parse_catalogue = EndsAtTheSecondComment}, 100},
    {"CatalogueCountsLinesWithoutComments", {.parse_catalogue = CountsLinesWithoutComments}, 100},
    {"CatalogueQuotesRawBytes", {.parse_catalogue = QuotesRawBytes}, 100},
    {"CatalogueTakesAnIdTwice", {.parse_catalogue = Forgives("repeats the id")}, 3600},
    {"CatalogueTakesUnknownWords", {.parse_catalogue = Forgives("an unknown level")}, 100},
    {"CatalogueTakesSpacesAtTheEnds", {.parse_catalogue = Forgives("has a space")}, 800},
    {"CatalogueTakesAnyId", {.parse_catalogue = Forgives("has the id")}, 1300},
    {"CatalogueTakesRowsCutShort", {.parse_catalogue = Forgives("columns instead")}, 150},
    {"CaseForgetsItsReach", WithCases([](NbdkitCase& read) { read.reach = "extent"; }), 850},
    {"CaseHasItsStackUpsideDown", WithCases([](NbdkitCase& read) { std::ranges::reverse(read.stack); }), 900},
    {"CaseForgetsALayer", WithCases([](NbdkitCase& read) { read.stack.resize(read.stack.empty() ? 0 : 1); }), 900},
    {"CaseIgnoresUnknownLayers", {.parse_case = IgnoresUnknownLayers}, 100},
    {"CaseTakesStacksThatDoNotFit", {.parse_case = TakesStacksThatDoNotFit}, 3700},
    {"CaseNamesNoLine", {.parse_case = NamesNoLine}, 100},
    {"CasePrintsNumbersIn32Bits", PrintsCases([](NbdkitCase& read) {
       for (Layer& layer : read.stack) {
         layer.a = static_cast<std::uint32_t>(layer.a);
       }
     }),
     2250},
    {"CasePrintsNoDeviation", PrintsCases([](NbdkitCase& read) { read.deviates.clear(); }), 2150},
    {"CasePrintsADeviationUpToAColon", PrintsCases([](NbdkitCase& read) {
       read.deviates.resize(std::min(read.deviates.find(':'), read.deviates.size()));
     }),
     2150},
};

CanaryRuns Runs(std::uint64_t runs_max) { return {.runs_max = runs_max, .start = SeedsOf("report_input")}; }

TEST(ReportInputCanary, TheRightReadersAreNotAccused) {
  EXPECT_TRUE(HasAccusedNobody(Runs(5000), [](engine::ByteView input) { return FindReportInputDisagreement(input); }));
}

class ReportInputCanary : public testing::TestWithParam<PlantedBug> {};

TEST_P(ReportInputCanary, IsFoundByTheFuzzTarget) {
  const auto found = HasFound(Runs(GetParam().inputs_max), [](engine::ByteView input) {
    return FindReportInputDisagreement(input, GetParam().readers);
  });
  EXPECT_TRUE(found);
  RecordProperty("found", found.message());
}

INSTANTIATE_TEST_SUITE_P(AllBugs, ReportInputCanary, testing::ValuesIn(kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nbdspec::fuzz
