// SPDX-License-Identifier: BSD-3-Clause
// NbdkitCase: a script inside real nbdkit, with a stack of filters on top of it: what runs, and what is true of it.
//
// As text it is a script (engine/script) whose comments say the rest, from the plugin up:
//
//   # stack: offset=4096 blocksize=512
//   # reach: disk

#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "fuzz/nbdkit/truth.h"
#include "fuzz/oracles/disagreement.h"

namespace nbdspec::fuzz {

// One filter with its parameters.
struct Layer {
  enum class Kind {
    kOffset,        // nbdkit's: a = offset.
    kOwnOffset,     // engine/nbdkit's: a = offset.
    kTruncate,      // a = new size.
    kRoundUp,       // The truncate filter; a = unit, a power of two.
    kBlockSize,     // a = minimum block size, a power of two, at most 64 KiB.
    kCacheExtents,  //
    kCow,           //
    kNoExtents,     //
    kPartition,  // An MBR with one partition: a = its offset, b = its length, multiples of 512. Always the first layer.
  };
  Kind kind;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  bool operator==(const Layer&) const = default;
};

struct NbdkitCase {
  engine::Script script;          // Its foreach and lookup steps are what is asked, lookup with REQ_ONE.
  std::vector<Layer> stack = {};  // From the plugin up. Each kind at most once.
  std::string reach = "extent";   // The plugin's parameter.
  std::string deviates = {};      // What nbdkit is known to do wrong with it; empty when nothing.
  bool operator==(const NbdkitCase&) const = default;
};

// What is true of the export; nothing if a layer does not fit on what is below it, so that nbdkit refuses to start.
std::optional<Truth> TruthIfUsable(const NbdkitCase& test_case);
inline bool IsUsable(const NbdkitCase& test_case) { return TruthIfUsable(test_case).has_value(); }
// The same for a usable case, which is checked with CHECK.
Truth TruthOf(const NbdkitCase& test_case);

// The words of the command that listens on the unix socket.
// Errors: the plugin is not found.
std::expected<std::vector<std::string>, engine::Trouble> NbdkitWords(const NbdkitCase& test_case,
                                                                     const std::string& socket_path);

std::string Print(const NbdkitCase& test_case);
// Errors: a sentence that begins with the line.
std::expected<NbdkitCase, engine::Trouble> ParseNbdkitCase(std::string_view text);

// The same for the same seed. Usable, and small enough to be walked through (kWalkedBytesMax) most of the time.
inline constexpr std::uint64_t kWalkedBytesMax = std::uint64_t{1} << 40;
NbdkitCase RandomNbdkitCase(std::uint64_t seed);

// --- Against real nbdkit: asked by our own raw session and by nbdinfo ---

// The first thing wrong: an extent that is not the truth's, a rule of the specification broken, a ZERO claim that
// reading refutes, a server that dies. A case that deviates is asked only what its script asks.
//
// Not counted where nothing else is asked: the descriptor too many after one that ends where the request does, which
// nbdkit is known for (CVE-2025-47711).
Found FindNbdkitDisagreement(const NbdkitCase& test_case);

// The same against another truth than the case's: how a test shows that a difference is found.
Found FindNbdkitDisagreement(const NbdkitCase& test_case, const Truth& truth);

// Of a case as text, as in corpus/regressions/nbdkit_extents. One that says how nbdkit deviates agrees when nbdkit
// does.
Found FindNbdkitCaseDisagreement(engine::ByteView text);

}  // namespace nbdspec::fuzz
