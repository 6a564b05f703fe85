// SPDX-License-Identifier: BSD-3-Clause
// replay: runs inputs of fuzz targets through their comparisons, without libFuzzer; and prints what the registry says.
//
//   replay [--target=NAME] [--random] [--runs=N] [--seed=S] FILE|DIR...
//   replay --list | --table
//   replay --target=NAME --options | --seeds=DIR   (fuzz/comparisons/farm.h)
//
// The target of a file is that of its folder, corpus/seeds/NAME or corpus/regressions/NAME, unless --target says it.
// --random adds as many random inputs as the target's row says, --runs any number: likely inputs, and mutations of the
// files. They depend on nothing but the files and the seed. Each file is printed before it runs, so that the last line
// names what aborted.
// Exit status: 0 subject and reference agree; 1 they disagree; 2 nothing to do, a wrong argument, or a file that cannot
// be used.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "engine/script/shrink.h"
#include "fuzz/comparisons/farm.h"
#include "fuzz/findings/read_file.h"
#include "fuzz/inputs/input_mutator.h"
#include "fuzz/targets/registry.h"

namespace nbdspec::fuzz {
namespace {

namespace fs = std::filesystem;
using engine::Bytes;

struct Arguments {
  const FuzzTarget* target = nullptr;
  bool adds_random = false;
  std::uint64_t runs = 0;
  std::uint64_t seed = 1;
  std::vector<fs::path> files = {};
};

int Refuse(const std::string& what) {
  fmt::print(stderr, "{}\n", what);
  return 2;
}

// The rest of `argument` if it begins with `name`.
std::optional<std::string_view> After(std::string_view name, std::string_view argument) {
  return argument.starts_with(name) ? std::optional(argument.substr(name.size())) : std::nullopt;
}

bool TakeNumber(std::string_view name, std::string_view argument, std::uint64_t& number) {
  const auto text = After(name, argument);
  if (!text) {
    return false;
  }
  const auto [stopped, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  return error == std::errc() && stopped == text->data() + text->size();
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

// Why a file that means to be a script is none: as bytes it would prove nothing. What a fuzzer made has no such name.
std::optional<std::string> WhyBroken(const fs::path& path, const Bytes& input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (path.extension() != ".script") {
    return std::nullopt;
  }
  if (!text.starts_with(engine::kScriptHeader)) {
    return "its first line must be " + std::string(engine::kScriptHeader);
  }
  const auto script = engine::ParseScript(text);
  return script ? std::nullopt : std::optional(script.error().sentence);
}

// Whether they agree; prints the disagreement, and the smallest script that shows it.
bool Agree(const FuzzTarget& target, const Bytes& input) {
  // An exact copy on the heap, so that AddressSanitizer sees a read past its end; never null.
  const auto exact = std::make_unique<std::uint8_t[]>(input.size());
  std::ranges::copy(input, exact.get());
  const auto found = Find(target, {exact.get(), input.size()});
  if (!found) {
    return true;
  }
  fmt::print("FAIL {}: {}\n  expected  {}\n  saw       {}\n", target.name, found->where, found->expected, found->saw);
  if (target.inputs.script) {
    const engine::Script small =
        engine::Shrink(engine::ReadScript(input, *target.inputs.script),
                       [&](const engine::Script& candidate) { return target.find_in_script(candidate).has_value(); });
    fmt::print("The smallest script found that shows it:\n\n{}\n", engine::Print(small));
  }
  return false;
}

// How many random inputs disagree.
int RunRandom(const FuzzTarget& target, const Arguments& arguments, std::vector<Bytes> start) {
  const bool is_fuzzed = &target != &NbdkitExtents();
  const std::uint64_t runs = !is_fuzzed ? 0 : arguments.adds_random ? target.test_runs : arguments.runs;
  fmt::print("{}: {} files replayed; random inputs: --runs={} --seed={}\n", target.name, start.size(), runs,
             arguments.seed);
  LikelyInputs inputs(target.inputs, arguments.seed, std::move(start));
  for (std::uint64_t run = 1; run <= runs; ++run) {
    if (const Bytes input = inputs.Next(); !Agree(target, input)) {
      fmt::print("in run {}; the input:\n\n{}\n", run, AsPrintfTakesThem(input));
      return 1;
    }
  }
  return 0;
}

int Replay(const Arguments& arguments) {
  std::vector<std::pair<const FuzzTarget*, std::vector<Bytes>>> replayed;
  int failed = 0;
  for (const fs::path& path : arguments.files) {
    fmt::print("replay {}\n", path.string());
    std::fflush(stdout);
    const FuzzTarget* target = arguments.target != nullptr ? arguments.target : TargetNamed(CorpusFolderOf(path));
    if (target == nullptr) {
      return Refuse(path.string() + ": in no folder of a fuzz target: name it by --target=NAME");
    }
    std::ifstream file(path, std::ios::binary);
    Bytes input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto why = file ? WhyBroken(path, input) : "cannot be read";
    if (why) {
      return Refuse(path.string() + ": " + *why);
    }
    failed += Agree(*target, input) ? 0 : 1;
    if (replayed.empty() || replayed.back().first != target) {
      replayed.emplace_back(target, std::vector<Bytes>());
    }
    replayed.back().second.push_back(std::move(input));
  }
  if (replayed.empty() && arguments.target != nullptr) {
    replayed.emplace_back(arguments.target, std::vector<Bytes>());
  }
  for (auto& [target, inputs] : replayed) {
    failed += RunRandom(*target, arguments, std::move(inputs));
  }
  fmt::print("{} files, {} disagreements\n", arguments.files.size(), failed);
  return failed == 0 ? 0 : 1;
}

// "NAME max_len=N check_runs=N [dict=FILE]", for tools.
int List() {
  for (const FuzzTarget& target : FuzzTargets()) {
    fmt::print("{} max_len={} check_runs={}{}{}\n", target.name, target.inputs.bytes_max, target.check_runs,
               target.dictionary.empty() ? "" : " dict=", target.dictionary);
  }
  return 0;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto named = After("--target=", argument);
    const auto answered = arguments.target == nullptr ? std::nullopt : AnswerFarm(*arguments.target, argument);
    if (argument == "--list") {
      return List();
    }
    if (argument == "--table") {
      return std::fputs(TableOfTargets().c_str(), stdout) < 0 ? 1 : 0;
    }
    if (answered) {
      return *answered;
    }
    if (named) {
      arguments.target = TargetNamed(*named);
      if (arguments.target == nullptr) {
        return Refuse(std::string(argument) + ": no such target; --list names them");
      }
    } else if (argument == "--random") {
      arguments.adds_random = true;
    } else if (!TakeNumber("--runs=", argument, arguments.runs) && !TakeNumber("--seed=", argument, arguments.seed) &&
               (argument.starts_with("--") || !TakePath(argument, arguments.files))) {
      return Refuse(std::string(argument) + ": no such file or option");
    }
  }
  if (arguments.files.empty() && (arguments.target == nullptr || (arguments.runs == 0 && !arguments.adds_random))) {
    return Refuse("usage: replay [--target=NAME] [--random] [--runs=N] [--seed=S] FILE|DIR...");
  }
  return Replay(arguments);
}

}  // namespace
}  // namespace nbdspec::fuzz

int main(int argc, char** argv) { return nbdspec::fuzz::Main(argc, argv); }
