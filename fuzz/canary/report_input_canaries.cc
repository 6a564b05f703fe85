// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target report_input: readers of files that are wrong in one way each.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/spec/catalogue.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/report_input_differential.h"
#include "fuzz/findings/finding.h"
#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {
namespace {

using engine::Trouble;
using spec::Catalogue;

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

template <typename Value>
using Parse = std::expected<Value, Trouble> (*)(std::string_view text);

// Errors quote the text as it is.
template <typename Value, Parse<Value> kParse>
std::expected<Value, Trouble> QuotesRawBytes(std::string_view text) {
  auto read = kParse(text);
  if (!read) {
    read.error().sentence += ": " + std::string(text.substr(0, 80));
  }
  return read;
}

// What is read is changed after that, or before it is printed again.
template <typename Value>
auto Reads(Parse<Value> parse, void (*change)(Value& read)) {
  return [parse, change](std::string_view text) {
    auto read = parse(text);
    if (read) {
      change(*read);
    }
    return read;
  };
}
template <typename Value>
auto Prints(void (*change)(Value& read)) {
  return [change](Value read) {
    change(read);
    return Print(read);
  };
}

ReportReaders Catalogues(Parse<Catalogue> parse) { return {.parse_catalogue = parse}; }
ReportReaders Cases(Parse<NbdkitCase> parse) { return {.parse_case = parse}; }
ReportReaders Abouts(Parse<About> parse) { return {.parse_about = parse}; }
ReportReaders WithCases(void (*change)(NbdkitCase&)) { return {.parse_case = Reads(ParseNbdkitCase, change)}; }
ReportReaders PrintsCases(void (*change)(NbdkitCase&)) { return {.print_case = Prints(change)}; }
ReportReaders WithAbouts(void (*change)(About&)) { return {.parse_about = Reads(ParseAbout, change)}; }
ReportReaders PrintsAbouts(void (*change)(About&)) { return {.print_about = Prints(change)}; }

// Takes a stack with errors of one kind for none.
ReportReaders ForgivesStacks(const std::string& kind) {
  return {.parse_case = [kind](std::string_view text) {
    auto read = ParseNbdkitCase(text);
    const bool is_of_kind = !read && read.error().sentence.find(kind) != std::string::npos;
    return is_of_kind ? NbdkitCase{.script = *engine::ParseScript(text)} : std::move(read);
  }};
}

const std::vector<WrongSubject<ReportReaders>> kWrongReaders = {
    {"CatalogueLosesALastLineWithoutEnd", Family::kLost, 550,
     Catalogues([](std::string_view text) { return ParseInstead(std::string(text.substr(0, text.rfind('\n') + 1))); })},
    {"CatalogueDropsCarriageReturns", Family::kLost, 450, Catalogues([](std::string_view text) {
       std::string plain(text);
       std::erase(plain, '\r');
       return ParseInstead(plain);
     })},
    {"CatalogueEndsAtTheSecondComment", Family::kRule, 100,
     Catalogues([](std::string_view text) { return ParseInstead(std::string(text.substr(0, text.find("\n#") + 1))); })},
    {"CatalogueCountsLinesWithoutComments", Family::kLost, 100, Catalogues([](std::string_view text) {
       auto parsed = Catalogue::Parse(text);
       if (parsed || parsed.error().sentence.find("line ") == std::string::npos) {
         return parsed;
       }
       std::string& sentence = parsed.error().sentence;
       const std::size_t at = sentence.find("line ") + 5;
       const std::size_t line = std::stoul(sentence.substr(at));
       const std::string_view before = text.substr(0, EndOfLine(text, line));
       std::size_t comments = before.starts_with('#') ? 1 : 0;
       for (std::size_t here = before.find("\n#"); here != std::string_view::npos;
            here = before.find("\n#", here + 1)) {
         ++comments;
       }
       sentence.replace(at, std::to_string(line).size(), std::to_string(line - comments));
       return parsed;
     })},
    {"CatalogueQuotesRawBytes", Family::kRule, 100, {.parse_catalogue = QuotesRawBytes<Catalogue, Catalogue::Parse>}},
    {"CatalogueTakesAnIdTwice", Family::kRule, 11500, {.parse_catalogue = Forgives("repeats the id")}},
    {"CatalogueTakesUnknownWords", Family::kRule, 650, {.parse_catalogue = Forgives("an unknown level")}},
    {"CatalogueTakesSpacesAtTheEnds", Family::kRule, 200, {.parse_catalogue = Forgives("has a space")}},
    {"CatalogueTakesAnyId", Family::kRule, 150, {.parse_catalogue = Forgives("has the id")}},
    {"CatalogueTakesRowsCutShort", Family::kRule, 900, {.parse_catalogue = Forgives("columns instead")}},
    {"CaseForgetsItsReach", Family::kLost, 200, WithCases([](NbdkitCase& read) { read.reach = "extent"; })},
    {"CaseHasItsStackUpsideDown", Family::kOrder, 650,
     WithCases([](NbdkitCase& read) { std::ranges::reverse(read.stack); })},
    {"CaseForgetsALayer", Family::kLost, 150,
     WithCases([](NbdkitCase& read) { read.stack.resize(read.stack.empty() ? 0 : 1); })},
    {"CaseIgnoresUnknownLayers", Family::kRule, 700, ForgivesStacks("is no layer")},
    {"CaseTakesStacksThatDoNotFit", Family::kRule, 200, ForgivesStacks("does not fit")},
    {"CaseNamesNoLine", Family::kRule, 100, Cases([](std::string_view text) {
       auto read = ParseNbdkitCase(text);
       if (!read) {
         read.error().sentence.erase(0, read.error().sentence.find(": "));
       }
       return read;
     })},
    {"CasePrintsNumbersIn32Bits", Family::kWidth, 550, PrintsCases([](NbdkitCase& read) {
       for (Layer& layer : read.stack) {
         layer.a = static_cast<std::uint32_t>(layer.a);
       }
     })},
    {"CasePrintsNoDeviation", Family::kBits, 350, PrintsCases([](NbdkitCase& read) { read.deviates.clear(); })},
    {"CasePrintsADeviationUpToAColon", Family::kBits, 600, PrintsCases([](NbdkitCase& read) {
       read.deviates.resize(std::min(read.deviates.find(':'), read.deviates.size()));
     })},
    {"AboutForgetsALastFile", Family::kLost, 1100, WithAbouts([](About& read) {
       if (read.files.size() > 1) {
         read.files.erase(std::prev(read.files.end()));
       }
     })},
    {"AboutReadsSeedsIn32Bits", Family::kWidth, 5500,
     WithAbouts([](About& read) { read.finding.seed = static_cast<std::uint32_t>(read.finding.seed); })},
    {"AboutPrintsNoConnections", Family::kBits, 900,
     PrintsAbouts([](About& read) { read.finding.connections.clear(); })},
    {"AboutTakesNamesWithSlashes", Family::kRule, 2000, Abouts([](std::string_view text) {
       std::string plain(text);
       std::erase(plain, '/');
       return ParseAbout(plain);
     })},
    {"AboutQuotesRawBytes", Family::kRule, 550, {.parse_about = QuotesRawBytes<About, ParseAbout>}},
};

}  // namespace

CanaryTarget ReportInputCanaries() {
  return CanariesFor(ReportInputTarget(), CanariesOf(kWrongReaders, FindReportInputDisagreement));
}

}  // namespace nbdspec::fuzz
