// SPDX-License-Identifier: BSD-3-Clause
// Faults of what BLOCK_STATUS claims: flags and borders of extents that the data refute.
#include <algorithm>
#include <optional>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

constexpr std::uint32_t kSectorBytes = 512;
constexpr std::uint32_t kZeroHole = AllocationFlag::kHole | AllocationFlag::kZero;
constexpr auto& kReadsZero = spec::kBaseAllocationZeroReadsZero;
constexpr Detector kFalse = Fuzz(kFalseClaim, kReadsZero);

using Descriptors = std::vector<Descriptor>;

Change ChangesEachStatus(std::uint32_t (*changed)(std::uint32_t status)) {
  return ChangesAllocation(0, [changed](Descriptors& all) {
    std::ranges::for_each(all, [&](Descriptor& each) { each.status = changed(each.status); });
  });
}

// Claims zeroes on connections where a request for which `is_cause` holds came (`came`), or none did.
Change ClaimsZeroesAfter(std::function<bool(const Request&)> is_cause, bool came = true) {
  return ChangesAnswer(
      kAnyCommand, [is_cause = std::move(is_cause), came, has_come = false](const Request& to, Messages& sent) mutable {
        has_come = has_come || is_cause(to);
        if (has_come == came) {
          ForEachStatus(sent, [](BlockStatus& status) {
            std::ranges::for_each(status.descriptors, [](Descriptor& each) { each.status |= kZeroHole; });
          });
        }
      });
}

std::function<bool(const Request&)> Is(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command; };
}

std::function<bool(const Request&)> IsUnalignedOf(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command && request.offset % kSectorBytes != 0; };
}

// The other status where the request before was a `command` at the same offset.
Change IsStaleAfter(std::uint16_t command) {
  return ChangesAllocation(0, [command](const Request& to, Descriptors& all, const Connection& on) {
    if (on.previous.type == command && on.previous.length > 0 && on.previous.offset == to.offset) {
      all[0].status ^= kZeroHole;
    }
  });
}

// Changes the last of several descriptors where the request ends with the export, in the middle of a sector.
Change ChangesTail(void (*change)(const Request& to, Descriptors& all)) {
  return ChangesAllocation(0, [change](const Request& to, Descriptors& all, const Connection& on) {
    if (EndOf(to) == on.export_bytes && on.export_bytes % kSectorBytes != 0 && !Has(to, CommandFlag::kReqOne)) {
      change(to, all);
    }
  });
}

// Claims zeroes of what was written last, and data of all else.
Change MistakesLastWrite() {
  return ChangesAnswer(kAnyCommand, [wrote = ~std::uint64_t{0}](const Request& to, Messages& sent) mutable {
    wrote = to.type == kWrite && to.length > 0 ? to.offset : wrote;
    ForEachStatus(sent, [&, at = to.offset](BlockStatus& status) mutable {
      for (Descriptor& each : status.descriptors) {
        each.status = at <= wrote && wrote < at + each.length ? each.status | kZeroHole : each.status;
        at += each.length;
      }
    });
  });
}

// Claims zeroes throughout where the first status of the connection began with them.
Change RemembersFirstStatus() {
  return ChangesStatus([first = std::optional<std::uint32_t>()](BlockStatus& status) mutable {
    Descriptor& now = status.descriptors.front();
    first = first ? first : now.status;
    now.status = *first == kZeroHole ? kZeroHole : now.status;
  });
}

}  // namespace

std::vector<Fault> ZeroClaimFaults() {
  return {
      {"server_claims_zeroes_over_data", By(kReadsZero, kFalse), ChangesStatus([](BlockStatus& status) {
         std::ranges::for_each(status.descriptors, [](Descriptor& each) { each.status |= kZeroHole; });
       })},
      {"server_stretches_first_status_with_req_one", By(spec::kSub<kReadsZero, "battery">, kFalse),
       ChangesStatus(OnFlag(CommandFlag::kReqOne),
                     [](const Request& to, BlockStatus& status) {
                       status.descriptors = {{.length = to.length, .status = status.descriptors.front().status}};
                     })},
      {"server_claims_zeroes_after_write", spec::kSub<kReadsZero, "after-write">, ClaimsZeroesAfter(Is(kWrite))},
      {"server_claims_zeroes_after_unaligned_write", spec::kSub<kReadsZero, "after-unaligned-write">,
       ClaimsZeroesAfter(IsUnalignedOf(kWrite))},
      {"server_claims_zeroes_after_write_zeroes", spec::kSub<kReadsZero, "after-write-zeroes">,
       ClaimsZeroesAfter(Is(kWriteZeroes))},
      {"server_claims_zeroes_after_no_hole", spec::kSub<kReadsZero, "after-no-hole-zeroes">,
       ClaimsZeroesAfter([](const Request& request) { return Has(request, CommandFlag::kNoHole); })},
      {"server_claims_zeroes_after_unaligned_zeroes", spec::kSub<kReadsZero, "after-unaligned-zeroes">,
       ClaimsZeroesAfter(IsUnalignedOf(kWriteZeroes))},
      {"server_claims_zeroes_after_trim", spec::kSub<kReadsZero, "after-trim">, ClaimsZeroesAfter(Is(kTrim))},
      {"server_claims_zeroes_after_unaligned_trim", spec::kSub<kReadsZero, "after-unaligned-trim">,
       ClaimsZeroesAfter(IsUnalignedOf(kTrim))},
      {"server_claims_zeroes_after_cache", spec::kSub<kReadsZero, "after-cache">, ClaimsZeroesAfter(Is(kCache))},
      {"server_caches_status_for_each_connection", spec::kSub<kReadsZero, "second-connection">,
       ClaimsZeroesAfter(Is(kWrite), /*came=*/false)},
      {"server_mistakes_last_write_for_zeroes", kFalse, MistakesLastWrite()},
      {"server_remembers_first_status", kFalse, RemembersFirstStatus()},
      {"server_claims_zeroes_in_second_of_three", Session(kBits, 3500), ChangesStatus([](BlockStatus& status) {
         if (status.descriptors.size() > 2) {
           status.descriptors[1].status |= AllocationFlag::kZero;
         }
       })},
  };
}

std::vector<Fault> BorderFaults() {
  return {
      {"server_shifts_first_border_by_a_sector", kFalse, ChangesStatus([](const Request& to, BlockStatus& status) {
         auto& all = status.descriptors;
         if (!Has(to, CommandFlag::kReqOne) && all.size() > 1 && all[1].length > kSectorBytes) {
           all[0].length += kSectorBytes;
           all[1].length -= kSectorBytes;
         }
       })},
      {"server_swaps_descriptors", Exchange(kOrder, 1500),
       ChangesAllocation(2, [](Descriptors& all) { std::swap(all[0], all[1]); })},
      {"server_loses_last_descriptor", Exchange(kLost, 900),
       ChangesAllocation(1, [](Descriptors& all) { all.pop_back(); })},
      {"server_loses_third_descriptor", Exchange(kLost, 7000),
       ChangesAllocation(3, [](Descriptors& all) { all.erase(all.begin() + 2); })},
      {"server_merges_fifth_descriptor_with_sixth", Exchange(kShape, 45'000),
       ChangesAllocation(5,
                         [](Descriptors& all) {
                           all[4].length += all[5].length;
                           all.erase(all.begin() + 5);
                         })},
      {"server_describes_from_sector_begin", Exchange(kEdge, 150),
       ChangesAllocation(0,
                         [](const Request& to, Descriptors& all) {
                           all[0].length += static_cast<std::uint32_t>(to.offset % kSectorBytes);
                         })},
      {"server_rounds_tail_down", Exchange(kEdge, 25'000),
       ChangesAllocation(1,
                         [](const Request& to, Descriptors& all, const Connection& on) {
                           all.back().length -=
                               EndOf(to) == on.export_bytes ? static_cast<std::uint32_t>(EndOf(to) % kSectorBytes) : 0;
                         })},
      {"server_rounds_tail_up", Exchange(kEdge, 300), ChangesTail([](const Request& to, Descriptors& all) {
         all.back().length += static_cast<std::uint32_t>(kSectorBytes - EndOf(to) % kSectorBytes);
       })},
      {"server_gives_tail_the_status_before_it", Exchange(kEdge, 25'000),
       ChangesTail([](const Request&, Descriptors& descriptors) {
         descriptors.back().status =
             descriptors[descriptors.size() - std::min<std::size_t>(descriptors.size(), 2)].status;
       })},
      {"server_swaps_status_flags", Exchange(kOrder, 300), ChangesEachStatus([](std::uint32_t status) {
         return status == 1 ? 2U : status == 2 ? 1U : status;
       })},
      {"server_calls_zeroes_holes", Exchange(kBits, 300),
       ChangesEachStatus([](std::uint32_t status) { return status | status >> 1; })},
      {"server_calls_holes_zeroes", Exchange(kBits, 1500),
       ChangesEachStatus([](std::uint32_t status) { return (status | status << 1) & kZeroHole; })},
      {"server_has_stale_status_after_trim", Exchange(kStale, 5000), IsStaleAfter(kTrim)},
      {"server_has_stale_status_after_write", Exchange(kStale, 1500), IsStaleAfter(kWrite)},
      {"server_counts_blocks_from_the_request", Session(kBits, 1500),
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (status.descriptors.size() == 1 && to.offset >= 1 << 16) {
           status.descriptors[0].status = 0;
         }
       })},
  };
}

}  // namespace nbdspec::engine::faults
