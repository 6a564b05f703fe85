// SPDX-License-Identifier: BSD-3-Clause
// The sanity conversation inside TLS, with the reference server and with real ones: nbdkit, qemu-nbd and nbd-server.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "conformance/peer/testdata/peer_fixture.h"
#include "conformance/session/probe.h"

namespace nbdspec::conformance {
namespace {

class TlsServers : public PeerFixture {
 protected:
  // What `target` offers in `setup`.
  static Profile Probed(Target& target, conformance::Setup setup) {
    Transcript transcript;
    auto peer = target.Start(setup, Soon());
    if (!peer) {
      ADD_FAILURE() << peer.error().sentence;
      return {};
    }
    const auto profile = Probe(**peer, {.export_name = target.ExportName(), .may_write = true}, transcript);
    const bool has_tls = std::ranges::any_of(transcript.lines(), [](const Transcript::Line& line) {
      return line.what.text.starts_with("TLS begins: TLSv1.3, ");
    });
    EXPECT_EQ(has_tls, (*peer)->tls() != nullptr);
    EXPECT_TRUE(profile) << profile.error().sentence;
    return profile.value_or(Profile{});
  }

  static void ExpectTheSame(const Profile& inside, const Profile& outside, std::string_view name) {
    EXPECT_EQ(inside.features, outside.features) << name;
    EXPECT_EQ(inside.info, outside.info) << name;
    EXPECT_EQ(inside.exports, outside.exports) << name;
  }
};

TEST_F(TlsServers, OfferTheSameInsideTls) {
  for (const std::string_view name : {"nbdkit", "qemu-nbd", "nbd-server"}) {
    const auto plain = TargetFromName(name).value();
    const Profile outside = Probed(*plain, Setup::kWritable);
    ExpectTheSame(Probed(*plain, Setup::kTlsDemanded), outside, name);
    if (plain->CanSetUp(Setup::kTlsOffered)) {
      ExpectTheSame(Probed(*plain, Setup::kTlsOffered), outside, name);
    }
    ExpectTheSame(Probed(*TargetFromName(name, {.tls = {.is_wanted = true}}).value(), Setup::kWritable), outside, name);
  }
}

TEST_F(TlsServers, KnowClientsBySharedKey) {
  const std::string file = tmpdir() + "/some keys";
  std::ofstream(file) << "# comment\nother:00\nme:00112233445566778899aabbccddeeff\n";
  for (const std::string_view name : {"nbdkit", "qemu-nbd"}) {
    const StartOptions options{.tls = {.is_wanted = true, .shared_keys = file, .shared_key_name = "me"}};
    ExpectTheSame(Probed(*TargetFromName(name, options).value(), Setup::kWritable),
                  Probed(*TargetFromName(name).value(), Setup::kWritable), name);
  }
  std::remove(file.c_str());
}

TEST_F(TlsServers, CommandsGetTheirCertificates) {
  const auto target =
      TargetFromSpawn("nbdkit -f -U {socket} --tls=require --tls-certificates={certs} --tls-verify-peer file {image}",
                      "", {.tls = {.is_wanted = true}});
  ExpectTheSame(Probed(**target, Setup::kWritable), Probed(*TargetFromName("nbdkit").value(), Setup::kWritable),
                "spawned");
}

TEST_F(TlsServers, ReferenceOffersTheSameInsideTls) {
  const Profile outside = Probed(*ReferenceTarget(), Setup::kWritable);
  ExpectTheSame(Probed(*ReferenceTarget(), Setup::kTlsDemanded), outside, "forced");
  ExpectTheSame(Probed(*ReferenceTarget(), Setup::kTlsOffered), outside, "selective");
  ExpectTheSame(Probed(*ReferenceTarget({.tls = true}), Setup::kWritable), outside, "wanted");
}

}  // namespace
}  // namespace nbdspec::conformance
