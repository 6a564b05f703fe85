// SPDX-License-Identifier: BSD-3-Clause
// What shows on a fresh export alone: a server starts afresh now and then, and scripts look where it has its extents.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "engine/faults/change.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Transport;
using engine::ByteRange;

// Data that the export begins with, at edges that nobody comes upon by chance.
constexpr auto kExtents = std::to_array<ByteRange>({{.begin = 523 * 512, .end = 601 * 512},
                                                    {.begin = 1711 * 512, .end = 1730 * 512},
                                                    {.begin = 3251 * 512, .end = 3490 * 512},
                                                    {.begin = 6007 * 512, .end = 6100 * 512}});

constexpr std::uint8_t FirstByteAt(std::uint64_t offset) { return static_cast<std::uint8_t>(offset % 239 + 3); }

engine::Bytes FirstBytes(ByteRange range) {
  engine::Bytes bytes(range.length());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = FirstByteAt(range.begin + i);
  }
  return bytes;
}

// How often the server was started, and whether its export has to be filled.
struct Starts {
  int count = 0;
  bool is_empty = false;
};

// WRITE_ZEROES of all of an extent that was never written leaves its last byte. Not on the first export.
engine::faults::Change LeavesLastByteOfFirstExtents(std::shared_ptr<Starts> starts) {
  return {
      .received = [starts = std::move(starts)](engine::ClientMessage& received, const engine::faults::Connection& on) {
        auto* const request = std::get_if<engine::Request>(&received);
        if (request == nullptr || request->type != engine::CommandType::kWriteZeroes || starts->count < 2) {
          return true;
        }
        const ByteRange range = {.begin = request->offset, .end = request->offset + request->length};
        engine::Bytes bytes(std::ranges::find(kExtents, range) == kExtents.end() ? 0 : request->length);
        if (!bytes.empty() && on.layer->Read(request->offset, bytes) && bytes == FirstBytes(range)) {
          --request->length;
        }
        return true;
      }};
}

class CountsStarts : public conformance::Peer {
 public:
  CountsStarts(std::unique_ptr<conformance::Peer> rest, std::shared_ptr<Starts> starts)
      : rest_(std::move(rest)), starts_(std::move(starts)) {
    Note();
  }
  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    return rest_->Connect(deadline);
  }
  std::expected<void, engine::Trouble> Restart() override {
    Note();
    return rest_->Restart();
  }

 private:
  void Note() { *starts_ = {.count = starts_->count + 1, .is_empty = true}; }

  std::unique_ptr<conformance::Peer> rest_;
  std::shared_ptr<Starts> starts_;
};

FuzzReport FuzzExtents(std::uint64_t seed, std::uint64_t scripts, const engine::faults::Change& change,
                       std::shared_ptr<Starts> starts) {
  const auto reference = conformance::ReferenceTarget({.interposers = [=](engine::Layer& layer) {
    for (const ByteRange extent :
         std::exchange(starts->is_empty, false) ? std::span(kExtents) : std::span<const ByteRange>()) {
      EXPECT_TRUE(layer.Write(extent.begin, FirstBytes(extent)));
    }
    return Interpose(change, /*number=*/0, &layer);
  }});
  conformance::Target target({.description = "extents", .command_line = "extents"},
                             [&](conformance::Setup setup, auto deadline) -> conformance::PeerOrTrouble {
                               auto peer = reference->Start(setup, deadline);
                               return peer ? std::make_unique<CountsStarts>(*std::move(peer), starts) : std::move(peer);
                             });
  FuzzOptions options = {.seed = seed, .scripts_max = scripts, .tries_max = 0};
  std::atomic<bool> is_found = false;
  options.live.cancelled = &is_found;
  options.on_finding = [&](const Finding&, const std::string&) { is_found = true; };
  return Fuzz(target, options);
}

TEST(FreshExport, WhatWasNeverWrittenIsFoundWithinTwoThousandScripts) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const auto starts = std::make_shared<Starts>();
    const FuzzReport report = FuzzExtents(seed, /*scripts=*/2000, LeavesLastByteOfFirstExtents(starts), starts);
    ASSERT_FALSE(report.findings.empty()) << seed << ": " << starts->count << " exports";
    EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kWrongData);
  }
}

TEST(FreshExport, ARightServerIsNotAccused) {
  const auto starts = std::make_shared<Starts>();
  const FuzzReport report = FuzzExtents(/*seed=*/1, /*scripts=*/500, {}, starts);
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_TRUE(report.findings.empty());
  EXPECT_EQ(report.script_count, 500U);
  EXPECT_GT(starts->count, 2);
  EXPECT_LT(starts->count, 30);
}

}  // namespace
}  // namespace nbdspec::fuzz
