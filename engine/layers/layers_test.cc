// SPDX-License-Identifier: BSD-3-Clause
// The extents and bytes of each layer, and its calls to the layer below. Random stacks are
// fuzz/targets/layer_stack_fuzz.cc's.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "engine/layers/filters.h"
#include "engine/layers/layer.h"
#include "engine/layers/plugins.h"
#include "engine/layers/testdata/probe_layer.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {
namespace {

using Calls = std::vector<std::string>;

// A letter for each byte: "." hole,zero, "z" zero, "h" hole, "D" data.
ExtentType TypeOf(char letter) {
  switch (letter) {
    case '.':
      return ExtentType::kHoleZero;
    case 'z':
      return ExtentType::kZero;
    case 'h':
      return ExtentType::kHole;
    default:
      return ExtentType::kData;
  }
}

Disk DiskOf(std::string_view letters) {
  ExtentMap extents(letters.size());
  for (std::size_t i = 0; i < letters.size(); ++i) {
    EXPECT_TRUE(extents.Add(i, 1, TypeOf(letters[i])));
  }
  return Disk(std::move(extents));
}

std::unique_ptr<Layer> Over(std::string_view letters) { return std::make_unique<Disk>(DiskOf(letters)); }

std::string Letters(const ExtentMap& extents, ByteRange range) {
  std::string letters;
  extents.ForEach(range, [&](Extent extent) {
    letters += std::string(extent.range.length(), "Dhz."[static_cast<std::size_t>(extent.type)]);
    return true;
  });
  return letters;
}

// What the layer says of the range, or of all of it.
std::string Says(Layer& layer, std::optional<ByteRange> range = std::nullopt, bool req_one = false) {
  const ByteRange asked = range.value_or(ByteRange{.begin = 0, .end = layer.size()});
  if (asked.empty()) {
    return "";
  }
  const auto extents = AskExtents(layer, {.range = asked, .req_one = req_one});
  return extents ? Letters(*extents, asked) : "error " + std::to_string(extents.error());
}

Bytes Reads(Layer& layer, std::uint64_t offset, std::size_t length) {
  Bytes bytes(length, 0xa5);
  EXPECT_TRUE(layer.Read(offset, bytes));
  return bytes;
}

Bytes Reads(Layer& layer) { return Reads(layer, 0, layer.size()); }

TEST(Disk, HasBytesThatFitItsExtents) {
  Disk disk = DiskOf(".zhD");
  EXPECT_EQ(Reads(disk), (Bytes{0, 0, 3, 4}));
  EXPECT_EQ(Says(disk), ".zhD");
}

TEST(Disk, ChangesBecomeDataZeroesAndHoles) {
  Disk disk = DiskOf("DDDDDDDD");
  EXPECT_TRUE(disk.WriteZeroes({.begin = 1, .end = 3}, /*may_punch_hole=*/false));
  EXPECT_TRUE(disk.WriteZeroes({.begin = 3, .end = 4}, /*may_punch_hole=*/true));
  EXPECT_TRUE(disk.Trim({.begin = 5, .end = 8}));
  EXPECT_TRUE(disk.Write(6, Bytes{9}));
  EXPECT_EQ(Says(disk), "Dzz.D.D.");
  EXPECT_EQ(Reads(disk), (Bytes{1, 0, 0, 0, 5, 0, 9, 0}));
}

// A plugin that has only what every plugin must have, and one that has writes as well.
class Bare : public Layer {
 public:
  [[nodiscard]] std::uint64_t size() const override { return 1 << 20; }
  LayerResult Read(std::uint64_t, std::span<std::uint8_t>) override { return {}; }
};

class Writable : public Bare {
 public:
  [[nodiscard]] bool CanWrite() const override { return true; }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    if (offset >= full_at) {
      return std::unexpected(NbdError::kEnospc);
    }
    written.push_back({.begin = offset, .end = offset + data.size()});
    return {};
  }
  std::vector<ByteRange> written;
  std::uint64_t full_at = 1 << 20;
};

TEST(Layer, WithoutExtentsIsDataAndIsNotAsked) {
  Bare bare;
  EXPECT_FALSE(bare.CanExtents());
  EXPECT_FALSE(bare.CanWrite());
  EXPECT_EQ(Says(bare, ByteRange{.begin = 7, .end = 10}), "DDD");
}

TEST(Layer, ZeroesAreWrittenInPiecesWhereNothingBetterIsOffered) {
  Writable layer;
  EXPECT_TRUE(layer.WriteZeroes({.begin = 1, .end = 1 + (1 << 16) + 5}, true));
  EXPECT_EQ(layer.written, (std::vector<ByteRange>{{.begin = 1, .end = 1 + (1 << 16)},
                                                   {.begin = 1 + (1 << 16), .end = 6 + (1 << 16)}}));
  layer.full_at = 0;
  EXPECT_EQ(layer.WriteZeroes({.begin = 1, .end = 2}, true), LayerResult(std::unexpected(NbdError::kEnospc)));
  EXPECT_TRUE(layer.WriteZeroes({.begin = 1, .end = 1}, true));
}

TEST(Layer, WhatAnAnswerLeavesOutIsData) {
  class Terse : public Bare {
    [[nodiscard]] bool CanExtents() const override { return true; }
    LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
      EXPECT_EQ(extents.extent_count(), 1U);
      EXPECT_EQ(extents.size(), size());
      return AddExtent(extents, {.begin = request.range.begin, .end = request.range.begin + 2}, ExtentType::kHoleZero);
    }
  };
  Terse terse;
  EXPECT_EQ(Says(terse, ByteRange{.begin = 4, .end = 9}), "..DDD");
}

struct WindowCase {
  std::uint64_t offset;
  std::optional<std::uint64_t> length;
  const char* says;
};

// Says that all of it is a hole, whatever it was asked for.
class Chatty : public Layer {
 public:
  [[nodiscard]] std::uint64_t size() const override { return 16; }
  [[nodiscard]] bool CanExtents() const override { return true; }
  LayerResult Extents(const ExtentsRequest&, ExtentMap& extents) override {
    return AddExtent(extents, {.begin = 0, .end = 16}, ExtentType::kHoleZero);
  }
  LayerResult Read(std::uint64_t, std::span<std::uint8_t>) override { return {}; }
};

TEST(Filters, IgnoreExtentsOutsideOfTheRange) {
  WindowFilter window(std::make_unique<Chatty>(), {.offset = 4, .length = 8});
  ExtentMap extents(window.size(), ExtentType::kData);
  ASSERT_TRUE(window.Extents({.range = {.begin = 2, .end = 5}}, extents));
  EXPECT_EQ(Letters(extents, extents.range()), "DD...DDD");
}

TEST(Filters, PassReqOneOn) {
  ProbeNotes notes;
  WindowFilter window(std::make_unique<ProbeLayer>(DiskOf(".zhD"), notes), {.offset = 1, .length = 3});
  EXPECT_EQ(Says(window, std::nullopt, /*req_one=*/true), "zhD");
  EXPECT_EQ(notes.calls, (Calls{"extents_req_one 1 +3"}));
}

class PlainFilter : public Filter {
 public:
  using Filter::Filter;
};

TEST(Filters, OfferExtentsIfTheLayerBelowDoes) {
  PlainFilter over_disk(Over(".zhD"));
  EXPECT_TRUE(over_disk.CanExtents());
  EXPECT_EQ(Says(over_disk), ".zhD");
  PlainFilter over_bare(std::make_unique<Bare>());
  EXPECT_FALSE(over_bare.CanExtents());
}

TEST(WindowFilter, ShowsTheBytesFromItsOffsetOn) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  const std::vector<WindowCase> cases = {
      {0, {}, ".zhD.zhD"}, {0, 8, ".zhD.zhD"},  {0, 9, ".zhD.zhD"}, {3, {}, "D.zhD"}, {3, 2, "D."},
      {7, {}, "D"},        {7, 1, "D"},         {8, {}, ""},        {9, {}, ""},      {9, 1, ""},
      {3, 0, ""},          {3, kHuge, "D.zhD"}, {kHuge, kHuge, ""}, {kHuge, {}, ""}};
  for (const WindowCase& each : cases) {
    WindowFilter window(Over(".zhD.zhD"), {.offset = each.offset, .length = each.length});
    EXPECT_EQ(Says(window), each.says) << each.offset;
    EXPECT_EQ(window.size(), std::string_view(each.says).size());
    for (std::size_t i = 0; i < window.size(); ++i) {
      EXPECT_EQ(Says(window, ByteRange{.begin = i, .end = i + 1}), std::string(1, each.says[i])) << each.offset;
    }
    EXPECT_TRUE(window.Read(0, {}));
  }
}

TEST(WindowFilter, ChangesBelowAreShifted) {
  ProbeNotes notes;
  WindowFilter window(std::make_unique<ProbeLayer>(DiskOf("DDDDDDDD"), notes), {.offset = 3, .length = 4});
  EXPECT_TRUE(window.Write(1, Bytes{7}));
  EXPECT_TRUE(window.WriteZeroes({.begin = 0, .end = 1}, false));
  EXPECT_TRUE(window.Trim({.begin = 2, .end = 4}));
  EXPECT_EQ(Reads(window), (Bytes{0, 7, 0, 0}));
  EXPECT_EQ(Says(window, {}, /*req_one=*/true), "zD..");
  EXPECT_TRUE(window.Flush());
  EXPECT_EQ(notes.calls,
            (Calls{"write 4 +1", "write_zeroes 3 +1", "trim 5 +2", "read 3 +4", "extents_req_one 3 +4", "flush 0 +0"}));
}

struct TruncateCase {
  TruncateFilter::Options options;
  const char* says;
};

TEST(TruncateFilter, CutsAndGrowsAndRounds) {
  const std::vector<TruncateCase> cases = {{{}, "DhzDD"},
                                           {{.size = 0}, ""},
                                           {{.size = 1}, "D"},
                                           {{.size = 5}, "DhzDD"},
                                           {{.size = 7}, "DhzDD.."},
                                           {{.round_up_to = 4}, "DhzDD..."},
                                           {{.round_up_to = 5}, "DhzDD"},
                                           {{.round_down_to = 4}, "DhzD"},
                                           {{.round_down_to = 5}, "DhzDD"},
                                           {{.round_down_to = 6}, ""},
                                           {{.round_up_to = 4, .round_down_to = 3}, "DhzDD."},
                                           {{.size = 0, .round_up_to = 8}, ""},
                                           {{.size = 2, .round_up_to = 4}, "DhzD"},
                                           {{.size = 6, .round_up_to = 4, .round_down_to = 8}, "DhzDD..."}};
  for (const TruncateCase& each : cases) {
    TruncateFilter truncated(Over("DhzDD"), each.options);
    EXPECT_EQ(truncated.size(), std::string_view(each.says).size());
    EXPECT_EQ(Says(truncated), each.says);
    EXPECT_TRUE(truncated.Read(truncated.size(), {}));
  }
}

TEST(TruncateFilter, GrowsToTheLargestExport) {
  TruncateFilter grown(Over("D"), {.size = kExportBytesMax});
  EXPECT_EQ(Says(grown, ByteRange{.begin = kExportBytesMax - 2, .end = kExportBytesMax}), "..");
  EXPECT_EQ(Says(grown, ByteRange{.begin = 0, .end = 3}), "D..");
  EXPECT_EQ(Reads(grown, kExportBytesMax - 1, 1), Bytes{0});
  EXPECT_TRUE(grown.WriteZeroes({.begin = 0, .end = kExportBytesMax}, false));
  EXPECT_EQ(Says(grown, ByteRange{.begin = 0, .end = 3}), "z..");
}

TEST(TruncateFilter, OverEmptyDisk) {
  TruncateFilter grown(Over(""), {.size = 2});
  EXPECT_EQ(Says(grown), "..");
  EXPECT_EQ(Reads(grown), (Bytes{0, 0}));
}

TEST(TruncateFilter, TakesOnlyZeroesPastTheEndAndWritesNothingElse) {
  ProbeNotes notes;
  TruncateFilter grown(std::make_unique<ProbeLayer>(DiskOf("DD"), notes), {.size = 4});
  EXPECT_EQ(grown.Write(1, Bytes{9, 0, 1}), LayerResult(std::unexpected(NbdError::kEnospc)));
  EXPECT_EQ(grown.Write(3, Bytes{1}), LayerResult(std::unexpected(NbdError::kEnospc)));
  EXPECT_EQ(notes.calls, Calls{});
  EXPECT_TRUE(grown.Write(1, Bytes{9, 0, 0}));
  EXPECT_TRUE(grown.Write(2, Bytes{0, 0}));
  EXPECT_TRUE(grown.Trim({.begin = 2, .end = 4}));
  EXPECT_TRUE(grown.Trim({.begin = 1, .end = 3}));
  EXPECT_EQ(Reads(grown, 2, 2), (Bytes{0, 0}));
  EXPECT_EQ(notes.calls, (Calls{"write 1 +1", "trim 1 +1"}));
  EXPECT_EQ(Says(grown), "D...");
}

TEST(TruncateFilter, GrowsByAHoleEvenOverALayerWithoutExtents) {
  TruncateFilter grown(std::make_unique<NoExtentsFilter>(Over("..")), {.size = 4});
  EXPECT_TRUE(grown.CanExtents());
  EXPECT_EQ(Says(grown), "DD..");
}

TEST(NoExtentsFilter, HidesThem) {
  ProbeNotes notes;
  NoExtentsFilter hidden(std::make_unique<ProbeLayer>(DiskOf(".zh"), notes));
  EXPECT_FALSE(hidden.CanExtents());
  EXPECT_EQ(Says(hidden), "DDD");
  EXPECT_EQ(notes.calls, Calls{});
  EXPECT_EQ(Reads(hidden), (Bytes{0, 0, 3}));
}

TEST(CopyOnWriteFilter, TakesWholeBlocks) {
  ProbeNotes notes{.can_write = false};
  CopyOnWriteFilter over(std::make_unique<ProbeLayer>(DiskOf("....DDDD.."), notes), 4);
  EXPECT_TRUE(over.CanWrite());
  EXPECT_TRUE(over.Write(5, Bytes{9}));
  EXPECT_EQ(Says(over), "....DDDD..");
  EXPECT_TRUE(over.Write(8, Bytes{7, 7}));  // All of the last block: it is not read.
  EXPECT_EQ(Says(over), "....DDDDDD");
  EXPECT_EQ(Reads(over), (Bytes{0, 0, 0, 0, 5, 9, 7, 8, 7, 7}));
  EXPECT_TRUE(over.Write(3, Bytes{1}));
  EXPECT_EQ(Says(over), "DDDDDDDDDD");
  EXPECT_TRUE(over.Flush());
  EXPECT_EQ(notes.calls,
            (Calls{"read 4 +4", "extents 0 +10", "extents 0 +10", "read 0 +4", "read 0 +4", "extents 0 +10"}));
}

TEST(CopyOnWriteFilter, ZeroesWholeBlocksAndWritesTheRest) {
  CopyOnWriteFilter over(Over("DDDDDDDDDD"), 4);
  EXPECT_TRUE(over.WriteZeroes({.begin = 3, .end = 10}, /*may_punch_hole=*/true));
  EXPECT_EQ(Says(over), "DDDD......");
  EXPECT_EQ(Reads(over), (Bytes{1, 2, 3, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(over.WriteZeroes({.begin = 4, .end = 9}, /*may_punch_hole=*/false));
  EXPECT_EQ(Says(over), "DDDDzzzzDD");
  EXPECT_TRUE(over.Write(6, Bytes{8}));
  EXPECT_EQ(Says(over), "DDDDDDDDDD");
  EXPECT_EQ(Reads(over, 4, 4), (Bytes{0, 0, 8, 0}));
}

TEST(CopyOnWriteFilter, TrimLeavesCutBlocksAlone) {
  CopyOnWriteFilter over(Over("DDDDDDDDDD"), 4);
  EXPECT_TRUE(over.Trim({.begin = 3, .end = 9}));
  EXPECT_EQ(Says(over), "DDDD....DD");
  EXPECT_TRUE(over.Trim({.begin = 5, .end = 7}));
  EXPECT_TRUE(over.Trim({.begin = 9, .end = 10}));
  EXPECT_EQ(Says(over), "DDDD....DD");
  EXPECT_EQ(Reads(over, 8, 2), (Bytes{9, 10}));
}

TEST(CopyOnWriteFilter, AFailedWriteChangesNothing) {
  ProbeNotes notes{.failing_call = "read", .error = NbdError::kEio};
  CopyOnWriteFilter over(std::make_unique<ProbeLayer>(DiskOf("DDDDDDDD"), notes), 4);
  EXPECT_EQ(over.Write(0, Bytes{1, 1, 1, 1, 1}), LayerResult(std::unexpected(NbdError::kEio)));
  notes.failing_call = "";
  EXPECT_EQ(Reads(over), (Bytes{1, 2, 3, 4, 5, 6, 7, 8}));
}

struct BlockCase {
  const char* below;
  const char* says;
};

TEST(BlockSizeFilter, ABlockClaimsWhatIsTrueOfAllOfIt) {
  const std::vector<BlockCase> cases = {{"", ""},
                                        {".", "."},
                                        {"....", "...."},
                                        {"...D", "DDDD"},
                                        {".z.z", "zzzz"},
                                        {".h.h", "hhhh"},
                                        {"zhzh", "DDDD"},
                                        {"....z", "....z"},
                                        {"...z.z", "zzzzzz"},
                                        {"DDDD..", "DDDD.."},
                                        {"....DDDD....", "....DDDD...."},
                                        {".....DDDD...", "....DDDDDDDD"},
                                        {"...zzzzzzz..", "zzzzzzzzzzzz"},
                                        {"..........hD", "........DDDD"},
                                        {".......z..h", "....zzzzhhh"}};
  for (const BlockCase& each : cases) {
    BlockSizeFilter blocks(Over(each.below), 4);
    EXPECT_EQ(Says(blocks), each.says) << each.below;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(Says(blocks, ByteRange{.begin = i, .end = i + 1}, /*req_one=*/true), std::string(1, each.says[i]))
          << each.below;
    }
  }
}

TEST(BlockSizeFilter, AsksForWholeBlocksOnly) {
  ProbeNotes notes;
  BlockSizeFilter blocks(std::make_unique<ProbeLayer>(DiskOf("DDDDDDDDDD"), notes), 4);
  EXPECT_EQ(Reads(blocks, 5, 2), (Bytes{6, 7}));
  EXPECT_EQ(Reads(blocks, 4, 6), (Bytes{5, 6, 7, 8, 9, 10}));
  EXPECT_TRUE(blocks.Write(7, Bytes{1, 2}));
  EXPECT_TRUE(blocks.Write(8, Bytes{3, 4}));
  EXPECT_TRUE(blocks.Write(9, {}));
  EXPECT_EQ(Says(blocks, ByteRange{.begin = 9, .end = 10}, /*req_one=*/true), "D");
  EXPECT_EQ(notes.calls, (Calls{"read 4 +4", "read 4 +6", "read 4 +6", "write 4 +6", "write 8 +2", "extents 8 +2"}));
  EXPECT_EQ(Reads(blocks, 0, 10), (Bytes{1, 2, 3, 4, 5, 6, 7, 1, 3, 4}));
}

TEST(BlockSizeFilter, ZeroesWholeBlocksAndTrimsNoOthers) {
  ProbeNotes notes;
  BlockSizeFilter blocks(std::make_unique<ProbeLayer>(DiskOf("DDDDDDDDDDDDDD"), notes), 4);
  EXPECT_TRUE(blocks.WriteZeroes({.begin = 3, .end = 13}, /*may_punch_hole=*/true));
  EXPECT_EQ(Says(blocks), "DDDD........DD");
  EXPECT_EQ(Reads(blocks, 0, 4), (Bytes{1, 2, 3, 0}));
  EXPECT_EQ(Reads(blocks, 12, 2), (Bytes{0, 14}));
  notes.calls.clear();
  EXPECT_TRUE(blocks.Trim({.begin = 1, .end = 3}));
  EXPECT_TRUE(blocks.Trim({.begin = 1, .end = 7}));
  EXPECT_EQ(notes.calls, Calls{});
  EXPECT_TRUE(blocks.Trim({.begin = 1, .end = 14}));
  EXPECT_EQ(notes.calls, Calls{"trim 4 +10"});
  notes.calls.clear();
  EXPECT_TRUE(blocks.WriteZeroes({.begin = 3, .end = 5}, false));
  EXPECT_EQ(notes.calls, (Calls{"read 0 +8", "write 0 +8"}));
}

TEST(BlockSizeFilter, AFailedReadIsNotWrittenBack) {
  ProbeNotes notes{.failing_call = "read", .error = NbdError::kEshutdown};
  BlockSizeFilter blocks(std::make_unique<ProbeLayer>(DiskOf("DDDD"), notes), 4);
  EXPECT_EQ(blocks.Write(1, Bytes{9}), LayerResult(std::unexpected(NbdError::kEshutdown)));
  EXPECT_EQ(notes.calls, Calls{"read 0 +4"});
}

TEST(SparseReadFilter, DoesNotTouchWhatReadsAsZero) {
  ProbeNotes notes;
  SparseReadFilter sparse(std::make_unique<ProbeLayer>(DiskOf("..DDzzh.."), notes));
  EXPECT_EQ(Reads(sparse), (Bytes{0, 0, 3, 4, 0, 0, 7, 0, 0}));
  EXPECT_EQ(notes.calls, (Calls{"extents 0 +9", "read 2 +2", "read 6 +1"}));
  notes.calls.clear();
  EXPECT_EQ(Reads(sparse, 7, 2), (Bytes{0, 0}));
  EXPECT_TRUE(sparse.Read(3, {}));
  EXPECT_EQ(notes.calls, Calls{"extents 7 +2"});
}

TEST(SparseReadFilter, ReadsAllOfWhatOffersNoExtents) {
  ProbeNotes notes{.can_extents = false};
  SparseReadFilter sparse(std::make_unique<ProbeLayer>(DiskOf("..DD"), notes));
  EXPECT_EQ(Reads(sparse), (Bytes{0, 0, 3, 4}));
  EXPECT_EQ(notes.calls, Calls{"read 0 +4"});
}

TEST(SparseReadFilter, AsksAgainAtEachRead) {
  SparseReadFilter sparse(Over("...."));
  EXPECT_EQ(Reads(sparse), (Bytes{0, 0, 0, 0}));
  EXPECT_TRUE(sparse.Write(1, Bytes{5}));
  EXPECT_EQ(Reads(sparse), (Bytes{0, 5, 0, 0}));
}

TEST(ConcatPlugin, IsItsPartsInOrder) {
  std::vector<std::unique_ptr<Layer>> parts;
  for (const char* letters : {"", ".z", "", "hD."}) {
    parts.push_back(Over(letters));
  }
  parts.push_back(std::make_unique<NoExtentsFilter>(Over("..")));
  ConcatPlugin concat(std::move(parts));
  EXPECT_EQ(concat.size(), 7U);
  EXPECT_EQ(Says(concat), ".zhD.DD");
  EXPECT_EQ(Says(concat, ByteRange{.begin = 1, .end = 3}), "zh");
  EXPECT_EQ(Says(concat, ByteRange{.begin = 2, .end = 5}), "hD.");
  EXPECT_EQ(Reads(concat), (Bytes{0, 0, 1, 2, 0, 0, 0}));
  EXPECT_TRUE(concat.Write(1, Bytes{9, 8}));
  EXPECT_TRUE(concat.Trim({.begin = 3, .end = 6}));
  EXPECT_TRUE(concat.WriteZeroes({.begin = 0, .end = 1}, false));
  EXPECT_EQ(Says(concat), "zDD..DD");
  EXPECT_EQ(Reads(concat), (Bytes{0, 9, 8, 0, 0, 0, 0}));
}

TEST(ConcatPlugin, WithoutPartsIsEmpty) {
  ConcatPlugin concat({});
  EXPECT_EQ(concat.size(), 0U);
  EXPECT_FALSE(concat.CanExtents());
  EXPECT_TRUE(concat.Read(0, {}));
  EXPECT_TRUE(concat.Flush());
}

TEST(ConcatPlugin, EndsAtTheFirstError) {
  ProbeNotes first{.failing_call = "trim", .error = 9999, .can_write = false};
  ProbeNotes second;
  std::vector<std::unique_ptr<Layer>> parts;
  parts.push_back(std::make_unique<ProbeLayer>(DiskOf("DD"), first));
  parts.push_back(std::make_unique<ProbeLayer>(DiskOf("DD"), second));
  ConcatPlugin concat(std::move(parts));
  EXPECT_FALSE(concat.CanWrite());
  EXPECT_EQ(concat.Trim({.begin = 1, .end = 3}), LayerResult(std::unexpected(9999U)));
  EXPECT_EQ(second.calls, Calls{});
  EXPECT_TRUE(concat.Flush());
  EXPECT_EQ(second.calls, Calls{"flush 0 +0"});
}

// Through all filters at once.
TEST(Filters, AnErrorBelowReachesTheTop) {
  for (const std::string call : {"read", "extents", "flush", "write", "punch_hole", "write_zeroes", "trim"}) {
    ProbeNotes notes{.failing_call = call, .error = 1234};
    std::unique_ptr<Layer> top = std::make_unique<ProbeLayer>(DiskOf("DDDDDDDD"), notes);
    top = std::make_unique<WindowFilter>(std::move(top), WindowFilter::Options{.offset = 1});
    top = std::make_unique<TruncateFilter>(std::move(top), TruncateFilter::Options{.size = 8});
    top = std::make_unique<SparseReadFilter>(std::move(top));
    top = std::make_unique<BlockSizeFilter>(std::move(top), 2);
    std::vector<std::unique_ptr<Layer>> parts;
    parts.push_back(std::move(top));
    ConcatPlugin concat(std::move(parts));
    Bytes bytes(4, 1);
    LayerResult result;
    if (call == "read") {
      result = concat.Read(0, bytes);
    } else if (call == "extents") {
      EXPECT_EQ(Says(concat), "error 1234");
      result = concat.Read(0, bytes);  // It asks for extents on its way.
    } else if (call == "flush") {
      result = concat.Flush();
    } else if (call == "write") {
      result = concat.Write(0, bytes);
    } else if (call == "trim") {
      result = concat.Trim({.begin = 0, .end = 4});
    } else {
      result = concat.WriteZeroes({.begin = 0, .end = 4}, call == "punch_hole");
    }
    EXPECT_EQ(result, LayerResult(std::unexpected(1234U))) << call;
  }
}

TEST(LayersDeathTest, OurOwnMistakesAbort) {
  EXPECT_DEATH(BlockSizeFilter(Over("."), 0), "block_bytes_");
  EXPECT_DEATH(CopyOnWriteFilter(Over("."), 0), "block_bytes_");
  EXPECT_DEATH(TruncateFilter(Over("."), {.round_up_to = 0}), "round_up_to");
  EXPECT_DEATH(TruncateFilter(Over("."), {.size = kExportBytesMax - 1, .round_up_to = 1 << 20}), "missing");
  Bare bare;
  ExtentMap extents(bare.size(), ExtentType::kData);
  const auto ask = [&] { return bare.Extents({.range = {.begin = 0, .end = 1}}, extents).has_value(); };
  EXPECT_DEATH(ask(), "not asked");
}

}  // namespace
}  // namespace nbdspec::engine
