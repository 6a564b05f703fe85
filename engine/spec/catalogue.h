// SPDX-License-Identifier: BSD-3-Clause
// Catalogue: every requirement of the NBD specification, as data compiled into the program.
//
// The rows are requirements.tsv beside this file; its first lines say what the columns and tags mean. Which requirement
// a check asks is the check's to say. Level (MUST, SHOULD, MAY) comes from here and from nowhere else.

#pragma once

#include <expected>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace nbdspec::spec {

// The commit of NetworkBlockDevice/nbd whose doc/proto.md and doc/uri.md the catalogue was made from, and its date.
inline constexpr std::string_view kSpecRevision = "6725f91e6a33bc9f62d31d82798c04ec1cde1c73";
inline constexpr std::string_view kSpecDate = "2025-06-26";

// How hard the specification puts a requirement.
enum class Level { kMust, kMustNot, kShould, kShouldNot, kMay };

// Whom a requirement binds.
enum class Role { kServer, kClient };

// The part of the protocol a requirement belongs to.
enum class Phase {
  kGeneral,
  kHandshake,
  kOptions,
  kTls,
  kMetadata,
  kBlockSize,
  kTransmission,
  kStructuredReplies,
  kExtendedHeaders,
};

// What a breach does to those who use the peer that commits it; what is worse is greater.
enum class Harm {
  kUnsaid,  // Of a clause that no check asks.
  kStyle,
  kInteroperability,
  kDenial,
  kSecurity,
  kData,
};
inline constexpr int kHarmCount = 6;

// Whether somebody at the other end of the wire can see it broken.
enum class Observable { kYes, kPartial, kNo };

// "MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY".
std::string_view Word(Level level);
// "server", "client".
std::string_view Word(Role role);
// "general", "handshake", ..., as the catalogue spells them.
std::string_view Word(Phase phase);
// "", "style", "interoperability", "denial", "security", "data".
std::string_view Word(Harm harm);
// The same in plain words: "data: bytes can be lost, or read as what they are not"; "" for kUnsaid.
std::string_view Meaning(Harm harm);
// "yes", "partial", "no".
std::string_view Word(Observable observable);

// One clause. Its text lives as long as the text it was parsed from.
struct Requirement {
  std::string_view id;       // Dotted, stable: block-status.req-one.single.
  std::string_view section;  // Heading of the specification, "[ext-branch] ..." for extended headers.
  Level level = Level::kMust;
  Role role = Role::kServer;
  Phase phase = Phase::kGeneral;
  std::string_view statement;  // The clause in our words.
  Observable observable = Observable::kYes;
  std::string_view how;       // How to see it broken, with the tags.
  std::string_view untested;  // Why no check asks it; empty where one does, or no reason is recorded.
  Harm harm = Harm::kUnsaid;
  bool ambiguous = false;  // [ambiguous]: never fails a peer on its own.
  bool derived = false;    // [derived]: follows from the text without one of its keywords.
  bool historic = false;   // [historic-deviation]: known servers have differed.
};

// What a peer in a role deserves that breaks a requirement.
enum class Severity {
  kFailure,  // A MUST that binds it, and the text is clear.
  kWarning,  // A SHOULD or MAY, or a text that can be read in more than one way.
  kNone,     // The requirement binds the other end.
};

// The severity of every verdict of every command comes from here.
Severity SeverityOf(const Requirement& requirement, Role accused);

class Catalogue {
 public:
  // Reads rows of 8 to 10 columns under a line of column names; lines that start with '#' are comments.
  // `text` must outlive the catalogue. Errors: the first line that is not valid, and why.
  static std::expected<Catalogue, engine::Trouble> Parse(std::string_view text);

  // In the order of the text, which is by part of the specification.
  [[nodiscard]] std::span<const Requirement> all() const { return rows_; }
  // nullptr when there is no such id. Cost: O(log n).
  [[nodiscard]] const Requirement* Find(std::string_view id) const;

 private:
  std::vector<Requirement> rows_;
  std::map<std::string_view, std::size_t> index_of_id_;
};

// The catalogue compiled in.
const Catalogue& TheCatalogue();
// The text it is parsed from: requirements.tsv.
std::string_view CatalogueText();
// The requirement with an id of ids.h, or of a check ("ID/suffix"). An id that does not exist is our bug and aborts.
const Requirement& RequirementOf(std::string_view id);
// The address of its section: in proto.md or uri.md at kSpecRevision, or in proto.md of the branch of extended headers.
// Empty for a section of neither.
std::string LinkTo(const Requirement& requirement);
// SeverityOf for a server that breaks it.
Severity ServerSeverityOf(std::string_view id);

}  // namespace nbdspec::spec
