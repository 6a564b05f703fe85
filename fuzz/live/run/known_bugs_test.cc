// SPDX-License-Identifier: BSD-3-Clause
// Names of public bugs: given where they belong, and to nothing that only looks alike.
#include "fuzz/live/run/known_bugs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"
#include "engine/spec/ids.h"
#include "engine/wire/fields.h"
#include "engine/wire/protocol.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::string_view kQcow2 = "qemu-nbd -t -f qcow2 x";
constexpr std::string_view kQcow2Race = "qemu-b8bfb1478d61";

// The reference server under another name and version.
conformance::Target Named(std::string_view name, conformance::ReferenceOptions options,
                          std::string_view version = "7.2.22") {
  std::shared_ptr<conformance::Target> target = conformance::ReferenceTarget(std::move(options));
  std::istringstream text{std::string(name)};
  const std::vector<std::string> words(std::istream_iterator<std::string>(text), {});
  return {{.description = std::string(name),
           .command_line = std::string(name),
           .program = words.front(),
           .program_words = {words.begin() + 1, words.end()},
           .version = std::string(version)},
          [target](conformance::Setup setup, auto deadline) { return target->Start(setup, deadline); }};
}

FuzzOptions Options() { return {.seed = 1, .scripts_max = 30, .tries_max = 0, .live = {.in_flight = 16}}; }

FuzzReport FuzzFor(conformance::Target& target) { return Fuzz(target, Options()); }

// Where each chunk of `bytes` begins; nothing when they are not chunks throughout.
std::vector<std::size_t> ChunksIn(engine::ByteView bytes) {
  std::vector<std::size_t> begins;
  for (std::size_t at = 0; at < bytes.size();) {
    if (bytes.size() - at < 20 || engine::GetBigEndian<std::uint32_t>(bytes, at) != engine::kChunkMagic) {
      return {};
    }
    begins.push_back(at);
    at += 20 + engine::GetBigEndian<std::uint32_t>(bytes, at + 16);
  }
  return begins;
}

// Spoils a byte of each READ whose answer leaves together with that of another request; not of the long ones by which
// the bytes are learned.
bool SpoilsWhatOverlaps(engine::ByteView bytes, engine::Bytes& arrives) {
  arrives.assign(bytes.begin(), bytes.end());
  const std::vector<std::size_t> begins = ChunksIn(bytes);
  const auto cookie_at = [&](std::size_t at) { return engine::GetBigEndian<std::uint64_t>(bytes, at + 8); };
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    const bool is_data = engine::GetBigEndian<std::uint16_t>(bytes, begins[i] + 6) == engine::ChunkType::kOffsetData;
    const bool is_short = begins[i + 1] - begins[i] < (32 << 10);
    if (is_data && is_short && cookie_at(begins[i]) != cookie_at(begins.back())) {
      arrives[begins[i + 1] - 1] ^= 1;
    }
  }
  return true;
}

// The same, but only once a connection has said much: no short script shows it.
std::function<bool(engine::ByteView, engine::Bytes&)> SpoilsLater() {
  return [count = 0](engine::ByteView bytes, engine::Bytes& arrives) mutable {
    arrives.assign(bytes.begin(), bytes.end());
    return ++count < 40 || SpoilsWhatOverlaps(bytes, arrives);
  };
}

std::unique_ptr<engine::Interposer> LosesWrites(std::shared_ptr<bool> is_on = std::make_shared<bool>(true)) {
  const engine::faults::Change& loses = engine::faults::FaultNamed("server_forgets_writes").change;
  return engine::faults::Interpose(
      {.received = [=](engine::ClientMessage& received, const engine::faults::Connection& on) {
        return !*is_on || loses.received(received, on);
      }});
}

TEST(KnownBugs, ARaceIsToldByItsNameOnceAndCounted) {
  auto target = Named(kQcow2, {.wires = [] { return SpoilsWhatOverlaps; }});
  const FuzzReport report = FuzzFor(target);
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  const auto is_race = [](const auto& found) { return found.finding.known == kQcow2Race; };
  ASSERT_EQ(std::ranges::count_if(report.findings, is_race), 1);
  EXPECT_GT(std::ranges::find_if(report.findings, is_race)->finding.count, 1U);
  EXPECT_FALSE(report.HasNew());
}

TEST(KnownBugs, TheSameRaceOfAnotherServerOrOfAVersionWithTheFixIsNew) {
  for (const auto& [name, version] :
       {std::pair{std::string_view("some-server"), "7.2.22"}, {kQcow2, "10.0.11+ds-0+deb13u1"}, {kQcow2, "11.1.3"}}) {
    auto target = Named(name, {.wires = [] { return SpoilsWhatOverlaps; }}, version);
    EXPECT_TRUE(FuzzFor(target).HasNew()) << name << " " << version;
  }
}

TEST(KnownBugs, ARaceIsNewWhereWhatProvokesItDoesNotShowIt) {
  auto target = Named(kQcow2, {.wires = SpoilsLater});
  FuzzOptions options = Options();
  options.scripts_max = 200;
  const FuzzReport report = Fuzz(target, options);
  EXPECT_TRUE(report.HasNew());
  EXPECT_TRUE(std::ranges::none_of(report.findings, [](const auto& found) { return !found.finding.known.empty(); }));
}

TEST(KnownBugs, WhatShowsOneAtATimeIsNoRace) {
  auto target = Named(kQcow2, {.interposers = [](engine::Layer&) { return LosesWrites(); }});
  const FuzzReport report = FuzzFor(target);
  EXPECT_TRUE(report.HasNew());
  EXPECT_TRUE(std::ranges::none_of(report.findings, [](const auto& found) { return !found.finding.known.empty(); }));
}

// What provokes it is a write at 3M, and there the file below has data already: it is one that was there before.
TEST(KnownBugs, ABugThatOnlySomePlacesOfAnImageShowHasItsName) {
  constexpr std::uint64_t kHolesEnd = 1 << 20;
  const engine::faults::Change calls_holes_zeroes = engine::faults::ChangesStatus(
      [](const engine::Request& to, engine::BlockStatus& status, const engine::faults::Connection&) {
        for (auto& descriptor : status.descriptors) {
          descriptor.status |= to.offset < kHolesEnd ? engine::AllocationFlag::kZero : 0U;
        }
      });
  auto target = Named("nbdkit -f --filter=cache file x",
                      {.interposers = [&](engine::Layer&) { return Interpose(calls_holes_zeroes); }}, "1.32.5");
  const FuzzReport report = FuzzFor(target);
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.known, "nbdkit-cache-extents");
  EXPECT_FALSE(report.HasNew());
}

// Also once it was reproduced, when it looks like the race again.
TEST(KnownBugs, WhatShowsOneAtATimeStaysNewWhenItIsSmall) {
  auto target = Named(kQcow2, {.interposers = [](engine::Layer&) { return LosesWrites(); }});
  const FuzzReport report =
      Fuzz(target, {.seed = 1, .scripts_max = 5, .tries_max = 20, .shrink_time = std::chrono::hours(1)});
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.state, FindingState::kReproduced);
  EXPECT_TRUE(report.HasNew());
}

// Both at once: the race does not hide what needs none, though the kind, the rule and the place are the same.
TEST(KnownBugs, WhatShowsOneAtATimeIsNewBesideTheRace) {
  auto loses = std::make_shared<bool>(false);
  auto target = Named(kQcow2, {.interposers = [loses](engine::Layer&) { return LosesWrites(loses); },
                               .wires = [] { return SpoilsWhatOverlaps; }});
  FuzzOptions options = Options();
  options.on_finding = [&](const Finding& finding, const std::string&) {
    *loses = *loses || finding.known == kQcow2Race;
  };
  const FuzzReport report = Fuzz(target, options);
  EXPECT_TRUE(*loses);
  EXPECT_TRUE(report.HasNew());
}

TEST(KnownBugs, EachNeedsItsServerItsKindAndItsRule) {
  const auto target = Named("nbdkit -f --filter=cache file x", {}, "1.32.5");
  const Finding cache{.kind = FindingKind::kFalseClaim, .rule = std::string(spec::kBaseAllocationZeroReadsZero)};
  EXPECT_EQ(PublicNameOf(cache, target), "nbdkit-cache-extents");
  EXPECT_FALSE(IsRace("nbdkit-cache-extents"));
  EXPECT_EQ(PublicNameOf(cache, Named("nbdkit -f --filter=cacheextents file x", {})), "");
  EXPECT_EQ(PublicNameOf(cache, Named("mine --filter=cache file x", {})), "");
  Finding other = cache;
  other.kind = FindingKind::kWrongData;
  EXPECT_EQ(PublicNameOf(other, target), "");
  other = cache;
  other.rule = spec::kBlockStatusReqOneSingle;
  EXPECT_EQ(PublicNameOf(other, target), "");
  EXPECT_TRUE(IsRace(kQcow2Race));
  EXPECT_FALSE(IsRace(""));
}

// Folders and images may be called like servers and formats.
TEST(KnownBugs, ANameAnywhereElseInACommandNamesNoServerAndNoConfiguration) {
  const Finding race{.kind = FindingKind::kWrongData, .rule = std::string(spec::kTransmissionWriteThenReply)};
  for (const std::string_view fits : {"qemu-nbd -t -f qcow2 x", "qemu-nbd --format=qcow2 x", "qemu-nbd -fqcow2 x"}) {
    EXPECT_EQ(PublicNameOf(race, Named(fits, {})), kQcow2Race) << fits;
  }
  for (const std::string_view other :
       {"mine -f qcow2 x", "qemu-nbd -f raw qcow2", "qemu-nbd -f raw /qcow2/x", "qemu-nbd --persistent x.qcow2"}) {
    EXPECT_EQ(PublicNameOf(race, Named(other, {})), "") << other;
  }
  const conformance::Target unknown({.description = "/home/qemu-nbd/mine -f qcow2", .command_line = ""}, {});
  EXPECT_EQ(PublicNameOf(race, unknown), "");
}

TEST(KnownBugs, ABugOfAFilterNeedsTheFilter) {
  const Finding crash{.kind = FindingKind::kCrash,
                      .server_stderr = "Assertion `backend_valid_range (c, offset, count)'"};
  const auto name_for = [&](std::string_view target, std::string_view version) {
    return PublicNameOf(crash, Named(target, {}, version));
  };
  EXPECT_EQ(name_for("nbdkit --filter=blocksize memory 8G", "1.32.5"), "CVE-2025-47712");
  EXPECT_EQ(name_for("nbdkit --filter=blocksize memory 8G", "1.42.3"), "");
  EXPECT_EQ(name_for("nbdkit --filter=blocksize-policy memory 8G", "1.32.5"), "");
  EXPECT_EQ(name_for("nbdkit memory 8G", "1.32.5"), "");
}

TEST(KnownBugs, ABlockStatusOfAlmost4GiBFailsEitherAssertion) {
  const auto target = Named("nbdkit memory 8G", {}, "1.32.5");
  for (const std::string_view words :
       {"Assertion `e.length <= length' failed.", "Assertion `extents->next <= extents->end' failed."}) {
    const Finding crash{.kind = FindingKind::kCrash, .server_stderr = std::string(words)};
    EXPECT_EQ(PublicNameOf(crash, target), "CVE-2025-47711") << words;
  }
}

TEST(KnownBugs, EachNeedsAVersionThatHasIt) {
  const Finding too_many{.kind = FindingKind::kBrokenRule, .rule = std::string(spec::kBlockStatusSumBeforeLast)};
  const Finding crash{.kind = FindingKind::kCrash, .server_stderr = "Assertion `sock >= 0' failed"};
  struct Case {
    std::string_view version;
    std::string_view too_many;
    std::string_view crash;
  };
  constexpr std::string_view kCve = "CVE-2025-47711";
  constexpr std::string_view kRhbz = "rhbz#2173054";
  for (const Case& each :
       {Case{"1.32.3", kCve, ""}, Case{"1.32.5", kCve, kRhbz}, Case{"1.33.11", kCve, ""}, Case{"1.42.2-1", kCve, ""},
        Case{"1.42.3", "", ""}, Case{"1.48.1-1", "", ""}, Case{"", kCve, kRhbz}}) {
    const auto target = Named("nbdkit memory 8M", {}, each.version);
    EXPECT_EQ(PublicNameOf(too_many, target), each.too_many) << each.version;
    EXPECT_EQ(PublicNameOf(crash, target), each.crash) << each.version;
  }
}

}  // namespace
}  // namespace nbdspec::fuzz
