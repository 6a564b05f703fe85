// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/map/export_map.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <variant>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/server/server.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::conformance {
namespace {

using reports::ExtentMap;

// Changes each chunk of status.
class ChangesStatus : public engine::Interposer {
 public:
  explicit ChangesStatus(void (*change)(engine::BlockStatus& status)) : change_(change) {}
  void AfterServer(const engine::ClientMessage* /*received*/, const engine::Negotiated& /*state*/,
                   std::vector<engine::ServerMessage>& sent) override {
    for (engine::ServerMessage& message : sent) {
      auto* const chunk = std::get_if<engine::Chunk>(&message);
      auto status = chunk != nullptr ? engine::DecodeBlockStatus(chunk->type, chunk->payload) : std::nullopt;
      if (status) {
        change_(*status);
        chunk->payload = engine::EncodePayload(*status);
      }
    }
  }

 private:
  void (*change_)(engine::BlockStatus& status);
};

std::expected<ExtentMap, engine::Trouble> MapOf(ReferenceOptions reference, const MapOptions& options = {}) {
  const auto target = ReferenceTarget(std::move(reference));
  return MapExport(*target, options);
}

std::expected<ExtentMap, engine::Trouble> MapWith(void (*change)(engine::BlockStatus& status)) {
  return MapOf({.interposers = [change](engine::Layer&) { return std::make_unique<ChangesStatus>(change); }});
}

void ExpectWhole(const ExtentMap& map) {
  EXPECT_EQ(map.trouble, "");
  std::uint64_t end = 0;
  for (const reports::MappedExtent& extent : map.extents) {
    EXPECT_EQ(extent.begin, end);
    EXPECT_LT(extent.begin, extent.end);
    end = extent.end;
  }
  EXPECT_EQ(end, map.size);
}

TEST(ExportMap, IsThatOfTheReferenceServerInBothFormsAndInsideTls) {
  const auto compact = MapOf({.server = {.extended_headers = false}});
  ASSERT_TRUE(compact.has_value()) << compact.error().sentence;
  ExpectWhole(*compact);
  EXPECT_EQ(compact->size, 4U << 20);
  std::uint64_t kinds = 0;
  for (const reports::MappedExtent& extent : compact->extents) {
    kinds |= std::uint64_t{1} << extent.flags;
  }
  EXPECT_EQ(kinds, 0b1101U) << "data, allocated zeroes, holes of zeroes";
  EXPECT_EQ(MapOf({})->extents, compact->extents);
  EXPECT_EQ(MapOf({.tls = true})->extents, compact->extents);
}

TEST(ExportMap, TakesDescriptorsOneByOneAndPastTheEnd) {
  const auto whole = MapOf({});
  const auto first_only = MapWith([](engine::BlockStatus& status) { status.descriptors.resize(1); });
  ASSERT_TRUE(first_only.has_value());
  EXPECT_EQ(first_only->extents, whole->extents);
  const auto longer = MapWith([](engine::BlockStatus& status) { status.descriptors.back().length += 1 << 20; });
  ASSERT_TRUE(longer.has_value());
  ExpectWhole(*longer);
}

TEST(ExportMap, EndsAtAnAnswerThatSaysNothing) {
  const auto nothing = MapWith([](engine::BlockStatus& status) { status.descriptors.assign(1, {.length = 0}); });
  ASSERT_TRUE(nothing.has_value());
  EXPECT_TRUE(nothing->extents.empty());
  EXPECT_EQ(nothing->trouble, "an answer to NBD_CMD_BLOCK_STATUS says nothing of the bytes that were asked about");
}

TEST(ExportMap, HasNoMoreExtentsThanWanted) {
  const auto map = MapWith([](engine::BlockStatus& status) {
    status.descriptors.assign(8, {.length = 512});
    for (std::size_t i = 0; i < status.descriptors.size(); ++i) {
      status.descriptors[i].status = i % 2;
    }
  });
  ASSERT_TRUE(map.has_value());
  ExpectWhole(*map);
  EXPECT_EQ(map->extents.size(), map->size / 512);
  const auto target = ReferenceTarget({});
  const auto few = MapExport(*target, {.extents_max = 2});
  ASSERT_TRUE(few.has_value());
  EXPECT_EQ(few->trouble, "it has more than 2 extents");
}

TEST(ExportMap, IsRefusedWithoutTheContext) {
  const auto map = MapOf({.server = {.structured_replies = false, .extended_headers = false}});
  ASSERT_FALSE(map.has_value());
  EXPECT_EQ(map.error().sentence, "the server does not offer base:allocation, in which it would say what it stores");
}

std::atomic<bool> interrupted = false;

TEST(ExportMap, EndsWhenInterrupted) {
  const auto interrupts = [](engine::BlockStatus& status) {
    status.descriptors.resize(1);
    interrupted = true;
  };
  const auto map = MapOf({.interposers = [&](engine::Layer&) { return std::make_unique<ChangesStatus>(interrupts); }},
                         {.limits = {.cancelled = &interrupted}});
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->trouble, "it was interrupted");
}

}  // namespace
}  // namespace nbdspec::conformance
