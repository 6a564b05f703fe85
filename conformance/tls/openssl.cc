// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/tls/openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <utility>

#include "engine/base/check.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;
using OwnedBio = Owned<BIO, BIO_free>;

OwnedBio ReaderOf(const std::string& text) {
  OwnedBio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  NBDSPEC_CHECK(bio != nullptr);
  return bio;
}

template <typename Write>
std::string Written(Write write) {
  const OwnedBio bio(BIO_new(BIO_s_mem()));
  NBDSPEC_CHECK(bio != nullptr && write(bio.get()) == 1);
  std::string text(BIO_ctrl_pending(bio.get()), '\0');
  BIO_read(bio.get(), text.data(), static_cast<int>(text.size()));
  return text;
}

// Instead of a question on the terminal.
int KnowNoPassword(char*, int, int, void*) { return 0; }

}  // namespace

std::string WhyOpensslFailed() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return reason == nullptr ? "OpenSSL does not say why" : reason;
}

std::expected<std::vector<OwnedCertificate>, Trouble> CertificatesIn(const std::string& pem) {
  const OwnedBio bio = ReaderOf(pem);
  std::vector<OwnedCertificate> certificates;
  while (OwnedCertificate next{PEM_read_bio_X509(bio.get(), nullptr, KnowNoPassword, nullptr)}) {
    certificates.push_back(std::move(next));
  }
  ERR_clear_error();
  if (certificates.empty()) {
    return std::unexpected(Trouble{"A file of TLS certificates has no certificate in PEM: check which file it is."});
  }
  return certificates;
}

std::expected<OwnedKey, Trouble> KeyIn(const std::string& pem) {
  OwnedKey key(PEM_read_bio_PrivateKey(ReaderOf(pem).get(), nullptr, KnowNoPassword, nullptr));
  if (key == nullptr) {
    return std::unexpected(Trouble{"A file with a TLS key has no private key in PEM, or one with a password: " +
                                   WhyOpensslFailed() + ". Check which file it is, and take off its password."});
  }
  return key;
}

std::string PemOf(X509* certificate) {
  return Written([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string PemOf(EVP_PKEY* key) {
  return Written(
      [&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, KnowNoPassword, nullptr); });
}

std::string PemOfParameters(EVP_PKEY* parameters) {
  return Written([&](BIO* bio) { return PEM_write_bio_Parameters(bio, parameters); });
}

}  // namespace nbdspec::conformance
