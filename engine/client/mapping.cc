// SPDX-License-Identifier: BSD-3-Clause
// The map of an export, by BLOCK_STATUS. A status of 0 claims nothing, so it stands for what is not known.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/client/copying.h"

namespace nbdspec::engine {

namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint32_t kKnownBits = AllocationFlag::kHole | AllocationFlag::kZero;

class Mapper {
 public:
  explicit Mapper(ClientConnection& on) : on_(on), how_(on.conduct().transfer), lacks_(on.conduct().failings) {
    const std::uint32_t minimum = on.negotiated().block_size.minimum;
    unit_ = on.negotiated().has_block_size ? std::max(1U, minimum) : kSectorBytes;
    const auto found = std::ranges::find(on.contexts, std::string(kBaseAllocation), &MetaContext::name);
    if (found != on.contexts.end()) {
      context_ = *found;
    }
  }

  OrGivesUp<std::vector<ClientExtent>> Run() {
    if (!context_ && !lacks_.asks_status_unbidden) {
      Add(on_.export_bytes(), 0);
    }
    for (std::uint64_t asked = 0; end_ < Reachable(); ++asked) {
      if (asked == ClientLimits::kStatusRequestsMax || map_.size() > ClientLimits::kMapExtentsMax) {
        return Soft("the map of the export has no end");
      }
      NBDSPEC_RETURN_IF_ERROR(AskNext());
    }
    Add(on_.export_bytes() - end_, 0);
    return std::move(map_);
  }

 private:
  // A rest that is smaller than a block can be asked for only where nothing is known of blocks.
  [[nodiscard]] std::uint64_t Reachable() const {
    const std::uint64_t size = on_.export_bytes();
    return on_.negotiated().has_block_size ? size / unit_ * unit_ : size;
  }

  [[nodiscard]] std::uint64_t BytesAtOnce() const {
    const std::uint64_t wanted = how_.status_bytes != 0 ? std::max(unit_, how_.status_bytes / unit_ * unit_)
                                                        : std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t most = on_.negotiated().headers == HeaderForm::kExtended
                                   ? kExportBytesMax
                                   : std::uint64_t{std::numeric_limits<std::uint32_t>::max()} / unit_ * unit_;
    return std::min(wanted, most);
  }

  OrGivesUp<void> AskNext() {
    const std::uint64_t begin = end_ / unit_ * unit_;  // Of a block that is known in part, that part comes twice.
    const ByteRange range = {.begin = begin, .end = begin + std::min(Reachable() - begin, BytesAtOnce())};
    Request request = {.flags = how_.req_one ? CommandFlag::kReqOne : std::uint16_t{0},
                       .type = CommandType::kBlockStatus,
                       .offset = range.begin,
                       .length = range.length()};
    if (how_.status_payload && context_ && on_.negotiated().headers == HeaderForm::kExtended &&
        Offers(on_, TransmissionFlag::kBlockStatusPayload)) {
      request.payload = EncodePayload(StatusQuery{.length = range.length(), .context_ids = {context_->id}});
      request.length = request.payload.size();
    }
    on_.SendRequest(request);
    NBDSPEC_ASSIGN_OR_RETURN(answered, on_.NextAnswered());
    if (answered.error != NbdError::kOk) {
      return Soft("NBD_CMD_BLOCK_STATUS got " + ErrorName(answered.error));
    }
    const auto ours = std::ranges::find_if(
        answered.statuses, [&](const BlockStatus& each) { return !context_ || each.context_id == context_->id; });
    if (ours == answered.statuses.end()) {
      return Soft("nothing was said of base:allocation");
    }
    return Take(range, ours->descriptors);
  }

  OrGivesUp<void> Take(ByteRange asked, const std::vector<Descriptor>& descriptors) {
    std::uint64_t at = asked.begin;
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      const auto [length, status] = descriptors[i];
      NBDSPEC_RETURN_IF_ERROR(Judge(asked, descriptors, i, at));
      const std::uint64_t end = length > on_.export_bytes() - at ? on_.export_bytes() : at + length;
      if (end > end_) {
        Add(end - end_, static_cast<std::uint32_t>(lacks_.keeps_unknown_status_bits ? status : status & kKnownBits));
      }
      at = end;
    }
    const bool is_short = at < asked.end;
    if (is_short && lacks_.fails_at_short_status) {
      return Hard("status of less than was asked for");
    }
    if (is_short && lacks_.takes_missing_status_for_zeroes) {
      Add(asked.end - at, AllocationFlag::kZero);
    }
    if (end_ < asked.begin + unit_) {  // Asked again, it would say no more of this block.
      Add(std::min(on_.export_bytes(), asked.begin + unit_) - end_, 0);
    }
    return {};
  }

  // What a right client does not mind.
  OrGivesUp<void> Judge(ByteRange asked, const std::vector<Descriptor>& all, std::size_t index, std::uint64_t at) {
    const Descriptor& here = all[index];
    if (lacks_.fails_at_equal_neighbours && index > 0 && all[index - 1].status == here.status) {
      return Hard("neighbours of equal status");
    }
    if (lacks_.fails_at_unknown_status_bits && (here.status & ~std::uint64_t{kKnownBits}) != 0) {
      return Hard("a status bit that is unknown");
    }
    if (lacks_.fails_at_long_status && here.length > asked.end - std::min(at, asked.end)) {
      return Hard("status of more than was asked for");
    }
    return {};
  }

  void Add(std::uint64_t length, std::uint32_t flags) {
    if (length == 0) {
      return;
    }
    if (!map_.empty() && map_.back().flags == flags) {
      map_.back().length += length;
    } else {
      map_.push_back({.offset = end_, .length = length, .flags = flags});
    }
    end_ += length;
  }

  ClientConnection& on_;
  const TransferConduct& how_;
  const ClientFailings& lacks_;
  std::uint64_t unit_ = 1;
  std::optional<MetaContext> context_;
  std::vector<ClientExtent> map_;
  std::uint64_t end_ = 0;  // Of what is known.
};

}  // namespace

OrGivesUp<std::vector<ClientExtent>> MapExport(ClientConnection& on) { return Mapper(on).Run(); }

}  // namespace nbdspec::engine
