// SPDX-License-Identifier: BSD-3-Clause
#include "engine/spec/catalogue.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "engine/spec/ids.h"

namespace nbdspec::spec {
namespace {

constexpr std::string_view kColumns = "id\tsection\tlevel\trole\tphase\tstatement\tobservable\thow\tuntested\tharm\n";

std::string WithRow(std::string_view row) { return std::string(kColumns) + std::string(row) + "\n"; }

// The headings of proto.md, and of uri.md, that a section may start with.
const std::set<std::string_view> kHeadings = {
    "Conventions",
    "nbdkit extents proposal",
    "Protocol phases",
    "Oldstyle negotiation",
    "Newstyle negotiation",
    "Fixed newstyle negotiation",
    "Termination of the session during option haggling",
    "Transmission",
    "Ordering of messages and writes",
    "Request message",
    "Simple reply message",
    "Structured reply chunk message",
    "Extended reply chunk message",
    "Terminating the transmission phase",
    "Reserved Magic values",
    "Certificates, authentication and authorisation",
    "Server-side requirements",
    "NOTLS mode",
    "FORCEDTLS mode",
    "SELECTIVETLS mode",
    "Client-side requirements",
    "TLS versions",
    "Protocol downgrade attacks",
    "Size constraints",
    "Metadata querying",
    "The base: metadata namespace",
    "base:allocation metadata context",
    "Handshake flags",
    "Client flags",
    "Transmission flags",
    "Option types",
    "Option reply types",
    "Command flags",
    "Structured reply flags",
    "Structured reply types",
    "Request types",
    "Error values",
    "Baseline",
    "Maximum interoperability",
    "uri.md: Related standards",
    "uri.md: NBD URI scheme",
    "uri.md: NBD URI authority",
    "uri.md: NBD URI export name",
    "uri.md: NBD URI query parameters related to TLS",
    "uri.md: Other NBD URI query parameters",
    "uri.md: Clients which do not support TLS",
};

TEST(Catalogue, TheOneCompiledInIsValid) {
  const auto parsed = Catalogue::Parse(CatalogueText());
  ASSERT_TRUE(parsed.has_value()) << parsed.error().sentence;
  EXPECT_GT(parsed->all().size(), 600U);
  EXPECT_EQ(parsed->all().size(), TheCatalogue().all().size());
}

TEST(Catalogue, TextNamesTheRevisionItWasMadeFrom) {
  EXPECT_TRUE(CatalogueText().substr(0, 1000).contains(kSpecRevision));
  EXPECT_TRUE(CatalogueText().substr(0, 1000).contains(kSpecDate));
}

TEST(Catalogue, EveryLevelIsSpelledAsInTheSpecification) {
  EXPECT_EQ(Word(Level::kMust), "MUST");
  EXPECT_EQ(Word(Level::kMustNot), "MUST NOT");
  EXPECT_EQ(Word(Level::kShould), "SHOULD");
  EXPECT_EQ(Word(Level::kShouldNot), "SHOULD NOT");
  EXPECT_EQ(Word(Level::kMay), "MAY");
}

TEST(Catalogue, SeverityIsThatOfLevelRoleAndAmbiguity) {
  const auto of = [](Level level, Role role, bool ambiguous) {
    return SeverityOf({.level = level, .role = role, .ambiguous = ambiguous}, Role::kServer);
  };
  EXPECT_EQ(of(Level::kMust, Role::kServer, false), Severity::kFailure);
  EXPECT_EQ(of(Level::kMustNot, Role::kServer, false), Severity::kFailure);
  EXPECT_EQ(of(Level::kMust, Role::kServer, true), Severity::kWarning);
  EXPECT_EQ(of(Level::kShould, Role::kServer, false), Severity::kWarning);
  EXPECT_EQ(of(Level::kShouldNot, Role::kServer, false), Severity::kWarning);
  EXPECT_EQ(of(Level::kMay, Role::kServer, false), Severity::kWarning);
  EXPECT_EQ(of(Level::kMust, Role::kClient, false), Severity::kNone);
}

TEST(Catalogue, ConstantsAreTheIds) {
  static_assert(kHandshakeMagic == "handshake.magic");
  static_assert(kSub<kHandshakeMagic, "twice"> == "handshake.magic/twice");
  EXPECT_EQ(RequirementOf(kSub<kHandshakeMagic, "twice">).id, kHandshakeMagic);
}

TEST(Catalogue, EverySectionIsHeadingOfTheSpecification) {
  constexpr std::string_view kBranch = "[ext-branch] ";
  for (const Requirement& row : TheCatalogue().all()) {
    std::string_view heading = row.section;
    if (heading.starts_with(kBranch)) {
      heading.remove_prefix(kBranch.size());
    }
    heading = heading.substr(0, heading.find(" > "));
    EXPECT_TRUE(kHeadings.contains(heading)) << row.id << ": " << row.section;
  }
}

TEST(Catalogue, LinksLeadToTheSection) {
  const auto link_of = [](std::string_view section) { return LinkTo({.section = section}); };
  EXPECT_EQ(link_of("base:allocation metadata context"),
            "https://github.com/NetworkBlockDevice/nbd/blob/6725f91e6a33/doc/proto.md#baseallocation-metadata-context");
  EXPECT_TRUE(link_of("Option types > NBD_OPT_GO").ends_with("/doc/proto.md#option-types"));
  EXPECT_TRUE(link_of("uri.md: NBD URI scheme").ends_with("6725f91e6a33/doc/uri.md#nbd-uri-scheme"));
  EXPECT_TRUE(link_of("[ext-branch] Request message").ends_with("extension-ext-header/doc/proto.md#request-message"));
  EXPECT_EQ(link_of("nbdkit extents proposal"), "");
}

TEST(Catalogue, ExtendedHeadersComeFromTheBranchOnly) {
  for (const Requirement& row : TheCatalogue().all()) {
    EXPECT_TRUE(row.phase != Phase::kExtendedHeaders || row.section.starts_with("[ext-branch] ")) << row.id;
  }
}

TEST(Catalogue, StatementsArePlainAndEndWithoutPeriod) {
  for (const Requirement& row : TheCatalogue().all()) {
    EXPECT_FALSE(row.statement.ends_with('.')) << row.id;
    EXPECT_FALSE(row.statement.contains("  ")) << row.id;
    for (const char c : row.statement) {
      EXPECT_TRUE(c >= ' ' && c <= '~') << row.id;
    }
  }
}

// An ambiguous row never fails a server, and so says what the text leaves open.
TEST(Catalogue, EveryAmbiguousRowSaysWhy) {
  constexpr std::string_view kTag = "[ambiguous]";
  for (const Requirement& requirement : TheCatalogue().all()) {
    if (const std::size_t tag = requirement.how.find(kTag); tag != std::string_view::npos) {
      const std::string_view rest = requirement.how.substr(tag + kTag.size());
      EXPECT_GT(rest.find('['), 15U) << requirement.id << ":" << rest;
      EXPECT_GT(rest.size(), 15U) << requirement.id << ":" << rest;
    }
  }
}

TEST(Catalogue, EveryHarmHasPlainWordsThatBeginWithIt) {
  for (int i = 0; i < kHarmCount; ++i) {
    const auto harm = static_cast<Harm>(i);
    EXPECT_TRUE(Meaning(harm).starts_with(Word(harm))) << Meaning(harm);
    EXPECT_EQ(Meaning(harm).empty(), harm == Harm::kUnsaid);
  }
}

TEST(Catalogue, FindsEveryRowByItsIdAndNothingElse) {
  for (const Requirement& row : TheCatalogue().all()) {
    EXPECT_EQ(TheCatalogue().Find(row.id), &row);
  }
  EXPECT_EQ(TheCatalogue().Find(""), nullptr);
  EXPECT_EQ(TheCatalogue().Find("block-status"), nullptr);
  EXPECT_EQ(TheCatalogue().Find("zzz"), nullptr);
}

TEST(Catalogue, RowOfTenCellsIsReadWhole) {
  const std::string text =
      WithRow("a.b-1\tS > T\tSHOULD NOT\tclient\ttls\tSays so\tpartial\tlook [derived]\tno way\tdenial");
  const auto parsed = Catalogue::Parse(text);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().sentence;
  ASSERT_EQ(parsed->all().size(), 1U);
  const Requirement& row = parsed->all()[0];
  EXPECT_EQ(row.id, "a.b-1");
  EXPECT_EQ(row.section, "S > T");
  EXPECT_EQ(row.level, spec::Level::kShouldNot);
  EXPECT_EQ(row.role, Role::kClient);
  EXPECT_EQ(row.phase, Phase::kTls);
  EXPECT_EQ(row.statement, "Says so");
  EXPECT_EQ(row.observable, Observable::kPartial);
  EXPECT_EQ(row.how, "look [derived]");
  EXPECT_EQ(row.untested, "no way");
  EXPECT_EQ(row.harm, Harm::kDenial);
  EXPECT_TRUE(row.derived);
  EXPECT_FALSE(row.ambiguous);
  EXPECT_FALSE(row.historic);
}

TEST(Catalogue, TheLastTwoColumnsMayBeMissing) {
  const std::string text =
      "# comment\nid\tsection\tlevel\trole\tphase\tstatement\tobservable\thow\n"
      "a\tS\tMUST\tserver\toptions\tx\tyes\ty [ambiguous] [historic-deviation]";
  const auto parsed = Catalogue::Parse(text);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().sentence;
  EXPECT_EQ(parsed->all()[0].untested, "");
  EXPECT_EQ(parsed->all()[0].harm, Harm::kUnsaid);
  EXPECT_TRUE(parsed->all()[0].ambiguous);
  EXPECT_TRUE(parsed->all()[0].historic);
}

TEST(Catalogue, RefusesRowsThatAreWrong) {
  for (const std::string_view row : {
           "a\tS\tMUST\tserver\toptions\tx\tyes",                 // Too few cells.
           "a\tS\tMUST\tserver\toptions\tx\tyes\ty\t\tstyle\tz",  // Too many.
           "a\tS\tMUST\tserver\toptions\tx\tyes\ty\t\tpain",      // Harm.
           "A\tS\tMUST\tserver\toptions\tx\tyes\ty\t",            // Capital in the id.
           "\tS\tMUST\tserver\toptions\tx\tyes\ty\t",             // No id.
           "a\tS\tMUSTN'T\tserver\toptions\tx\tyes\ty\t",         // Level.
           "a\tS\tMUST\tproxy\toptions\tx\tyes\ty\t",             // Role.
           "a\tS\tMUST\tserver\tendgame\tx\tyes\ty\t",            // Phase.
           "a\tS\tMUST\tserver\toptions\tx\tmaybe\ty\t",          // Observable.
           "a\tS\tMUST\tserver\toptions\t\tyes\ty\t",             // No statement.
           "a\t\tMUST\tserver\toptions\tx\tyes\ty\t",             // No section.
           "a\tS\tMUST\tserver\toptions\tx\tyes\t\t",             // No how.
           "a\tS\tMUST\tserver\toptions\tx \tyes\ty\t",           // Space at the end of a cell.
           "a\tS\tMUST\tserver\toptions\tx\tyes\ty\t ",           // The same in the last one.
           "",                                                    // An empty line.
       }) {
    EXPECT_FALSE(Catalogue::Parse(WithRow(row)).has_value()) << row;
  }
}

TEST(Catalogue, RefusalNamesTheLine) {
  const auto parsed =
      Catalogue::Parse(WithRow("a\tS\tMUST\tserver\toptions\tx\tyes\ty\na\tS\tMUST\tserver\toptions\tx\tyes\ty"));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().sentence, "requirements, line 3: repeats the id \"a\"");
}

TEST(Catalogue, RefusesTextWithoutColumnsOrRows) {
  EXPECT_FALSE(Catalogue::Parse("").has_value());
  EXPECT_FALSE(Catalogue::Parse(kColumns).has_value());
  EXPECT_FALSE(Catalogue::Parse("a\tS\tMUST\tserver\toptions\tx\tyes\ty\t\n").has_value());
}

}  // namespace
}  // namespace nbdspec::spec
