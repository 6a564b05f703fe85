// SPDX-License-Identifier: BSD-3-Clause
// Finding: one failure of a server, or of a client, with all that is needed to see it again. Plain data; store.h keeps
// it on the disk. About: the about.json of its directory there: what the finding is, and what its other files must be.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "reports/model/evidence.h"

namespace nbdspec::fuzz {

enum class FindingKind {
  kWrongData,     // A READ returned bytes that cannot stand there.
  kFalseClaim,    // BLOCK_STATUS claims what the data refute.
  kBrokenRule,    // An answer has a form that the specification forbids.
  kWrongSuccess,  // A request succeeded that must fail.
  kWrongError,    // A request failed with an error that the specification forbids there.
  kDisconnect,    // The server ended the connection where it may not.
  kCrash,         // The server's process ended.
  kHang,          // An answer did not arrive in time.
  kDamage,        // A power cut left a disk that the checker of its format calls corrupt.
  kWrongFailure,  // A client failed though its server is right.
};

// "wrong-data"; each name has an inverse.
std::string_view Name(FindingKind kind);
std::optional<FindingKind> FindingKindFrom(std::string_view name);

enum class FindingState {
  kObserved,       // Seen once.
  kReproduced,     // A fresh server shows it again: the script is the smallest found.
  kNotReproduced,  // A fresh server did not: the script is what was sent when it was seen.
};
std::string_view Name(FindingState state);
std::optional<FindingState> FindingStateFrom(std::string_view name);

// What passed on one connection. The offsets are of the first byte kept, from the start of the stream.
struct FindingStream {
  engine::Bytes sent = {};
  engine::Bytes received = {};
  std::uint64_t sent_offset = 0;
  std::uint64_t received_offset = 0;
  bool operator==(const FindingStream&) const = default;
};

// What reports draw of a finding: made while it is seen, and not kept on the disk, so that it makes no two differ.
struct FindingPicture {
  std::vector<reports::Message> messages = {};  // Those that were judged, marked, and what is around them.
  std::vector<reports::Bar> bars = {};
  bool operator==(const FindingPicture& /*other*/) const { return true; }
};

// That a run has seen a finding. A run has one of each, and its count only grows: so findings of several runs are put
// together in any order, and also twice.
struct Sighting {
  std::string run = {};  // No other has it. Empty: what was kept by an nbdspec that did not yet write who has seen it.
  std::uint64_t seed = 0;
  std::string shard = {};           // "2/4".
  std::uint64_t script_number = 0;  // Where it was seen first.
  std::uint64_t count = 0;
  bool operator==(const Sighting&) const = default;
};

struct Finding {
  FindingKind kind = FindingKind::kBrokenRule;
  std::string rule = {};          // Id of the requirement.
  std::string request_kind = {};  // With its flags: "status req-one". Empty when it is about no single request.
  std::string expected = {};      // For people, as are the next.
  std::string saw = {};
  std::vector<std::string> timeline = {};  // Of a wrong byte: a line for each request that had to do with it.
  std::string known = {};                  // The public name of the bug; empty when it has none.
  FindingState state = FindingState::kObserved;

  // Of a client's: what it met (fuzz/clients/client_case.h). There are no scripts then, the server below is the client,
  // and its kinds mean: wrong-data, success with other bytes than there are; false-claim, with a map that is false.
  std::string client_case = {};
  engine::Script script = {};
  // The same after all that was sent to that server before, unless `script` alone is known to show it.
  std::optional<engine::Script> whole = {};
  std::size_t step = 0;                         // Which step of the script it was seen at.
  std::vector<std::string> transcript = {};     // Decoded, with offsets; a line each.
  std::vector<FindingStream> connections = {};  // The first is connection 1.
  FindingPicture picture = {};
  std::string server_ended = {};   // How, when it did.
  std::string server_stderr = {};  // The last that it wrote there: raw, but not from a file.

  std::uint64_t seed = 0;
  std::uint64_t script_number = 0;  // Of the run with that seed, from 0.
  std::uint64_t count = 1;          // How often the same was seen: by this run, and on the disk by all of `seen_by`.
  std::vector<Sighting> seen_by = {};
  // It looks like another one that was there before, whose script did not show it: nobody makes one of them.
  bool is_apart = false;
  // Not on the disk: what another run has kept that looks like the same. After Reproduce: only if it shows here, too.
  std::optional<engine::Script> elsewhere = {};
  std::string target = {};          // "nbdkit 1.32.5 (file)"
  std::string target_words = {};    // How a command line names it.
  std::string replay_options = {};  // What `nbdspec replay` needs to do the same: "--in-flight 1".
  std::string version = {};         // Of nbdspec.
  bool operator==(const Finding&) const = default;
};

// What makes two findings the same: kind, rule and kind of request. Also a file name: lower case, digits, '-' and '.'.
// Example: "wrong-data.read.df", "broken-rule.block-status.sum-before-last.status".
std::string KeyOf(const Finding& finding);

// The assertion that failed in a server that died of it, and where, as it said; else empty. Then it matters little what
// was requested.
std::string AssertionOf(const Finding& finding);

// "wrong-data of transmission.write.then-reply: expected byte 7 at 0; saw byte 0".
std::string SummaryOf(const Finding& finding);

// Whether Finding::target_words name a command, "--spawn 'srv {socket}'", and not a server or a client that nbdspec
// knows by name, or an address. Where they come from a file, somebody else may have written it.
bool NamesACommand(std::string_view target_words);

// What permits `nbdspec replay` to start a command that comes from a file.
inline constexpr char kRunItsCommand[] = "--run-its-command";

// The command that replays `finding`, which is saved in `directory`, as a shell reads it.
std::string ReplayLine(const Finding& finding, const std::string& directory);

struct FileFacts {
  std::uint64_t bytes = 0;
  std::uint64_t fnv1a = 0;
  bool operator==(const FileFacts&) const = default;
};

struct About {
  Finding finding = {};  // Without what stands in the other files.
  std::string replay = {};
  std::map<std::string, FileFacts> files = {};  // By name.
  bool operator==(const About&) const = default;
};

inline constexpr std::size_t kAboutBytesMax = std::size_t{4} << 20;

// `text` may be any bytes. Members that are missing or of another type are empty; unknown ones are ignored.
// Errors: a sentence without a directory, "about.json lists no files"; more than kAboutBytesMax.
std::expected<About, engine::Trouble> ParseAbout(std::string_view text);

// What is no valid UTF-8 is replaced: JSON holds no other.
std::string Print(const About& about);

}  // namespace nbdspec::fuzz
