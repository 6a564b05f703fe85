// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/tls/tls_filter.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>
#include <utility>

#include "conformance/tls/openssl.h"
#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::ByteView;
using engine::Trouble;
using End = TlsFilter::End;

// TLS 1.1 needs hashes that OpenSSL has at this level only. Whether to use it is for the versions to say.
constexpr const char* kCiphers = "DEFAULT:@SECLEVEL=0";
constexpr const char* kSharedKeyCiphers = "PSK:@SECLEVEL=0";
constexpr std::size_t kPieceBytes = 16 << 10;  // A TLS record holds no more.

int NumberOf(TlsVersion version) {
  constexpr std::array kNumbers = {TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
  return kNumbers[static_cast<std::size_t>(version)];
}

}  // namespace

struct TlsFilter::State {
  TlsCredentials credentials;
  Owned<SSL, SSL_free> ssl;
  BIO* in = nullptr;   // Both are the SSL's.
  BIO* out = nullptr;  //
  Bytes unsent;        // Plaintext that waits for the end of the handshake.
  Bytes received;      // Plaintext that nobody took yet.
  std::string failure;
  bool closes = false;
  bool other_end_closed = false;

  std::expected<void, Trouble> Prepare(End end, const TlsOptions& options);
  void GoOn();

 private:
  // Whether `result` of a function of OpenSSL is a success; if it is a failure, notes why.
  bool Succeeds(int result) {
    if (result > 0) {
      return true;
    }
    const int error = SSL_get_error(ssl.get(), result);
    if (error == SSL_ERROR_ZERO_RETURN) {
      other_end_closed = true;
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      failure = WhyOpensslFailed();
    }
    return false;
  }
};

namespace {

// Client and server look for the shared key through these.
unsigned GiveKey(SSL* ssl, unsigned char* key, unsigned key_bytes_max) {
  const auto& credentials = *static_cast<const TlsCredentials*>(SSL_get_app_data(ssl));
  if (credentials.shared_key.size() > key_bytes_max) {
    return 0;
  }
  std::ranges::copy(credentials.shared_key, key);
  return static_cast<unsigned>(credentials.shared_key.size());
}

unsigned GiveClientsKey(SSL* ssl, const char* /*hint*/, char* name, unsigned name_bytes_max, unsigned char* key,
                        unsigned key_bytes_max) {
  const auto& credentials = *static_cast<const TlsCredentials*>(SSL_get_app_data(ssl));
  if (credentials.shared_key_name.size() >= name_bytes_max) {
    return 0;
  }
  std::memcpy(name, credentials.shared_key_name.c_str(), credentials.shared_key_name.size() + 1);
  return GiveKey(ssl, key, key_bytes_max);
}

unsigned GiveServersKey(SSL* ssl, const char* name, unsigned char* key, unsigned key_bytes_max) {
  const auto& credentials = *static_cast<const TlsCredentials*>(SSL_get_app_data(ssl));
  return credentials.shared_key_name == name ? GiveKey(ssl, key, key_bytes_max) : 0;
}

// What the connections with the same options share.
using Context = Owned<SSL_CTX, SSL_CTX_free>;

std::expected<void, Trouble> UseCertificates(SSL_CTX* context, End end, const TlsCredentials& credentials) {
  if (!credentials.authorities.empty()) {
    NBDSPEC_ASSIGN_OR_RETURN(authorities, CertificatesIn(credentials.authorities));
    for (const auto& each : authorities) {
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), each.get());
    }
    // A server that knows its clients by certificates takes no other.
    const int mode = SSL_VERIFY_PEER | (end == End::kServer ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(context, mode, nullptr);
  }
  if (credentials.certificate.empty()) {
    return {};
  }
  NBDSPEC_ASSIGN_OR_RETURN(chain, CertificatesIn(credentials.certificate));
  NBDSPEC_ASSIGN_OR_RETURN(key, KeyIn(credentials.key));
  bool is_used =
      SSL_CTX_use_certificate(context, chain.front().get()) == 1 && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
  for (const auto& each : std::span(chain).subspan(1)) {
    is_used = is_used && SSL_CTX_add1_chain_cert(context, each.get()) == 1;
  }
  return is_used ? std::expected<void, Trouble>()
                 : std::unexpected(Trouble{"A TLS certificate and its key cannot be used: " + WhyOpensslFailed() +
                                           ". Give those that belong together."});
}

std::expected<Context, Trouble> MakeContext(End end, const TlsOptions& options) {
  Context context(SSL_CTX_new(end == End::kClient ? TLS_client_method() : TLS_server_method()));
  NBDSPEC_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), NumberOf(options.oldest));
  SSL_CTX_set_max_proto_version(context.get(), NumberOf(options.newest));
  const bool shares_key = !options.credentials.shared_key.empty();
  NBDSPEC_CHECK(SSL_CTX_set_cipher_list(context.get(), shares_key ? kSharedKeyCiphers : kCiphers) == 1);
  if (shares_key) {
    SSL_CTX_set_psk_client_callback(context.get(), GiveClientsKey);
    SSL_CTX_set_psk_server_callback(context.get(), GiveServersKey);
  } else {
    NBDSPEC_RETURN_IF_ERROR(UseCertificates(context.get(), end, options.credentials));
  }
  return context;
}

bool AreSame(const TlsOptions& a, const TlsOptions& b) {
  const auto all_of = [](const TlsOptions& options) {
    const TlsCredentials& mine = options.credentials;
    return std::tie(options.oldest, options.newest, mine.authorities, mine.certificate, mine.key, mine.shared_key);
  };
  return all_of(a) == all_of(b);  // Host and name of the key are looked at by each connection.
}

// MakeContext, or what it made of these options just before in this thread: a run makes thousands of connections with
// the same ones, and a context costs as much as a handshake.
std::expected<Context, Trouble> ContextFor(End end, const TlsOptions& options) {
  struct Made {
    TlsOptions of;
    Context context;
  };
  thread_local std::array<Made, 2> made;  // By end.
  Made& last = made[static_cast<std::size_t>(end)];
  if (last.context == nullptr || !AreSame(last.of, options)) {
    NBDSPEC_ASSIGN_OR_RETURN(context, MakeContext(end, options));
    last = {.of = options, .context = std::move(context)};
  }
  SSL_CTX_up_ref(last.context.get());
  return Context(last.context.get());
}

}  // namespace

std::expected<void, Trouble> TlsFilter::State::Prepare(End end, const TlsOptions& options) {
  ERR_clear_error();
  credentials = options.credentials;
  NBDSPEC_ASSIGN_OR_RETURN(context, ContextFor(end, options));
  ssl.reset(SSL_new(context.get()));
  in = BIO_new(BIO_s_mem());
  out = BIO_new(BIO_s_mem());
  NBDSPEC_CHECK(ssl != nullptr && in != nullptr && out != nullptr);
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_app_data(ssl.get(), &credentials);
  if (end == End::kServer) {
    SSL_set_accept_state(ssl.get());
    return {};
  }
  SSL_set_connect_state(ssl.get());
  if (!credentials.host.empty()) {
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, credentials.host.c_str()) != 1) {
      SSL_set1_host(ssl.get(), credentials.host.c_str());
      SSL_set_tlsext_host_name(ssl.get(), credentials.host.c_str());
    }
  }
  return {};
}

// Does all that can be done with what is there.
void TlsFilter::State::GoOn() {
  ERR_clear_error();
  if (!failure.empty() || (!SSL_is_init_finished(ssl.get()) && !Succeeds(SSL_do_handshake(ssl.get())))) {
    return;
  }
  while (!unsent.empty()) {
    const std::size_t count = std::min(unsent.size(), std::size_t{1} << 30);
    const int written = SSL_write(ssl.get(), unsent.data(), static_cast<int>(count));
    if (!Succeeds(written)) {
      return;
    }
    unsent.erase(unsent.begin(), unsent.begin() + written);
  }
  if (closes) {
    closes = false;
    SSL_shutdown(ssl.get());
    ERR_clear_error();
  }
  std::array<std::uint8_t, kPieceBytes> piece;
  for (;;) {
    const int count = SSL_read(ssl.get(), piece.data(), static_cast<int>(piece.size()));
    if (!Succeeds(count)) {
      return;
    }
    received.insert(received.end(), piece.begin(), piece.begin() + count);
  }
}

TlsFilter::TlsFilter(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsFilter::TlsFilter(TlsFilter&&) noexcept = default;
TlsFilter& TlsFilter::operator=(TlsFilter&&) noexcept = default;
TlsFilter::~TlsFilter() = default;

std::expected<TlsFilter, Trouble> TlsFilter::Make(End end, const TlsOptions& options) {
  auto state = std::make_unique<State>();
  NBDSPEC_RETURN_IF_ERROR(state->Prepare(end, options));
  state->GoOn();
  return TlsFilter(std::move(state));
}

void TlsFilter::Receive(ByteView bytes) {
  while (!bytes.empty() && state_->failure.empty()) {
    const std::size_t count = std::min(bytes.size(), kPieceBytes);
    NBDSPEC_CHECK(BIO_write(state_->in, bytes.data(), static_cast<int>(count)) == static_cast<int>(count));
    bytes = bytes.subspan(count);
    state_->GoOn();
  }
}

void TlsFilter::Send(ByteView plaintext) {
  state_->unsent.insert(state_->unsent.end(), plaintext.begin(), plaintext.end());
  state_->GoOn();
}

void TlsFilter::Close() {
  state_->closes = true;
  state_->GoOn();
}

Bytes TlsFilter::TakeOutput() {
  Bytes bytes(BIO_ctrl_pending(state_->out));
  if (!bytes.empty()) {
    NBDSPEC_CHECK(BIO_read(state_->out, bytes.data(), static_cast<int>(bytes.size())) ==
                  static_cast<int>(bytes.size()));
  }
  return bytes;
}

Bytes TlsFilter::TakePlaintext() { return std::exchange(state_->received, {}); }

bool TlsFilter::is_up() const { return SSL_is_init_finished(state_->ssl.get()) == 1; }

const std::string& TlsFilter::failure() const { return state_->failure; }

bool TlsFilter::other_end_closed() const { return state_->other_end_closed; }

std::string TlsFilter::Describe() const {
  return is_up() ? std::string(SSL_get_version(state_->ssl.get())) + ", " + SSL_get_cipher_name(state_->ssl.get()) : "";
}

}  // namespace nbdspec::conformance
