// SPDX-License-Identifier: BSD-3-Clause
// The oracle of the live fuzzer, proved: the reference server is never accused, and with a fault of the catalogue that
// `nbdspec fuzz` must detect it always is.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"
#include "engine/script/script.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/fuzz_fault.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::faults::Detection;
using engine::faults::FaultNamed;

FuzzOptions Options(std::uint64_t seed, std::uint64_t scripts) {
  return {.seed = seed,
          .scripts_max = scripts,
          .tries_max = 0,
          .shrink_time = std::chrono::hours(1),  // The tries are the limit, also on a machine that is slow.
          .live = {.in_flight = 16}};
}

class LiveFuzzFaults : public testing::TestWithParam<Detection> {};

TEST_P(LiveFuzzFaults, AreFound) {
  const auto& [fault, detector] = GetParam();
  const FuzzedFault fuzzed = FuzzFault(GetParam(), /*seed=*/1);
  EXPECT_FALSE(fuzzed.report.trouble) << fuzzed.report.trouble->sentence;
  EXPECT_TRUE(fuzzed.is_found) << detector.finding << " of " << detector.id << ":" << fuzzed.seen;
}

// NBDSPEC_SELFTEST_STEP: only every so many of them.
std::vector<Detection> Chosen() {
  const char* const step = std::getenv("NBDSPEC_SELFTEST_STEP");
  const std::vector<Detection> all = DetectionsBy(engine::faults::Detector::Kind::kFuzz);
  std::vector<Detection> chosen;
  for (std::size_t i = 0; i < all.size(); i += step == nullptr ? 1 : std::strtoul(step, nullptr, 10)) {
    chosen.push_back(all[i]);
  }
  return chosen;
}

INSTANTIATE_TEST_SUITE_P(All, LiveFuzzFaults, testing::ValuesIn(Chosen()),
                         [](const auto& info) { return std::string(info.param.fault.name); });

TEST(LiveFuzz, ShardsTogetherSendWhatOneRunSends) {
  constexpr std::uint64_t kScripts = 100;  // The shards get 32, 32 and 36.
  constexpr std::uint64_t kShards = 3;
  const auto target = conformance::ReferenceTarget();
  FuzzOptions all = Options(/*seed=*/5, kScripts);
  all.only_fresh = true;
  const FuzzReport whole = Fuzz(*target, all);
  FuzzReport sum;
  for (std::uint64_t index = 0; index < kShards; ++index) {
    FuzzOptions options = all;
    options.shard = {.index = index, .count = kShards};
    const FuzzReport part = Fuzz(*target, options);
    EXPECT_LT(part.script_count, kScripts / 2);
    sum.script_count += part.script_count;
    sum.command_count += part.command_count;
  }
  EXPECT_EQ(sum.script_count, kScripts);
  EXPECT_EQ(sum.command_count, whole.command_count);
}

TEST(LiveFuzz, AShardFindsWhatTheWholeRunFindsInItsScripts) {
  const auto target = ReferenceWith(FaultNamed("server_answers_flush_and_does_nothing").change);
  FuzzOptions options = Options(/*seed=*/1, 64);
  options.shard = {.index = 3, .count = 4};
  options.live.power_cut = true;
  const FuzzReport part = Fuzz(*target, options);
  ASSERT_FALSE(part.findings.empty());
  EXPECT_GE(part.findings.front().finding.script_number, 48U);
  EXPECT_LT(part.findings.front().finding.script_number, 64U);
}

// It is read, mapped, and asked for what it must refuse.
FuzzReport FuzzReadOnly(const engine::faults::Change& change) {
  const auto target = conformance::ReferenceTarget(
      {.interposers = [change](engine::Layer& layer) { return Interpose(change, 0, &layer); },
       .offers = {.read_only = true}});
  return Fuzz(*target, Options(/*seed=*/1, 100));
}

TEST(LiveFuzz, ARightReadOnlyServerIsNotAccused) {
  const FuzzReport report = FuzzReadOnly({});
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_GT(report.command_count, 1000U);
  for (const auto& found : report.findings) {
    ADD_FAILURE() << KeyOf(found.finding) << ": " << found.finding.expected << "; " << found.finding.saw;
  }
}

TEST(LiveFuzz, AReadOnlyServerThatReadsWrongIsFound) {
  const FuzzReport report = FuzzReadOnly(FaultNamed("server_reads_wrong_byte_in_front_of_64_kib").change);
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kWrongData);
}

TEST(LiveFuzz, TheReferenceServerIsNotAccusedWhenThePowerGoes) {
  FuzzOptions options = Options(/*seed=*/3, 100);
  options.live.power_cut = true;
  const auto target = conformance::ReferenceTarget();
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  for (const auto& found : report.findings) {
    ADD_FAILURE() << KeyOf(found.finding) << ": " << found.finding.expected << "; " << found.finding.saw << "\n"
                  << Print(found.finding.script);
  }
}

TEST(LiveFuzz, ADiskThatAPowerCutDamagesIsAFinding) {
  const auto target = conformance::ReferenceTarget({.damage = "ERROR cluster 3 refcount=0 reference=1\n"});
  FuzzOptions options = Options(/*seed=*/1, 10);
  options.tries_max = 500;
  options.live.power_cut = true;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_EQ(report.findings.size(), 1U);
  const Finding& damage = report.findings.front().finding;
  EXPECT_EQ(damage.kind, FindingKind::kDamage);
  EXPECT_EQ(damage.rule, spec::kTransmissionFlushCoversCompleted);
  EXPECT_EQ(damage.state, FindingState::kReproduced);
  EXPECT_TRUE(damage.saw.contains("refcount=0")) << damage.saw;
  EXPECT_EQ(damage.server_ended, "");
  EXPECT_GT(damage.count, 1U);
  EXPECT_GT(report.cut_count, 1U);
}

TEST(LiveFuzz, WhatAPowerCutTookIsMadeSmall) {
  const auto target = ReferenceWith(FaultNamed("server_answers_flush_and_does_nothing").change);
  FuzzOptions options = Options(/*seed=*/1, 40);
  options.tries_max = 2000;
  options.live.power_cut = true;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_EQ(report.findings.size(), 1U);
  const Finding& smallest = report.findings.front().finding;
  EXPECT_EQ(smallest.state, FindingState::kReproduced);
  // A write and its answer, a flush and its answer, a cut.
  EXPECT_LE(smallest.script.steps.size(), 5U) << Print(smallest.script);
}

TEST(LiveFuzz, TheReferenceServerIsNeverAccused) {
  for (const int in_flight : {1, 5, 64}) {
    FuzzOptions options = Options(/*seed=*/static_cast<std::uint64_t>(in_flight), 200);
    options.live.in_flight = in_flight;
    options.connections = in_flight == 64 ? 8 : 4;
    options.scripts_per_server = 50;
    const auto target = conformance::ReferenceTarget();
    const FuzzReport report = Fuzz(*target, options);
    ASSERT_FALSE(report.trouble) << report.trouble->sentence;
    EXPECT_EQ(report.script_count, 200U);
    for (const auto& found : report.findings) {
      ADD_FAILURE() << KeyOf(found.finding) << ": " << found.finding.expected << "; " << found.finding.saw << "\n"
                    << Print(found.finding.script);
    }
  }
}

TEST(LiveFuzz, InsideTlsTheReferenceServerIsNotAccusedAndAWrongOneIs) {
  const auto right = conformance::ReferenceTarget({.tls = true});
  const FuzzReport none = Fuzz(*right, Options(/*seed=*/2, 20));
  EXPECT_FALSE(none.trouble) << none.trouble->sentence;
  EXPECT_EQ(none.script_count, 20U);
  EXPECT_TRUE(none.findings.empty());
  const auto wrong = conformance::ReferenceTarget(
      {.interposers =
           [](engine::Layer& layer) {
             return engine::faults::Interpose(FaultNamed("server_writes_wrong_last_byte").change, 0, &layer);
           },
       .tls = true});
  const auto script = engine::ParseScript("size 4M\ninitial data\nwrite 0 +512 pattern 1\nwait\nread 0 +512\n");
  ASSERT_TRUE(script);
  const auto some = RunOnFreshServer(*wrong, *script, {});
  ASSERT_TRUE(some && some->finding);
  EXPECT_EQ(some->finding->kind, FindingKind::kWrongData);
  for (const char* const said : {"STARTTLS", "NBD_OPT_GO", "NBD_CMD_READ"}) {  // What was said inside is decoded.
    EXPECT_TRUE(std::ranges::any_of(some->finding->transcript, [said](const std::string& line) {
      return line.contains(said);
    })) << said;
  }
}

// The smallest scripts that show what requests in flight, or connections, must not do to each other.
struct Meeting {
  std::string_view fault;
  std::string_view steps;
  std::string_view rule;
};
constexpr auto kMeetings = std::to_array<Meeting>({
    {"server_mixes_two_writes_that_meet", "write 0 +512 pattern 1\nwrite 0 +512 pattern 2\nwait\nread 0 +512\n",
     spec::kTransmissionWriteThenReply},
    {"server_loses_both_of_two_writes_that_meet",
     "write 0 +512 pattern 3\nwait\nwrite 0 +512 pattern 1\nwrite 0 +512 pattern 2\nwait\nread 0 +512\n",
     spec::kTransmissionWriteThenReply},
    {"server_flips_between_two_writes_that_meet",
     "write 0 +512 pattern 1\nwrite 0 +512 pattern 2\nwait\nread 0 +512\nwait\nread 0 +512\n",
     spec::kTransmissionWriteThenReply},
    {"server_reads_what_was_before_the_last_write",
     "write 0 +512 pattern 1\nwait\nwrite 0 +512 pattern 2\nwait\nread 0 +512\nread 0 +512\nread 0 +512\n",
     spec::kTransmissionWriteThenReply},
    {"server_applies_an_answered_write_again_later",
     "write 0 +512 pattern 1\nwait\nflush\nwrite 0 +512 pattern 2\nwait\nread 0 +512\n",
     spec::kTransmissionWriteThenReply},
    {"server_caches_reads_of_each_connection",
     "read 0 +512 on 2\nwait\nwrite 0 +512 pattern 1\nwait\nflush\nwait\nread 0 +512\nwait\nread 0 +512 on 2\n",
     spec::kEflagsMultiConnFlushVisible},
    {"server_caches_reads_of_each_connection_until_a_flush",
     "read 0 +512 on 2\nwait\nwrite 0 +512 pattern 1 fua\nwait\nread 0 +512\nwait\nread 0 +512 on 2\n",
     spec::kEflagsMultiConnFuaVisible},
});

TEST(LiveFuzz, RequestsThatMeetAreJudgedByTheSmallestScripts) {
  for (const auto& [fault, steps, rule] : kMeetings) {
    const auto script = engine::ParseScript("size 4M\ninitial data\n" + std::string(steps));
    ASSERT_TRUE(script) << script.error().sentence;
    const auto right = RunOnFreshServer(*conformance::ReferenceTarget(), *script, {});
    ASSERT_TRUE(right);
    EXPECT_FALSE(right->finding) << fault << ": " << right->finding->expected << "; " << right->finding->saw;
    const auto wrong = RunOnFreshServer(*ReferenceWith(FaultNamed(fault).change), *script, {});
    ASSERT_TRUE(wrong && wrong->finding) << fault;
    EXPECT_EQ(wrong->finding->kind, FindingKind::kWrongData) << fault;
    EXPECT_EQ(wrong->finding->rule, rule) << fault;
    EXPECT_FALSE(wrong->finding->timeline.empty()) << fault;
  }
}

// What else one script shows of a server with `fault`, and the rule that it breaks.
constexpr auto kStrays = std::to_array<Meeting>({
    {"server_sends_bytes_that_are_no_message", "cache 0 +512\n", spec::kStructuredChunkMagic},
    {"server_sends_bytes_that_are_no_message", "option go\ncache 0 +512\n", spec::kTransmissionSimpleMagic},
    {"server_sends_extended_chunks_unasked", "flush\n", spec::kTransmissionMagicExtendedGatedServer},
    {"server_answers_cache_twice", "cache 0 +512\n", spec::kTransmissionReplyPerRequest},
    {"server_answers_cache_twice", "option go\ncache 0 +512\n", spec::kTransmissionReplyPerRequest},
    {"server_answers_disc", "flush\n", spec::kDiscNoReply},
    {"server_sends_bytes_that_are_no_message", "option extended-headers\ncache 0 +512\n", spec::kExtReplyMagic},
    {"server_answers_extended_flush_in_structured_form", "option extended-headers\nflush\n",
     spec::kExtReplyOnlyExtended},
    {"server_mistakes_each_twentieth_cookie",
     "option extended-headers\nflush\nflush\nflush\nflush\nflush\nflush\nflush\nflush\nflush\nflush\nflush\nflush\n"
     "flush\nflush\nflush\nflush\nflush\nflush\nflush\nflush\n",
     spec::kExtReplyCookie},
});

TEST(LiveFuzz, WhatIsNoAnswerIsJudgedByTheFormThatWasAgreedAndUntilTheEnd) {
  for (const auto& [fault, steps, rule] : kStrays) {
    const auto script = engine::ParseScript("size 4M\ninitial data\n" + std::string(steps));
    ASSERT_TRUE(script) << script.error().sentence;
    const auto wrong = RunOnFreshServer(*ReferenceWith(FaultNamed(fault).change), *script, {});
    ASSERT_TRUE(wrong) << fault << ": " << wrong.error().sentence;
    ASSERT_TRUE(wrong->finding) << fault;
    EXPECT_EQ(wrong->finding->kind, FindingKind::kBrokenRule) << fault;
    EXPECT_EQ(wrong->finding->rule, rule) << fault;
  }
}

// How the bytes of requests are cut is the script's to say: what needs pieces shows in the script that has them alone.
TEST(LiveFuzz, WhatComesInPiecesIsTheScriptsToSay) {
  const auto is_found = [](const std::string& steps) {
    const auto script = engine::ParseScript("size 4M\ninitial data\n" + steps);
    EXPECT_TRUE(script) << script.error().sentence;
    const auto right = RunOnFreshServer(*conformance::ReferenceTarget(), *script, {});
    EXPECT_TRUE(right && !right->finding) << steps;
    const auto wrong =
        RunOnFreshServer(*ReferenceWith(FaultNamed("server_mistakes_the_end_of_writes_in_pieces").change), *script, {});
    EXPECT_TRUE(wrong) << steps;
    return wrong && wrong->finding.has_value();
  };
  EXPECT_FALSE(is_found("write 0 +512 pattern 1\nwrite 512 +512 pattern 1\nwait\nread 0 +512\nread 512 +512\n"));
  EXPECT_FALSE(is_found("write 0 +512 pattern 1\nsend\nwrite 512 +512 pattern 1\nsend\nwait\nread 0 +1K\n"));
  EXPECT_TRUE(is_found("write 0 +512 pattern 1\nsend 5\nsend 100\nwrite 512 +512 pattern 1\nwait\nread 0 +1K\n"));
  EXPECT_TRUE(is_found("write 0 +512 pattern 1\nsend 539\nwait\nread 0 +512\n"));
}

TEST(LiveFuzz, OptionsInAnyOrderAndPiecesAreJudgedByWhatTheyNegotiate) {
  constexpr auto kHagglings = std::to_array<std::string_view>({
      "option structured-reply\noption glued info @second\noption glued set-meta-context base:allocation\n"
      "option glued go\n",
      "option split 5 structured-reply\noption split 20 info @second\noption glued split 1 set-meta-context "
      "base:allocation\noption glued split 17 export-name\n",
      "option info @second\noption structured-reply\noption 0x63\noption structured-reply\noption list\n"
      "option set-meta-context @second base:allocation\noption set-meta-context base:allocation\n",
  });
  for (const std::string_view haggling : kHagglings) {
    const auto script = engine::ParseScript("size 4M\ninitial data\n" + std::string(haggling) + "status 0 +4M\n");
    ASSERT_TRUE(script) << script.error().sentence;
    const auto right = RunOnFreshServer(*conformance::ReferenceTarget(), *script, {.keep_answers = true});
    ASSERT_TRUE(right) << right.error().sentence;
    EXPECT_FALSE(right->finding) << haggling;
    EXPECT_FALSE(right->answers.back().has_failed()) << haggling;
    const auto wrong = RunOnFreshServer(
        *ReferenceWith(FaultNamed("server_describes_the_export_of_the_last_info").change), *script, {});
    ASSERT_TRUE(wrong && wrong->finding) << haggling;
    EXPECT_EQ(wrong->finding->kind, FindingKind::kFalseClaim);
  }
}

TEST(LiveFuzz, AfterVisitorsAServerServesAsBefore) {
  for (const auto* const how : {"silent", "greeted", "entered"}) {
    const auto script = engine::ParseScript("size 4M\ninitial data\nwrite 0 +512 pattern 1\nvisit 300 " +
                                            std::string(how) + "\nread 0 +512\n");
    ASSERT_TRUE(script) << script.error().sentence;
    const auto right = RunOnFreshServer(*conformance::ReferenceTarget(), *script, {});
    ASSERT_TRUE(right) << right.error().sentence;
    EXPECT_FALSE(right->finding);
    EXPECT_GT(right->command_count, 1U);
    const auto wrong = RunOnFreshServer(
        *ReferenceWith(FaultNamed("server_keeps_the_places_of_clients_that_ask_for_nothing").change), *script, {});
    ASSERT_TRUE(wrong && wrong->finding) << how;
    EXPECT_EQ(wrong->finding->kind, FindingKind::kHang);
    EXPECT_EQ(wrong->finding->request_kind, "visit");
  }
}

// What the form of headers cannot carry is left out; what it can is sent, and judged.
TEST(LiveFuzz, AWideRequestIsSentInExtendedHeadersAlone) {
  const auto count = [](std::string_view text) {
    const auto script = engine::ParseScript(text);
    EXPECT_TRUE(script);
    const auto ran = RunOnFreshServer(*conformance::ReferenceTarget(), *script, {});
    EXPECT_TRUE(ran && !ran->finding);
    return ran ? ran->command_count : 0;
  };
  EXPECT_EQ(count("size 4M\ntrim 0 +5G\nflush\n"), 1U);
  EXPECT_EQ(count("size 4M\noption extended-headers\ntrim 0 +5G\nwrite 0 +5G\nflush\n"), 2U);
}

// A server that ends the connection at an option is asked for less, and fuzzed all the same.
TEST(LiveFuzz, AnOptionThatEndsTheConnectionIsLeftOut) {
  using engine::OptionType;
  struct Case {
    std::vector<std::uint32_t> deadly;
    std::size_t usual_count;
  };
  for (const Case& each :
       {Case{{OptionType::kListMetaContext}, 2}, Case{{OptionType::kSetMetaContext, OptionType::kListMetaContext}, 1},
        Case{{OptionType::kStructuredReply}, 1}}) {
    const auto target =
        ReferenceWith({.sent = [deadly = each.deadly](const engine::ClientMessage* to, const auto&, auto& sent) {
          const auto* option = to == nullptr ? nullptr : std::get_if<engine::Option>(to);
          if (option != nullptr && std::ranges::find(deadly, option->option) != deadly.end()) {
            sent = {engine::HardDisconnect{}};
          }
        }});
    const auto server = LiveServer::Start(*target, {});
    ASSERT_TRUE(server) << server.error().sentence;
    EXPECT_EQ((*server)->usual_haggling().size(), each.usual_count);
    const FuzzReport report = Fuzz(*target, Options(/*seed=*/1, 10));
    EXPECT_FALSE(report.trouble) << report.trouble->sentence;
    EXPECT_EQ(report.script_count, 10U);
    EXPECT_TRUE(report.findings.empty());
  }
}

// The first finding, made small, of a server with `fault`.
Finding Smallest(std::string_view fault) {
  const auto target = ReferenceWith(FaultNamed(fault).change);
  FuzzOptions options = Options(/*seed=*/1, 40);
  options.tries_max = 2000;
  const FuzzReport report = Fuzz(*target, options);
  EXPECT_FALSE(report.findings.empty());
  return report.findings.empty() ? Finding() : report.findings.front().finding;
}

TEST(LiveFuzz, WhatMeetsIsMadeSmallWithItsTimeline) {
  const Finding smallest = Smallest("server_mixes_two_writes_that_meet");
  EXPECT_EQ(smallest.state, FindingState::kReproduced);
  EXPECT_LE(smallest.script.steps.size(), 6U) << Print(smallest.script);
  EXPECT_EQ(smallest.timeline.size(), 3U);  // Two writes and a read.
}

TEST(LiveFuzz, AFindingIsMadeSmallOnFreshServers) {
  const Finding smallest = Smallest("server_writes_wrong_last_byte");
  EXPECT_EQ(smallest.state, FindingState::kReproduced);
  const auto requests = std::ranges::count_if(smallest.script.steps, [](const engine::Step& step) {
    return std::holds_alternative<engine::RequestStep>(step);
  });
  EXPECT_EQ(requests, 2) << Print(smallest.script);  // A write, and a read of it.
  EXPECT_LE(smallest.script.steps.size(), 5U) << Print(smallest.script);
  // The transcript of the small one begins with the greeting.
  ASSERT_FALSE(smallest.transcript.empty());
  EXPECT_NE(smallest.transcript.front().find("@0 +18  greeting"), std::string::npos) << smallest.transcript.front();
  EXPECT_FALSE(smallest.connections.front().received.empty());
}

TEST(LiveFuzz, AFindingOfExtendedHeadersKeepsToThemWhenItIsMadeSmall) {
  constexpr std::string_view kFault = "server_answers_extended_flush_simply";
  const Finding smallest = Smallest(kFault);
  EXPECT_EQ(smallest.state, FindingState::kReproduced);
  EXPECT_EQ(smallest.rule, spec::kExtReplyNoSimple);
  ASSERT_EQ(smallest.script.steps.size(), 2U) << Print(smallest.script);
  EXPECT_EQ(smallest.script.steps[0], engine::Step(engine::OptionStep{.option = engine::OptionType::kExtendedHeaders}));
  EXPECT_EQ(smallest.script.steps[1], engine::Step(engine::RequestStep{.command = engine::Command::kFlush}));
  // What was saved does the same again.
  const auto again = engine::ParseScript(Print(smallest.script));
  ASSERT_EQ(again, smallest.script);
  const auto ran = RunOnFreshServer(*ReferenceWith(FaultNamed(kFault).change), *again, {});
  EXPECT_TRUE(ran && ran->finding && IsSameFinding(*ran->finding, smallest));
}

TEST(LiveFuzz, WhatNeedsAnEarlierScriptIsReproducedWithIt) {
  // Wrong from the 300th request of a server on: no single script has so many.
  const auto target = ReferenceWith(engine::faults::ChangesAnswer(
      engine::CommandType::kFlush,
      [](const engine::Request&, engine::faults::Messages& sent, const engine::faults::Connection& on) {
        if (on.request_count > 300) {
          sent = {engine::HardDisconnect{}};
        }
      }));
  FuzzOptions options = Options(/*seed=*/3, 60);
  options.only_fresh = true;
  options.tries_max = 30;
  options.connections = 1;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kDisconnect);
  EXPECT_EQ(report.findings.front().finding.state, FindingState::kReproduced);
  EXPECT_GT(report.findings.front().finding.script.steps.size(), 300U);
}

TEST(LiveFuzz, TheSameSeedSendsTheSame) {
  const auto count = [](std::uint64_t seed) {
    const auto target = conformance::ReferenceTarget();
    return Fuzz(*target, Options(seed, 30)).command_count;
  };
  EXPECT_EQ(count(5), count(5));
  EXPECT_NE(count(5), count(6));
}

// In the same number of requests; or else it would not be worth its code.
TEST(LiveFuzz, ScriptsThatAreChangedShowMoreKindsOfAnswers) {
  const auto target = conformance::ReferenceTarget();
  const auto kinds = [&](bool only_fresh) {
    std::size_t sum = 0;
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
      std::atomic<bool> is_enough = false;
      FuzzOptions options = Options(seed, /*scripts=*/0);
      options.only_fresh = only_fresh;
      options.live.cancelled = &is_enough;
      options.on_script = [&](const FuzzReport& so_far) { is_enough = so_far.command_count >= 20000; };
      const FuzzReport report = Fuzz(*target, options);
      EXPECT_TRUE(report.findings.empty());
      sum += report.kind_count;
    }
    return sum;
  };
  EXPECT_GT(kinds(/*only_fresh=*/false), kinds(/*only_fresh=*/true));
}

TEST(LiveFuzz, ACorpusKeepsWhatWasLearned) {
  const std::string directory = testing::TempDir() + "/learned";
  std::filesystem::remove_all(directory);
  const auto target = conformance::ReferenceTarget();
  const auto run = [&](std::uint64_t seed, std::uint64_t scripts) {
    auto corpus = ScriptCorpus::Open(directory).value();
    FuzzOptions options = Options(seed, scripts);
    options.corpus = &corpus;
    const FuzzReport report = Fuzz(*target, options);
    EXPECT_FALSE(report.trouble);
    EXPECT_EQ(report.script_count, corpus.scripts().size() + scripts);
    return report.kind_count;
  };
  const std::size_t first = run(/*seed=*/1, 60);
  EXPECT_GT(ScriptCorpus::Open(directory).value().scripts().size(), 10U);
  // The next one begins with nearly all that the first one saw; its state differs, as what was sent before does.
  EXPECT_GT(run(/*seed=*/2, 1), first * 3 / 4);
}

TEST(LiveFuzz, DuplicatesAreCountedNotKept) {
  const auto target = ReferenceWith(FaultNamed("server_disconnects_on_cache").change);
  FuzzOptions options = Options(/*seed=*/1, 200);
  options.only_fresh = true;  // Others have CACHE with flags, which is another key.
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.findings.empty());
  EXPECT_LE(report.findings.size(), 2U);  // With one in flight the place is known, with more it is not.
  EXPECT_GT(report.findings.front().finding.count, 1U);
}

}  // namespace
}  // namespace nbdspec::fuzz
