// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/metadata/status_asking.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "conformance/checks/metadata/meta_contexts.h"
#include "engine/exchange/status.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint64_t kSectorBytes = 512;

// What the answer reports for base:allocation, laid end to end from the request's offset and clipped to the export;
// nothing after a descriptor of length 0.
std::vector<StatusExtent> ExtentsOf(const Exchange& exchange) {
  std::vector<StatusExtent> extents;
  for (const engine::StatusChunk& chunk : StatusChunksOf(exchange)) {
    if (!extents.empty() || !IsBaseAllocation(exchange, chunk.context_id())) {
      continue;
    }
    std::uint64_t at = exchange.request.offset;
    for (std::size_t i = 0; i < chunk.descriptor_count(); ++i) {
      const engine::Descriptor each = chunk.descriptor(i);
      const std::uint64_t length = std::min<std::uint64_t>(each.length, exchange.negotiated->info.size - at);
      if (length == 0) {
        break;
      }
      extents.push_back({.range = {.begin = at, .end = at + length}, .status = each.status});
      at += length;
    }
  }
  return extents;
}

}  // namespace

std::string Text(const StatusRequest& request) {
  return fmt::format("[{}, {}){}", request.asked.begin, request.asked.end, request.req_one ? " with REQ_ONE" : "");
}

std::expected<StatusAsker, Judgement> StatusAsker::Enter(CheckContext& context) {
  auto entered = context.Enter({.structured_replies = true, .contexts = SelectableNames(context.profile())});
  const auto selects_base = [&] {
    return entered && std::ranges::count(entered->agreed->contexts, kBaseAllocation, &MetaContext::name) > 0;
  };
  if (!selects_base()) {
    entered = context.Enter({.structured_replies = true, .contexts = {kBaseAllocationQuery}});
  }
  NBDSPEC_TRY(whole, std::move(entered));
  if (std::ranges::count(whole.agreed->contexts, kBaseAllocation, &MetaContext::name) == 0) {
    return Stop(Inconclusive("base:allocation, which could be selected before, is not selected now"));
  }
  if (whole.size() < whole.block_size().minimum || whole.size() > engine::kExportBytesMax) {
    return Stop(NotApplicable(fmt::format("the export has {} bytes", whole.size())));
  }
  return StatusAsker(std::move(whole));
}

std::uint64_t StatusAsker::unit() const { return std::max(kSectorBytes, block_bytes_min()); }

bool StatusAsker::MayAsk(ByteRange range) const {
  return range.begin < range.end && range.end <= size() && range.begin % block_bytes_min() == 0 &&
         range.end % block_bytes_min() == 0 && range.length() <= std::numeric_limits<std::uint32_t>::max();
}

Received<Exchange> StatusAsker::Ask(const StatusRequest& request) {
  Batch batch = AskOnce(*this, RequestFor(CommandType::kBlockStatus, request.asked,
                                          request.req_one ? CommandFlag::kReqOne : std::uint16_t{0}));
  if (!batch.endings.empty()) {
    return std::unexpected(std::move(batch.endings.back()));
  }
  return std::move(batch.exchanges.front());
}

std::expected<std::vector<StatusExtent>, Judgement> StatusAsker::Walk() {
  std::vector<StatusExtent> extents;
  std::uint64_t at = 0;
  for (int i = 0; i < kWalkRequestsMax && extents.size() < kWalkExtentsMax; ++i) {
    const std::uint64_t end = std::min(size() - size() % block_bytes_min(), at + kAskedBytesMax);
    if (at % block_bytes_min() != 0 || at >= end) {
      break;
    }
    NBDSPEC_TRY(exchange, Ask({.asked = {.begin = at, .end = end}}));
    const std::uint64_t before = at;
    for (const StatusExtent& each : ExtentsOf(exchange)) {
      at = each.range.end;
      if (!extents.empty() && extents.back().status == each.status) {
        extents.back().range.end = at;
      } else if (extents.size() < kWalkExtentsMax) {
        extents.push_back(each);
      }
    }
    if (at == before) {
      break;  // An error, or no extents: whether that is right is for the rules.
    }
  }
  return extents;
}

std::expected<std::vector<StatusRequest>, Judgement> StatusAsker::Battery(CheckContext& context) {
  NBDSPEC_TRY(extents, Walk());
  std::ranges::shuffle(extents, context.random());
  extents.resize(std::min(extents.size(), kBoundariesMax));
  std::vector<StatusRequest> battery;
  // Plain arithmetic: what wraps below 0 or passes the end is a range that may not be asked for.
  const auto add = [&](std::uint64_t begin, std::uint64_t end) {
    const ByteRange range = {.begin = begin, .end = end};
    for (const bool req_one : {false, true}) {
      const StatusRequest request = {.asked = range, .req_one = req_one};
      if (MayAsk(range) && std::ranges::count(battery, request) == 0) {
        battery.push_back(request);
      }
    }
  };
  const std::uint64_t whole = size();
  const std::uint64_t u = unit();
  add(0, std::min(whole - whole % block_bytes_min(), kAskedBytesMax));
  add(0, u);
  add(whole - u, whole);
  add(whole - 1, whole);
  add(1, u + 2);
  add(u - 1, u + 1);
  for (const StatusExtent& extent : extents) {
    const std::uint64_t at = extent.range.end;
    add(extent.range.begin, at);
    add(0, at);
    add(at - u, at);
    add(at, at + u);
    add(at - u, at + u);
    add(at - u / 2, at + u / 2);
    add(at - 1, at);
    add(at - 1, at + 1);
    add(extent.range.begin + 1, at);
    add(at - std::min(at, kAskedBytesMax), std::min(whole, at + u));
  }
  return battery;
}

std::expected<std::optional<Bytes>, Judgement> StatusAsker::Read(ByteRange range) {
  const Request request = RequestFor(CommandType::kRead, range);
  NBDSPEC_TRY(answer, session.Ask(request));
  return BytesRead(request, answer);
}

std::expected<std::optional<std::uint64_t>, Judgement> StatusAsker::FindNonZero(ByteRange range) {
  // Readable, even when a server describes parts of blocks.
  const std::uint64_t block = block_bytes_min();
  const std::uint64_t whole = size() - size() % block;
  const std::uint64_t readable = std::min<std::uint64_t>(kReadBytesMax, block_size().maximum);
  const std::uint64_t step = std::max(block, readable - readable % block);
  for (std::uint64_t at = range.begin - range.begin % block; at < std::min(range.end, whole); at += step) {
    const ByteRange part = {.begin = at, .end = std::min({at + step, (range.end + block - 1) / block * block, whole})};
    NBDSPEC_TRY(data, Read(part));
    if (!data) {
      return std::nullopt;
    }
    for (std::uint64_t i = std::max(part.begin, range.begin); i < std::min(part.end, range.end); ++i) {
      if ((*data)[i - at] != 0) {
        return i;
      }
    }
  }
  return std::nullopt;
}

}  // namespace nbdspec::conformance
