// SPDX-License-Identifier: BSD-3-Clause
// An nbdkit plugin that serves a script (engine/script) through ScriptDisk: the extents proposal's map inside nbdkit.
//
//   nbdkit nbdkit-nbdspec-extents-plugin.so FILE
//
// All connections share one disk. Each `extents` callback answers from the map; `reach` says how far past the request,
// because a server has to cope with all of it.

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/error.h"
#include "engine/nbdkit/script_disk.h"
#include "engine/script/script.h"

namespace nbdspec::engine {
namespace {

// How far `extents` tells.
enum class Reach {
  kRequest,  // Up to the end of the request: its last extent is cut there.
  kExtent,   // Its last extent is whole.
  kDisk,     // Up to the end of the disk, which is what a plugin that fills the proposal's map does.
};

// Bytes that the command line places on the disk.
struct Patch {
  std::uint64_t offset;
  Bytes bytes;
};

struct Plugin {
  std::optional<std::string> script_text;
  std::vector<Patch> patches;
  Reach reach = Reach::kExtent;
  std::optional<ScriptDisk> disk;  // From ConfigComplete on.
};

Plugin the_plugin;

ScriptDisk& TheDisk() { return *the_plugin.disk; }

int Fail(int error, const std::string& what) {
  nbdkit_error("%s", what.c_str());
  nbdkit_set_error(error);
  return -1;
}

int Result(const std::expected<void, ErrorCode>& done) {
  return done ? 0
              : Fail(done.error() == ErrorCode::kOutOfMemory ? ENOMEM : EINVAL, std::string(Describe(done.error())));
}

// Nothing may throw into nbdkit, which is C; what could is an allocation.
template <typename Function>
int Guarded(Function function) noexcept {
  try {
    return function();
  } catch (const std::exception&) {
    nbdkit_error("out of memory");
    nbdkit_set_error(ENOMEM);
    return -1;
  }
}

// --- The command line ---

int ReadScriptFile(const char* path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "re"), std::fclose);
  if (file == nullptr) {
    return Fail(errno, std::string("cannot read the script ") + path + ": " + std::strerror(errno));
  }
  std::string& text = the_plugin.script_text.emplace();
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof piece, file.get())) > 0;) {
    text.append(piece, got);
  }
  if (std::ferror(file.get()) != 0) {
    return Fail(EIO, std::string("cannot read all of the script ") + path);
  }
  return 0;
}

// "510:55aa"
std::optional<Patch> ParsePatch(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || (text.size() - colon - 1) % 2 != 0) {
    return {};
  }
  const auto parse = [](const std::string& digits, int base, auto& number) {
    const char* const end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, number, base);
    return error == std::errc() && stopped == end;
  };
  Patch patch = {.offset = 0, .bytes = Bytes((text.size() - colon - 1) / 2)};
  bool is_right = parse(std::string(text.substr(0, colon)), 10, patch.offset);
  for (std::size_t i = 0; i < patch.bytes.size(); ++i) {
    is_right = is_right && parse(std::string(text.substr(colon + 1 + 2 * i, 2)), 16, patch.bytes[i]);
  }
  return is_right ? std::optional(std::move(patch)) : std::nullopt;
}

int Configure(std::string_view key, const char* value) {
  Plugin& plugin = the_plugin;
  if (key == "script") {
    return ReadScriptFile(value);
  }
  if (key == "script-text") {
    plugin.script_text = value;
    return 0;
  }
  if (key == "write") {
    auto patch = ParsePatch(value);
    if (!patch) {
      return Fail(EINVAL, "write is OFFSET:HEX, such as 510:55aa");
    }
    plugin.patches.push_back(*std::move(patch));
    return 0;
  }
  if (key == "reach") {
    constexpr std::string_view kReaches[] = {"request", "extent", "disk"};
    const auto* const reach = std::ranges::find(kReaches, std::string_view(value));
    plugin.reach = static_cast<Reach>(reach - kReaches);
    return reach != std::end(kReaches) ? 0 : Fail(EINVAL, "reach is request, extent or disk");
  }
  return Fail(EINVAL, "unknown parameter " + std::string(key) + ": known are script, script-text, write and reach");
}

int MakeDisk() {
  Plugin& plugin = the_plugin;
  if (!plugin.script_text) {
    return Fail(EINVAL, "no script: give script=FILE or script-text=TEXT");
  }
  const auto script = ParseScript(*plugin.script_text);
  if (!script) {
    return Fail(EINVAL, "the script: " + script.error().sentence);
  }
  auto disk = ScriptDisk::From(*script);
  if (!disk) {
    return Fail(ENOMEM, "the script: " + std::string(Describe(disk.error())));
  }
  for (const Patch& patch : plugin.patches) {
    if (patch.offset > disk->size() || patch.bytes.size() > disk->size() - patch.offset) {
      return Fail(EINVAL, "write reaches past the end of the disk");
    }
    if (Result(disk->Write(patch.offset, patch.bytes)) != 0) {
      return -1;
    }
  }
  plugin.disk.emplace(*std::move(disk));
  return 0;
}

// --- Callbacks ---

int OnConfig(const char* key, const char* value) {
  return Guarded([&] { return Configure(key, value); });
}

int Yes(void* /*handle*/) { return 1; }

int OnRead(void* /*handle*/, void* buffer, std::uint32_t count, std::uint64_t offset, std::uint32_t /*flags*/) {
  TheDisk().Read(offset, {static_cast<std::uint8_t*>(buffer), count});
  return 0;
}

int OnWrite(void* /*handle*/, const void* buffer, std::uint32_t count, std::uint64_t offset, std::uint32_t /*flags*/) {
  return Result(TheDisk().Write(offset, {static_cast<const std::uint8_t*>(buffer), count}));
}

int OnZero(void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
  const bool may_punch_hole = (flags & NBDKIT_FLAG_MAY_TRIM) != 0;
  return Result(TheDisk().WriteZeroes({.begin = offset, .end = offset + count}, may_punch_hole));
}

int OnTrim(void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t /*flags*/) {
  return Result(TheDisk().Trim({.begin = offset, .end = offset + count}));
}

int OnExtents(void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t flags,
              struct nbdkit_extents* extents) {
  static_assert(static_cast<int>(ExtentType::kHole) == NBDKIT_EXTENT_HOLE);
  static_assert(static_cast<int>(ExtentType::kZero) == NBDKIT_EXTENT_ZERO);
  const Reach reach = the_plugin.reach;
  const bool req_one = (flags & NBDKIT_FLAG_REQ_ONE) != 0;
  const std::uint64_t asked_end = offset + count;
  const std::uint64_t bounds_end = reach == Reach::kRequest ? asked_end : TheDisk().size();
  bool is_added = true;
  TheDisk().extents().ForEach({.begin = offset, .end = bounds_end}, [&](Extent extent) {
    const ByteRange range = extent.range;
    is_added = nbdkit_add_extent(extents, range.begin, range.length(), static_cast<std::uint32_t>(extent.type)) == 0;
    return is_added && !req_one && (reach == Reach::kDisk || range.end < asked_end);
  });
  return is_added ? 0 : -1;
}

struct nbdkit_plugin plugin = {
    .name = "nbdspec-extents",
    .longname = "nbdspec script of extents",
    .description = "A disk whose extents a script says and whose bytes agree with them.",
    .unload = [] { the_plugin = {}; },
    .config = OnConfig,
    .config_complete = [] { return Guarded(MakeDisk); },
    .config_help =
        "script=FILE          (or script-text) the script to serve\n"
        "script-text=TEXT     the script itself\n"
        "write=OFFSET:HEX     bytes to place on it; may be repeated\n"
        "reach=request|extent|disk\n"
        "                     how far past a request its answer tells (default extent)",
    .open = [](int) -> void* { return NBDKIT_HANDLE_NOT_NEEDED; },
    .get_size = [](void*) { return static_cast<std::int64_t>(TheDisk().size()); },
    .can_trim = Yes,
    .can_zero = Yes,
    .can_fua = [](void*) { return NBDKIT_FUA_NATIVE; },
    .pread = OnRead,
    .pwrite = OnWrite,
    .flush = [](void*, std::uint32_t) { return 0; },
    .trim = OnTrim,
    .zero = OnZero,
    .magic_config_key = "script",
    .can_multi_conn = Yes,
    .can_extents = Yes,
    .extents = OnExtents,
    .can_cache = [](void*) { return NBDKIT_CACHE_NATIVE; },
    .cache = [](void*, std::uint32_t, std::uint64_t, std::uint32_t) { return 0; },
    .thread_model = [] { return NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS; },  // The disk has no lock.
    .can_fast_zero = Yes,
};

}  // namespace
}  // namespace nbdspec::engine

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS
NBDKIT_REGISTER_PLUGIN(nbdspec::engine::plugin)
