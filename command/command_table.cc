// SPDX-License-Identifier: BSD-3-Clause
#include "command/command_table.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <sstream>

#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_server.h"
#include "reports/render/render.h"

namespace nbdspec::command {

namespace {

constexpr int kUnlimited = 1 << 20;
constexpr double kMillisecond = 0.001;
constexpr double kDay = 86400;

constexpr char kCheckFooter[] =
    "TARGET is an NBD URI (nbd://host/export, nbd+unix:///export?socket=PATH; with TLS nbds and nbds+unix), a server\n"
    "that nbdspec starts by name (nbdkit, nbdkit:extents, nbdkit:nbd, qemu-nbd, qemu-nbd:qcow2, nbd-server, "
    "reference),\n"
    "or --spawn. Without one it is the reference server, in process. NAME@SUITE is the server of another Debian\n"
    "release, unpacked by tools/other_debian SUITE.\n"
    "SELECT is a check's id, its beginning, a glob, or !any-of-these to leave out.\n\n"
    "In the command of --spawn, which no shell sees, these are replaced:\n"
    "  {socket}     the unix socket to listen on, or in its place\n"
    "  {port}       a TCP port of 127.0.0.1 that is free\n"
    "  {image}      a raw file to serve and write to, new for each start: data, holes and zeroes, 8 MiB (for some\n"
    "               checks sparse, 6 GiB), readable and writable for who runs nbdspec alone; or in its place\n"
    "  {image-uri}  an NBD export with the same bytes\n"
    "  {size}       how many bytes it has\n"
    "  {export}     the name that --export gives\n"
    "  {certs}      with --tls: the directory of the server's certificates\n\n"
    "  nbdspec check nbdkit\n"
    "  nbdspec check nbdkit@trixie --expected nbdkit\n"
    "  nbdspec check qemu-nbd block-status '!*zero-length*'\n"
    "  nbdspec check 'nbd+unix:///?socket=/run/nbd.sock' --allow-write --junit nbd.xml\n"
    "  nbdspec check --spawn 'my-server --socket {socket} {image}'\n"
    "  nbdspec check --spawn 'my-server --port {port} --size {size}'\n"
    "  nbdspec check qemu-nbd --power-cut\n"
    "  nbdspec check --tls --spawn 'my-server --socket {socket} --tls-certificates {certs} {image}'";

constexpr char kClientFooter[] =
    "CLIENT is one that nbdspec knows by name (nbdinfo, nbdcopy, nbdsh, nbdfuse, qemu-img, qemu-io, qemu-nbd, "
    "nbdkit-nbd,\n"
    "fio, nbd-client, reference; NAME@SUITE of another Debian release, unpacked by tools/other_debian), or --run, "
    "which\n"
    "may be given more than once: a command for each thing that the client does. For each scenario nbdspec serves an\n"
    "export to each command, and judges what it sends, how it exits, and the bytes. With --listen you start the "
    "client,\n"
    "and what it sends is judged.\n"
    "SELECT is a check's id, its beginning, a glob, or !any-of-these to leave out.\n\n"
    "In the command of --run, which no shell sees, these are replaced:\n"
    "  {uri}     the NBD URI of the export; or in its place\n"
    "  {socket}  the unix socket to connect to, or\n"
    "  {port}    the TCP port of 127.0.0.1\n"
    "  {export}  the name of the export\n"
    "  {output}  a file to write the export's bytes to\n"
    "  {input}   a file whose bytes to write to the export\n"
    "  {map}     a file to write the extents to, as `nbdinfo --map --json` or `qemu-img map --output=json` print them\n"
    "  {certs}   with --tls: the directory of certificates; a {uri} names it, too\n\n"
    "The environment has NBDSPEC_SCENARIO, the scenario's name. Exit status 89 says: cannot do this.\n\n"
    "  nbdspec client nbdcopy --expected nbdcopy\n"
    "  nbdspec client --run 'my-client --get {uri} {output}' --run 'my-client --put {uri} {input}'\n"
    "  nbdspec client qemu-img structured\n"
    "  nbdspec client --listen --tcp baseline.notls.client";

constexpr char kFuzzFooter[] =
    "TARGET is as for check. Fuzzing overwrites its export, so a URI needs --allow-write. Each finding is a "
    "directory:\n"
    "script, bytes both ways, transcript, what the server wrote to standard error, and the line that replays it. A "
    "bug\n"
    "that is public already is reported by its name; it does not change the exit code, nor does a warning (a SHOULD).\n"
    "Exit codes: 0 nothing new, 1 a finding, 2 usage, 3 the server was not usable, 5 nbdspec's own error.\n\n"
    "  nbdspec fuzz nbdkit --time 10m --corpus scripts\n"
    "  nbdspec fuzz qemu-nbd --power-cut\n"
    "  nbdspec fuzz --coverage --spawn './my-covered-server --socket {socket} {image}'\n"
    "  nbdspec fuzz --spawn 'my-server --socket {socket} {image}' --scripts 1000 --seed 7";

constexpr char kFuzzClientFooter[] =
    "CLIENT and --run are as for client. nbdspec plays the server: each case is an export with random data, holes and\n"
    "zeroes, by a server that keeps the rules and is odd in random ways, as `nbdspec client` knows them. The client's "
    "exit\n"
    "status, the bytes of {output}, what it wrote to the export from {input}, {map}, and what it sends are judged. A "
    "finding\n"
    "is shown again with the client alone, made small, and kept; its case.txt can be edited and replayed.\n"
    "Exit codes: 0 nothing found, 1 a finding, 2 usage, 3 the client could not be run, or no case was judged, 5 "
    "nbdspec's "
    "own\n"
    "error.\n\n"
    "  nbdspec fuzz-client nbdcopy --time 10m\n"
    "  nbdspec fuzz-client --run 'my-client --get {uri} {output}' --cases 1000 --seed 7\n"
    "  nbdspec fuzz-client qemu-img --align 512";

constexpr char kDiffFooter[] =
    "A and B are servers by name, URIs, or commands that have {socket} in them. The scripts overwrite both exports.\n"
    "Exit codes: 0 errors and precision may differ, 1 one is unsound or ends the connection, 2 usage, 3 a server was\n"
    "not usable, 5 nbdspec's own error.\n\n"
    "  nbdspec diff nbdkit qemu-nbd --seed 7\n"
    "  nbdspec diff qemu-nbd 'nbdkit -f -U {socket} memory 8M' --script FILE";

constexpr char kReplayFooter[] =
    "Each is a directory that `nbdspec fuzz` or `fuzz-client` has kept, a script of requests, a client's case, or a\n"
    "directory of these. A finding runs on the server that showed it, which nbdspec starts again, or on --target; a\n"
    "client's with the client that showed it, or with --client or --run; a script on --target, or else on the\n"
    "reference server. A command that stands in a file is started only with --run-its-command: read a stranger's "
    "first.\n"
    "For an input of a fuzz target the command prints the line that replays it.\n"
    "Exit codes: 0 all pass or are FIXED, 1 something fails, is REPRODUCED or DIFFERENT, 2 something cannot be read "
    "or\n"
    "there is nothing to replay, 3 a server was not usable, 5 nbdspec's own error.\n\n"
    "  nbdspec replay nbdspec-findings\n"
    "  nbdspec replay nbdspec-findings --run-its-command\n"
    "  nbdspec replay nbdspec-findings/crash.x-1 --target 'my-server --socket {socket} {image}'\n"
    "  nbdspec replay my.script --target qemu-nbd";

constexpr char kShrinkFooter[] =
    "FILE is as for replay. The script goes to standard output, or in one step to --output; its length before and "
    "after\n"
    "goes to standard error. While it works the smallest so far is in --output already. Exit codes: 0 done, 1 every "
    "answer is allowed, 2 usage, 3 the server was not usable, 5 "
    "the\n"
    "script cannot be written.\n\n"
    "  nbdspec shrink nbdspec-findings/crash.x-1 -o crash.script";

constexpr char kMergeFooter[] =
    "Puts the findings of each FROM into DIR, and makes one of those in DIR that look the same: the one that is\n"
    "reproduced, or smaller, with all that have seen it. FROM stays as it is; the same again changes nothing. Runs on "
    "one\n"
    "directory do so themselves; this is for those of several hosts, and after a run was killed.\n"
    "Exit codes: 0 done, 2 usage, or a finding cannot be read and was left out, 5 DIR cannot be written.\n\n"
    "  nbdspec merge all host-1/nbdspec-findings host-2/nbdspec-findings\n"
    "  nbdspec merge nbdspec-findings";

constexpr char kMatrixFooter[] =
    "Each line of FILE is a name, a colon, and what `nbdspec check` is asked for; # begins a comment:\n\n"
    "  stock:     nbdkit --expected nbdkit\n"
    "  mine:      --spawn 'my-server --socket {socket} {image}' --expected my.expected\n"
    "  inside:    --spawn 'my-server --socket {socket} --tls-certificates {certs} {image}' --tls\n"
    "  far away:  nbd://storage.example.org/disk '!*gigabytes*'\n\n"
    "A line that goes on with `client` is what `nbdspec client` is asked for:\n\n"
    "  nbdcopy:   client nbdcopy\n"
    "  backup:    client --run 'my-backup {uri} {output}'\n\n"
    "The trouble of one server does not keep the others from being checked. SELECT is as for check, for all of them.\n"
    "Exit codes: that of check which matters most: 5, 1, 3, 4, 0; 2 for a FILE that is not understood.\n\n"
    "  nbdspec matrix servers.txt --html matrix.html --markdown \"$GITHUB_STEP_SUMMARY\"\n"
    "  nbdspec matrix servers.txt block-status";

constexpr char kExpectedFooter[] =
    "A list of expected failures says what a server or a client is known to do wrong, and why that is no news:\n\n"
    "  # A comment.\n"
    "  [my-server 2.*]                 of which server, and which of its versions: globs\n"
    "  option.abort.ack          fail  a check or a glob, and the verdict: fail, crash, inconclusive, flaky, warn\n"
    "  disc.server-closes-tcp    fail|pass\n"
    "      It closes too soon.         why: this has to be there\n"
    "      https://example.org/1       a link\n\n"
    "`nbdspec check --expected LIST` uses it, and `nbdspec client`. LIST is a file, or one that comes with nbdspec: "
    "of\n"
    "servers nbdkit, qemu-nbd, nbd-server; of clients fio, nbd-client, nbdcopy, nbdinfo, nbdkit-nbd, qemu-img.\n"
    "`update` brings FILE up to date with what a run found, and makes it where there is none; reasons and\n"
    "comments stay, and what is new has to be given a reason before the list can be used. Exit codes: 0 done, 2 usage, "
    "5\n"
    "the list cannot be written.\n\n"
    "  nbdspec check nbdkit --json run.json; nbdspec expected update my.expected run.json\n"
    "  nbdspec expected show nbdkit";

constexpr char kReportFooter[] =
    "RUN.json is what `nbdspec check --json` wrote, - standard input. Without a format it is shown as text.\n"
    "Exit codes: 0 done, whatever the run's own was, 2 the report cannot be read, 5 one cannot be written.\n\n"
    "  nbdspec report run.json --verbose\n"
    "  nbdspec report run.json --junit run.xml";

constexpr char kCompareFooter[] =
    "Both are what `nbdspec check --json` wrote; - is standard input. A check that fails, and did not or was not "
    "there, "
    "is a\n"
    "new failure; so is one that cannot be judged any more.\n"
    "Exit codes: 0 no new failure, 1 a new failure, 2 a report cannot be read, 3 the new run ended early, so that\n"
    "failures may not have been found, 5 nbdspec's own error.\n\n"
    "  nbdspec compare main.json branch.json";

constexpr char kMapFooter[] =
    "TARGET is as for check; nothing is written to it. What the server says of base:allocation is shown as bars, and "
    "how\n"
    "much there is of each kind; --verbose lists each extent.\n"
    "Exit codes: 0 done, 2 usage, 3 the server was not usable, or said only a part, 5 nbdspec's own error.\n\n"
    "  nbdspec map nbd://localhost/disk\n"
    "  nbdspec map --spawn 'qemu-nbd -t -k {socket} disk.qcow2' --svg disk.svg";

// A format of reports: whatever makes or reads a run, or several, writes it (report_files.h).
OptionRow FormatRow(const char* name, const char* summary, std::string Options::* file,
                    std::string (*render)(const reports::Run& run),
                    std::string (*render_matrix)(const reports::Matrix& matrix)) {
  OptionRow row{name, " check client report matrix ", summary, file, "FILE"};
  row.render = render;
  row.render_matrix = render_matrix;
  return row;
}

}  // namespace

std::span<const CommandRow> Commands() {
  static const auto rows = std::to_array<CommandRow>({
      {.name = "check",
       .summary = "Check a server, clause by clause",
       .words = "words",
       .usage = "[TARGET] [SELECT...]",
       .words_max = kUnlimited,
       .run = CheckCommand,
       .defaults = {.reply_timeout_s = kCheckReplyTimeoutSeconds},
       .footer = kCheckFooter},
      {.name = "client",
       .summary = "Check a client, clause by clause",
       .words = "words",
       .usage = "[CLIENT] [SELECT...]",
       .words_max = kUnlimited,
       .run = ClientCommand,
       .defaults = {.worker_count = 4},  // Clients want processors, and not to wait.
       .footer = kClientFooter},
      {.name = "matrix",
       .summary = "Check every server, or every client, of a list: one grid",
       .words = "words",
       .usage = "FILE [SELECT...]",
       .words_min = 1,
       .words_max = kUnlimited,
       .run = MatrixCommand,
       .footer = kMatrixFooter},
      {.name = "expected",
       .summary = "Show a list of expected failures, or bring it up to date with a run",
       .words = "words",
       .usage = "show LIST | update FILE RUN.json",
       .words_min = 2,
       .words_max = 3,
       .run = ExpectedCommand,
       .footer = kExpectedFooter},
      {.name = "fuzz",
       .summary = "Send random scripts to a server, and judge every answer",
       .words = "words",
       .usage = "TARGET",
       .words_max = kUnlimited,
       .run = FuzzCommand,
       .needs_descriptors = true,
       .defaults = {.tries = 200},
       .footer = kFuzzFooter},
      {.name = "fuzz-client",
       .summary = "Serve random exports to a client, and judge what it makes of them",
       .words = "client",
       .usage = "[CLIENT]",
       .words_max = 1,
       .run = FuzzClientCommand,
       .needs_descriptors = true,
       .footer = kFuzzClientFooter},
      {.name = "diff",
       .summary = "Run one script on two servers: where do they disagree?",
       .words = "targets",
       .usage = "A B",
       .words_min = 2,
       .words_max = 2,
       .run = DiffCommand,
       .needs_descriptors = true,
       .defaults = {.script_count = 100, .steps = 32},
       .footer = kDiffFooter},
      {.name = "replay",
       .summary = "Replay findings and scripts",
       .words = "paths",
       .usage = "FILE|DIR...",
       .words_min = 1,
       .words_max = kUnlimited,
       .run = ReplayCommand,
       .needs_descriptors = true,
       .footer = kReplayFooter},
      {.name = "shrink",
       .summary = "Make a script smaller that still fails the same way",
       .words = "path",
       .usage = "FILE|DIR",
       .words_min = 1,
       .words_max = 1,
       .run = ShrinkCommand,
       .needs_descriptors = true,
       .defaults = {.tries = 2000},
       .footer = kShrinkFooter},
      {.name = "merge",
       .summary = "Put the findings of several runs together: one of each",
       .words = "directories",
       .usage = "DIR [FROM...]",
       .words_min = 1,
       .words_max = kUnlimited,
       .run = MergeCommand,
       .footer = kMergeFooter},
      {.name = "report",
       .summary = "Show the run of a JSON report, or write it in other formats",
       .words = "file",
       .usage = "RUN.json",
       .words_min = 1,
       .words_max = 1,
       .run = ReportCommand,
       .footer = kReportFooter},
      {.name = "compare",
       .summary = "What changed between two runs",
       .words = "files",
       .usage = "OLD.json NEW.json",
       .words_min = 2,
       .words_max = 2,
       .run = CompareCommand,
       .footer = kCompareFooter},
      {.name = "map",
       .summary = "Draw what a server says of its export: data, zeroes, holes",
       .words = "target",
       .usage = "[TARGET]",
       .words_max = 1,
       .run = MapCommand,
       .footer = kMapFooter},
      {.name = "list",
       .summary = "List the checks",
       .words = "select",
       .usage = "[SELECT...]",
       .words_max = kUnlimited,
       .run = ListCommand},
      {.name = "explain",
       .summary = "Explain a check or a requirement",
       .words = "id",
       .usage = "ID",
       .words_min = 1,
       .words_max = 1,
       .run = ExplainCommand},
      {.name = "coverage", .summary = "Which clauses of the specification are checked", .run = CoverageCommand},
      {.name = "selftest",
       .summary = "Show that every check catches its faults",
       .words = "prefix",
       .usage = "[PREFIX]",
       .words_max = 1,
       .run = SelfTestCommand},
      {.name = "completion",
       .summary = "Print what completes command lines of nbdspec in a shell",
       .words = "shell",
       .usage = "SHELL",
       .words_min = 1,
       .words_max = 1,
       .run = CompletionCommand,
       .footer = "SHELL is bash, zsh or fish.\n\n  . <(nbdspec completion bash)"},
      {.name = "man",
       .summary = "Print the manual page, or that of a command, for man(1)",
       .words = "command",
       .usage = "[COMMAND]",
       .words_max = 1,
       .run = ManCommand,
       .footer = "  nbdspec man check | man -l -"},
  });
  return rows;
}

std::span<const OptionRow> AllOptions() {
  static const auto rows = std::to_array<OptionRow>({
      {"--spawn", " check fuzz map ", "Start this server: {socket} or {port}, {image} and more are replaced (below)",
       &Options::spawn, "COMMAND"},
      {"--run", " client fuzz-client replay ", "Run this client: {uri}, {output} and more are replaced (below)",
       &Options::client_commands, "COMMAND"},
      {"--client", " replay ", "Replay clients' findings with this client, by its name, instead of the recorded one",
       &Options::client_name, "CLIENT"},
      {"--listen", " client ", "Wait for a client that you start by hand, once for each scenario, until Ctrl-C",
       &Options::listen},
      {"--tcp", " client fuzz-client ", "{uri} is of TCP, and not of a unix socket", &Options::tcp},
      {"--tls", " client ", "The client of --run has TLS: it is to use it in the scenarios that want it",
       &Options::tls},
      {"--tls", " fuzz-client ", "Some servers are inside TLS: the client takes nbds URIs, or {certs}", &Options::tls},
      {"--export", " check fuzz map ", "The export to enter, with --spawn", &Options::export_name, "NAME"},
      {"--export", " replay shrink ", "The export to enter, with --target and a command", &Options::export_name,
       "NAME"},
      {"--target", " replay shrink ",
       "Replay against this server instead of the recorded one: a name, a URI, or a command with {socket}",
       &Options::target, "TARGET"},
      {fuzz::kRunItsCommand, " replay shrink ",
       "Start the command that a finding or a case names: somebody else may have written it",
       &Options::runs_its_command},
      {"--allow-write", " check fuzz diff replay shrink ", "Write to a server that nbdspec did not start",
       &Options::allow_write},
      {"--power-cut", " check fuzz replay shrink ",
       "Look at what is left when the power goes, too: a server's disk is nbdspec's then", &Options::power_cut},
      {"--tls", " check selftest fuzz diff replay shrink map ",
       "Hold conversations inside TLS, which a server that nbdspec starts then demands", &Options::tls},
      {"--tls-certificates", " check fuzz diff replay shrink map ",
       "With ca-cert.pem, client-cert.pem and client-key.pem, server-cert.pem and server-key.pem; made where it is not "
       "given",
       &Options::tls_certificates, "DIR"},
      {"--tls-psk", " check fuzz diff replay shrink map ",
       "Shared keys in place of certificates, a line for each: NAME:HEXADECIMAL", &Options::tls_psk, "FILE"},
      {"--tls-hostname", " check fuzz diff replay shrink map ",
       "What the server's certificate is for, where that is not the host of the URI", &Options::tls_hostname, "NAME"},
      {"--extended", " check selftest ",
       "Agree on extended headers where structured replies are agreed on, of a server that has them",
       &Options::extended},
      {"--seed", " check selftest fuzz fuzz-client diff ", "Seed of everything random", &Options::seed},
      {"--time", " fuzz ", "How long; 0: no limit, a minute when --scripts is not given either", &Options::time_s},
      {"--time", " fuzz-client ", "How long; 0: no limit, a minute when --cases is not given either", &Options::time_s},
      {"--time", " replay ", "How long each may take, besides an answer that is waited for; 0: no limit",
       &Options::time_s},
      {"--time", " shrink ", "How long at most: then the smallest so far is the result; 0: no limit", &Options::time_s},
      {"--cases", " fuzz-client ", "How many runs of the client; 0: as many as the time allows",
       &Options::script_count},
      {"--align", " fuzz-client ",
       "Sizes and extents are multiples of so many bytes: 512 for clients that know sectors", &Options::align, "", 1,
       1 << 20},
      {"--scripts", " fuzz ", "How many scripts, of all shards; 0: as many as the time allows", &Options::script_count},
      {"--scripts", " diff ", "How many scripts", &Options::script_count, "", 1},
      {"--shard", " fuzz fuzz-client ",
       "Of N runs with the same seed, which share the work without doing anything twice, the Ith", &Options::shard,
       "I/N"},
      {"--script", " diff ", "Run this script instead of random ones", &Options::script_file, "FILE"},
      {"--steps", " fuzz diff ", "The longest script", &Options::steps, "", 1, 10000},
      {"--only-offered", " fuzz ", "Request nothing that the server does not offer", &Options::only_offered},
      {"--only-fresh", " fuzz ", "Change no earlier script: what is sent depends on no answer", &Options::only_fresh},
      {"--coverage", " fuzz ",
       "Keep and change also what took new edges of the server's code, which is built for it "
       "(docs/howto/fuzz_with_coverage.md)",
       &Options::coverage},
      {"--in-flight", " fuzz replay shrink ", "Requests in flight on each connection", &Options::in_flight, "", 1,
       fuzz::kInFlightMax},
      {"--connections", " fuzz ", "At most, where the server offers multi-conn", &Options::connections, "", 1,
       static_cast<double>(engine::kConnectionsMax)},
      {"--tries", " fuzz ", "How many runs at most reproduce a finding and make it small", &Options::tries, "", 0,
       10'000},
      {"--tries", " replay ", "How often each is tried before it is FIXED, or PASS", &Options::tries, "", 1, 10'000},
      {"--tries", " shrink ", "How many runs at most, on a server", &Options::tries, "", 1, 1'000'000},
      {"-j", " matrix ", "Servers at once; 0: as many as there are processors", &Options::targets_at_once, "", 0, 64},
      {"-j", " fuzz-client ", "Clients at once; 0: as many as there are processors", &Options::targets_at_once, "", 0,
       64},
      {"-j", " check client ",
       "Checks at once, each with a server of its own; one where servers may share what they serve",
       &Options::worker_count, "", 1, 64},
      {"--reply-timeout", " check ", "How long the server may take for one message", &Options::reply_timeout_s, "",
       kMillisecond, kDay},
      {"--reply-timeout", " fuzz diff replay shrink map ", "A server that is silent longer hangs",
       &Options::reply_timeout_s, "", kMillisecond, kDay},
      {"--case-timeout", " check client ", "How long one check may take", &Options::case_timeout_s, "", kMillisecond,
       kDay},
      {"--case-timeout", " fuzz-client replay ", "A client that takes longer for one case hangs",
       &Options::case_timeout_s, "", kMillisecond, kDay},
      {"--deadline", " check client ", "How long the whole run may take; 0: no limit", &Options::deadline_s, "", 0,
       kDay},
      {"--expected", " check client ",
       "What is expected to fail, and why: a file, or a list that comes with nbdspec (`nbdspec expected --help`)",
       &Options::expected, "LIST"},
      {"--again", " check ", "Run what failed in this JSON report ('-': standard input), and nothing else",
       &Options::again, "RUN.json"},
      {"--fail-fast", " check ", "End with the first failure that is not expected", &Options::fail_fast},
      {"--findings", " fuzz fuzz-client ", "The directory of the findings", &Options::findings, "DIR"},
      {"--corpus", " fuzz ", "Begin with the scripts in this directory, and add those that show something new",
       &Options::corpus, "DIR"},
      FormatRow("--json", "Write the report as JSON ('-': standard output)", &Options::json_file, reports::RenderJson,
                reports::RenderJson),
      FormatRow("--junit", "Write the report as JUnit XML ('-': standard output)", &Options::junit_file,
                reports::RenderJunit, reports::RenderJunit),
      FormatRow("--tap", "Write the report for a harness of the Test Anything Protocol", &Options::tap_file,
                reports::RenderTap, reports::RenderTap),
      FormatRow("--markdown", "Write the report as Markdown, for the summary of a CI job", &Options::markdown_file,
                reports::RenderMarkdown, reports::RenderMarkdown),
      FormatRow("--html", "Write the report as a page for a browser ('-': standard output)", &Options::html_file,
                reports::RenderHtml, reports::RenderHtml),
      {"--ndjson", " check client ",
       "Write a line of JSON for each outcome as soon as it is known ('-': standard output)", &Options::ndjson_file,
       "FILE"},
      {"--html", " compare fuzz fuzz-client diff replay ",
       "Write the report as a page for a browser ('-': standard output)", &Options::html_file, "FILE"},
      {"--json", " fuzz fuzz-client diff compare ", "Write the report as JSON ('-': standard output)",
       &Options::json_file, "FILE"},
      {"--json", " list coverage ", "Write it as JSON ('-': standard output)", &Options::json_file, "FILE"},
      {"--json", " map ", "Write it as JSON ('-': standard output)", &Options::json_file, "FILE"},
      {"--svg", " map ", "Draw it into this file ('-': standard output)", &Options::svg_file, "FILE"},
      {"-v,--verbose", " map ", "List each extent", &Options::verbose},
      {"-o,--output", " shrink ", "Where to write the script", &Options::output, "FILE"},
      {"--faults", " list ", "With the faults each must catch", &Options::faults},
      {"--storage", " selftest ", "Only the faults of what is stored, also by fuzzing, and how soon",
       &Options::storage},
      {"--untested", " coverage ", "List each clause that no check asks, and why", &Options::untested},
      {"--markdown", " coverage ", "Every clause, as docs/requirements.md has it", &Options::markdown},
      {"--no-color", " check client matrix report compare selftest ", "No colour, as with NO_COLOR in the environment",
       &Options::no_color},
      {"-v,--verbose", " check client matrix report compare ", "Show every outcome and whole transcripts",
       &Options::verbose},
      {"-v,--verbose", " replay ", "Show what was expected and seen of each", &Options::verbose},
      {"-q,--quiet", " check client matrix report compare ", "Show only how it ended, and why", &Options::quiet},
  });
  return rows;
}

std::vector<OptionRow> OptionsOf(const CommandRow& command) {
  const std::string name = " " + std::string(command.name) + " ";
  std::vector<OptionRow> options;
  std::ranges::copy_if(AllOptions(), std::back_inserter(options),
                       [&](const OptionRow& option) { return option.commands.find(name) != std::string_view::npos; });
  return options;
}

std::vector<std::string> NamesOf(const OptionRow& option) {
  std::vector<std::string> names;
  std::istringstream parts(option.name);
  for (std::string name; std::getline(parts, name, ',');) {
    names.push_back(name);
  }
  return names;
}

}  // namespace nbdspec::command
