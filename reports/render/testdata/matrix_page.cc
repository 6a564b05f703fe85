// SPDX-License-Identifier: BSD-3-Clause
// Writes the page of a matrix of so many servers by so many checks, of which one in ten does not pass, to standard
// output: for //command:pages_test. Usage: matrix_page SERVERS CHECKS

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

Evidence Shown(int server, int check) {
  Evidence evidence{.sent = "NBD_CMD_BLOCK_STATUS offset 0 length 65536 cookie 0x100000003, REQ_ONE",
                    .allowed = "a length up to the request's",
                    .saw = fmt::format("descriptor {} of context 0 has length 131072, more than the request", server),
                    .place = "line 12, byte 1342 from the server"};
  for (std::uint64_t line = 1; line <= 24; ++line) {
    Message& message = evidence.messages.emplace_back();
    message.line = line;
    message.from = line % 2 == 1 ? Message::From::kClient : Message::From::kServer;
    message.part = line == 11 ? Message::Part::kAsked : line == 12 ? Message::Part::kJudged : Message::Part::kNone;
    message.name = line % 2 == 1 ? "NBD_CMD_BLOCK_STATUS" : "NBD_REPLY_TYPE_BLOCK_STATUS";
    message.fields = {{"cookie", fmt::format("{:#x}", line)}, {"offset", "0"}, {"length", "65536"}};
    message.text = fmt::format("{} cookie {:#x} offset 0 length 65536", message.name, line);
    evidence.transcript.push_back(LineOf(message));
  }
  if (check % 2 == 0) {
    evidence.bars = {{"asked", {{.begin = 0, .end = 65536, .said = ""}}},
                     {"base:allocation", {{.begin = 0, .end = 131072, .said = "data", .is_judged = true}}}};
  }
  return evidence;
}

Run RunOf(int server, int checks) {
  Run run;
  run.target = fmt::format("server {} 1.{}.0 (file)", server, server);
  for (int check = 0; check < checks; ++check) {
    Outcome& outcome = run.outcomes.emplace_back();
    outcome.id = fmt::format("{}.clause-number.{}", check % 4 == 0 ? "option" : "block-status", check);
    outcome.requirement = outcome.id;
    outcome.statement = fmt::format("In clause {} a server keeps to what the specification says of it", check);
    outcome.section = "Request types > NBD_CMD_BLOCK_STATUS";
    outcome.link = "https://example.org/proto.md#request-types";
    const int draw = (check * 7 + server * 13) % 100;
    outcome.verdict = draw < 6    ? Verdict::kFail
                      : draw < 10 ? Verdict::kWarn
                      : draw < 40 ? Verdict::kNotApplicable
                                  : Verdict::kPass;
    if (IsFailure(outcome.verdict) || outcome.verdict == Verdict::kWarn) {
      outcome.evidence = Shown(server, check);
      outcome.replay = fmt::format("nbdspec check server-{} {} --seed 1", server, outcome.id);
    }
  }
  run.exit = ExitFor(run);
  return run;
}

}  // namespace
}  // namespace nbdspec::reports

int main(int argc, char** argv) {
  const int servers = argc == 3 ? std::atoi(argv[1]) : 0;
  const int checks = argc == 3 ? std::atoi(argv[2]) : 0;
  nbdspec::reports::Matrix matrix{.version = "0.1.0", .duration_ms = 61'234};
  for (int server = 0; server < servers; ++server) {
    matrix.runs.push_back({.name = fmt::format("server-{}", server), .run = nbdspec::reports::RunOf(server, checks)});
  }
  matrix.exit = ExitFor(matrix);
  std::fputs(RenderHtml(matrix).c_str(), stdout);
}
