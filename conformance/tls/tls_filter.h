// SPDX-License-Identifier: BSD-3-Clause
// TlsFilter: one end of a TLS connection as a filter of bytes, without sockets. What came from the wire goes in, what
// is to be sent comes out; between them is plaintext, both ways.
//
// It is made of OpenSSL with memory for its network: another library than the GnuTLS of most servers, so a mistake that
// both ends share is less likely. As a client it is in every session inside TLS, as a server around the reference
// server.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// What one end shows the other, and what it wants to see. Files as their text, in PEM.
struct TlsCredentials {
  std::string authorities = {};  // Who must have signed the other end's certificate; empty: anyone, and a client none.
  std::string certificate = {};  // Our own, with those between it and its authority; empty: we have none.
  std::string key = {};          // Of our certificate.
  std::string host = {};         // A client: the name or number that the server's certificate must have; empty: any.

  // A key that both ends know, in place of certificates: where it is not empty nothing above counts.
  engine::Bytes shared_key = {};
  std::string shared_key_name = {};  // Says which key it is ("identity"). At most 128 bytes.
};

enum class TlsVersion : std::uint8_t { k1_1, k1_2, k1_3 };

struct TlsOptions {
  TlsCredentials credentials = {};
  TlsVersion oldest = TlsVersion::k1_2;
  TlsVersion newest = TlsVersion::k1_3;
};

class TlsFilter {
 public:
  enum class End : std::uint8_t { kClient, kServer };

  // A client has its first bytes to send at once.
  // Errors: the credentials are no PEM, or do not belong together.
  static std::expected<TlsFilter, engine::Trouble> Make(End end, const TlsOptions& options);

  TlsFilter(TlsFilter&&) noexcept;
  TlsFilter& operator=(TlsFilter&&) noexcept;
  ~TlsFilter();

  // Takes bytes that came from the wire. After a failure they are ignored.
  void Receive(engine::ByteView bytes);

  // Takes plaintext to be sent; it waits for the end of the handshake.
  void Send(engine::ByteView plaintext);

  // Says that we send no more (close_notify). Receiving goes on.
  void Close();

  // Takes what is to be put on the wire.
  [[nodiscard]] engine::Bytes TakeOutput();

  // Takes the plaintext that was received.
  [[nodiscard]] engine::Bytes TakePlaintext();

  // Whether the handshake is over, as seen from this end: in TLS 1.3 a server may still refuse a client's certificate.
  [[nodiscard]] bool is_up() const;

  // Why there is no TLS, or no more of it; empty while all is well. For people.
  [[nodiscard]] const std::string& failure() const;

  // Whether the other end said that it sends no more (close_notify).
  [[nodiscard]] bool other_end_closed() const;

  // "TLSv1.3, TLS_AES_256_GCM_SHA384"; empty before the handshake is over.
  [[nodiscard]] std::string Describe() const;

 private:
  struct State;
  explicit TlsFilter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace nbdspec::conformance
