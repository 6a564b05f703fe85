// SPDX-License-Identifier: BSD-3-Clause
// The main of a fuzz target that is not linked with libFuzzer: replays files, and may add random inputs.
//
//   TARGET [--runs=N] [--seed=S] [--max_len=N] [FILE|DIR]...
//
// It prints each file before it runs it, so that the last line names what aborted. Random inputs are mutations of
// the files, every second one by the target's own mutator if it has one, and depend on nothing but them, the seed and
// the length: the same command aborts in the same run.
// Exit status: 0 all ran; 2 nothing to do, a wrong argument, or a file that cannot be used. A finding aborts.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script.h"
#include "fuzz/inputs/random_inputs.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Not every target has its own.
extern "C" __attribute__((weak)) std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                                                     std::size_t size_max, unsigned seed);

namespace nbdspec::fuzz {
namespace {

namespace fs = std::filesystem;
using engine::Bytes;

struct Arguments {
  std::uint64_t runs = 0;
  std::uint64_t seed = 1;
  std::uint64_t max_len = 512;
  std::vector<fs::path> files;
};

// Takes `argument` if it is "--name=NUMBER". A wrong number is no match, and then refused as an unknown argument.
bool TakeNumber(std::string_view argument, std::string_view name, std::uint64_t& number) {
  if (!argument.starts_with(name)) {
    return false;
  }
  argument.remove_prefix(name.size());
  const auto [stopped, error] = std::from_chars(argument.data(), argument.data() + argument.size(), number);
  return error == std::errc() && stopped == argument.data() + argument.size();
}

// Adds the file, or the files in the folder, in an order that does not depend on the file system.
bool TakePath(const fs::path& path, std::vector<fs::path>& files) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    files.push_back(path);
    return fs::exists(path, error);
  }
  std::vector<fs::path> found;
  for (fs::recursive_directory_iterator here(path, error), end; !error && here != end; here.increment(error)) {
    if (!here->is_directory(error)) {
      found.push_back(here->path());
    }
  }
  std::ranges::sort(found);
  files.insert(files.end(), found.begin(), found.end());
  return !error;
}

std::optional<Arguments> ParseArguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (TakeNumber(argument, "--runs=", arguments.runs) || TakeNumber(argument, "--seed=", arguments.seed) ||
        TakeNumber(argument, "--max_len=", arguments.max_len)) {
      continue;
    }
    if (argument.starts_with("--") || !TakePath(argument, arguments.files)) {
      std::fprintf(stderr, "%s: no such file or option\n", argv[i]);
      return std::nullopt;
    }
  }
  if (arguments.files.empty() && arguments.runs == 0) {
    std::fprintf(stderr, "usage: %s [--runs=N] [--seed=S] [--max_len=N] [FILE|DIR]...\n", argv[0]);
    return std::nullopt;
  }
  return arguments;
}

// A file that means to be a script but is none would be run as bytes, and then prove nothing. What a fuzzer made has no
// such name, and may be broken on purpose.
bool IsBrokenScript(const fs::path& path, const Bytes& input) {
  if (path.extension() != ".script") {
    return false;
  }
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const bool has_header = text.starts_with(engine::kScriptHeader);
  const auto script = engine::ParseScript(text);
  if (has_header && script) {
    return false;
  }
  const std::string why =
      has_header ? script.error().sentence : "its first line must be " + std::string(engine::kScriptHeader);
  std::fprintf(stderr, "%s: %s\n", path.c_str(), why.c_str());
  return true;
}

void RunOne(const Bytes& input) {
  // An exact copy on the heap, so that AddressSanitizer sees a read past its end; never null.
  const auto exact = std::make_unique<std::uint8_t[]>(input.size());
  std::ranges::copy(input, exact.get());
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

void MutateAsTheTargetDoes(Bytes& input, std::size_t size_max, unsigned seed) {
  const std::size_t size = input.size();
  input.resize(std::max<std::size_t>(size_max, 1));
  input.resize(LLVMFuzzerCustomMutator(input.data(), size, size_max, seed));
}

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv);
  if (!arguments) {
    return 2;
  }
  std::vector<Bytes> replayed;
  for (const fs::path& path : arguments->files) {
    std::fprintf(stderr, "replay %s\n", path.c_str());
    std::ifstream file(path, std::ios::binary);
    const Bytes input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
      return 2;
    }
    if (IsBrokenScript(path, input)) {
      return 2;
    }
    RunOne(input);
    replayed.push_back(input);
  }
  std::fprintf(stderr, "%zu files replayed\n", replayed.size());

  std::fprintf(stderr, "random inputs: --runs=%ju --seed=%ju --max_len=%ju\n", std::uintmax_t{arguments->runs},
               std::uintmax_t{arguments->seed}, std::uintmax_t{arguments->max_len});
  RandomInputs inputs({.seed = arguments->seed, .bytes_max = arguments->max_len, .start = std::move(replayed)});
  for (std::uint64_t run = 1; run <= arguments->runs; ++run) {
    Bytes input = inputs.Next();
    if (LLVMFuzzerCustomMutator != nullptr && run % 2 == 0) {
      MutateAsTheTargetDoes(input, arguments->max_len, static_cast<unsigned>(run));
    }
    RunOne(input);
  }
  return 0;
}

}  // namespace
}  // namespace nbdspec::fuzz

int main(int argc, char** argv) { return nbdspec::fuzz::Main(argc, argv); }
