// SPDX-License-Identifier: BSD-3-Clause
// How LiveServer begins: it starts a server, learns what its export holds, and enters connections.

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/wire/fields.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::ByteRange;
using engine::Trouble;

namespace {

constexpr std::uint64_t kWindowBytes = 4 << 20;  // At the beginning and at the end of an export.
constexpr std::uint32_t kLearnBytes = 1 << 20;

std::vector<engine::OptionStep> HagglingOf(const engine::Script& script) {
  std::vector<engine::OptionStep> options;
  for (const engine::Step& step : script.steps) {
    if (const auto* option = std::get_if<engine::OptionStep>(&step)) {
      options.push_back(*option);
    }
  }
  return options.empty() ? DefaultHaggling() : options;
}

std::size_t LanesOf(const engine::Script& script) {
  std::size_t count = 1;
  for (const engine::Step& step : script.steps) {
    if (const auto* request = std::get_if<engine::RequestStep>(&step)) {
      count = std::max<std::size_t>(count, request->connection);
    }
  }
  return count;
}

// Copies the data that `reply` carries for a READ.
void CopyContent(const ReplyView& reply, const engine::RequestStep& request, engine::Bytes& data) {
  std::uint64_t begin = 0;
  engine::ByteView bytes = reply.payload;
  if (!reply.is_simple) {
    if (reply.type != engine::ChunkType::kOffsetData || bytes.size() < sizeof begin) {
      return;
    }
    begin = engine::GetBigEndian<std::uint64_t>(bytes) - request.offset;
    bytes = bytes.subspan(sizeof begin);
  }
  if (begin <= data.size() && bytes.size() <= data.size() - begin) {
    std::ranges::copy(bytes, data.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

std::vector<ByteRange> WindowsOf(std::uint64_t size) {
  if (size <= 2 * kWindowBytes) {
    return {{.begin = 0, .end = size}};
  }
  return {{.begin = 0, .end = kWindowBytes}, {.begin = size - kWindowBytes, .end = size}};
}

}  // namespace

std::vector<engine::OptionStep> DefaultHaggling() {
  return {{.option = engine::OptionType::kStructuredReply},
          {.option = engine::OptionType::kSetMetaContext, .names = {std::string(engine::kBaseAllocation)}}};
}

std::expected<std::unique_ptr<LiveServer>, Trouble> LiveServer::Start(conformance::Target& target,
                                                                      const LiveOptions& options) {
  NBDSPEC_CHECK(options.in_flight >= 1 && options.in_flight <= kInFlightMax);
  std::unique_ptr<LiveServer> server(new LiveServer(target, options));
  NBDSPEC_ASSIGN_OR_RETURN(peer, target.Start(conformance::Setup::kWritable, Clock::now() + options.start_timeout));
  server->peer_ = std::move(peer);
  NBDSPEC_RETURN_IF_ERROR(server->Learn());
  return server;
}

LiveServer::~LiveServer() { LeaveLanes(); }

std::expected<void, Trouble> LiveServer::Restart() {
  lanes_.clear();
  if (target_.IsOurs()) {
    NBDSPEC_RETURN_IF_ERROR(peer_->Restart());
  }
  return Learn();
}

std::expected<std::unique_ptr<LiveConnection>, Trouble> LiveServer::Connect(int number) {
  NBDSPEC_ASSIGN_OR_RETURN(transport, peer_->Connect(Clock::now() + options_.start_timeout));
  return std::make_unique<LiveConnection>(std::move(transport), number, clock_);
}

std::expected<void, Trouble> LiveServer::Learn() {
  NBDSPEC_ASSIGN_OR_RETURN(connection, Connect(1));
  std::vector<engine::OptionStep> haggling = DefaultHaggling();
  haggling.push_back({.option = engine::OptionType::kListMetaContext});
  auto offer = connection->Enter(haggling, target_.ExportName(), Clock::now() + options_.start_timeout);
  if (!offer) {
    return std::unexpected(Trouble{"The export cannot be entered: " + offer.error() + ". Try `nbdspec check`, which " +
                                   "says more about handshakes."});
  }
  offer_ = *std::move(offer);
  const bool may_cache = offer_.Has(engine::TransmissionFlag::kSendFlush);
  model_.emplace(KnownBytes(WindowsOf(offer_.info.size)), may_cache);
  for (const ByteRange window : windows()) {
    if (const auto read = ReadWindow(*connection, window); !read) {
      return std::unexpected(Trouble{"The export cannot be read: " + read.error() + ". Try `nbdspec check`, which " +
                                     "says more about reading."});
    }
  }
  connection->Leave(Clock::now() + kDrainTimeout);
  return {};
}

// Reads all of `window` before anything is written; what cannot be read is not known.
std::expected<void, std::string> LiveServer::ReadWindow(LiveConnection& connection, ByteRange window) {
  const std::uint32_t block = std::max(1U, offer_.block_size.minimum);
  const std::uint32_t piece_max = std::max(block, std::min(kLearnBytes, offer_.block_size.maximum) / block * block);
  window.end = window.end / block * block;
  ReplyJudge judge;
  engine::Bytes data;
  for (std::uint64_t at = (window.begin + block - 1) / block * block; at < window.end; at += piece_max) {
    const engine::RequestStep request{
        .offset = at, .length = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_max, window.end - at))};
    const std::uint64_t cookie = CookieFrom(++cookie_count_);
    const ConcurrentModel::Ticket ticket = 0;
    connection.Put(request, cookie);
    judge.Start(request, offer_);
    model_->Begin(ticket, AccessOf(request, offer_));
    data.assign(request.length, 0);
    while (!judge.answer().is_complete()) {
      const auto deadline = Clock::now() + options_.reply_timeout;
      connection.Flush(deadline);
      const auto reply = connection.Next([&](std::uint64_t) { return request.length; });
      if (reply && reply->cookie == cookie) {
        judge.Take(*reply, ticket, *model_);
        CopyContent(*reply, request, data);
      } else if (reply || !connection.undecodable().empty()) {
        return std::unexpected(reply ? "a reply has an unknown cookie" : connection.undecodable());
      } else if (connection.Receive(deadline) != Ending::kNone) {
        return std::unexpected("no answer to a READ at " + std::to_string(at));
      }
    }
    const auto failure = judge.FindFailure(ticket, *model_);
    model_->End(ticket, judge.succeeded());
    if (failure) {
      return std::unexpected(std::string(failure->violation.requirement) + ": expected " + failure->violation.expected +
                             "; saw " + failure->violation.saw);
    }
    if (judge.succeeded()) {
      model_->bytes().Learn(at, data);
    }
    connection.StartRecord();
  }
  return {};
}

void LiveServer::LeaveLanes() {
  for (const Lane& lane : lanes_) {
    lane.connection->Leave(Clock::now() + kDrainTimeout);
  }
  lanes_.clear();
}

std::expected<void, Trouble> LiveServer::EnterLanes(const engine::Script& script) {
  std::vector<engine::OptionStep> haggling = HagglingOf(script);
  const std::size_t count = LanesOf(script);
  if (haggling != haggling_) {
    LeaveLanes();
    haggling_ = std::move(haggling);
  }
  for (Lane& lane : lanes_) {
    lane.connection->StartRecord();
  }
  while (lanes_.size() < count) {
    NBDSPEC_ASSIGN_OR_RETURN(connection, Connect(static_cast<int>(lanes_.size() + 1)));
    auto offer = connection->Enter(haggling_, target_.ExportName(), Clock::now() + options_.start_timeout);
    if (!offer) {
      return std::unexpected(Trouble{"The export cannot be entered: " + offer.error() + "."});
    }
    lanes_.push_back({.connection = std::move(connection),
                      .offer = *std::move(offer),
                      .slots = std::vector<Slot>(static_cast<std::size_t>(options_.in_flight))});
  }
  return {};
}

}  // namespace nbdspec::fuzz
