// SPDX-License-Identifier: BSD-3-Clause
#include "command/run_cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <map>
#include <system_error>

#include "command/commands.h"
#include "command/options.h"
#include "engine/base/quoted.h"
#include "engine/script/script.h"
#include "engine/wire/messages.h"
#include "fuzz/live/run/live_server.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

constexpr char kAbout[] =
    "nbdspec: is what an NBD server says allowed by the truth and by the specification?\n"
    "Exit codes: 0 nothing wrong, 1 a failure, 2 usage, 3 the target was never usable, 5 nbdspec's own error.";

constexpr char kCheckFooter[] =
    "TARGET is an NBD URI (nbd://host/export, nbd+unix:///export?socket=PATH), a server that nbdspec starts by name\n"
    "(nbdkit, nbdkit:extents, qemu-nbd, nbd-server, reference), or --spawn. Without one it is the reference server,\n"
    "in process.\n"
    "SELECT is a check's id, its beginning, a glob, or !any-of-these to leave out.\n\n"
    "  nbdspec check nbdkit\n"
    "  nbdspec check qemu-nbd block-status '!*zero-length*'\n"
    "  nbdspec check nbd+unix:///?socket=/run/nbd.sock --allow-write --junit nbd.xml\n"
    "  nbdspec check --spawn 'my-server --socket {socket} {image}'";

CLI::Option* AddSeconds(CLI::App& app, const std::string& name, double& value, const std::string& what) {
  const std::map<std::string, double> units = {{"ms", 0.001}, {"s", 1}, {"m", 60}};
  return app.add_option(name, value, what)
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE, "SECONDS"))
      ->option_text(fmt::format("SECONDS, or as 500ms, 30s, 10m [{}]", value));
}

// An empty word is most often a variable that is not set. Returns what is wrong, as CLI11 wants it.
std::string RefuseEmpty(const std::string& text) { return text.empty() ? "it is empty" : ""; }

// CLI11 by itself takes -1 and 2^64, and makes 2^64 - 1 of them.
std::string RefuseNoSeed(const std::string& text) {
  std::uint64_t seed = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  return error == std::errc() && stop == text.data() + text.size() ? "" : text + " is not in [0, 2^64)";
}

void AddCheck(CLI::App& app, CheckOptions& options, int& exit) {
  CLI::App* check = app.add_subcommand("check", "Check a server, clause by clause");
  check->footer(kCheckFooter);
  check->add_option("words", options.words, "[TARGET] [SELECT...]")->option_text(" ");
  check->add_option("--spawn", options.spawn, "Start this server: {socket} and {image} are replaced")
      ->option_text("COMMAND")
      ->check(RefuseEmpty);
  check->add_option("--export", options.export_name, "The export to enter, with --spawn")->option_text("NAME");
  check->add_option("--json", options.json_file, "Write the run as JSON ('-': standard output)")
      ->option_text("FILE")
      ->check(RefuseEmpty);
  check->add_option("--junit", options.junit_file, "Write the run as JUnit XML ('-': standard output)")
      ->option_text("FILE")
      ->check(RefuseEmpty);
  check->add_option("--seed", options.seed, "Seed of everything random")->capture_default_str()->check(RefuseNoSeed);
  check->add_option("-j", options.worker_count, "Checks at once, each with a server of its own (default: 4)")
      ->check(CLI::Range(1, 64));
  constexpr double kSecondsMin = 0.001;
  constexpr double kSecondsMax = 86400;
  AddSeconds(*check, "--reply-timeout", options.reply_timeout_s, "How long the server may take for one message")
      ->check(CLI::Range(kSecondsMin, kSecondsMax));
  AddSeconds(*check, "--case-timeout", options.case_timeout_s, "How long one check may take")
      ->check(CLI::Range(kSecondsMin, kSecondsMax));
  AddSeconds(*check, "--deadline", options.deadline_s, "How long the whole run may take; 0: no limit")
      ->check(CLI::Range(0.0, kSecondsMax));
  check->add_flag("--allow-write", options.allow_write, "Write to a server that nbdspec did not start");
  check->add_flag("--no-color", options.no_color, "No colour, as with NO_COLOR in the environment");
  check->add_flag("-v,--verbose", options.verbose, "Show every outcome and whole transcripts");
  check->add_flag("-q,--quiet", options.quiet, "Show only the last line");
  check->callback([&options, &exit] { exit = CheckCommand(options); });
}

void AddOthers(CLI::App& app, ListOptions& list, CoverageOptions& coverage, SelfTestOptions& selftest, std::string& id,
               int& exit) {
  CLI::App* list_app = app.add_subcommand("list", "List the checks");
  list_app->add_option("select", list.select, "As for check")->option_text("[SELECT...]");
  list_app->add_flag("--faults", list.faults, "With the faults each must catch");
  list_app->callback([&list, &exit] { exit = ListCommand(list); });

  CLI::App* explain = app.add_subcommand("explain", "Explain a check or a requirement");
  explain->add_option("id", id, "Of a check or a requirement")->required()->option_text("ID");
  explain->callback([&id, &exit] { exit = ExplainCommand(id); });

  CLI::App* coverage_app = app.add_subcommand("coverage", "Which clauses of the specification are checked");
  coverage_app->add_flag("--untested", coverage.untested, "List each clause that no check asks, and why");
  coverage_app->add_flag("--markdown", coverage.markdown, "Every clause, as docs/requirements.md has it");
  coverage_app->callback([&coverage, &exit] { exit = CoverageCommand(coverage); });

  CLI::App* selftest_app = app.add_subcommand("selftest", "Show that every check catches its faults");
  selftest_app->add_option("prefix", selftest.prefix, "Only checks whose id begins so")->option_text("[PREFIX]");
  selftest_app->add_option("--seed", selftest.seed, "Seed of everything random")
      ->capture_default_str()
      ->check(RefuseNoSeed);
  selftest_app->add_flag("--no-color", selftest.no_color, "No colour");
  selftest_app->callback([&selftest, &exit] { exit = SelfTestCommand(selftest); });
}

constexpr char kFuzzFooter[] =
    "TARGET is as for check; it is written to, so a URI needs --allow-write. Each finding is a directory: script, "
    "bytes\n"
    "both ways, transcript, the server's last words, and the line that replays it. Bugs that are public already are\n"
    "told by name and do not count for the exit code.\n"
    "Exit codes: 0 nothing new, 1 a finding, 2 usage, 3 the server was never usable, 5 nbdspec's own error.\n\n"
    "  nbdspec fuzz nbdkit --time 10m\n"
    "  nbdspec fuzz --spawn 'my-server --socket {socket} {image}' --scripts 1000 --seed 7";

void AddFuzz(CLI::App& app, FuzzCommandOptions& options, int& exit) {
  CLI::App* fuzz = app.add_subcommand("fuzz", "Send random scripts to a server, and judge every answer");
  fuzz->footer(kFuzzFooter);
  fuzz->add_option("words", options.target.words, "TARGET")->option_text(" ");
  fuzz->add_option("--spawn", options.target.spawn, "Start this server: {socket} and {image} are replaced")
      ->option_text("COMMAND")
      ->check(RefuseEmpty);
  fuzz->add_option("--export", options.target.export_name, "The export to enter, with --spawn")->option_text("NAME");
  fuzz->add_option("--seed", options.seed, "Seed of everything random")->capture_default_str()->check(RefuseNoSeed);
  constexpr double kSecondsMax = 30 * 86400;
  AddSeconds(*fuzz, "--time", options.time_s, "How long; 0: no limit, a minute when --scripts is not given either")
      ->check(CLI::Range(0.0, kSecondsMax));
  fuzz->add_option("--scripts", options.script_count, "How many scripts; 0: as many as the time allows")
      ->capture_default_str();
  fuzz->add_option("--steps", options.steps, "The longest script")->check(CLI::Range(1, 10000))->capture_default_str();
  fuzz->add_option("--in-flight", options.in_flight, "Requests in flight on each connection")
      ->check(CLI::Range(1, fuzz::kInFlightMax))
      ->capture_default_str();
  fuzz->add_option("--connections", options.connections, "At most, where the server offers multi-conn")
      ->check(CLI::Range(1, static_cast<int>(engine::kConnectionsMax)))
      ->capture_default_str();
  AddSeconds(*fuzz, "--reply-timeout", options.reply_timeout_s, "A server that is silent longer hangs")
      ->check(CLI::Range(0.001, 86400.0));
  fuzz->add_option("--findings", options.findings, "Where findings are kept")
      ->capture_default_str()
      ->check(RefuseEmpty);
  fuzz->add_flag("--allow-write", options.target.allow_write, "Write to a server that nbdspec did not start");
  fuzz->add_flag("--only-offered", options.only_offered, "Ask for nothing that the server does not offer");
  fuzz->callback([&options, &exit] { exit = FuzzCommand(options); });
}

constexpr char kDiffFooter[] =
    "A and B are servers by name, URIs, or commands that have {socket} in them. Both are written to.\n"
    "Exit codes: 0 errors and precision may differ, 1 one is unsound or ends the connection, 2 usage, 3 a server was\n"
    "not usable, 5 nbdspec's own error.\n\n"
    "  nbdspec diff nbdkit qemu-nbd --seed 7\n"
    "  nbdspec diff qemu-nbd 'nbdkit -f -U {socket} memory 8M' --script FILE";

void AddDiff(CLI::App& app, DiffCommandOptions& options, int& exit) {
  CLI::App* diff = app.add_subcommand("diff", "Run one script on two servers: where do they disagree?");
  diff->footer(kDiffFooter);
  diff->add_option("targets", options.targets, "A B")->option_text(" ")->expected(2)->required();
  diff->add_option("--script", options.script_file, "Run this script instead of random ones")
      ->option_text("FILE")
      ->check(RefuseEmpty);
  diff->add_option("--json", options.json, "Write what differs as JSON ('-': standard output)")
      ->option_text("FILE")
      ->check(RefuseEmpty);
  diff->add_option("--seed", options.seed, "Seed of everything random")->capture_default_str()->check(RefuseNoSeed);
  diff->add_option("--scripts", options.script_count, "How many scripts")->capture_default_str();
  diff->add_option("--steps", options.steps, "The longest script")->check(CLI::Range(1, 10000))->capture_default_str();
  AddSeconds(*diff, "--reply-timeout", options.reply_timeout_s, "A server that is silent longer hangs")
      ->check(CLI::Range(0.001, 86400.0));
  diff->add_flag("--allow-write", options.allow_write, "Write to servers that nbdspec did not start");
  diff->callback([&options, &exit] { exit = DiffCommand(options); });
}

constexpr char kReplayFooter[] =
    "Each is a directory that `nbdspec fuzz` has kept, an input of a fuzz target (corpus/regressions/NAME/FILE,\n"
    "corpus/seeds/NAME/FILE, or any with --as NAME), a script, or a directory of these. A finding runs on the server "
    "it\n"
    "was found on, which is started again, or on --target; an input runs in this process; a script runs on --target,\n"
    "or else on the reference server or, without requests, on the map and its oracle.\n"
    "Exit codes: 0 all pass or are FIXED, 1 something fails, is REPRODUCED or DIFFERENT, 2 something cannot be read "
    "or\n"
    "nothing is to be replayed, 3 a server was not usable, 5 nbdspec's own error.\n\n"
    "  nbdspec replay nbdspec-findings\n"
    "  nbdspec replay nbdspec-findings/crash.x-1 --target 'my-server --socket {socket} {image}'\n"
    "  nbdspec replay corpus/regressions/extent_map";

void AddSubject(CLI::App& app, ReplayCommandOptions& options) {
  app.add_option("--target", options.target, "A server by name, a URI, or a command with {socket}, instead")
      ->check(RefuseEmpty);
  app.add_option("--as", options.as, "The fuzz target whose input it is")->option_text("NAME")->check(RefuseEmpty);
  app.add_option("--in-flight", options.in_flight, "Requests in flight on each connection")
      ->check(CLI::Range(1, fuzz::kInFlightMax))
      ->capture_default_str();
  AddSeconds(app, "--reply-timeout", options.reply_timeout_s, "A server that is silent longer hangs")
      ->check(CLI::Range(0.001, 86400.0));
  app.add_flag("--allow-write", options.allow_write, "Write to a server that nbdspec did not start");
}

void AddReplay(CLI::App& app, ReplayCommandOptions& options, int& exit) {
  CLI::App* replay = app.add_subcommand("replay", "Replay findings, corpus files and scripts");
  replay->footer(kReplayFooter);
  replay->add_option("paths", options.paths, "FILE|DIR...")->option_text(" ")->required()->check(RefuseEmpty);
  AddSubject(*replay, options);
  replay->add_option("--tries", options.tries, "How often a finding is tried before it is FIXED")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  replay->add_flag("-v,--verbose", options.verbose, "Show what was expected and seen of each");
  replay->callback([&options, &exit] { exit = ReplayCommand(options); });
}

constexpr char kShrinkFooter[] =
    "FILE is as for replay. The script goes to standard output, or in one step to --output; how far it shrank to\n"
    "standard error. Exit codes: 0 done, 1 nothing is wrong with it, 2 usage, 3 the server was not usable, 5 it "
    "cannot\n"
    "be written.\n\n"
    "  nbdspec shrink nbdspec-findings/crash.x-1 -o crash.script";

void AddShrink(CLI::App& app, ShrinkCommandOptions& options, int& exit) {
  CLI::App* shrink = app.add_subcommand("shrink", "Make a script smaller that still fails the same way");
  shrink->footer(kShrinkFooter);
  shrink->add_option("path", options.subject.paths, "FILE|DIR")
      ->option_text(" ")
      ->required()
      ->expected(1)
      ->check(RefuseEmpty);
  shrink->add_option("-o,--output", options.output, "Where to write it")->option_text("FILE")->check(RefuseEmpty);
  AddSubject(*shrink, options.subject);
  options.subject.tries = 2000;
  shrink->add_option("--tries", options.subject.tries, "How many runs at most, on a server")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  shrink->callback([&options, &exit] { exit = ShrinkCommand(options); });
}

int CannotPrint(const std::string& why) {
  std::fputs(("nbdspec: cannot print: " + why + "\n").c_str(), stderr);
  return reports::ExitCode::kOurError;
}

}  // namespace

int RunCli(std::span<const std::string> arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app(kAbout, "nbdspec");
  app.set_version_flag("--version", std::string("nbdspec ") + kVersion);
  app.require_subcommand(1);
  CheckOptions check;
  ListOptions list;
  CoverageOptions coverage;
  SelfTestOptions selftest;
  FuzzCommandOptions fuzz_options;
  DiffCommandOptions diff_options;
  ReplayCommandOptions replay;
  ShrinkCommandOptions shrink;
  std::string id;
  int exit = reports::ExitCode::kSuccess;
  AddCheck(app, check, exit);
  AddFuzz(app, fuzz_options, exit);
  AddDiff(app, diff_options, exit);
  AddReplay(app, replay, exit);
  AddShrink(app, shrink, exit);
  AddOthers(app, list, coverage, selftest, id, exit);
  if (!arguments.empty() && !arguments[0].starts_with("-") &&
      app.get_subcommands([&](const CLI::App* each) { return each->get_name() == arguments[0]; }).empty()) {
    fmt::print(stderr, "nbdspec: there is no command {}; `nbdspec --help` shows them.\n", engine::Quoted(arguments[0]));
    return reports::ExitCode::kUsage;
  }
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // As CLI11 wants them.
  try {
    app.parse(reversed);
    if (std::fflush(stdout) != 0 && errno != EPIPE) {
      return CannotPrint(std::generic_category().message(errno));
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? reports::ExitCode::kSuccess : reports::ExitCode::kUsage;
  } catch (const std::system_error& error) {  // From fmt::print. Who reads only the beginning has read enough.
    return error.code().value() == EPIPE ? reports::ExitCode::kSuccess : CannotPrint(error.code().message());
  }
  return exit;
}

}  // namespace nbdspec::conformance
