// SPDX-License-Identifier: BSD-3-Clause
// Asking a server for block status, for the checks of BLOCK_STATUS and of base:allocation.

#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

// A part of the export and its status in base:allocation.
struct StatusExtent {
  ByteRange range = {};
  std::uint32_t status = 0;
};

struct StatusRequest {
  ByteRange asked = {};
  bool req_one = false;
  bool operator==(const StatusRequest&) const = default;
};

// For people: "[0, 512) with REQ_ONE".
std::string Text(const StatusRequest& request);

// A session in transmission with contexts selected.
class StatusAsker : public Entered {
 public:
  // Selects all contexts that SelectableNames gives, or base:allocation alone where the server does not take all.
  // Errors: an export smaller than its minimum block size is not applicable; what Enter says.
  static std::expected<StatusAsker, Judgement> Enter(CheckContext& context);

  [[nodiscard]] std::uint64_t block_bytes_min() const { return std::max(1U, block_size().minimum); }
  // What is asked, read and written in: 512 bytes or the minimum block size, whichever is more.
  [[nodiscard]] std::uint64_t unit() const;

  // Whether a client may ask for `range`: inside the export, not empty, whole blocks, its length of 32 bits.
  [[nodiscard]] bool MayAsk(ByteRange range) const;

  // The exchange looks into this asker.
  Received<Exchange> Ask(const StatusRequest& request);

  // The extents of base:allocation from 0 on, as the server reports them when asked for all; neighbours of equal
  // status are merged. Stops early where the server stops making progress, and after kWalkRequestsMax requests.
  // No request is longer than kAskedBytesMax: servers that die of lengths near 2^32 (CVE-2025-47711) should fail the
  // one check that is about them.
  std::expected<std::vector<StatusExtent>, Judgement> Walk();
  static constexpr std::uint64_t kAskedBytesMax = std::uint64_t{1} << 30;
  static constexpr int kWalkRequestsMax = 64;
  static constexpr std::size_t kWalkExtentsMax = 1 << 14;

  // Requests at the places where servers go wrong, each with and without REQ_ONE: the whole export, its first and
  // last block, and what ends, begins and straddles at boundaries of Walk; unaligned ones where they are legal.
  // At most kBoundariesMax boundaries, chosen by the check's randomness.
  std::expected<std::vector<StatusRequest>, Judgement> Battery(CheckContext& context);
  static constexpr std::size_t kBoundariesMax = 8;

  // The bytes of `range`; nothing when the server gives an error or not all of it. Range: at most kReadBytesMax.
  std::expected<std::optional<Bytes>, Judgement> Read(ByteRange range);
  static constexpr std::uint64_t kReadBytesMax = 1 << 20;

  // The first byte of `range` that is not zero; nothing when there is none, or reads fail. Reads all of it.
  std::expected<std::optional<std::uint64_t>, Judgement> FindNonZero(ByteRange range);

 private:
  explicit StatusAsker(Entered entered) : Entered(std::move(entered)) {}
};

}  // namespace nbdspec::conformance
