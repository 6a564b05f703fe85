// SPDX-License-Identifier: BSD-3-Clause
// A server that nbdspec starts itself, as a target and as a peer: a directory, an image and a process of its own; and
// where nbdkit's modules are.

#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/process/process.h"
#include "conformance/peer/target.h"
#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/storage/volatile_disk.h"

namespace nbdspec::conformance {

// --- The image that servers are given to serve: small, sparse, and with contents known from the offset alone ---
//
//   [0, 64K)            data
//   [64K, 1M)           hole
//   [1M, 1M + 64K)      data
//   [1M + 64K, 2M)      hole
//   [2M, 2M + 64K)      zeroes that were written: allocated, where the file system keeps them
//   [2M + 64K, 8M - 4K) hole
//   [8M - 4K, 8M)       data

inline constexpr std::uint64_t kImageBytes = 8 << 20;

// Where the image has bytes other than zero.
inline constexpr std::array<engine::ByteRange, 3> kImageData = {{
    {.begin = 0, .end = 64 << 10},
    {.begin = 1 << 20, .end = (1 << 20) + (64 << 10)},
    {.begin = kImageBytes - 4096, .end = kImageBytes},
}};

// Where zeroes are written, not left out.
inline constexpr engine::ByteRange kImageWrittenZeroes = {.begin = 2 << 20, .end = (2 << 20) + (64 << 10)};

// In Setup::kLarge the image is longer, and the same up to 8M - 4K:
//
//   [4G - 64K, 4G + 64K)   data
//   [6G, 6G + 3584)        data up to the end, which is on a sector and no page

inline constexpr std::uint64_t kLargeImageBytes = (std::uint64_t{6} << 30) + 3584;

inline constexpr std::array<engine::ByteRange, 4> kLargeImageData = {{
    kImageData[0],
    kImageData[1],
    {.begin = (std::uint64_t{4} << 30) - (64 << 10), .end = (std::uint64_t{4} << 30) + (64 << 10)},
    {.begin = std::uint64_t{6} << 30, .end = kLargeImageBytes},
}};

constexpr std::uint64_t ImageSize(Setup setup) { return setup == Setup::kLarge ? kLargeImageBytes : kImageBytes; }

// Where the image has bytes other than zero.
constexpr std::span<const engine::ByteRange> ImageData(Setup setup) {
  return setup == Setup::kLarge ? std::span<const engine::ByteRange>(kLargeImageData) : kImageData;
}

// The byte at `offset` where the image has data. Its period is a prime, so a shifted read differs.
constexpr std::uint8_t DataByteAt(std::uint64_t offset) { return static_cast<std::uint8_t>(1 + offset % 251); }

// The byte at `offset` of the small image.
constexpr std::uint8_t ImageByteAt(std::uint64_t offset) {
  for (const engine::ByteRange data : kImageData) {
    if (data.Contains(offset)) {
      return DataByteAt(offset);
    }
  }
  return 0;
}

// Writes the image to `disk`, durably. Range: a disk of at least ImageSize that fails at nothing, checked with CHECK.
void WriteImage(engine::VolatileDisk& disk, Setup setup);

// Writes the image as the new file `path`, sparse.
// Errors: the file system's.
std::expected<void, engine::Trouble> WriteImage(const std::string& path, Setup setup = Setup::kWritable);

// --- The server ---

// What a server can be given as its disk.
enum class TakesDisk : std::uint8_t {
  kNothing,    // Its bytes are its own affair, so it has no Setup::kOnStorage.
  kFile,       // There its disk is a file whose bytes are ours (mounted_storage.h).
  kFileOrUri,  // There its disk is the URI of an NBD export of ours; in other setups a file.
  kUri,        // Its disk is such an export in every setup.
};

// What a server is started with.
struct ServerPlace {
  std::string disk;               // A file or a URI.
  std::uint16_t port = 0;         // Of 127.0.0.1, where it listens on TCP.
  std::string certificates = {};  // A directory, as in tls_files.h; empty where it has no TLS, or shared keys.
  std::string shared_keys = {};   // A file of shared keys, in place of certificates; may be empty.
  // Makes what the command wants to find in its directory, which is only there then; null for nothing.
  std::function<std::expected<void, engine::Trouble>()> prepare = {};

  [[nodiscard]] bool has_tls() const { return !certificates.empty() || !shared_keys.empty(); }
};

// How to start a server.
struct ServerRecipe {
  std::string name;  // For sentences: "nbdkit".

  // The words of the command that serves `place.disk` on directory.socket_path(). There is no such directory yet; may
  // set `place.prepare`.
  std::function<std::expected<std::vector<std::string>, engine::Trouble>(Setup setup, const PrivateDirectory& directory,
                                                                         ServerPlace& place)>
      command;

  TakesDisk takes_disk = TakesDisk::kFile;

  // For a server of a disk format: the words of the command that makes `disk` hold in it what the file `image` holds.
  std::function<std::vector<std::string>(const std::string& image, const std::string& disk)> format = {};

  // For the same: the words of a command that checks `disk`, and whose status is `damaged_status` where it finds
  // damage, which begins with `damage_word` in what it says.
  std::function<std::vector<std::string>(const std::string& disk)> check = {};
  int damaged_status = 0;
  std::string damage_word = {};

  // Whether a READ fails of what its file has lost while it runs. (Who maps the file dies of that.)
  bool can_lose_end = false;

  TlsWish tls = {};            // Where it is wanted, or the setup is one of TLS.
  TlsCredentials client = {};  // What clients show it there.

  // Whether it listens on ServerPlace::port, and not on directory.socket_path().
  bool is_on_tcp = false;

  // Whether it is up only once it has greeted a client. Without, a socket that takes a connection is enough: an
  // unknown server may be wrong in what it says, and that is for the checks to find. (Either way one connection is
  // used up; it is closed as soon as the greeting came.)
  bool must_greet = true;
};

// Starts a server from fresh contents and waits until it is up.
// Errors: no such command, it ended at once (with its last words), or is not up by `deadline`.
PeerOrTrouble StartPeer(ServerRecipe recipe, Setup setup, Transport::Clock::time_point deadline);

// A target whose peers are started so.
std::unique_ptr<Target> StartedTarget(const TargetFacts& facts, ServerRecipe recipe);

// --- Where the plugin and the filter of engine/nbdkit are, for nbdkit to load ---

inline constexpr std::string_view kExtentsPlugin = "nbdkit-nbdspec-extents-plugin.so";
inline constexpr std::string_view kOffsetFilter = "nbdkit-nbdspec-offset-filter.so";

// The absolute path of `file`: in $NBDSPEC_PLUGIN_DIR when that is set, else beside this program, else where Bazel
// builds it. Errors: it is in none of them.
std::expected<std::string, engine::Trouble> FindNbdkitModule(std::string_view file);

}  // namespace nbdspec::conformance
