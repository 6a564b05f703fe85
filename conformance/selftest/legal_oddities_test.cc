// SPDX-License-Identifier: BSD-3-Clause
// Servers that are odd in a way that the extended headers' text allows: no check may accuse them.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/runner/runner.h"
#include "engine/faults/option_changes.h"

namespace nbdspec::conformance {
namespace {

using namespace engine::faults;
using reports::Verdict;

constexpr std::uint32_t kExtendedHeaders = OptionType::kExtendedHeaders;
constexpr std::uint32_t kReqd = OptionReplyType::kErrExtHeaderReqd;

struct Oddity {
  std::string_view name;
  Change change;
  std::string_view warned = {};  // What warns of it, as its text says.
};

using When = bool (*)(const Option& to, const Messages& sent, const Connection& on);

Change Replies(std::uint32_t option, std::uint32_t type, When when) {
  return ChangesOptionAnswer(option, [=](const Option& to, Messages& sent, const Connection& on) {
    if (when(to, sent, on)) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

bool IsCompact(const Option& /*to*/, const Messages& /*sent*/, const Connection& on) {
  return on.negotiated->headers == HeaderForm::kCompact;
}

bool HasNoChunks(const Option& /*to*/, const Messages& /*sent*/, const Connection& on) {
  return !on.negotiated->structured_replies;
}

bool AsksForMoreThanBase(const Option& to, const Messages& sent, const Connection& on) {
  const auto query = DecodePayload<MetaContextQuery>(to.payload);
  return IsCompact(to, sent, on) && on.negotiated->structured_replies && query &&
         std::ranges::count(query->queries, engine::kBlockCountdownContext) > 0;
}

bool IsRefusedForChunks(const Option& /*to*/, const Messages& sent, const Connection& on) {
  return on.negotiated->headers == HeaderForm::kExtended && LastReplyType(sent) == kReqd;
}

bool LacksBlockSizeRequest(const Option& to, const Messages& /*sent*/, const Connection& on) {
  const auto query = DecodePayload<InfoQuery>(to.payload);
  return on.negotiated->headers == HeaderForm::kExtended && query &&
         std::ranges::count(query->requests, InfoType::kBlockSize) == 0;
}

bool HasData(const Option& to, const Messages& /*sent*/, const Connection& /*on*/) { return !to.payload.empty(); }

// From the second time on it is refused, until TLS begins.
Change RefusesAgain() {
  return ChangesOptionAnswer(kAnyOption, [count = 0](const Option& to, Messages& sent) mutable {
    count = to.option == kStarttls ? 0 : count + (to.option == kExtendedHeaders ? 1 : 0);
    if (to.option == kExtendedHeaders && count > 1) {
      sent = {OptionReply{.option = to.option, .type = kErrInvalid}};
    }
  });
}

Change HangsUpOn(std::uint32_t option, When when) {
  return ChangesOptionAnswer(option, [=](const Option& to, Messages& sent, const Connection& on) {
    if (when(to, sent, on)) {
      sent = {engine::HardDisconnect{}};
    }
  });
}

// Without extended headers the list has none that need them.
Change ListsLess() {
  return Both(Withholds(kListContexts,
                        [](const OptionReply& reply) {
                          const auto context = DecodePayload<MetaContext>(reply.payload);
                          return reply.type == OptionReplyType::kMetaContext && context &&
                                 context->name == engine::kBlockCountdownContext;
                        }),
              ReplacesReply(kListContexts, kReqd, kAck));
}

std::vector<Oddity> Oddities() {
  return {
      {"lists what needs extended headers to nobody", ListsLess()},
      {"refuses to select what needs extended headers", Replies(kSetContexts, kReqd, AsksForMoreThanBase)},
      {"wants extended headers for contexts, in place of structured replies",
       Replies(kEitherMetaContext, kReqd, HasNoChunks)},
      {"acknowledges structured replies after extended headers", Replies(kStructuredReply, kAck, IsRefusedForChunks)},
      {"agrees to extended headers once", RefusesAgain()},
      {"hangs up on extended headers with data", HangsUpOn(kExtendedHeaders, HasData)},
      {"wants block sizes to be asked for with extended headers",
       Replies(kGo, OptionReplyType::kErrBlockSizeReqd, LacksBlockSizeRequest)},
      {"never takes a payload of BLOCK_STATUS", ChangesFlags(0, engine::TransmissionFlag::kBlockStatusPayload)},
      {"demands extended headers", Replies(kGo, kReqd, IsCompact), spec::kExtInteropNoReqd},
      {"forbids extended headers", RepliesWith(kExtendedHeaders, kErrPolicy)},
  };
}

TEST(LegalOddities, OfExtendedHeadersAreNotAccused) {
  for (const Oddity& oddity : Oddities()) {
    const auto target = ReferenceTarget(
        {.interposers = [&](engine::Layer& layer) { return Interpose(oddity.change, /*number=*/0, &layer); }});
    const RunOptions options{.case_timeout = std::chrono::minutes(2)};
    Knowledge knowledge;
    Worker worker(*target, options, Transport::Clock::time_point::max(), knowledge);
    int judged_count = 0;
    for (const Check& check : AllChecks()) {
      const bool is_of_options = check.id.starts_with("ext.") || check.id.starts_with("option.") ||
                                 check.id.starts_with("metadata.") || check.id.starts_with("rep.");
      if (!is_of_options || check.id == oddity.warned) {
        continue;
      }
      const reports::Outcome outcome = worker.Run(check);
      judged_count += outcome.verdict == Verdict::kPass ? 1 : 0;
      const bool is_right = outcome.verdict == Verdict::kPass || outcome.verdict == Verdict::kNotApplicable ||
                            outcome.verdict == Verdict::kSkip;
      EXPECT_TRUE(is_right) << "a server that " << oddity.name << ": " << check.id << " says "
                            << reports::Word(outcome.verdict) << ": " << outcome.evidence.saw;
    }
    EXPECT_GT(judged_count, 20) << oddity.name;
  }
}

}  // namespace
}  // namespace nbdspec::conformance
