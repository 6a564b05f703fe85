// SPDX-License-Identifier: BSD-3-Clause
// The oracle of the live fuzzer, proved: the reference server is never accused, and made wrong in one way it always is.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::Request;
using Said = std::vector<engine::ServerMessage>;

// Changes a request on its way to the server, or what answers it; both may be empty.
struct Change {
  std::function<void(Request& heard)> heard = {};
  std::function<void(const Request& to, Said& said)> said = {};
};

class Changed : public engine::Interposer {
 public:
  explicit Changed(Change change) : change_(std::move(change)) {}
  bool BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState&) override {
    auto* request = std::get_if<Request>(&heard);
    if (request != nullptr && change_.heard) {
      change_.heard(*request);
    }
    return true;
  }
  void AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState&, Said& said) override {
    const auto* request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
    if (request != nullptr && change_.said) {
      change_.said(*request, said);
    }
  }

 private:
  Change change_;
};

struct Fault {
  std::string name;
  std::function<Change()> make;  // One for each connection.
  FindingKind kind;
  std::string_view rule;  // Empty: any.
};

std::unique_ptr<conformance::Target> Faulty(std::function<Change()> make) {
  return conformance::ReferenceTarget(
      {.interposers = [make = std::move(make)] { return std::make_unique<Changed>(make()); }});
}

FuzzOptions Options(std::uint64_t seed, std::uint64_t scripts) {
  return {.seed = seed,
          .scripts_max = scripts,
          .tries_max = 0,
          .shrink_time = std::chrono::hours(1),  // The tries are the limit, also on a machine that is slow.
          .live = {.in_flight = 16}};
}

// --- Ways to be wrong ---

Change Hears(std::function<void(Request&)> heard) { return {.heard = std::move(heard)}; }
Change Says(std::function<void(const Request&, Said&)> said) { return {.said = std::move(said)}; }

void MakeNothingOf(Request& request) { request = {.flags = 0, .type = CommandType::kFlush, .cookie = request.cookie}; }

// For each chunk of `type` in answers to `command`.
Change SaysChunk(std::uint16_t command, std::uint16_t type, std::function<void(const Request&, Chunk&)> change) {
  return Says([=](const Request& to, Said& said) {
    for (engine::ServerMessage& each : said) {
      auto* chunk = std::get_if<Chunk>(&each);
      if (to.type == command && chunk != nullptr && chunk->type == type) {
        change(to, *chunk);
      }
    }
  });
}

Change SaysStatus(std::function<void(const Request&, engine::BlockStatus&)> change) {
  return SaysChunk(CommandType::kBlockStatus, ChunkType::kBlockStatus, [=](const Request& to, Chunk& chunk) {
    auto status = engine::DecodeBlockStatus(chunk.payload);
    ASSERT_TRUE(status);
    change(to, *status);
    chunk.payload = EncodePayload(*status);
  });
}

Change HearsOf(std::uint16_t command, std::function<void(Request&)> change) {
  return Hears([=](Request& heard) {
    if (heard.type == command && heard.length > 0) {
      change(heard);
    }
  });
}

Change RoundsOutwards(std::uint16_t command) {
  return HearsOf(command, [](Request& heard) {
    const std::uint64_t end = (heard.offset + heard.length + 4095) / 4096 * 4096;
    heard.offset = heard.offset / 4096 * 4096;
    heard.length = static_cast<std::uint32_t>(end - heard.offset);
  });
}

std::vector<Fault> DataFaults() {
  return {
      {"loses_each_third_write",
       [] {
         return HearsOf(CommandType::kWrite, [count = 0](Request& heard) mutable {
           if (++count % 3 == 0) {
             MakeNothingOf(heard);
           }
         });
       },
       FindingKind::kWrongData, spec::kTransmissionWriteThenReply},
      {"changes_the_last_byte_of_a_write",
       [] { return HearsOf(CommandType::kWrite, [](Request& heard) { heard.payload.back() ^= 1; }); },
       FindingKind::kWrongData, ""},
      {"swaps_two_bytes_of_a_write",
       [] {
         return HearsOf(CommandType::kWrite,
                        [](Request& heard) { std::swap(heard.payload.front(), heard.payload.back()); });
       },
       FindingKind::kWrongData, ""},
      {"forgets_what_passes_64k_of_a_write",
       [] {
         return HearsOf(CommandType::kWrite, [](Request& heard) {
           heard.length = std::min(heard.length, 65536U);
           heard.payload.resize(heard.length);
         });
       },
       FindingKind::kWrongData, ""},
      {"writes_at_a_multiple_of_512",
       [] { return HearsOf(CommandType::kWrite, [](Request& heard) { heard.offset = heard.offset / 512 * 512; }); },
       FindingKind::kWrongData, ""},
      {"zeroes_nothing", [] { return HearsOf(CommandType::kWriteZeroes, MakeNothingOf); }, FindingKind::kWrongData, ""},
      {"zeroes_all_but_the_last_byte",
       [] { return HearsOf(CommandType::kWriteZeroes, [](Request& heard) { heard.length -= heard.length > 1; }); },
       FindingKind::kWrongData, ""},
      {"rounds_zeroes_outwards", [] { return RoundsOutwards(CommandType::kWriteZeroes); }, FindingKind::kWrongData, ""},
      {"rounds_trims_outwards", [] { return RoundsOutwards(CommandType::kTrim); }, FindingKind::kFalseClaim, ""},
      {"clears_what_it_caches",
       [] { return HearsOf(CommandType::kCache, [](Request& heard) { heard.type = CommandType::kWriteZeroes; }); },
       FindingKind::kWrongData, ""},
      {"reads_512_too_early",
       [] {
         return Says([](const Request& to, Said& said) {
           for (auto& each : said) {
             auto* chunk = std::get_if<Chunk>(&each);
             if (to.type == CommandType::kRead && chunk != nullptr && chunk->type == ChunkType::kOffsetData &&
                 chunk->payload.size() > 8 + 512) {
               std::rotate(chunk->payload.begin() + 8, chunk->payload.end() - 512, chunk->payload.end());
             }
           }
         });
       },
       FindingKind::kWrongData, ""},
      {"sends_holes_for_data",
       [] {
         return SaysChunk(CommandType::kRead, ChunkType::kOffsetData, [](const Request&, Chunk& chunk) {
           const auto data = engine::DecodeOffsetData(chunk.payload);
           chunk.type = ChunkType::kOffsetHole;
           chunk.payload = EncodePayload(
               engine::OffsetHole{.offset = data->offset, .length = static_cast<std::uint32_t>(data->data.size())});
         });
       },
       FindingKind::kWrongData, spec::kStructuredOffsetHoleReadsZero},
  };
}

std::vector<Fault> ClaimFaults() {
  return {
      {"claims_zeroes_everywhere",
       [] {
         return SaysStatus([](const Request&, engine::BlockStatus& status) {
           for (auto& each : status.descriptors) {
             each.status |= 3;
           }
         });
       },
       FindingKind::kFalseClaim, spec::kBaseAllocationZeroReadsZero},
      {"forgets_in_words_what_was_written_last",
       [] {
         auto wrote = std::make_shared<std::uint64_t>(~0ULL);
         Change change = HearsOf(CommandType::kWrite, [=](Request& heard) { *wrote = heard.offset; });
         change.said = SaysStatus([=](const Request& to, engine::BlockStatus& status) {
                         std::uint64_t at = to.offset;
                         for (auto& each : status.descriptors) {
                           each.status |= at <= *wrote && *wrote < at + each.length ? 3U : 0U;
                           at += each.length;
                         }
                       }).said;
         return change;
       },
       FindingKind::kFalseClaim, ""},
      {"answers_status_from_the_first_of_each_range",
       [] {
         auto first = std::make_shared<std::optional<std::vector<engine::Descriptor>>>();
         return SaysStatus([=](const Request&, engine::BlockStatus& status) {
           *first = *first ? *first : status.descriptors;
           if (!(*first)->empty() && (*first)->front().status == 3) {
             status.descriptors.front().status = 3;
           }
         });
       },
       FindingKind::kFalseClaim, ""},
      {"stretches_the_first_status",
       [] {
         return SaysStatus([](const Request& to, engine::BlockStatus& status) {
           status.descriptors = {{.length = to.length, .status = status.descriptors.front().status}};
         });
       },
       FindingKind::kFalseClaim, ""},
      {"shifts_descriptors_by_512",
       [] {
         return SaysStatus([](const Request& to, engine::BlockStatus& status) {
           if ((to.flags & CommandFlag::kReqOne) == 0 && status.descriptors.size() > 1 &&
               status.descriptors[1].length > 512) {
             status.descriptors[0].length += 512;
             status.descriptors[1].length -= 512;
           }
         });
       },
       FindingKind::kFalseClaim, ""},
  };
}

std::vector<Fault> FormFaults() {
  return {
      {"sends_two_descriptors_with_req_one",
       [] {
         return SaysStatus([](const Request& to, engine::BlockStatus& status) {
           auto& first = status.descriptors.front();
           if ((to.flags & CommandFlag::kReqOne) != 0 && first.length > 1) {
             status.descriptors = {{.length = first.length - 1, .status = 0}, {.length = 1, .status = 0}};
           }
         });
       },
       FindingKind::kBrokenRule, spec::kBlockStatusReqOneSingle},
      {"sends_a_descriptor_of_length_0",
       [] { return SaysStatus([](const Request&, auto& status) { status.descriptors.push_back({}); }); },
       FindingKind::kBrokenRule, ""},
      {"sends_a_descriptor_after_the_end",
       [] {
         return SaysStatus([](const Request& to, engine::BlockStatus& status) {
           std::uint64_t sum = 0;
           for (const auto& each : status.descriptors) {
             sum += each.length;
           }
           if (sum == to.length && (to.flags & CommandFlag::kReqOne) == 0) {
             status.descriptors.push_back({.length = 512, .status = 0});
           }
         });
       },
       FindingKind::kBrokenRule, spec::kBlockStatusSumBeforeLast},
      {"answers_for_another_context",
       [] { return SaysStatus([](const Request&, auto& status) { status.context_id += 7; }); },
       FindingKind::kBrokenRule, ""},
      {"sends_one_byte_less",
       [] {
         return SaysChunk(CommandType::kRead, ChunkType::kOffsetData, [](const Request& to, Chunk& chunk) {
           if (to.length <= 4096) {  // Not already when all is read at the beginning.
             chunk.payload.pop_back();
           }
         });
       },
       FindingKind::kBrokenRule, ""},
      {"sends_two_chunks_with_df",
       [] {
         return Says([](const Request& to, Said& said) {
           auto* chunk = said.empty() ? nullptr : std::get_if<Chunk>(&said.front());
           if (to.type != CommandType::kRead || (to.flags & CommandFlag::kDf) == 0 || chunk == nullptr ||
               chunk->type != ChunkType::kOffsetData || to.length < 2 || said.size() > 1) {
             return;
           }
           auto data = *engine::DecodeOffsetData(chunk->payload);
           engine::OffsetData last{.offset = data.offset + data.data.size() - 1, .data = {data.data.back()}};
           data.data.pop_back();
           Chunk second = *chunk;
           chunk->payload = EncodePayload(data);
           chunk->flags = 0;
           second.payload = EncodePayload(last);
           said.emplace_back(second);
         });
       },
       FindingKind::kBrokenRule, spec::kStructuredReadDfOneContent},
      {"answers_reads_simply",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kRead && (to.flags & CommandFlag::kDf) != 0) {
             said = {engine::SimpleReply{.cookie = to.cookie, .data = engine::Bytes(to.length)}};
           }
         });
       },
       FindingKind::kBrokenRule, spec::kStructuredReadNoSimple},
      {"answers_with_the_cookie_of_nobody",
       [] {
         return Says([count = 0](const Request&, Said& said) mutable {
           auto* chunk = said.empty() ? nullptr : std::get_if<Chunk>(&said.front());
           if (chunk != nullptr && ++count % 20 == 0) {
             chunk->cookie ^= 1;
           }
         });
       },
       FindingKind::kBrokenRule, spec::kTransmissionCookieEcho},
      {"answers_each_flush_twice",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kFlush) {
             said.push_back(said.front());
           }
         });
       },
       FindingKind::kBrokenRule, ""},
      {"sets_a_flag_of_chunks",
       [] {
         return SaysChunk(CommandType::kTrim, ChunkType::kNone, [](const Request&, Chunk& chunk) { chunk.flags |= 2; });
       },
       FindingKind::kBrokenRule, spec::kStructuredFlagsNoOther},
      {"sends_data_for_a_write",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kWrite && to.length > 0) {
             said.insert(said.begin(),
                         Chunk{.type = ChunkType::kOffsetData,
                               .cookie = to.cookie,
                               .payload = EncodePayload(engine::OffsetData{.offset = to.offset, .data = {0}})});
           }
         });
       },
       FindingKind::kBrokenRule, spec::kStructuredOffsetDataReadOnlyReply},
      {"sends_bytes_that_are_no_message",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kCache) {
             said.insert(said.begin(), engine::RawBytes{{1, 2, 3, 4}});
           }
         });
       },
       FindingKind::kBrokenRule, spec::kStructuredChunkMagic},
  };
}

std::vector<Fault> EndingFaults() {
  return {
      {"fails_plain_zeroes_with_enotsup",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kWriteZeroes && (to.flags & CommandFlag::kFastZero) == 0) {
             said = {Chunk{.flags = ChunkFlag::kDone,
                           .type = ChunkType::kError,
                           .cookie = to.cookie,
                           .payload = EncodePayload(engine::ErrorPayload{.error = engine::NbdError::kEnotsup})}};
           }
         });
       },
       FindingKind::kWrongError, spec::kWriteZeroesNoFastNoEnotsup},
      {"fails_with_an_errno_of_its_own",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kTrim) {
             said = {Chunk{.flags = ChunkFlag::kDone,
                           .type = ChunkType::kError,
                           .cookie = to.cookie,
                           .payload = EncodePayload(engine::ErrorPayload{.error = 77})}};
           }
         });
       },
       FindingKind::kWrongError, spec::kErrorCodeAllowedSet},
      {"fails_without_an_error",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kCache) {
             said = {Chunk{.flags = ChunkFlag::kDone,
                           .type = ChunkType::kError,
                           .cookie = to.cookie,
                           .payload = EncodePayload(engine::ErrorPayload{})}};
           }
         });
       },
       FindingKind::kWrongError, spec::kStructuredErrorNonzero},
      {"reads_past_the_end",
       [] {
         return Says([](const Request& to, Said& said) {
           auto* chunk = said.empty() ? nullptr : std::get_if<Chunk>(&said.front());
           if (to.type == CommandType::kRead && chunk != nullptr && chunk->is_error()) {
             said = {Chunk{
                 .flags = ChunkFlag::kDone,
                 .type = ChunkType::kOffsetData,
                 .cookie = to.cookie,
                 .payload = EncodePayload(engine::OffsetData{.offset = to.offset, .data = engine::Bytes(to.length)})}};
           }
         });
       },
       FindingKind::kWrongSuccess, spec::kTransmissionReadOutOfBounds},
      {"leaves_when_asked_to_cache",
       [] {
         return Says([](const Request& to, Said& said) {
           if (to.type == CommandType::kCache) {
             said = {engine::HardDisconnect{}};
           }
         });
       },
       FindingKind::kDisconnect, spec::kTransmissionDisconnectOnlyAllowedServer},
      {"never_answers_each_tenth_status",
       [] {
         return Says([count = 0](const Request& to, Said& said) mutable {
           if (to.type == CommandType::kBlockStatus && ++count % 10 == 0) {
             said.clear();
           }
         });
       },
       FindingKind::kHang, spec::kTransmissionReplyPerRequest},
      {"answers_without_done",
       [] {
         return SaysChunk(CommandType::kRead, ChunkType::kOffsetData,
                          [](const Request& to, Chunk& chunk) { chunk.flags = to.length <= 4096 ? 0 : chunk.flags; });
       },
       FindingKind::kHang, spec::kTransmissionReplyPerRequest},
  };
}

// Each connection reads again what it read first, though another wrote and flushed meanwhile.
Change KeepsReads() {
  return Says([kept = std::vector<std::pair<std::uint64_t, Said>>()](const Request& to, Said& said) mutable {
    if (to.type != CommandType::kRead) {
      return;
    }
    for (auto& [offset, first] : kept) {
      const auto* chunk = std::get_if<Chunk>(&first.front());
      const auto* now = said.size() == 1 ? std::get_if<Chunk>(&said.front()) : nullptr;
      if (offset == to.offset && now != nullptr && chunk->payload.size() == now->payload.size()) {
        said = first;
        std::get<Chunk>(said.front()).cookie = to.cookie;
        return;
      }
    }
    if (said.size() == 1 && std::get_if<Chunk>(&said.front()) != nullptr) {
      kept.emplace_back(to.offset, said);
    }
  });
}

void ExpectFound(const Fault& fault) {
  constexpr std::uint64_t kScripts = 50;
  const auto target = Faulty(fault.make);
  std::atomic<bool> is_found = false;
  std::string seen;
  FuzzOptions options = Options(/*seed=*/1, kScripts);
  options.live.cancelled = &is_found;  // The first of the right kind is enough.
  options.on_finding = [&](const Finding& finding, const std::string&) {
    seen += " " + KeyOf(finding);
    is_found = is_found || (finding.kind == fault.kind && (fault.rule.empty() || finding.rule == fault.rule));
  };
  const FuzzReport report = Fuzz(*target, options);
  EXPECT_FALSE(report.trouble) << fault.name << ": " << report.trouble->sentence;
  EXPECT_TRUE(is_found) << fault.name << ":" << seen;
}

TEST(LiveFuzzFaults, EachWayToSpoilDataIsFound) {
  for (const Fault& fault : DataFaults()) {
    ExpectFound(fault);
  }
}

TEST(LiveFuzzFaults, EachFalseClaimIsFound) {
  for (const Fault& fault : ClaimFaults()) {
    ExpectFound(fault);
  }
}

TEST(LiveFuzzFaults, EachWrongFormIsFound) {
  for (const Fault& fault : FormFaults()) {
    ExpectFound(fault);
  }
}

TEST(LiveFuzzFaults, WrongErrorsAndEndingsAreFound) {
  for (const Fault& fault : EndingFaults()) {
    ExpectFound(fault);
  }
}

TEST(LiveFuzzFaults, ReadsKeptForEachConnectionAreFound) {
  ExpectFound({.name = "keeps_reads", .make = KeepsReads, .kind = FindingKind::kWrongData, .rule = ""});
}

TEST(LiveFuzzFaults, TheReferenceServerIsNeverAccused) {
  for (const int in_flight : {1, 5, 64}) {
    FuzzOptions options = Options(/*seed=*/static_cast<std::uint64_t>(in_flight), 200);
    options.live.in_flight = in_flight;
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

TEST(LiveFuzz, AFindingIsMadeSmallOnFreshServers) {
  const auto target =
      Faulty([] { return HearsOf(CommandType::kWrite, [](Request& heard) { heard.payload.back() ^= 1; }); });
  FuzzOptions options = Options(/*seed=*/1, 40);
  options.tries_max = 2000;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.findings.empty());
  const Finding& smallest = report.findings.front().finding;
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

TEST(LiveFuzz, WhatNeedsAnEarlierScriptIsReproducedWithIt) {
  // Wrong from the 300th request of a server on: no single script has so many.
  const auto target = Faulty([] {
    return Says([count = 0](const Request& to, Said& said) mutable {
      if (++count > 300 && to.type == CommandType::kFlush) {
        said = {engine::HardDisconnect{}};
      }
    });
  });
  FuzzOptions options = Options(/*seed=*/3, 60);
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

TEST(LiveFuzz, DuplicatesAreCountedNotKept) {
  const auto target = Faulty([] {
    return Says([](const Request& to, Said& said) {
      if (to.type == CommandType::kCache) {
        said = {engine::HardDisconnect{}};
      }
    });
  });
  const FuzzReport report = Fuzz(*target, Options(/*seed=*/1, 200));
  ASSERT_FALSE(report.findings.empty());
  EXPECT_LE(report.findings.size(), 2U);  // With one in flight the place is known, with more it is not.
  EXPECT_GT(report.findings.front().finding.count, 1U);
}

}  // namespace
}  // namespace nbdspec::fuzz
