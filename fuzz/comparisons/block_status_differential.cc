// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/block_status_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/extents/extent_map.h"
#include "engine/script/script.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/inputs/block_status_input.h"
#include "fuzz/oracles/naive_block_status.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Descriptor;
using engine::ExtentMap;
using engine::StatusExchange;
using engine::Violation;

constexpr std::string_view kMultipleOf512 = spec::kBlockStatusLengthMultipleOf512;

std::string Text(ByteRange range) { return fmt::format("[{}, {})", range.begin, range.end); }
std::string Text(const Descriptor& each) { return fmt::format("{} with status {}", each.length, each.status); }
std::string Text(const Violation& violation) { return fmt::format("{}, {}", violation.requirement, violation.saw); }
std::string Text(const auto& plain) { return fmt::format("{}", plain); }

template <typename Items>
std::string ListText(const Items& items) {
  std::string text;
  for (const auto& item : items) {
    text += Text(item) + "; ";
  }
  return fmt::format("{}{} in all", text, items.size());
}

ExtentMap MapOf(const TruthInput& input) {
  ExtentMap map(input.size);
  for (const engine::Extent& extent : input.truth) {
    NBDSPEC_CHECK(map.Add(extent.range.begin, extent.range.length(), extent.type).has_value());
  }
  return map;
}

// The only exchange for which `descriptors` are the answer.
StatusExchange ExchangeOf(const TruthInput& input, std::vector<Descriptor> descriptors) {
  const engine::BlockStatus status = {.context_id = 1, .descriptors = std::move(descriptors)};
  return {.asked = input.asked,
          .req_one = input.options.req_one,
          .agreed = {.structured_replies = true,
                     .contexts = {{.id = 1, .name = std::string(engine::kBaseAllocation)}},
                     .info = {.size = input.size},
                     .block_size = {.minimum = input.options.alignment}},
          .chunks = {{.flags = engine::ChunkFlag::kDone,
                      .type = engine::ChunkType::kBlockStatus,
                      .payload = engine::EncodePayload(status)}}};
}

std::string WhereOf(const TruthInput& input) {
  auto text =
      fmt::format("asked {}{}, alignment {}, at most {} descriptors", Text(input.asked),
                  input.options.req_one ? " REQ_ONE" : "", input.options.alignment, input.options.descriptor_count_max);
  for (const engine::Extent& extent : input.truth) {
    text += ", " + engine::Print(extent);
  }
  return text;
}

std::string WhereOf(const StatusExchange& exchange) {
  auto text = fmt::format("asked {}{} of {} bytes, contexts", Text(exchange.asked), exchange.req_one ? " REQ_ONE" : "",
                          exchange.agreed.info.size);
  for (const engine::MetaContext& context : exchange.agreed.contexts) {
    text += fmt::format(" {} {}", context.id, context.name);
  }
  if (exchange.simple_reply) {
    text += ", " + engine::Describe(engine::ServerMessage(*exchange.simple_reply));
  }
  for (const engine::Chunk& chunk : exchange.chunks) {
    text += ", " + engine::Describe(engine::ServerMessage(chunk));
  }
  return text;
}

// Nothing if the lists are equal. `about` is the input that they are about.
template <typename Items>
Found CompareLists(std::string_view what, const auto& about, const Items& expected, const Items& saw) {
  return expected == saw ? Found()
                         : Under(std::string(what) + WhereOf(about), Differ(ListText(expected), ListText(saw)));
}

Found FindInBuilt(const TruthInput& input, const BlockStatusSubject& subject) {
  const ExtentMap truth = MapOf(input);
  const std::vector<Descriptor> built = subject.build(truth, input.asked, input.options);
  const StatusExchange exchange = ExchangeOf(input, built);
  std::vector<Violation> accused = subject.judge(exchange);
  // The truth's own edges need not be multiples of 512; a larger alignment makes them so. What is asked may end
  // anywhere.
  std::erase_if(accused, [&](const Violation& violation) {
    return (violation.requirement == kMultipleOf512 && input.options.alignment < 512) ||
           violation.requirement == spec::kBlockSizeServerUnalignedEinval;
  });
  if (auto refuted = subject.find_refuted_claim(exchange, truth)) {
    accused.push_back(*std::move(refuted));
  }
  if (auto found = CompareLists("violations, ", input, {}, accused)) {
    return found;
  }
  if (auto found = CompareLists("", input, NaiveDescriptors(input.truth, input.asked, input.options), built)) {
    return found;
  }
  // Appended to what stands there already, the descriptors are the same.
  constexpr std::size_t kContextIdBytes = 4;
  const engine::Chunk& expected = exchange.chunks.front();
  engine::Bytes appended(expected.payload.begin(), expected.payload.begin() + kContextIdBytes);
  subject.append(truth, input.asked, input.options, appended);
  return CompareLists("in wire form, ", input, expected.payload, appended);
}

Found FindInJudged(const StatusExchange& exchange, const BlockStatusSubject& subject) {
  const std::vector<Violation> violations = subject.judge(exchange);
  if (auto found = CompareLists("judged again, ", exchange, violations, subject.judge(exchange))) {
    return found;
  }
  std::set<std::string> violated;
  for (const Violation& violation : violations) {
    violated.emplace(violation.requirement);
  }
  // The naive judge knows what fails a server, and has no opinion on advice.
  std::set<std::string> expected = NaiveViolations(exchange);
  const auto fails_no_server = [](const std::string& id) {
    return spec::ServerSeverityOf(id) != spec::Severity::kFailure;
  };
  std::erase_if(violated, fails_no_server);
  std::erase_if(expected, fails_no_server);
  return CompareLists("", exchange, expected, violated);
}

Found FindInClaims(const ReplyInput& input, const BlockStatusSubject& subject) {
  if (auto found = CompareLists("claims in " + Text(input.within) + ", ", input.exchange,
                                NaiveClaimedZeroes(input.exchange, input.within),
                                subject.claimed_zeroes(input.exchange, input.within))) {
    return found;
  }
  const std::uint64_t size = std::min(input.exchange.agreed.info.size, engine::kExportBytesMax);
  ExtentMap truth(size, engine::ExtentType::kHoleZero);
  bool is_refuted = false;
  for (const ByteRange data : input.data) {
    NBDSPEC_CHECK(truth.Add(data.begin, data.length(), engine::ExtentType::kData).has_value());
    const ByteRange inside = Intersect(data, {.begin = 0, .end = size});
    is_refuted = is_refuted || (!inside.empty() && !NaiveClaimedZeroes(input.exchange, inside).empty());
  }
  const auto violation = subject.find_refuted_claim(input.exchange, truth);
  return violation.has_value() == is_refuted
             ? Found()
             : Compare(fmt::format("data at {}, {}", ListText(input.data), WhereOf(input.exchange)),
                       std::string(is_refuted ? "a claim of zeroes is refuted" : "no violation"),
                       violation ? Text(*violation) : "no violation");
}

}  // namespace

Found FindBlockStatusDisagreement(engine::ByteView input, const BlockStatusSubject& subject) {
  if (!IsReplyInput(input)) {
    return FindInBuilt(ReadTruthInput(input), subject);
  }
  const ReplyInput reply = ReadReplyInput(input);
  const auto found = FindInJudged(reply.exchange, subject);
  return found ? found : FindInClaims(reply, subject);
}

FuzzTarget BlockStatusReplyTarget() {
  return {.name = "block_status_reply",
          .subject = "the builder of a reply, and the rules about replies",
          .against = "a naive judge",
          .inputs = {.bytes_max = 334},  // The head, and 16 steps of a script.
          .find_in_bytes = [](engine::ByteView input) { return FindBlockStatusDisagreement(input); }};
}

}  // namespace nbdspec::fuzz
