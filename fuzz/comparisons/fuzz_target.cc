// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/fuzz_target.h"

#include <fmt/format.h>

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

}  // namespace

Found Find(const FuzzTarget& target, engine::ByteView input) {
  return target.inputs.script ? target.find_in_script(ScriptOf(target, input)) : target.find_in_bytes(input);
}

std::string AsPrintfTakesThem(engine::ByteView input) {
  std::string text;
  for (const std::uint8_t byte : input) {
    text += fmt::format("\\{:03o}", byte);
  }
  return text;
}

void AbortOnDisagreement(const FuzzTarget& target, engine::ByteView input, bool shrinks) {
  auto found = Find(target, input);
  if (!found) {
    return;
  }
  std::string file = fmt::format("corpus/regressions/{}/NAME", target.name);
  std::string make_file = fmt::format("printf '{}' > {}", AsPrintfTakesThem(input), file);
  if (target.inputs.script) {
    engine::Script small = ScriptOf(target, input);
    if (shrinks) {
      small = engine::Shrink(
          small, [&](const engine::Script& candidate) { return target.find_in_script(candidate).has_value(); });
      found = target.find_in_script(small);
    }
    file += ".script";
    make_file = fmt::format("cat > {} <<'END'\n{}END", file, engine::Print(small));
  }
  fmt::print(stderr,
             "\n{}: subject and reference disagree\n  where     {}\n  expected  {}\n  saw       {}\n\n"
             "Keep and replay it, from the root of the project:\n\n"
             "{}\nbazel run //fuzz/targets:replay -- $PWD/{}\n\n",
             target.name, found->where, found->expected, found->saw, make_file, file);
  std::abort();
}

}  // namespace nbdspec::fuzz
