// SPDX-License-Identifier: BSD-3-Clause
// A client on its stage, for tests.

#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "engine/client/client_stage.h"
#include "engine/client/testdata/memory_server.h"

namespace nbdspec::engine {

// 5 GiB of hole, which nobody may write.
class SparseLayer final : public Layer {
 public:
  [[nodiscard]] std::uint64_t size() const override { return 5 * kGiB; }
  [[nodiscard]] bool CanExtents() const override { return true; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return AddExtent(extents, request.range, ExtentType::kHoleZero);
  }
  LayerResult Read(std::uint64_t /*offset*/, std::span<std::uint8_t> into) override {
    std::ranges::fill(into, std::uint8_t{0});
    return {};
  }
};

// How it ended.
struct Played {
  ClientResult result;
  bool has_right_bytes = true;  // Of a job that succeeded: copied out, and in.
  bool has_true_map = true;     // From 0 to the end, without a false claim of zeroes.
  std::set<std::string_view> violated = {};
  std::string said = {};         // By the client, with how it left.
  std::uint64_t call_count = 0;  // Of its links.
};

inline Bytes ContentOf(const Export& of) {
  const ByteView bytes = of.disk.Read({.begin = 0, .end = of.disk.size()});
  return {bytes.begin(), bytes.end()};
}

// Other bytes than MixedExport has, with zeroes among them.
inline Bytes NewContent(std::uint64_t size) {
  Bytes bytes(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    bytes[i] = (i >> 15) % 2 == 0 ? static_cast<std::uint8_t>(i * 7 + i / 251) : std::uint8_t{0};
  }
  return bytes;
}

inline bool IsTrue(const std::vector<ClientExtent>& map, const Bytes& content) {
  std::uint64_t end = 0;
  for (const ClientExtent& each : map) {
    constexpr std::uint32_t kKnown = AllocationFlag::kHole | AllocationFlag::kZero;
    if (each.offset != end || each.length > content.size() - end || (each.flags & ~kKnown) != 0) {
      return false;
    }
    end += each.length;
    for (std::uint64_t i = each.offset; (each.flags & AllocationFlag::kZero) != 0 && i < end; ++i) {
      if (content[i] != 0) {
        return false;
      }
    }
  }
  return end == content.size();
}

inline Played Play(const ClientConduct& conduct, const ClientStage& stage) {
  Export disk = MixedExport("", stage.serves == ClientStage::Serves::kMixed ? 200 * kKiB + 100 : 256 * kKiB);
  Export another = MixedExport("another");
  const bool is_sparse = stage.serves == ClientStage::Serves::kSparse;
  if (is_sparse) {
    disk.stack = std::make_unique<SparseLayer>();
  }
  if (stage.offers) {
    stage.offers(disk.options);
  }
  std::vector<Export*> exports = {&disk};
  if (stage.has_another) {
    exports.push_back(&another);
  }
  MemoryServer server(exports, stage.server, stage.change);
  server.is_shutting_down = stage.is_shutting_down;
  server.breaks_tls = stage.breaks_tls;
  ClientJob job = {.export_name = stage.lacks_export ? "nowhere" : "",
                   .tls = stage.demands_tls,
                   .maps = stage.maps,
                   .copies_out = stage.copies_out};
  if (stage.copies_in) {
    job.copies_in = NewContent(disk.disk.size());
  }
  const Bytes right = stage.copies_in ? *job.copies_in : ContentOf(disk);
  Played played = {.result = RunClient(server.Connector(), job, conduct)};
  const ClientResult& result = played.result;
  played.has_right_bytes = is_sparse || ((!job.copies_out || result.bytes == right) && ContentOf(disk) == right);
  played.has_true_map = is_sparse || !result.map || IsTrue(*result.map, right);
  played.violated = server.Violated(/*is_right=*/!stage.is_wrong);
  played.said = server.Said();
  played.call_count = server.call_count();
  return played;
}

}  // namespace nbdspec::engine
