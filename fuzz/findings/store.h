// SPDX-License-Identifier: BSD-3-Clause
// Findings on the disk: a directory each, that no crash leaves half written, and that several runs share.
//
//   KEY-1/about.json       what it is, who has seen it, and the length and checksum of each other file
//   KEY-1/script.txt       what to send: the text form of a script
//   KEY-1/case.txt         of a client's finding, in its place: what it met
//   KEY-1/whole.txt        the same after all that was sent before, unless script.txt is known to show it alone
//   KEY-1/transcript.txt   what passed, decoded, with offsets
//   KEY-1/sent.bin, received.bin   the same, raw; sent-2.bin and so on for further connections
//   KEY-1/stderr.txt       the server's last words
//   .lock                  empty: who uses the directory (folder_lock.h)
//
// A finding is written beside its place, synced, and renamed: a directory with an about.json is whole, or torn by
// something else than us, and then ReadFinding says so. While it is replaced the one before is KEY-1.before.
//
// Runs that keep findings in one directory at the same time, on one host or on several, have one of each: what looks
// the same (fold.h) has the better script of both, and names all that have seen it. What was there before a run began
// may be another bug that looks the same: it is one with it only when its script shows it in that run, too, and else
// the new one gets a number of its own. Where the file system has no locks, each run keeps its own.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "fuzz/findings/finding.h"
#include "fuzz/findings/finding_files.h"
#include "fuzz/findings/folder_lock.h"

namespace nbdspec::fuzz {

// The run that keeps what it finds.
struct FindingRun {
  std::uint64_t seed = 0;
  std::string shard = {};  // "2/4".
};

class FindingStore {
 public:
  // Makes `directory`, when it is not there; else what runs left half written that were killed is removed, unless
  // another run keeps findings there now. Errors: it cannot be written to.
  static std::expected<FindingStore, engine::Trouble> Open(std::string directory, FindingRun run = {});

  // Writes a new finding, or counts it with the one that another run keeps now and that looks the same; it is on the
  // disk when this returns. What this run has saved before is never it. Returns its directory.
  // Errors: the file system's.
  std::expected<std::string, engine::Trouble> Save(const Finding& finding);

  // A script of other runs for what Save returned `saved` for: it may show the same.
  [[nodiscard]] std::optional<engine::Script> Elsewhere(const std::string& saved) const;

  // Replaces what Save made by `finding`, unless another run has put a better one there: then it is counted with that.
  // Either the old or the new finding is on the disk at any moment. Returns its directory, which is another one where
  // its key has changed, or where it is the same as what was there before this run began.
  std::expected<std::string, engine::Trouble> Replace(const std::string& saved, const Finding& finding);

  // This run has not seen what Save made after all, for it is the same as another: removes it, unless others have.
  // At any moment it is whole on the disk, or not to be seen.
  void Remove(const std::string& saved);

  // Puts `finding`, which some runs have seen, to the one that looks the same, or keeps it apart where there is none.
  // Returns whether there was one. Errors: the file system's; it cannot be locked.
  std::expected<bool, engine::Trouble> Add(const Finding& finding);

  // Makes one of those here that look the same. Returns how many were removed. Errors: as those of Add.
  std::expected<std::size_t, engine::Trouble> FoldAll();

 private:
  struct Kept {
    std::string directory;
    Finding finding;
  };

  explicit FindingStore(std::string directory, FindingRun run);

  void TidyUp();
  std::unique_ptr<FolderLock::Held> Hold();
  [[nodiscard]] std::vector<Kept> Alike(const Finding& finding) const;
  [[nodiscard]] std::vector<Kept> AlikeToMerge(const Finding& finding) const;
  [[nodiscard]] std::vector<Sighting> WithOwn(std::vector<Sighting> sightings, const Finding& finding) const;
  std::expected<std::string, engine::Trouble> SaveHeld(const Finding& finding);
  std::expected<std::string, engine::Trouble> SaveApart(Finding finding);
  std::expected<void, engine::Trouble> FoldInto(const std::string& saved, Finding finding);
  std::expected<void, engine::Trouble> PutInPlace(const std::string& saved, const Finding& finding);
  [[nodiscard]] bool IsOneWithOlder(const std::string& saved, const Finding& finding) const;
  void RemoveWhole(const std::string& saved) const;
  void TakeBack(const std::string& saved);

  std::string directory_;
  FindingRun run_;
  std::string run_name_;                             // In Sighting::run.
  std::set<std::string> before_;                     // What was there when this run began.
  std::shared_ptr<FolderLock> lock_;                 // Null where there are none.
  std::map<std::string, Kept> older_;                // By what was saved: what was there before and looks the same,
  std::map<std::string, engine::Script> elsewhere_;  // and the script of others for it.
};

// What one run keeps in a store, or in none. A finding that cannot be written is found all the same: the run goes on,
// keeps nothing from then on, and has the trouble to tell.
class FindingKeeper {
 public:
  // `directory`: of the store; empty for none. Errors: as FindingStore::Open.
  static std::expected<FindingKeeper, engine::Trouble> Open(const std::string& directory, FindingRun run);

  // As those of FindingStore. Save returns "" where nothing is kept; the others do nothing with "", and Replace returns
  // what it was given where nothing is kept any more.
  std::string Save(const Finding& finding);
  [[nodiscard]] std::optional<engine::Script> Elsewhere(const std::string& saved) const;
  std::string Replace(const std::string& saved, const Finding& finding);
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

// The directories in `directory` that hold a finding, whole or torn, sorted; those that were left by a crash while
// they were replaced included.
std::vector<std::string> ListFindings(const std::string& directory);

// What was put together.
struct Merged {
  std::size_t new_count = 0;     // Kept as they are.
  std::size_t folded_count = 0;  // The same as another.
  std::size_t torn_count = 0;    // Of which `on_torn` was called.
};

// Puts the findings of each of `from` into `into`, which is made where it is not there, and makes one of those there
// that look the same; `from` stays as it is. The same again changes nothing. Errors: `into` cannot be written to.
std::expected<Merged, engine::Trouble> MergeFindings(const std::string& into, const std::vector<std::string>& from,
                                                     const std::function<void(const engine::Trouble&)>& on_torn);

}  // namespace nbdspec::fuzz
