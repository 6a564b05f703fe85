// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/disagreement.h"

#include <cstdio>
#include <cstdlib>

#include "engine/script/shrink.h"

namespace nbdspec::fuzz {
namespace {

void Print(std::string_view target, const Disagreement& found) {
  std::fprintf(stderr, "\n%.*s: subject and reference disagree\n  where     %s\n  expected  %s\n  saw       %s\n",
               static_cast<int>(target.size()), target.data(), found.where.c_str(), found.expected.c_str(),
               found.saw.c_str());
}

// `make_file` is the shell command that writes the file, up to its name.
[[noreturn]] void AbortWithReplay(std::string_view target, std::string_view make_file, std::string_view suffix,
                                  std::string_view rest) {
  const std::string target_name(target);
  const std::string file = "corpus/regressions/" + target_name + "/NAME" + std::string(suffix);
  std::fprintf(stderr, "\nKeep and replay it, from the root of the project:\n\n%.*s%s%.*s\n",
               static_cast<int>(make_file.size()), make_file.data(), file.c_str(), static_cast<int>(rest.size()),
               rest.data());
  std::fprintf(stderr, "bazel run //fuzz/targets:%s_fuzz -- $PWD/%s\n\n", target_name.c_str(), file.c_str());
  std::abort();
}

}  // namespace

void AbortOnDisagreement(std::string_view target, const engine::Script& script, const FindScriptDisagreement& find) {
  if (!find(script)) {
    return;
  }
  const engine::Script small =
      engine::Shrink(script, [&](const engine::Script& candidate) { return find(candidate).has_value(); });
  Print(target, *find(small));
  AbortWithReplay(target, "cat > ", ".script", " <<'END'\n" + engine::Print(small) + "END");
}

void AbortOnDisagreement(std::string_view target, engine::ByteView input, const FindBytesDisagreement& find) {
  const auto found = find(input);
  if (!found) {
    return;
  }
  Print(target, *found);
  std::string command = "printf '";
  for (const std::uint8_t byte : input) {
    char octal[8];
    std::snprintf(octal, sizeof octal, "\\%03o", unsigned{byte});
    command += octal;
  }
  AbortWithReplay(target, command + "' > ", "", "");
}

}  // namespace nbdspec::fuzz
