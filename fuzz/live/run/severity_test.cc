// SPDX-License-Identifier: BSD-3-Clause
// Each verdict of a live run has the severity that the catalogue gives to its rule: a MUST that binds the server makes
// a finding, advice and ambiguous text a warning, and a clause of the client's nothing.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/exchange/rules.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"
#include "fuzz/live/judge/reply_judge.h"
#include "fuzz/live/run/known_bugs.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::Command;
using engine::Request;
using Sent = std::vector<engine::ServerMessage>;

std::vector<std::string_view> AllRequirements() {
  std::vector<std::string_view> all(LiveRequirements().begin(), LiveRequirements().end());
  for (const engine::Rule& rule : engine::AllRules()) {
    all.push_back(rule.requirement);
  }
  std::ranges::copy(RequirementsOfKnownBugs(), std::back_inserter(all));
  return all;
}

TEST(Severity, EachRuleThatARunCanNameBindsTheServer) {
  for (const std::string_view requirement : AllRequirements()) {
    EXPECT_EQ(spec::RequirementOf(requirement).role, spec::Role::kServer) << requirement;
    EXPECT_NE(spec::ServerSeverityOf(requirement), spec::Severity::kNone) << requirement;
  }
}

TEST(Severity, WhatARunFailsByItselfIsAMust) {
  for (const std::string_view requirement : LiveRequirements()) {
    EXPECT_EQ(spec::ServerSeverityOf(requirement), spec::Severity::kFailure) << requirement;
  }
  for (const std::string_view requirement : RequirementsOfKnownBugs()) {
    EXPECT_EQ(spec::ServerSeverityOf(requirement), spec::Severity::kFailure) << requirement;
  }
}

// A server that changes its answers to some requests.
class ChangesAnswers : public engine::Interposer {
 public:
  using Change = std::function<void(const Request& request, Sent& sent)>;
  explicit ChangesAnswers(Change change) : change_(std::move(change)) {}
  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated&, Sent& sent) override {
    if (const auto* request = received != nullptr ? std::get_if<Request>(received) : nullptr) {
      change_(*request, sent);
    }
  }

 private:
  Change change_;
};

std::unique_ptr<conformance::Target> ThatChanges(const ChangesAnswers::Change& change) {
  return conformance::ReferenceTarget(
      {.interposers = [=](engine::Layer&) { return std::make_unique<ChangesAnswers>(change); }});
}

// Answers with success what the reference server refuses.
ChangesAnswers::Change Succeeds(Command command) {
  return [=](const Request& request, Sent& sent) {
    const bool wraps = request.offset + request.length < request.offset;
    if (request.type != static_cast<std::uint16_t>(command) || request.flags != 0 || wraps || sent.empty()) {
      return;
    }
    const engine::Bytes data(command == Command::kRead ? request.length : 0);
    auto* const simple = std::get_if<engine::SimpleReply>(&sent.back());
    const auto* const chunk = std::get_if<Chunk>(&sent.back());
    if (simple != nullptr && simple->error != engine::NbdError::kOk) {
      simple->error = engine::NbdError::kOk;
      simple->data = data;
    } else if (chunk != nullptr && chunk->is_error()) {
      Chunk success = ChunkFor(request, ChunkType::kNone, {}, ChunkFlag::kDone);
      if (!data.empty()) {
        success.type = ChunkType::kOffsetData;
        success.payload = EncodePayload(engine::OffsetData{.offset = request.offset, .data = data});
      }
      sent = {success};
    }
  };
}

struct Advice {
  std::string_view requirement;
  ChangesAnswers::Change change;
};

TEST(Severity, AdviceThatIsNotFollowedIsAWarningWithAnExampleAndNoFinding) {
  const Advice all[] = {
      {spec::kTransmissionReadOutOfBounds, Succeeds(Command::kRead)},
      {spec::kTransmissionWriteOutOfBounds, Succeeds(Command::kWrite)},
      {spec::kWriteZeroesOutOfBounds, Succeeds(Command::kZero)},
      {spec::kStructuredFlagsNoOther,
       [](const Request& request, Sent& sent) {
         auto* const chunk = sent.empty() ? nullptr : std::get_if<Chunk>(&sent.front());
         if (request.type == engine::CommandType::kTrim && chunk != nullptr) {
           chunk->flags |= 2;
         }
       }},
  };
  for (const Advice& advice : all) {
    const auto target = ThatChanges(advice.change);
    FuzzReport report;
    for (const std::uint64_t scripts : {std::uint64_t{60}, std::uint64_t{600}}) {
      if (!report.warnings.contains(advice.requirement)) {
        report = Fuzz(*target, {.seed = 2, .scripts_max = scripts, .tries_max = 0});
      }
    }
    ASSERT_FALSE(report.trouble) << report.trouble->sentence;
    for (const auto& found : report.findings) {
      ADD_FAILURE() << advice.requirement << " made a finding: " << SummaryOf(found.finding);
    }
    ASSERT_TRUE(report.warnings.contains(advice.requirement)) << advice.requirement;
    const Warning& warning = report.warnings.find(advice.requirement)->second;
    EXPECT_GT(warning.count, 0U);
    EXPECT_FALSE(warning.step.empty() || warning.expected.empty() || warning.saw.empty()) << advice.requirement;
    EXPECT_TRUE(std::ranges::any_of(warning.picture.messages, [](const reports::Message& message) {
      return message.part == reports::Message::Part::kJudged;
    })) << advice.requirement;
  }
}

// structured.type.client-unknown binds the client; a clause of the server's forbids the same.
TEST(Severity, AnUnknownTypeOfChunkBreaksAClauseOfTheServers) {
  const auto target = ThatChanges([](const Request& request, Sent& sent) {
    const auto* const chunk = sent.empty() ? nullptr : std::get_if<Chunk>(&sent.back());
    if (request.type == engine::CommandType::kTrim && (chunk == nullptr || !chunk->is_error())) {
      sent.insert(sent.begin(), ChunkFor(request, 0x1234));
    }
  });
  const FuzzReport report = Fuzz(*target, {.seed = 1, .scripts_max = 20, .tries_max = 0});
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(spec::RequirementOf(report.findings.front().finding.rule).role, spec::Role::kServer);
}

TEST(Severity, TheReferenceServerIsNotEvenWarned) {
  const FuzzReport report = Fuzz(*conformance::ReferenceTarget(), {.seed = 4, .scripts_max = 200, .tries_max = 0});
  EXPECT_TRUE(report.findings.empty());
  for (const auto& [requirement, warning] : report.warnings) {
    ADD_FAILURE() << requirement << ": " << warning.step << ": expected " << warning.expected << "; saw "
                  << warning.saw;
  }
}

}  // namespace
}  // namespace nbdspec::fuzz
