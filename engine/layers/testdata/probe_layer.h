// SPDX-License-Identifier: BSD-3-Clause
// ProbeLayer: a disk for tests, which records each call and fails on demand.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/layers/layer.h"
#include "engine/layers/plugins.h"

namespace nbdspec::engine {

struct ProbeNotes {
  std::vector<std::string> calls = {};  // "read 3 +4"
  std::string failing_call = {};        // The first word of the calls that fail, and
  std::uint32_t error = 0;              // what they fail with.
  bool can_extents = true;
  bool can_write = true;
};

class ProbeLayer : public Filter {
 public:
  // `notes` outlives the layer.
  ProbeLayer(Disk disk, ProbeNotes& notes) : Filter(std::make_unique<Disk>(std::move(disk))), notes_(notes) {}

  [[nodiscard]] bool CanExtents() const override { return notes_.can_extents; }
  [[nodiscard]] bool CanWrite() const override { return notes_.can_write; }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    const auto noted = Note(request.req_one ? "extents_req_one" : "extents", request.range);
    return noted ? Filter::Extents(request, extents) : noted;
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const auto noted = Note("read", {.begin = offset, .end = offset + into.size()});
    return noted ? Filter::Read(offset, into) : noted;
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    const auto noted = Note("write", {.begin = offset, .end = offset + data.size()});
    return noted ? Filter::Write(offset, data) : noted;
  }
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override {
    const auto noted = Note(may_punch_hole ? "punch_hole" : "write_zeroes", range);
    return noted ? Filter::WriteZeroes(range, may_punch_hole) : noted;
  }
  LayerResult Trim(ByteRange range) override {
    const auto noted = Note("trim", range);
    return noted ? Filter::Trim(range) : noted;
  }
  LayerResult Flush() override { return Note("flush", {}); }

 private:
  LayerResult Note(const std::string& call, ByteRange range) {
    notes_.calls.push_back(call + " " + std::to_string(range.begin) + " +" + std::to_string(range.length()));
    return call == notes_.failing_call ? std::unexpected(notes_.error) : LayerResult{};
  }

  ProbeNotes& notes_;
};

}  // namespace nbdspec::engine
