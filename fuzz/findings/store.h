// SPDX-License-Identifier: BSD-3-Clause
// Findings on the disk: a directory each, that no crash leaves half written.
//
//   KEY-1/about.json       what it is, and the length and checksum of each other file
//   KEY-1/script.txt       what to send: the text form of a script
//   KEY-1/case.txt         of a client's finding, in its place: what it met
//   KEY-1/whole.txt        the same after all that was sent before, unless script.txt is known to show it alone
//   KEY-1/transcript.txt   what passed, decoded, with offsets
//   KEY-1/sent.bin, received.bin   the same, raw; sent-2.bin and so on for further connections
//   KEY-1/stderr.txt       the server's last words
//
// A finding is written beside its place, synced, and renamed: a directory with an about.json is whole, or torn by
// something else than us, and then ReadFinding says so. While it is replaced the one before is KEY-1.before.

#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

class FindingStore {
 public:
  // Makes `directory`, when it is not there; else what runs left half written that were killed is removed, unless
  // another run keeps findings there now. Errors: it cannot be written to.
  static std::expected<FindingStore, engine::Trouble> Open(std::string directory);

  // Writes a new finding; it is on the disk when this returns. Returns its directory.
  // Errors: the file system's.
  std::expected<std::string, engine::Trouble> Save(const Finding& finding);

  // Replaces what Save made. Either the old or the new finding is on the disk at any moment.
  std::expected<void, engine::Trouble> Replace(const std::string& saved, const Finding& finding);

  // Removes what Save made: it is the same as another. At any moment it is whole on the disk, or not to be seen.
  void Remove(const std::string& saved);

 private:
  explicit FindingStore(std::string directory) : directory_(std::move(directory)) {}

  void TidyUp();

  std::string directory_;
  std::shared_ptr<const int> lock_;  // Of the directory, shared by all runs that keep findings there. Null for none.
};

// What one run keeps in a store, or in none. A finding that cannot be written is found all the same: the run goes on,
// keeps nothing from then on, and has the trouble to tell.
class FindingKeeper {
 public:
  // `directory`: of the store; empty for none. Errors: as FindingStore::Open.
  static std::expected<FindingKeeper, engine::Trouble> Open(const std::string& directory);

  // As those of FindingStore. Save returns "" where nothing is kept; the others do nothing with "".
  std::string Save(const Finding& finding);
  void Replace(const std::string& saved, const Finding& finding);
  void Remove(const std::string& saved);

  // Why nothing is kept any more.
  [[nodiscard]] const std::optional<engine::Trouble>& trouble() const { return trouble_; }

 private:
  void Stop(engine::Trouble why);

  std::optional<FindingStore> store_;
  std::optional<engine::Trouble> trouble_;
};

// How long a run that may take `limit` (0: any time), of which `left` is left, or less than nothing, looks at one
// finding, at `most`: until then the others are not found, and all is to end soon after its time.
std::chrono::milliseconds TimeForOne(std::chrono::milliseconds limit, std::chrono::milliseconds left,
                                     std::chrono::milliseconds most);

// Reads a finding's directory; of the streams only whether they are whole: connections have no bytes.
// Errors: a sentence that names the file that is missing, torn, too large or not understood.
std::expected<Finding, engine::Trouble> ReadFinding(const std::string& directory);

// The directories in `directory` that hold a finding, whole or torn, sorted; those that were left by a crash while
// they were replaced included.
std::vector<std::string> ListFindings(const std::string& directory);

}  // namespace nbdspec::fuzz
