// SPDX-License-Identifier: BSD-3-Clause
// ExportModel: what must be true of an export after each request, byte by byte: its contents and its types.
//
// One cell per byte, as in engine/oracle, so it is right at a glance. A request is judged in the order in which the
// server did it: first the answer against the model as it is, then what the request changes (Apply). The claims of a
// status are those of whole blocks of the grid, which is what the reference server promises.
//
// An export may be larger than what is held: the rest is a hole that reads as zeroes and takes nothing else, as
// TruncateFilter says. So statuses can be asked of gigabytes.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent.h"
#include "engine/script/script.h"
#include "engine/server/server.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

inline constexpr std::uint64_t kHeldBytesMax = 1 << 16;
inline constexpr std::uint32_t kRequestBytesMax = 1 << 20;  // A script of people's may request any length.

// --- What a script stands for ---

// The export of a script: its size, with its initial type and the extents that its Adds make. What is past
// kHeldBytesMax is grown by a TruncateFilter.
engine::Export MakeExport(const engine::Script& script);

// How each of its connections haggles: the options up to the first request.
std::vector<const engine::OptionStep*> HagglingOf(const engine::Script& script);

// The request of `step` on a connection that has agreed on `form` and selected `contexts`; without a cookie. A READ or
// WRITE of more than kRequestBytesMax is cut to one byte more. Nothing where the form cannot carry it. PAYLOAD_LEN is
// left out of compact statuses: it would make most of them fail alike.
std::optional<engine::Request> MakeRequest(const engine::RequestStep& step,
                                           engine::HeaderForm form = engine::HeaderForm::kCompact,
                                           std::span<const engine::MetaContext> contexts = {});

// --- The model ---

class ExportModel {
 public:
  // What `of` holds now; buffers are used again. Its types are those that the Adds of `script` gave it, or what its
  // disk says. The minimum block size of `of` is a power of two.
  void Reset(const engine::Script& script, engine::Export& of);
  void Reset(engine::Export& of);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint64_t held() const { return contents_.size(); }
  [[nodiscard]] engine::ByteView contents() const { return contents_; }

  // A request of the right form that is inside the export: what it changes.
  void Apply(const engine::Request& request);

  // Whether `payload` may be written at `offset`: what is not held takes zeroes only.
  [[nodiscard]] bool Takes(std::uint64_t offset, engine::ByteView payload) const;

  // Whether `data` is what stands at `offset`. Range: inside the export, as for the others.
  [[nodiscard]] bool Holds(std::uint64_t offset, engine::ByteView data) const;
  [[nodiscard]] bool HoldsZeroes(engine::ByteRange range) const;

  // The flags of base:allocation that are true of the whole block that holds `offset`.
  [[nodiscard]] std::uint32_t StatusAt(std::uint64_t offset) const;

  // Whether all blocks that `range` touches have exactly `status`, or else at least it. Range: not empty.
  [[nodiscard]] bool AllHave(engine::ByteRange range, std::uint32_t status, bool exactly) const;

  // What the blocks of `range` have, for people: "[0, 512) hole,zero; ...".
  [[nodiscard]] std::string Describe(engine::ByteRange range) const;

 private:
  void SetContents(engine::Export& of);
  void SetTypes(engine::ByteRange range, engine::ExtentType type);
  [[nodiscard]] engine::ByteRange Held(engine::ByteRange range) const;

  std::uint64_t size_ = 0;
  std::uint64_t grid_ = 0;
  engine::Bytes contents_;
  engine::Bytes types_;  // Of each byte held.
};

}  // namespace nbdspec::fuzz
