// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/fuzz_target.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/script/script_bytes.h"
#include "engine/script/shrink.h"

namespace nbdspec::fuzz {
namespace {

// Of one input after the other, in buffers that are used again.
const engine::Script& ScriptOf(const FuzzTarget& target, engine::ByteView input) {
  static engine::ScriptDecoder decoder;
  static engine::Script script;
  decoder.Read(input, *target.inputs.script, script);
  return script;
}

// `make_file` is the shell command that writes the file, up to its name, and `rest` what follows it.
[[noreturn]] void Abort(const FuzzTarget& target, const Disagreement& found, const std::string& make_file,
                        const std::string& suffix, const std::string& rest) {
  const std::string name(target.name);
  const std::string file = "corpus/regressions/" + name + "/NAME" + suffix;
  const std::string text = "\n" + name + ": subject and reference disagree\n  where     " + found.where +
                           "\n  expected  " + found.expected + "\n  saw       " + found.saw +
                           "\n\nKeep and replay it, from the root of the project:\n\n" + make_file + file + rest +
                           "\nbazel run //fuzz/targets:replay -- $PWD/" + file + "\n\n";
  std::fputs(text.c_str(), stderr);
  std::abort();
}

}  // namespace

Found Find(const FuzzTarget& target, engine::ByteView input) {
  return target.inputs.script ? target.find_in_script(ScriptOf(target, input)) : target.find_in_bytes(input);
}

std::string AsPrintfTakesThem(engine::ByteView input) {
  std::string text;
  for (const std::uint8_t byte : input) {
    char octal[8];
    std::snprintf(octal, sizeof octal, "\\%03o", unsigned{byte});
    text += octal;
  }
  return text;
}

void AbortOnDisagreement(const FuzzTarget& target, engine::ByteView input) {
  const auto found = Find(target, input);
  if (!found) {
    return;
  }
  if (!target.inputs.script) {
    Abort(target, *found, "printf '" + AsPrintfTakesThem(input) + "' > ", "", "");
  }
  const engine::Script small = engine::Shrink(ScriptOf(target, input), [&](const engine::Script& candidate) {
    return target.find_in_script(candidate).has_value();
  });
  Abort(target, *target.find_in_script(small), "cat > ", ".script", " <<'END'\n" + engine::Print(small) + "END");
}

}  // namespace nbdspec::fuzz
