// SPDX-License-Identifier: BSD-3-Clause
// Real servers with options that nbdspec does not give them of itself. Controls that people know, which make a server
// wrong, slow, or careful: the checks of power cuts and of failing disks find what is really broken, and accuse nothing
// that is right. And several exports, each of which has its own bytes, size and status.

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "conformance/checks/check.h"
#include "conformance/peer/process/process.h"
#include "conformance/peer/target.h"
#include "conformance/peer/testdata/peer_fixture.h"
#include "conformance/runner/worker.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {
namespace {

using enum reports::Verdict;

constexpr std::string_view kFlushes = kTransmissionFlushCoversCompleted;
constexpr std::string_view kForces = kTransmissionFuaNoEarlyReply;
constexpr std::string_view kTellsOfWrites = kSub<kTransmissionWriteErrorCode, "failing-disk">;
constexpr std::string_view kTellsOfFlushes = kSub<kFlushNoEarlySuccess, "failing-sync">;
constexpr std::string_view kTellsOfFua = kSub<kTransmissionFuaNoEarlyReply, "failing-sync">;

// By the id of the check.
using Verdicts = std::map<std::string_view, reports::Verdict>;

// Of a server that is right, but for what `others` say.
Verdicts SoundBut(Verdicts others) {
  others.merge(Verdicts{
      {kFlushes, kPass}, {kForces, kPass}, {kTellsOfWrites, kPass}, {kTellsOfFlushes, kPass}, {kTellsOfFua, kPass}});
  return others;
}

class StockServers : public PeerFixture {
 protected:
  // Runs each check of `expected` on a server that `command` starts.
  static void Expect(std::string_view command, const Verdicts& expected, std::string_view export_name = "") {
    const auto target = TargetFromSpawn(command, export_name, {.power_cut = true}).value();
    const RunOptions options;
    Knowledge knowledge;
    Worker worker(*target, options, Transport::Clock::time_point::max(), knowledge);
    for (const auto& [id, verdict] : expected) {
      const reports::Outcome outcome = worker.Run(*std::ranges::find(AllChecks(), id, &Check::id));
      EXPECT_EQ(reports::Word(outcome.verdict), reports::Word(verdict))
          << command << ": " << id << ": " << outcome.evidence.saw;
    }
  }

  // nbdkit with a filter over its nbd plugin.
  static void ExpectOfNbdkit(const std::string& filter, const std::string& parameters, const Verdicts& expected) {
    Expect("nbdkit -f --threads=1 -U {socket} --filter=" + filter + " nbd uri={image-uri} " + parameters, expected);
  }

  // qemu-nbd with a file.
  static void ExpectOfQemu(const std::string& options, const Verdicts& expected) {
    if (HasFuse()) {
      Expect("qemu-nbd -t --shared=0 -k {socket} -x '' -f raw " + options + " {image}", expected);
    }
  }
};

TEST_F(StockServers, NbdkitsFuaFilterIsWrongInOneModeAlone) {
  ExpectOfNbdkit("fua", "", SoundBut({{kForces, kNotApplicable}, {kTellsOfFua, kNotApplicable}}));
  for (const char* const mode : {"emulate", "native", "force", "pass"}) {
    ExpectOfNbdkit("fua", "fuamode=" + std::string(mode), SoundBut({}));
  }
  ExpectOfNbdkit("fua", "fuamode=discard",
                 SoundBut({{kFlushes, kFail}, {kForces, kFail}, {kTellsOfFlushes, kFail}, {kTellsOfFua, kFail}}));
}

TEST_F(StockServers, NbdkitsDelayFilterIsSlowAndRight) {
  ExpectOfNbdkit("delay", "wdelay=20ms rdelay=10ms", SoundBut({}));
}

// What it says of each WRITE is true.
TEST_F(StockServers, NbdkitsErrorFilterIsNotAccused) {
  ExpectOfNbdkit("error", "error-pwrite=EIO error-pwrite-rate=100%",
                 SoundBut({{kFlushes, kInconclusive}, {kForces, kInconclusive}}));
}

TEST_F(StockServers, NbdkitsCacheFilterIsWrongWhereItSaysSo) {
  ExpectOfNbdkit("cache", "cache=unsafe", {{kFlushes, kFail}, {kForces, kFail}});
  ExpectOfNbdkit("cache", "cache=writethrough", SoundBut({}));
}

TEST_F(StockServers, QemusUnsafeCacheIsWrongAndItsOthersAreRight) {
  ExpectOfQemu("--cache=unsafe",
               SoundBut({{kFlushes, kFail}, {kForces, kFail}, {kTellsOfFlushes, kFail}, {kTellsOfFua, kFail}}));
  // It remembers that the kernel may have dropped pages.
  ExpectOfQemu("--cache=writeback --aio=threads", SoundBut({{kFlushNoSuccessAfterLoss, kPass}}));
  ExpectOfQemu("--cache=writethrough", SoundBut({}));
}

TEST_F(StockServers, QemusWaysToTheDiskAreRight) {
  for (const char* const way : {"threads", "native", "io_uring"}) {
    ExpectOfQemu("--cache=none --aio=" + std::string(way), SoundBut({}));
  }
}

// --- Several exports -------------------------------------------------------------------------------------------

constexpr std::string_view kOwnBytes = kSub<kTransmissionWriteThenReply, "other-exports">;
constexpr std::string_view kOwnSize = kSub<kBaselineReadServer, "other-exports">;
constexpr std::string_view kOwnStatus = kSub<kBaseAllocationZeroReadsZero, "other-exports">;

// A shell's command that makes {image}.d/a, a link to {image}, and {image}.d/b, smaller and with other bytes and a
// hole.
constexpr char kTwoFiles[] =
    "mkdir {image}.d && ln {image} {image}.d/a && head -c 65536 /bin/sh > {image}.d/b && truncate -s 128K {image}.d/b "
    "&& ";

std::string InShell(const std::string& text) { return "sh -c '" + (kTwoFiles + text) + "'"; }

TEST_F(StockServers, NbdServersExportsHaveTheirOwn) {
  Expect(
      InShell("printf \"[generic]\\nport = 10809\\nlistenaddr = 127.0.0.1\\nallowlist = true\\nunixsock = {socket}\\n"
              "[a]\\nexportname = {image}.d/a\\n[b]\\nexportname = {image}.d/b\\n\" > {image}.d/config && "
              "exec nbd-server -C {image}.d/config -p {image}.d/pid"),
      {{kOwnBytes, kPass}, {kOwnSize, kPass}, {kOwnStatus, kNotApplicable}}, "a");
}

TEST_F(StockServers, NbdkitsExportsHaveTheirOwn) {
  Expect(InShell("exec nbdkit -f --threads=1 -U {socket} file dir={image}.d"),
         {{kOwnBytes, kPass}, {kOwnSize, kPass}, {kOwnStatus, kPass}}, "a");
}

TEST_F(StockServers, QemuStorageDaemonsExportsHaveTheirOwn) {
  if (!FindExecutable("qemu-storage-daemon")) {
    GTEST_SKIP() << "qemu-storage-daemon is not installed";
  }
  Expect(InShell("exec qemu-storage-daemon --nbd-server addr.type=unix,addr.path={socket} "
                 "--blockdev file,node-name=a,filename={image}.d/a --export nbd,id=a,node-name=a,name=a,writable=on "
                 "--blockdev file,node-name=b,filename={image}.d/b --export nbd,id=b,node-name=b,name=b,writable=on"),
         {{kOwnBytes, kPass}, {kOwnSize, kPass}, {kOwnStatus, kPass}}, "a");
}

}  // namespace
}  // namespace nbdspec::conformance
