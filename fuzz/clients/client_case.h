// SPDX-License-Identifier: BSD-3-Clause
// ClientCase: what a client under test meets once, as a value that prints, parses and replays: the truth, which is the
// export's bytes and what is said of them, and how the server that serves it is odd and yet right.
//
// The text form is for people, to read and to edit. It is the truth as engine/script writes it (script.h), with some
// lines besides:
//
//   # nbdspec client case
//   command nbdcopy {uri} {output}       what ran; to the end of the line
//   odd server_reads_from_the_end        one of engine/oddities; a line for each
//   pieces 13                            the server speaks in pieces of so many bytes; whole when left out
//   wait 2                               milliseconds before it says something; 0 when left out
//   tcp                                  {uri} is of TCP
//   tls                                  inside TLS
//   size 4K
//   initial hole,zero                    hole (which has data) when left out
//   add 512 +1K data

#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/clients/scenario.h"
#include "engine/base/error.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

// The first line that Print writes.
inline constexpr std::string_view kClientCaseHeader = "# nbdspec client case";

struct ClientCase {
  std::string command = {};
  std::vector<std::string> oddities = {};  // Names, in the order of AllOddities, which is how they are applied.
  conformance::Pace pace = {};
  bool tcp = false;
  bool tls = false;
  engine::Script truth = {};  // No step but AddStep.
  bool operator==(const ClientCase&) const = default;
};

// Of an export in a case: bytes. It is in memory, and copied.
inline constexpr std::uint64_t kCaseBytesMax = std::uint64_t{256} << 20;

std::string Print(const ClientCase& met);

// Errors: a sentence that names the line, for the first mistake.
std::expected<ClientCase, engine::Trouble> ParseClientCase(std::string_view text);

// The extents of the truth, merged. Range: `met` was made by RandomCase or ParseClientCase, or shrunk from one.
engine::ExtentMap ExtentsOf(const ClientCase& met);

// What `met` is for the checks of clients. An export with blocks above one byte is filled up with zeroes to whole ones.
conformance::Scenario ScenarioOf(const ClientCase& met);

// In one line: "4K: [0, 512) hole,zero, [512, 1536) data, ...".
std::string DescribeTruth(const ClientCase& met);

}  // namespace nbdspec::fuzz
