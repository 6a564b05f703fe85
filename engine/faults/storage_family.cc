// SPDX-License-Identifier: BSD-3-Clause
#include "engine/faults/storage_family.h"

#include <algorithm>
#include <array>

#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

constexpr auto kPromises = std::to_array<std::string_view>({
    spec::kTransmissionWriteThenReply,
    spec::kWriteZeroesReadsZero,
    spec::kCacheNoSemanticChange,
    spec::kTransmissionFlushCoversCompleted,
    spec::kFlushNoEarlySuccess,
    spec::kTransmissionFuaNoEarlyReply,
    spec::kEflagsMultiConnFlushVisible,
    spec::kEflagsMultiConnFuaVisible,
});

// The checks of these that have a suffix are those of disks that fail; elsewhere an error code loses nothing.
constexpr auto kErrorCodes =
    std::to_array<std::string_view>({spec::kTransmissionWriteErrorCode, spec::kWriteZeroesErrorCode});

bool IsAboutStorage(std::string_view id) {
  const auto is_of = [id](std::string_view requirement) { return id.starts_with(requirement); };
  return std::ranges::any_of(kPromises, is_of) ||
         (std::ranges::any_of(kErrorCodes, is_of) && std::ranges::find(kErrorCodes, id) == kErrorCodes.end());
}

}  // namespace

bool IsOfStorage(const Fault& fault) {
  return std::ranges::any_of(fault.detectors, [](const Detector& detector) {
    return detector.kind != Detector::Kind::kTarget && IsAboutStorage(detector.id);
  });
}

}  // namespace nbdspec::engine::faults
