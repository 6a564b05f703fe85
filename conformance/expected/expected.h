// SPDX-License-Identifier: BSD-3-Clause
// Lists of expected failures: what a server or a client is known to do wrong, and why that is no news.
//
// A list is text for people:
//
//   # A comment.
//   [nbd-server 3.2?]               the entries below are of this target; a glob of its versions may follow
//   option.abort.ack          fail  a check's id or a glob of ids, and the verdict to expect
//   baseline.abort.server     fail|pass
//       Closes without a reply.     why: of the entries above it, in one line or more
//       https://example.org/1       a link; there need be none
//
// Entries before the first [...] are of any target. A target is named by its program, its name on the command line or
// its description (nbdkit, qemu-nbd:qcow2, *my-server*). Where nobody knows the program, as behind a URI, the name of
// the list stands for it. A verdict is fail, crash (it fails for a
// signal killed the server, which fail alone does not stand for), inconclusive, flaky or warn; what comes out
// differently from time to time has several, and pass or n/a among them.

#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

// The ids that an entry may have besides those of checks: of the conversations before and after them.
inline constexpr std::string_view kSanityIds[] = {"sanity.before", "sanity.after"};

struct ExpectedEntry {
  std::size_t line = 0;         // Of its list, from 1.
  std::string target;           // A glob; empty: any.
  std::string version;          // A glob; empty: any.
  std::string id;               // Of a check, or a glob.
  std::size_t check_count = 1;  // Of how many checks.
  std::vector<std::string> verdicts;
  std::string reason;  // Never empty; its first line says it in short.
  std::string link;    // May be empty.
};

struct ExpectedList {
  std::string name;  // As the user gives it.
  std::vector<ExpectedEntry> entries;
};

// Reads the list `text` whose entries are of `ids`. Errors: the first line that is wrong, as "NAME:LINE: sentence".
std::expected<ExpectedList, engine::Trouble> ParseExpected(std::string_view name, std::string_view text,
                                                           std::span<const std::string_view> ids);

// Marks what `lists` expect in `run`, names the entries that hold no longer, and sets Run::exit where the outcomes
// decide it. An entry of which nothing was asked, or could be (a skip), holds.
void LayOver(std::span<const ExpectedList> lists, reports::Run& run);

struct UpdatedList {
  std::string text;
  std::vector<std::string> changes;  // A line for each: "+ option.abort.ack fail".
  bool needs_reasons = false;        // Some entry says kSayWhy, which ParseExpected refuses.
};

inline constexpr std::string_view kSayWhy = "say why";

// The list `text` as `run` came out: what fails and is not in it is added, with kSayWhy; verdicts that changed are
// changed; entries that hold no longer are taken out. Comments, reasons, order and entries of other targets stay.
// Errors: as ParseExpected, but for reasons that say kSayWhy.
std::expected<UpdatedList, engine::Trouble> UpdateExpected(std::string_view name, std::string_view text,
                                                           const reports::Run& run,
                                                           std::span<const std::string_view> ids);

// --- The lists that come with nbdspec: of stock servers, each outcome traced to the specification and the source, and
// of stock clients ---

struct ShippedList {
  std::string_view name;
  spec::Role judged;
  std::string_view text;
};
std::span<const ShippedList> ShippedLists();

// One of them, read, and the versions that it was made of: its first line names them, as "... 1.32.5, 1.42.3
// and 1.48.1."
struct StockList {
  ExpectedList list;
  std::vector<std::string> versions;
};

// All of those that judge `role`. `ids` are as those of ParseExpected; one that cannot be read is our bug and aborts.
std::vector<StockList> StockLists(spec::Role role, std::span<const std::string_view> ids);

// What lists of one role have of the check `id`, in a line: "nbdkit warns, nbd-server (3.26.1, 3.27.1) fails; not known
// of qemu-nbd". What a list does not have passes there, or nobody asked it; so that is all that can be said. A glob of
// ids, of which some check fails, says nothing of this one.
std::string StockOn(std::span<const StockList> stock, std::string_view id);
// The same of all checks of a clause: what was found otherwise may be what one of them asks.
std::string StockOnClause(std::span<const StockList> stock, std::string_view requirement);

}  // namespace nbdspec::conformance
