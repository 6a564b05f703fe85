// SPDX-License-Identifier: BSD-3-Clause
// The reports of one run that has every verdict, against files. BUILD says how to rewrite them.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "engine/spec/ids.h"
#include "reports/render/read_json.h"
#include "reports/render/render.h"
#include "reports/render/testdata/hostile_run.h"

namespace nbdspec::reports {
namespace {

bool update = false;

void ExpectGolden(const std::string& name, const std::string& actual) {
  const std::string path = "reports/render/testdata/" + name;
  if (update) {
    const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
    ASSERT_NE(workspace, nullptr) << "--update works under bazel run";
    std::ofstream(workspace + ("/" + path), std::ios::binary) << actual;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file) << path;
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << "if that is meant: bazel run //reports/render:golden_test -- --update";
}

// An outcome whose replay names its id.
Outcome Make(std::string_view id, spec::Level level, Verdict verdict, std::string_view statement,
             std::string_view section) {
  Outcome outcome;
  outcome.id = id;
  outcome.requirement = outcome.id.substr(0, outcome.id.find('/'));
  outcome.level = level;
  outcome.verdict = verdict;
  outcome.statement = statement;
  outcome.section = section;
  outcome.replay = "nbdspec check nbdkit '" + outcome.id + "' --seed 42";
  outcome.duration_ms = 3.25;
  return outcome;
}

Outcome Failure() {
  Outcome outcome = Make(spec::kBlockStatusReqOneSingle, spec::Level::kMustNot, Verdict::kFail,
                         "With REQ_ONE no more than one extent per context is sent", "Command flags");
  outcome.evidence = {
      .sent =
          "NBD_CMD_BLOCK_STATUS [0, 65536) with NBD_CMD_FLAG_REQ_ONE over a range that is known to hold two extents",
      .allowed = "one descriptor of 1 to 65536 bytes",
      .saw =
          "two descriptors:\nasked    [0, 65536)        |--------|\nreply    data 32768        |----|\n"
          "         hole 32768             |----|",
      .place = "line 8, byte 112 from the server",
      .transcript = {},
      .standard_error =
          "nbdkit: memory[1]: debug: extents count=65536 offset=0 req_one=1\n"
          "nbdkit: memory[1]: error: \x1b[31mnot red\x1b[0m\n",
  };
  for (std::uint64_t i = 1; i <= 12; ++i) {
    Message message{.line = i, .from = i % 2 == 1 ? Message::From::kClient : Message::From::kServer, .offset = 14 * i};
    message.length = 28;
    message.name = i % 2 == 1 ? "NBD_CMD_BLOCK_STATUS" : "NBD_REPLY_TYPE_BLOCK_STATUS";
    message.fields = {{.name = "cookie", .value = std::to_string((i + 1) / 2)}};
    message.text = message.name + " cookie " + message.fields.front().value;
    message.part = i == 7 ? Message::Part::kAsked : i == 8 ? Message::Part::kJudged : Message::Part::kNone;
    if (i == 8) {
      message.fields.push_back({.name = "descriptors", .value = "32768:0x0, 32768:0x3", .is_judged = true});
      message.text += ", 2 descriptors 32768:0x0, 32768:0x3";
    }
    outcome.evidence.transcript.push_back(LineOf(message));
    outcome.evidence.messages.push_back(std::move(message));
  }
  outcome.evidence.bars = {
      {.who = "asked", .stretches = {{.begin = 0, .end = 65536}}},
      {.who = "\"base:allocation\"",
       .stretches = {{.begin = 0, .end = 32768, .said = "data"},
                     {.begin = 32768, .end = 65536, .said = "hole, zero", .is_judged = true}}},
  };
  outcome.link = "https://example.org/proto.md#command-flags";
  outcome.harm = spec::Harm::kInteroperability;
  outcome.stock = "nbd-server (3.26.1, 3.27.1) fails; not known of nbdkit, qemu-nbd";
  return outcome;
}

std::vector<Outcome> Outcomes() {
  std::vector<Outcome> outcomes = {
      Make(spec::kHandshakeMagic, spec::Level::kMust, Verdict::kPass,
           "First eight bytes from a newstyle server are the ASCII NBDMAGIC constant 0x4e42444d41474943",
           "Newstyle negotiation"),
      Failure(),
      Make(spec::kBlockStatusDistinctStatus, spec::Level::kShould, Verdict::kWarn,
           "Consecutive descriptors differ in status where feasible", "Request types > NBD_CMD_BLOCK_STATUS"),
      Make(spec::kTlsForcedGo, spec::Level::kMust, Verdict::kNotApplicable, "Before TLS GO gets TLS_REQD",
           "FORCEDTLS mode"),
      Make(spec::kTlsForcedExportName, spec::Level::kMust, Verdict::kNotApplicable,
           "Before TLS EXPORT_NAME makes the server end the session", "FORCEDTLS mode"),
      Make(spec::kCacheRejectUnknownFlags, spec::Level::kMust, Verdict::kSkip,
           "A server that offered SEND_CACHE rejects unknown flags on CACHE", "Request types > NBD_CMD_CACHE"),
      Make(spec::kSub<spec::kOptionListReplyShape, "empty">, spec::Level::kMust, Verdict::kInconclusive,
           "LIST gets zero or more SERVER replies then a final ACK or error", "Option types > NBD_OPT_LIST"),
      Make(spec::kTransmissionCookieEcho, spec::Level::kMust, Verdict::kFlaky,
           "Every reply message carries exactly the cookie of the request it answers", "Transmission"),
  };
  outcomes[2].evidence.saw = "two neighbours of status 0: [0, 32768) and [32768, 65536)";
  outcomes[2].harm = spec::Harm::kStyle;
  outcomes[3].evidence.saw = "the server does not offer TLS";
  outcomes[4].evidence.saw = "the server does not offer TLS";
  outcomes[5].evidence.saw = "writing needs --allow-write";
  outcomes[6].evidence.saw = "nothing came within 5 s";
  outcomes[7].evidence.saw = "fail, then pass";
  return outcomes;
}

Run Sample() {
  Run run;
  run.version = "0.1.0";
  run.spec = "NetworkBlockDevice/nbd 6725f91 (2025-06-26)";
  run.seed = 18446744073709551615U;
  run.target = "nbdkit 1.32.5 (memory)";
  run.started = "2025-06-26T12:34:56Z";
  run.host = "build-7";
  run.advertised = {{"handshake flags", "FIXED_NEWSTYLE, NO_ZEROES"},
                    {"transmission flags", "HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, SEND_DF"},
                    {"size", "8388608"},
                    {"exports", "\"\", \"bad \x1b]0;title\x07\xff\""}};
  run.outcomes = Outcomes();
  run.exit = ExitFor(run);
  run.duration_ms = 1234.5;
  return run;
}

TEST(Golden, Text) { ExpectGolden("report.txt", RenderText(Sample(), {})); }
TEST(Golden, VerboseTextInColor) {
  ExpectGolden("report_verbose_color.txt", RenderText(Sample(), {.color = true, .verbose = true}));
}
// Without the style and the script, which have files of their own.
TEST(Golden, Html) {
  std::string page = RenderHtml(Sample());
  for (const std::string_view tag : {"style", "script"}) {
    const std::size_t begin = page.find("<" + std::string(tag) + ">") + tag.size() + 2;
    page.erase(begin, page.find("</" + std::string(tag) + ">") - begin);
    const std::size_t hash = page.find(std::string(tag) + "-src 'sha256-") + tag.size() + 13;
    page.erase(hash, page.find('\'', hash) - hash);
  }
  ExpectGolden("report.html", page);
}
TEST(Golden, Json) {
  const std::string json = RenderJson(Sample());
  ExpectGolden("report.json", json);
  const auto run = ReadJson(json, "report.json");
  ASSERT_TRUE(run) << run.error().sentence;
  EXPECT_EQ(RenderJson(*run), json);
}
TEST(Golden, Tap) { ExpectGolden("report.tap", RenderTap(Sample())); }
TEST(Golden, Markdown) { ExpectGolden("report.md", RenderMarkdown(Sample())); }
// For //command:formats_test, in which others read it.
TEST(Golden, Hostile) {
  ExpectGolden(
      "hostile.json",
      RenderJson(HostileRun("x # todo `` ``` ]]></testcase></code></summary><script>alert(1)</script>\n```\n~~~\n"
                            "ok 1\nnot ok 2\nBail out!\n  ...\n1..3\n\n# @all **b** https://x.org ![i](j)\n\n"
                            "</details>\n\n| a | \\\"\\\\ \x1b[31m\u202e\u009b\xff\\")));
}
TEST(Golden, Junit) { ExpectGolden("report.xml", RenderJunit(Sample())); }

}  // namespace
}  // namespace nbdspec::reports

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  nbdspec::reports::update = argc > 1 && std::string_view(argv[1]) == "--update";
  return RUN_ALL_TESTS();
}
