// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes a server that is not instrumented: $NBDSPEC_LIVE_TARGET (a server by name, or a command with {socket}), or
// nbdkit with its memory plugin. What kinds of answers it gives guides libFuzzer instead of the server's code.
//
// A finding is printed as a script with the line that replays it; then this aborts. $NBDSPEC_LIVE_BLIND=1 counts no
// signature, to see what the guidance is worth.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

#include "conformance/peer/target.h"
#include "engine/base/quoted.h"
#include "engine/script/script.h"
#include "fuzz/inputs/input_mutator.h"
#include "fuzz/live/guided/live_session.h"
#include "fuzz/live/learn/answer_kinds.h"

namespace nbdspec::fuzz {
namespace {

// libFuzzer counts these as coverage. Volatile, or the stores would be optimised away.
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile std::uint8_t signatures_seen[kSignatureLimit];

constexpr const char* kDefaultTarget = "nbdkit -f --threads=1 -U {socket} memory 8M";

// To the terminal, where it may be a server's words.
void Say(const std::string& text) {
  for (const char c : text) {
    const bool stays = c == '\n' || c == '"' || c == '\\';
    std::fputs(stays ? std::string(1, c).c_str() : engine::Escaped(static_cast<std::uint8_t>(c)).c_str(), stderr);
  }
}

[[noreturn]] void GiveUp(const std::string& why) {
  Say("live_session_fuzz: " + why + "\n");
  std::_Exit(2);  // No finding: an abort would be one.
}

// The server of this run.
struct Live {
  std::string words;
  std::unique_ptr<conformance::Target> target;
  std::unique_ptr<LiveSession> session;
  std::set<std::uint32_t> signatures = {};
  bool is_blind = std::getenv("NBDSPEC_LIVE_BLIND") != nullptr;

  ~Live() { std::fprintf(stderr, "%zu signatures of answers seen\n", signatures.size()); }
};

Live& TheServer() {
  static Live live = [] {
    const char* const named = std::getenv("NBDSPEC_LIVE_TARGET");
    const std::string words = named != nullptr ? named : kDefaultTarget;
    auto target = words.find("{socket}") != std::string::npos ? conformance::TargetFromSpawn(words, "")
                                                              : conformance::TargetFromName(words);
    if (!target) {
      GiveUp(target.error().sentence);
    }
    auto session = LiveSession::Start(**target, {});
    if (!session) {
      GiveUp(session.error().sentence);
    }
    return Live{.words = words, .target = *std::move(target), .session = *std::move(session)};
  }();
  return live;
}

[[noreturn]] void Tell(const Finding& finding, const std::string& words) {
  Say("\n" + KeyOf(finding) + "\n  expected  " + finding.expected + "\n  saw       " + finding.saw + "\n" +
      finding.server_stderr + "\n");
  Say("Keep and replay it (it may need what was sent before):\n\ncat > found.script <<'END'\n" + Print(finding.script) +
      "END\nnbdspec replay found.script --target '" + words + "'\n\n");
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Live& live = TheServer();
  const auto outcome = live.session->Run(live.session->ScriptOf({data, size}));
  if (!outcome) {
    GiveUp(outcome.error().sentence);
  }
  if (outcome->finding) {
    Tell(*outcome->finding, live.words);
  }
  for (const std::uint32_t signature : outcome->signatures) {
    live.signatures.insert(signature);
    signatures_seen[signature] = live.is_blind ? 0 : 1;
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return InputMutator(ScriptKind(TheServer().session->limits())).Mutate(data, size, size_max, seed);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size, std::uint8_t* out,
                                                 std::size_t size_max, unsigned seed) {
  return InputMutator(ScriptKind(TheServer().session->limits()))
      .Cross({one, one_size}, {other, other_size}, {out, size_max}, seed);
}

}  // namespace nbdspec::fuzz
