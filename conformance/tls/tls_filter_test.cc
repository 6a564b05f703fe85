// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/tls/tls_filter.h"

#include <gtest/gtest.h>

#include "conformance/tls/certificates.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using engine::ByteView;

TlsFilter MadeAs(TlsFilter::End end, const TlsCredentials& credentials, TlsVersion newest = TlsVersion::k1_3) {
  TlsOptions options{.credentials = credentials, .newest = newest};
  options.oldest = std::min(options.oldest, newest);
  auto made = TlsFilter::Make(end, options);
  EXPECT_TRUE(made) << made.error().sentence;
  return *std::move(made);
}

// Carries bytes in pieces of `piece_bytes`, until neither end says anything.
void Talk(TlsFilter& client, TlsFilter& server, std::size_t piece_bytes = 1 << 20) {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto [from, to] : {std::pair{&client, &server}, std::pair{&server, &client}}) {
      const Bytes said = from->TakeOutput();
      moved = moved || !said.empty();
      for (ByteView rest = said; !rest.empty(); rest = rest.subspan(std::min(piece_bytes, rest.size()))) {
        to->Receive(rest.first(std::min(piece_bytes, rest.size())));
      }
    }
  }
}

TlsCredentials SharedKey() {
  return {.shared_key = TheTlsMaterial().shared_key, .shared_key_name = std::string(TlsMaterial::kSharedKeyName)};
}

const Bytes kHello = {'h', 'e', 'l', 'l', 'o'};

void ExpectPlaintextBothWays(TlsFilter client, TlsFilter server, std::size_t piece_bytes = 1 << 20) {
  client.Send(kHello);  // Waits for the handshake.
  Talk(client, server, piece_bytes);
  ASSERT_TRUE(client.is_up() && server.is_up()) << client.failure() << "; " << server.failure();
  EXPECT_EQ(server.TakePlaintext(), kHello);
  const Bytes many(100'000, 7);
  server.Send(many);
  Talk(client, server, piece_bytes);
  EXPECT_EQ(client.TakePlaintext(), many);
  EXPECT_TRUE(client.failure().empty() && server.failure().empty());
}

TEST(TlsFilter, CarriesPlaintextBothWays) {
  for (const TlsVersion version : {TlsVersion::k1_2, TlsVersion::k1_3}) {
    for (const std::size_t piece_bytes : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20}) {
      ExpectPlaintextBothWays(MadeAs(TlsFilter::End::kClient, TheTlsMaterial().OfClient(), version),
                              MadeAs(TlsFilter::End::kServer, TheTlsMaterial().OfServer()), piece_bytes);
    }
  }
}

TEST(TlsFilter, CarriesPlaintextByASharedKey) {
  for (const TlsVersion version : {TlsVersion::k1_2, TlsVersion::k1_3}) {
    ExpectPlaintextBothWays(MadeAs(TlsFilter::End::kClient, SharedKey(), version),
                            MadeAs(TlsFilter::End::kServer, SharedKey()));
  }
}

// Why the server, or else the client, ends a handshake of theirs.
std::string FailureOf(TlsFilter client, TlsFilter server) {
  Talk(client, server);
  return server.failure().empty() ? client.failure() : server.failure();
}

std::string FailureOf(const TlsCredentials& client, const TlsCredentials& server) {
  return FailureOf(MadeAs(TlsFilter::End::kClient, client), MadeAs(TlsFilter::End::kServer, server));
}

TEST(TlsFilter, RefusesWhomItDoesNotKnow) {
  const TlsMaterial& material = TheTlsMaterial();
  EXPECT_NE(FailureOf({.authorities = material.authority}, material.OfServer()), "");
  EXPECT_NE(
      FailureOf({.certificate = material.stranger_certificate, .key = material.stranger_key}, material.OfServer()), "");
  EXPECT_NE(FailureOf({.authorities = material.stranger_certificate}, {material.OfServer()}), "");
  TlsCredentials other_key = SharedKey();
  other_key.shared_key.back() ^= 1;
  EXPECT_NE(FailureOf(other_key, SharedKey()), "");
}

TEST(TlsFilter, LooksAtTheNameOfTheServer) {
  for (const auto& [host, is_it] : {std::pair{"localhost", true},
                                    {"127.0.0.1", true},
                                    {"::1", true},
                                    {"example.org", false},
                                    {"127.0.0.2", false}}) {
    TlsCredentials client = TheTlsMaterial().OfClient();
    client.host = host;
    EXPECT_EQ(FailureOf(client, TheTlsMaterial().OfServer()).empty(), is_it) << host;
  }
}

TEST(TlsFilter, OldVersionIsSpokenOnlyWhereAllowed) {
  const auto client = [] { return MadeAs(TlsFilter::End::kClient, TheTlsMaterial().OfClient(), TlsVersion::k1_1); };
  EXPECT_NE(FailureOf(client(), MadeAs(TlsFilter::End::kServer, TheTlsMaterial().OfServer())), "");
  ExpectPlaintextBothWays(client(), MadeAs(TlsFilter::End::kServer, TheTlsMaterial().OfServer(), TlsVersion::k1_1));
}

TEST(TlsFilter, EndIsSaidAndHeard) {
  TlsFilter client = MadeAs(TlsFilter::End::kClient, TheTlsMaterial().OfClient());
  TlsFilter server = MadeAs(TlsFilter::End::kServer, TheTlsMaterial().OfServer());
  Talk(client, server);
  client.Send(kHello);
  client.Close();
  Talk(client, server);
  EXPECT_TRUE(server.other_end_closed());
  EXPECT_EQ(server.TakePlaintext(), kHello);
  server.Send(kHello);  // Only one direction is closed.
  Talk(client, server);
  EXPECT_EQ(client.TakePlaintext(), kHello);
  EXPECT_FALSE(client.other_end_closed());
  EXPECT_EQ(client.failure() + server.failure(), "");
}

TEST(TlsFilter, PlaintextWhereTlsIsDueIsAFailure) {
  TlsFilter client = MadeAs(TlsFilter::End::kClient, TheTlsMaterial().OfClient());
  client.Receive(kHello);
  client.Receive(kHello);
  EXPECT_NE(client.failure(), "");
  EXPECT_TRUE(client.TakePlaintext().empty());
}

TEST(TlsFilter, UnusableCredentialsAreToldBeforehand) {
  EXPECT_FALSE(TlsFilter::Make(TlsFilter::End::kClient, {.credentials = {.authorities = "no PEM"}}));
  EXPECT_FALSE(TlsFilter::Make(
      TlsFilter::End::kClient,
      {.credentials = {.certificate = TheTlsMaterial().client_certificate, .key = TheTlsMaterial().server_key}}));
}

}  // namespace
}  // namespace nbdspec::conformance
