// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/fold.h"

namespace nbdspec::fuzz {

namespace {

using engine::Trouble;
using Held = std::unique_ptr<FolderLock::Held>;

constexpr std::string_view kBefore = ".before";
constexpr std::string_view kWriting = ".writing";
constexpr int kNamesMax = 100000;
constexpr std::size_t kAlikeMax = 64;  // Of those with one key, the last ones are looked at.
// How long another run may put a finding in its place, which is a matter of milliseconds. Then it is stuck.
constexpr std::chrono::seconds kLockPatience{20};

std::unexpected<Trouble> CannotWrite(const std::string& path) {
  return std::unexpected(Trouble{"Cannot write the finding " + engine::Quoted(path, 200) + ": " +
                                 std::generic_category().message(errno) +
                                 ". Name a directory with space left with --findings."});
}

// The same, and what was written of it is removed.
std::unexpected<Trouble> CannotWriteAll(const std::string& path) {
  auto trouble = CannotWrite(path);
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  return trouble;
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    names.push_back(each->path().filename().string());
  }
  return names;
}

std::string NameOf(const std::string& saved) { return std::filesystem::path(saved).filename().string(); }

// The number of what is called `name`, if its key is `key`; else 0.
int NumberIn(std::string_view name, std::string_view key) {
  if (!name.starts_with(key) || name.size() < key.size() + 2 || name[key.size()] != '-') {
    return 0;
  }
  name.remove_prefix(key.size() + 1);
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

// Of a finding that was being replaced, the older one gets its place again where that is all there is.
void PutBack(const std::string& directory) {
  std::error_code error;
  for (const std::string& name : NamesIn(directory)) {
    const std::string path = directory + "/" + name;
    const std::string newer = path.substr(0, path.size() - std::min(path.size(), kBefore.size()));
    if (name.ends_with(kBefore) && !std::filesystem::exists(newer, error)) {
      std::filesystem::rename(path, newer, error);
    }
  }
}

// What was being written, and what has been replaced.
void RemoveHalves(const std::string& directory) {
  std::error_code error;
  for (const std::string& name : NamesIn(directory)) {
    if ((name.starts_with('.') && name.ends_with(kWriting)) || name.ends_with(kBefore)) {
      std::filesystem::remove_all(directory + "/" + name, error);
    }
  }
}

// Whether both were one directory once.
bool IsCopyOf(const Finding& a, const Finding& b) {
  return a.script == b.script && a.client_case == b.client_case && a.is_apart == b.is_apart;
}

// No other run has it: it is no seed, and nothing else depends on it.
std::string RunName() {
  std::random_device random;
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%08x%08x", random(), random());
  return text.data();
}

}  // namespace

FindingStore::FindingStore(std::string directory, FindingRun run)
    : directory_(std::move(directory)), run_(std::move(run)), run_name_(RunName()) {}

std::expected<FindingStore, Trouble> FindingStore::Open(std::string directory, FindingRun run) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || ::access(directory.c_str(), W_OK | X_OK) != 0) {
    const std::string why = error ? error.message() : std::generic_category().message(errno);
    return std::unexpected(Trouble{"Cannot keep findings in " + engine::Quoted(directory, 200) + ": " + why +
                                   ". Name another directory with --findings."});
  }
  FindingStore store(std::move(directory), std::move(run));
  store.TidyUp();
  return store;
}

void FindingStore::TidyUp() {
  lock_ = FolderLock::Open(directory_);
  if (lock_ != nullptr) {
    if (lock_->UseAlone()) {
      PutBack(directory_);
      RemoveHalves(directory_);
    }
    lock_->Use();
  }
  for (std::string& name : NamesIn(directory_)) {
    before_.insert(std::move(name));
  }
}

// What a killed run left is put in order.
Held FindingStore::Hold() {
  Held held = lock_ != nullptr ? lock_->Hold(kLockPatience) : nullptr;
  if (held != nullptr) {
    PutBack(directory_);
  }
  return held;
}

// Those of other runs that look like `finding`, by their numbers.
std::vector<FindingStore::Kept> FindingStore::Alike(const Finding& finding) const {
  const std::string key = KeyOf(finding);
  std::vector<std::pair<int, std::string>> names;
  for (std::string& name : NamesIn(directory_)) {
    if (const int number = NumberIn(name, key); number > 0) {
      names.emplace_back(number, std::move(name));
    }
  }
  std::ranges::sort(names);
  names.erase(names.begin(), names.end() - static_cast<std::ptrdiff_t>(std::min(names.size(), kAlikeMax)));
  std::vector<Kept> alike;
  for (const auto& [number, name] : names) {
    const std::string path = directory_ + "/" + name;
    auto there = ReadFinding(path);
    if (there && LooksTheSame(*there, finding) && std::ranges::count(there->seen_by, run_name_, &Sighting::run) == 0) {
      alike.push_back({.directory = path, .finding = *std::move(there)});
    }
  }
  return alike;
}

// Those that are one with `finding` for somebody who cannot look whether they are.
std::vector<FindingStore::Kept> FindingStore::AlikeToMerge(const Finding& finding) const {
  std::vector<Kept> alike = Alike(finding);
  std::erase_if(alike, [&](const Kept& each) {
    return (finding.is_apart || each.finding.is_apart) && !IsCopyOf(finding, each.finding);
  });
  return alike;
}

std::vector<Sighting> FindingStore::WithOwn(std::vector<Sighting> sightings, const Finding& finding) const {
  return Together(std::move(sightings), {{.run = run_name_,
                                          .seed = run_.seed,
                                          .shard = run_.shard,
                                          .script_number = finding.script_number,
                                          .count = finding.count}});
}

std::expected<std::string, Trouble> FindingStore::Save(const Finding& finding) {
  const Held held = Hold();
  if (held != nullptr) {
    return SaveHeld(finding);
  }
  Finding own = finding;
  own.seen_by = WithOwn({}, finding);
  return SaveApart(std::move(own));
}

std::expected<std::string, Trouble> FindingStore::SaveHeld(const Finding& finding) {
  Finding own = finding;
  own.seen_by = WithOwn({}, finding);
  std::vector<Kept> alike = Alike(finding);
  Kept* older = nullptr;  // The last one: those before it did not show when it was found.
  Kept* same = nullptr;
  for (Kept& each : alike) {
    // Who gives a bug its public name has looked whether it is that one.
    if (before_.contains(NameOf(each.directory)) && finding.known.empty()) {
      older = &each;
    } else if (same == nullptr) {
      same = &each;
    }
  }
  std::string saved = same != nullptr ? same->directory : "";
  if (same != nullptr) {
    elsewhere_.insert_or_assign(saved, same->finding.script);
    NBDSPEC_RETURN_IF_ERROR(FoldInto(saved, std::move(own)));
  } else {
    NBDSPEC_ASSIGN_OR_RETURN(apart, SaveApart(std::move(own)));
    saved = std::move(apart);
  }
  if (older != nullptr) {
    elsewhere_.insert_or_assign(saved, older->finding.script);
    older_.insert_or_assign(saved, std::move(*older));
  }
  return saved;
}

// As a finding of its own.
std::expected<std::string, Trouble> FindingStore::SaveApart(Finding finding) {
  finding.count = CountOf(finding.seen_by);
  const std::string written = directory_ + "/." + KeyOf(finding) + "." + run_name_ + std::string(kWriting);
  for (int number = 1; number < kNamesMax; ++number) {
    const std::string name = directory_ + "/" + KeyOf(finding) + "-" + std::to_string(number);
    std::error_code error;
    if (std::filesystem::exists(name, error) || std::filesystem::exists(name + std::string(kBefore), error)) {
      continue;
    }
    if (!WriteFiles(finding, written, name)) {
      return CannotWriteAll(written);
    }
    if (::rename(written.c_str(), name.c_str()) == 0) {
      SyncDirectory(directory_);
      return name;
    }
    if (errno != EEXIST && errno != ENOTEMPTY) {  // Another run took the name meanwhile.
      return CannotWrite(name);
    }
  }
  errno = EEXIST;
  return CannotWrite(directory_);
}

// Makes one of what is there and `finding`: the better one, which all have seen that have seen one of them.
std::expected<void, Trouble> FindingStore::FoldInto(const std::string& saved, Finding finding) {
  const auto there = ReadFinding(saved);
  if (there) {
    finding.seen_by = Together(SightingsOf(*there), finding.seen_by);
    finding.is_apart = finding.is_apart || there->is_apart;
  }
  finding.count = CountOf(finding.seen_by);
  if (!there || !IsBetter(*there, finding)) {
    return PutInPlace(saved, finding);
  }
  return WriteSightings(saved, finding.seen_by) ? std::expected<void, Trouble>() : CannotWrite(saved);
}

std::expected<void, Trouble> FindingStore::PutInPlace(const std::string& saved, const Finding& finding) {
  const std::string written = directory_ + "/." + NameOf(saved) + "." + run_name_ + std::string(kWriting);
  const std::string before = saved + std::string(kBefore);
  std::error_code error;
  if (!WriteFiles(finding, written, saved)) {
    return CannotWriteAll(written);
  }
  std::filesystem::remove_all(before, error);  // Left by a crash: `saved` is the newer one.
  if (::rename(saved.c_str(), before.c_str()) != 0 || ::rename(written.c_str(), saved.c_str()) != 0) {
    return CannotWrite(saved);
  }
  SyncDirectory(directory_);
  std::filesystem::remove_all(before, error);
  return {};
}

std::optional<engine::Script> FindingStore::Elsewhere(const std::string& saved) const {
  const auto script = elsewhere_.find(saved);
  return script == elsewhere_.end() ? std::nullopt : std::optional(script->second);
}

// Whether `finding`, which was saved as `saved`, is one with what looked the same before this run began: its script
// shows it here, too, or is this one; or nothing shows either.
bool FindingStore::IsOneWithOlder(const std::string& saved, const Finding& finding) const {
  const auto older = older_.find(saved);
  if (older == older_.end()) {
    return false;
  }
  const auto there = ReadFinding(older->second.directory);
  const auto is_shown = [](const Finding& each) { return each.state == FindingState::kReproduced; };
  return there && LooksTheSame(*there, finding) &&
         ((is_shown(finding) && finding.elsewhere) || (!is_shown(finding) && !is_shown(*there)) ||
          (there->script == finding.script && there->client_case == finding.client_case));
}

std::expected<std::string, Trouble> FindingStore::Replace(const std::string& saved, const Finding& finding) {
  const Held held = Hold();
  Finding own = finding;
  own.seen_by = WithOwn({}, finding);
  if (held != nullptr && IsOneWithOlder(saved, finding)) {
    std::string older = older_.at(saved).directory;
    NBDSPEC_RETURN_IF_ERROR(FoldInto(older, std::move(own)));
    TakeBack(saved);
    return older;
  }
  own.is_apart = older_.contains(saved);
  // Its key may have changed since; and who merges directories may have put it elsewhere.
  if (held != nullptr && (NumberIn(NameOf(saved), KeyOf(finding)) == 0 || !HoldsFinding(saved))) {
    NBDSPEC_ASSIGN_OR_RETURN(moved, SaveHeld(finding));
    TakeBack(saved);
    return std::move(moved);
  }
  NBDSPEC_RETURN_IF_ERROR(FoldInto(saved, std::move(own)));
  return saved;
}

void FindingStore::Remove(const std::string& saved) {
  const Held held = Hold();
  TakeBack(saved);
}

// What only this run has seen is gone.
void FindingStore::TakeBack(const std::string& saved) {
  const auto there = ReadFinding(saved);
  if (there) {
    std::vector<Sighting> others = there->seen_by;
    std::erase_if(others, [this](const Sighting& each) { return each.run == run_name_; });
    if (!others.empty()) {
      WriteSightings(saved, others);
      return;
    }
  }
  RemoveWhole(saved);
}

void FindingStore::RemoveWhole(const std::string& saved) const {
  // Half of it would look like a torn finding after a kill.
  const std::string unseen = directory_ + "/." + NameOf(saved) + "." + run_name_ + std::string(kWriting);
  std::error_code error;
  std::filesystem::remove_all(unseen, error);
  std::filesystem::rename(saved, unseen, error);
  std::filesystem::remove_all(unseen, error);
}

std::expected<bool, Trouble> FindingStore::Add(const Finding& finding) {
  const Held held = Hold();
  if (held == nullptr) {
    return std::unexpected(
        Trouble{"Another run keeps " + engine::Quoted(directory_, 200) +
                " locked, or its file system has no locks. Merge into a directory on a local disk."});
  }
  Finding added = finding;
  added.seen_by = SightingsOf(finding);
  const std::vector<Kept> alike = AlikeToMerge(finding);
  if (!alike.empty()) {
    NBDSPEC_RETURN_IF_ERROR(FoldInto(alike.front().directory, std::move(added)));
    return true;
  }
  NBDSPEC_RETURN_IF_ERROR(SaveApart(std::move(added)));
  return false;
}

std::expected<std::size_t, Trouble> FindingStore::FoldAll() {
  std::size_t folded_count = 0;
  for (const std::string& path : ListFindings(directory_)) {
    const Held held = Hold();
    const auto finding = ReadFinding(path, /*keeps_streams=*/true);
    if (held == nullptr || !finding) {
      continue;
    }
    const std::vector<Kept> alike = AlikeToMerge(*finding);
    if (!alike.empty() && alike.front().directory != path) {
      Finding added = *finding;
      added.seen_by = SightingsOf(*finding);
      NBDSPEC_RETURN_IF_ERROR(FoldInto(alike.front().directory, std::move(added)));
      RemoveWhole(path);
      ++folded_count;
    }
  }
  return folded_count;
}

std::expected<FindingKeeper, Trouble> FindingKeeper::Open(const std::string& directory, FindingRun run) {
  FindingKeeper keeper;
  if (!directory.empty()) {
    NBDSPEC_ASSIGN_OR_RETURN(store, FindingStore::Open(directory, std::move(run)));
    keeper.store_ = std::move(store);
  }
  return keeper;
}

std::string FindingKeeper::Save(const Finding& finding) {
  if (!store_) {
    return {};
  }
  if (auto saved = store_->Save(finding); saved) {
    return *std::move(saved);
  } else {
    Stop(std::move(saved).error());
    return {};
  }
}

std::optional<engine::Script> FindingKeeper::Elsewhere(const std::string& saved) const {
  return store_ ? store_->Elsewhere(saved) : std::nullopt;
}

std::string FindingKeeper::Replace(const std::string& saved, const Finding& finding) {
  if (!store_ || saved.empty()) {
    return saved;
  }
  auto replaced = store_->Replace(saved, finding);
  if (!replaced) {
    Stop(std::move(replaced).error());
    return saved;
  }
  return *std::move(replaced);
}

void FindingKeeper::Remove(const std::string& saved) {
  if (store_ && !saved.empty()) {
    store_->Remove(saved);
  }
}

void FindingKeeper::Stop(Trouble why) {
  trouble_ = std::move(why);
  store_.reset();
}

std::chrono::milliseconds TimeForOne(std::chrono::milliseconds limit, std::chrono::milliseconds left,
                                     std::chrono::milliseconds most) {
  constexpr std::chrono::milliseconds kGraceMin{1000};  // What the last one may take after the time is over,
  constexpr int kGraceShare = 10;                       // and as a share of all.
  if (limit.count() == 0) {
    return most;
  }
  const auto grace = std::max(kGraceMin, limit / kGraceShare);
  return std::clamp((left.count() > 0 ? left / 2 : left) + grace, std::chrono::milliseconds(0), most);
}

std::vector<std::string> ListFindings(const std::string& directory) {
  std::vector<std::string> found;
  for (const std::string& name : NamesIn(directory)) {
    // While one is replaced the older is beside it; it counts when the newer did not get its place.
    const std::string path = (std::filesystem::path(directory) / name).string();
    std::error_code unseen;
    const bool is_replaced =
        name.ends_with(kBefore) && std::filesystem::exists(path.substr(0, path.size() - kBefore.size()), unseen);
    if (!name.starts_with('.') && !is_replaced && HoldsFinding(path)) {
      found.push_back(path);
    }
  }
  std::ranges::sort(found);
  return found;
}

std::expected<Merged, Trouble> MergeFindings(const std::string& into, const std::vector<std::string>& from,
                                             const std::function<void(const Trouble&)>& on_torn) {
  NBDSPEC_ASSIGN_OR_RETURN(store, FindingStore::Open(into));
  Merged merged;
  std::error_code error;
  for (const std::string& directory : from) {
    if (std::filesystem::equivalent(directory, into, error)) {
      continue;
    }
    for (const std::string& path : ListFindings(directory)) {
      const auto finding = ReadFinding(path, /*keeps_streams=*/true);
      if (!finding) {
        on_torn(finding.error());
        ++merged.torn_count;
        continue;
      }
      NBDSPEC_ASSIGN_OR_RETURN(is_folded, store.Add(*finding));
      ++(is_folded ? merged.folded_count : merged.new_count);
    }
  }
  NBDSPEC_ASSIGN_OR_RETURN(folded_count, store.FoldAll());
  merged.folded_count += folded_count;
  return merged;
}

}  // namespace nbdspec::fuzz
