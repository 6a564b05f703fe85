// SPDX-License-Identifier: BSD-3-Clause
// Prepared truths: images whose extents the harness placed itself, so that what a server says of them must be equal to
// what is known, not only allowed by it.
//
//   sparse file     data and holes, by nbdkit's file plugin and by qemu-nbd
//   qcow2           clusters with data, with zeroes, or none, over a backing file that has the same, with a bitmap;
//                   by qemu-nbd, with base:allocation, qemu:allocation-depth and qemu:dirty-bitmap:NAME
//
// (Scripts inside nbdkit with the engine's plugin are nbdkit_case.h.)

#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/byte_range.h"
#include "fuzz/oracles/disagreement.h"

namespace nbdspec::fuzz {

inline constexpr std::uint64_t kPreparedCluster = 64 << 10;  // Both images change type at multiples of it only.

// What stands in one cluster of one image.
enum class Cluster : std::uint8_t { kNone, kData, kZeroes };

struct PreparedImage {
  std::uint64_t size = 0;             // A multiple of 512.
  std::vector<Cluster> top = {};      // For each cluster, the last one perhaps not whole.
  std::vector<Cluster> backing = {};  // Empty: there is none.
  std::vector<bool> dirty = {};       // Written while the bitmap was there; empty: no bitmap.
};

// The same for the same seed. A sparse file has no zeroes that are written, no backing file and no bitmap.
PreparedImage RandomSparseFile(std::uint64_t seed);
PreparedImage RandomQcow2(std::uint64_t seed);

inline constexpr const char* kPreparedBitmap = "b0";

// The status that the server must report for each cluster, by metadata context.
using PreparedTruth = std::map<std::string, std::vector<std::uint32_t>>;
PreparedTruth TruthOfSparseFile(const PreparedImage& image);
PreparedTruth TruthOfQcow2(const PreparedImage& image);

// What makes the image in `directory`: the file's name is kPreparedFile. As little is synced as can be: that takes long
// on a busy disk.
inline constexpr const char* kPreparedFile = "image";
[[nodiscard]] bool WriteSparseFile(const PreparedImage& image, const std::string& directory);
std::string CommandsForQcow2(const PreparedImage& image, const std::string& directory);  // For a shell.

// Starts `target`, selects the contexts of `truth`, asks for the whole export and for random parts of it, and compares
// descriptors, merged, with the truth. The first difference; also a server that does not answer.
std::optional<Disagreement> FindPreparedDisagreement(conformance::Target& target, const PreparedImage& image,
                                                     const PreparedTruth& truth, std::uint64_t seed);

}  // namespace nbdspec::fuzz
