// SPDX-License-Identifier: BSD-3-Clause
// What the files of this folder need of OpenSSL: owners of its objects, its errors as text, and PEM. For them alone.

#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace nbdspec::conformance {

template <auto Free>
struct Freed {
  void operator()(auto* object) const { Free(object); }
};

// Owns an object of OpenSSL, or none.
template <typename T, auto Free>
using Owned = std::unique_ptr<T, Freed<Free>>;
using OwnedCertificate = Owned<X509, X509_free>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;

// Why a function of OpenSSL has just failed: its first error, as text. Never empty.
std::string WhyOpensslFailed();

// The certificates in `pem`; at least one. Errors: there is none.
std::expected<std::vector<OwnedCertificate>, engine::Trouble> CertificatesIn(const std::string& pem);

// The private key in `pem`. Errors: there is none, or it needs a password.
std::expected<OwnedKey, engine::Trouble> KeyIn(const std::string& pem);

std::string PemOf(X509* certificate);
std::string PemOf(EVP_PKEY* key);
std::string PemOfParameters(EVP_PKEY* parameters);

}  // namespace nbdspec::conformance
