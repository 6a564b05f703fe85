// SPDX-License-Identifier: BSD-3-Clause
// Whatever a server does to its side of the wire, a run ends in verdicts and an exit code.
//
// The reference server's bytes are cut at every offset, flipped at every bit, replaced by noise and made endless. The
// checks run against it in this process, where waiting costs nothing, so the tests can be exhaustive.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/runner/runner.h"
#include "engine/base/bytes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using engine::ByteView;

// A few checks that go deep: greeting, haggling, contexts, block status, reads.
std::vector<Check> DeepChecks() {
  constexpr std::string_view kIds[] = {spec::kHandshakeMagic,        spec::kHandshakeClientFlagsDropUnknown,
                                       spec::kOptionAbortAck,        spec::kOptionSetMetaContextFinalAck,
                                       spec::kBlockStatusAtLeastOne, spec::kStructuredReadFullCoverage};
  std::vector<Check> checks;
  for (const std::string_view id : kIds) {
    const auto check = std::ranges::find(AllChecks(), id, &Check::id);
    EXPECT_NE(check, AllChecks().end()) << id;
    if (check != AllChecks().end()) {
      checks.push_back(*check);
    }
  }
  return checks;
}

// Runs `checks` against the reference server behind the wires that `make` gives, and returns the exit code.
int Meet(std::span<const Check> checks, const WireFactory& make) {
  const auto target = ReferenceTarget({.wires = make});
  const reports::Run run = RunChecks(*target, checks, {});
  if (run.exit == reports::ExitCode::kTargetUnusable) {
    EXPECT_FALSE(run.trouble.empty());
    return run.exit;
  }
  EXPECT_GE(run.outcomes.size(), checks.size());
  for (const reports::Outcome& outcome : run.outcomes) {
    EXPECT_TRUE(outcome.verdict == reports::Verdict::kPass || !outcome.evidence.saw.empty()) << outcome.id;
  }
  return run.exit;
}

// Each connection: the first `keep` bytes, then the end.
WireFactory CutAfter(std::uint64_t keep) {
  return [keep] {
    return [left = keep](ByteView bytes, Bytes& arrives) mutable {
      const std::size_t take = std::min<std::uint64_t>(left, bytes.size());
      arrives.insert(arrives.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
      left -= take;
      return left > 0;
    };
  };
}

// Each connection: bit `bit` of the stream inverted.
WireFactory Flip(std::uint64_t bit) {
  return [bit] {
    return [bit, at = std::uint64_t{0}](ByteView bytes, Bytes& arrives) mutable {
      arrives.insert(arrives.end(), bytes.begin(), bytes.end());
      if (at <= bit / 8 && bit / 8 < at + bytes.size()) {
        arrives[arrives.size() - bytes.size() + (bit / 8 - at)] ^= static_cast<std::uint8_t>(1U << bit % 8);
      }
      at += bytes.size();
      return true;
    };
  };
}

// How many bytes the longest conversation of `checks` gets from a sound server.
std::uint64_t LongestConversation(std::span<const Check> checks) {
  const auto longest = std::make_shared<std::uint64_t>(0);
  Meet(checks, [longest] {
    return [longest, at = std::uint64_t{0}](ByteView bytes, Bytes& arrives) mutable {
      arrives.insert(arrives.end(), bytes.begin(), bytes.end());
      at += bytes.size();
      *longest = std::max(*longest, at);
      return true;
    };
  });
  return *longest;
}

// Of the places where a stream is cut or flipped, each one, or as many as a slow build has time for. No multiple of 2,
// so that all bits of a byte have their turn.
std::uint64_t Step() {
  const char* const step = std::getenv("NBDSPEC_HOSTILE_STEP");
  return step == nullptr ? 1 : std::strtoull(step, nullptr, 10) | 1;
}

TEST(HostileServer, OutputCutAtEveryByteGivesAnExitCode) {
  const std::vector<Check> checks = DeepChecks();
  const std::uint64_t longest = LongestConversation(checks);
  ASSERT_GT(longest, 1000U);
  // Past the first bytes a cut falls into the data of a READ: there every byte is alike.
  const std::uint64_t every_byte_to = 3000;
  EXPECT_EQ(Meet(checks, CutAfter(0)), reports::ExitCode::kTargetUnusable);
  for (std::uint64_t keep = 1; keep < longest; keep += keep < every_byte_to ? Step() : 4093) {
    const int exit = Meet(checks, CutAfter(keep));
    EXPECT_TRUE(exit == reports::ExitCode::kFailure || keep > 1000) << "cut after " << keep << " gives " << exit;
  }
  EXPECT_EQ(Meet(checks, CutAfter(longest + 1)), reports::ExitCode::kSuccess);
}

TEST(HostileServer, EveryFlippedBitOfTheHandshakeGivesAnExitCode) {
  const std::vector<Check> checks = DeepChecks();
  for (std::uint64_t bit = 0; bit < std::uint64_t{600} * 8; bit += Step()) {
    const int exit = Meet(checks, Flip(bit));
    const bool in_a_magic = bit < std::uint64_t{16} * 8;
    EXPECT_TRUE(!in_a_magic || exit == reports::ExitCode::kFailure) << "bit " << bit << " gives " << exit;
  }
}

TEST(HostileServer, NoiseGivesAnExitCodeFromEveryCheck) {
  std::mt19937_64 random(1);
  const int rounds = Step() == 1 ? 20 : 3;
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t seed = random();
    const int exit = Meet(AllChecks(), [seed] {
      return [noise = std::mt19937_64(seed), first = true](ByteView bytes, Bytes& arrives) mutable {
        const std::size_t sound = first ? std::min<std::size_t>(bytes.size(), noise() % 40) : 0;
        first = false;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
          arrives.push_back(i < sound ? bytes[i] : static_cast<std::uint8_t>(noise()));
        }
        return true;
      };
    });
    EXPECT_EQ(exit, reports::ExitCode::kFailure);
  }
}

TEST(HostileServer, LengthsThatLieGiveAnExitCodeFromEveryCheck) {
  for (const std::uint32_t lie : {0xffffffffU, 0x7fffffffU, 0x02000000U}) {
    const int exit = Meet(AllChecks(), [lie] {
      return [lie, at = 0](ByteView bytes, Bytes& arrives) mutable {
        arrives.insert(arrives.end(), bytes.begin(), bytes.end());
        if (at++ == 1 && bytes.size() >= 20) {  // The first option reply: its length field is its last four bytes.
          for (std::size_t i = 0; i < 4; ++i) {
            arrives[arrives.size() - bytes.size() + 16 + i] = static_cast<std::uint8_t>(lie >> (24 - 8 * i));
          }
        }
        return true;
      };
    });
    EXPECT_EQ(exit, reports::ExitCode::kFailure);
  }
}

TEST(HostileServer, AnEndlessFloodGivesAnExitCode) {
  const auto target = ReferenceTarget({.wires = [] {
    return [](ByteView bytes, Bytes& arrives) {
      arrives.insert(arrives.end(), bytes.begin(), bytes.end());
      const Bytes reply = {0x00, 0x03, 0xe8, 0x89, 0x04, 0x55, 0x65, 0xa9, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0};
      for (int i = 0; i < 100'000; ++i) {
        arrives.insert(arrives.end(), reply.begin(), reply.end());
      }
      return true;
    };
  }});
  const reports::Run run = RunChecks(*target, DeepChecks(), {});
  EXPECT_EQ(run.exit, reports::ExitCode::kFailure);
}

}  // namespace
}  // namespace nbdspec::conformance
