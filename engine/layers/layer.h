// SPDX-License-Identifier: BSD-3-Clause
// Layer: what a server serves. A plugin is a layer at the bottom, a filter a layer over another one.
//
// A layer may offer extents. The one who asks gives it a fresh map in its initial state, which is data, and then looks
// at the range it asked for and nowhere else: what a layer leaves out claims nothing, and what it says outside of the
// range is ignored. A layer that does not offer extents is data as a whole and is not asked. A filter passes the map on
// or asks the layer below with a fresh map of its own; it may do so from any other callback. Nothing is kept between
// requests, and what fails below reaches the client as the error that the layer below gave.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::engine {

// The error is the NBD error value for the client (NbdError), never 0.
using LayerResult = std::expected<void, std::uint32_t>;

struct ExtentsRequest {
  ByteRange range;
  // NBD_CMD_FLAG_REQ_ONE: only the extent at range.begin is wanted. A hint: an answer may leave out the rest.
  bool req_one = false;
};

// Every range is inside the layer; only that of Extents cannot be empty. A call that fails may have done a part.
class Layer {
 public:
  virtual ~Layer() = default;

  // Range: at most kExportBytesMax, the same at each call.
  [[nodiscard]] virtual std::uint64_t size() const = 0;

  // Whether Extents may be called.
  [[nodiscard]] virtual bool CanExtents() const { return false; }

  // Whether Write, WriteZeroes and Trim may be called.
  [[nodiscard]] virtual bool CanWrite() const { return false; }

  // Adds what is known of request.range to `extents`, a map of size() bytes in its initial state. Call AskExtents.
  virtual LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents);

  virtual LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) = 0;
  virtual LayerResult Write(std::uint64_t offset, ByteView data);

  // Reads as zeroes from then on. Unless overridden: writes them.
  virtual LayerResult WriteZeroes(ByteRange range, bool may_punch_hole);

  // A hint: what the range reads as is up to the layer. Unless overridden: nothing is done.
  virtual LayerResult Trim(ByteRange range);

  virtual LayerResult Flush() { return {}; }

  // What a write, zeroing or trim left in `range` is durable: for FUA. Unless overridden: all is flushed.
  virtual LayerResult Persist(ByteRange /*range*/) { return Flush(); }
};

// A layer over `next`, to which everything passes that is not overridden.
class Filter : public Layer {
 public:
  explicit Filter(std::unique_ptr<Layer> next);

  [[nodiscard]] std::uint64_t size() const override { return next_->size(); }
  [[nodiscard]] bool CanExtents() const override { return next_->CanExtents(); }
  [[nodiscard]] bool CanWrite() const override { return next_->CanWrite(); }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return next_->Extents(request, extents);
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override { return next_->Read(offset, into); }
  LayerResult Write(std::uint64_t offset, ByteView data) override { return next_->Write(offset, data); }
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override {
    return next_->WriteZeroes(range, may_punch_hole);
  }
  LayerResult Trim(ByteRange range) override { return next_->Trim(range); }
  LayerResult Flush() override { return next_->Flush(); }

 protected:
  [[nodiscard]] Layer& next() { return *next_; }
  [[nodiscard]] const Layer& next() const { return *next_; }

 private:
  std::unique_ptr<Layer> next_;
};

// What `layer` says of request.range, in a fresh map; data if it does not offer extents. The rest of the map means
// nothing. Errors: the layer's.
std::expected<ExtentMap, std::uint32_t> AskExtents(Layer& layer, const ExtentsRequest& request);

// ExtentMap::Add for a layer. Errors: NBD_ENOMEM.
LayerResult AddExtent(ExtentMap& extents, ByteRange range, ExtentType type);

// Adds to `to` what `from` says of `range`, moved to begin at `offset`. Errors: NBD_ENOMEM.
LayerResult CopyExtents(const ExtentMap& from, ByteRange range, ExtentMap& to, std::uint64_t offset);

}  // namespace nbdspec::engine
