// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/tls/certificates.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "conformance/tls/openssl.h"
#include "engine/base/check.h"

namespace nbdspec::conformance {

namespace {

constexpr long kDaySeconds = 86400;
constexpr std::size_t kSharedKeyBytes = 32;

struct Extension {
  int id;
  const char* value;
};

struct Issued {
  OwnedKey key;
  OwnedCertificate certificate;
};

// A certificate for `name`, signed by `by`, or by itself without. Its time begins a day ago: clocks may differ.
Issued Issue(const char* name, long serial, std::initializer_list<Extension> extensions, const Issued* by = nullptr) {
  Issued issued{.key = OwnedKey(EVP_EC_gen("P-256")), .certificate = OwnedCertificate(X509_new())};
  NBDSPEC_CHECK(issued.key != nullptr && issued.certificate != nullptr);
  X509* certificate = issued.certificate.get();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 30 * kDaySeconds);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_pubkey(certificate, issued.key.get());
  X509* signer = by == nullptr ? certificate : by->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  X509V3_CTX context = {};
  X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
  for (const Extension& each : extensions) {
    const Owned<X509_EXTENSION, X509_EXTENSION_free> made(X509V3_EXT_conf_nid(nullptr, &context, each.id, each.value));
    NBDSPEC_CHECK(made != nullptr && X509_add_ext(certificate, made.get(), -1) == 1);
  }
  NBDSPEC_CHECK(X509_sign(certificate, by == nullptr ? issued.key.get() : by->key.get(), EVP_sha256()) > 0);
  return issued;
}

Issued IssueAuthority(const char* name) {
  return Issue(name, 1,
               {{NID_basic_constraints, "critical,CA:TRUE"},
                {NID_key_usage, "critical,keyCertSign,cRLSign"},
                {NID_subject_key_identifier, "hash"}});
}

Issued IssueClient(const char* name, const Issued& by) {
  return Issue(name, 3,
               {{NID_basic_constraints, "critical,CA:FALSE"},
                {NID_key_usage, "critical,digitalSignature"},
                {NID_ext_key_usage, "clientAuth"}},
               &by);
}

std::string WellKnownGroup() {
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr));
  std::string group = "ffdhe2048";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
                               OSSL_PARAM_construct_end()};
  EVP_PKEY* made = nullptr;
  NBDSPEC_CHECK(EVP_PKEY_paramgen_init(context.get()) == 1 && EVP_PKEY_CTX_set_params(context.get(), params) == 1 &&
                EVP_PKEY_paramgen(context.get(), &made) == 1);
  return PemOfParameters(OwnedKey(made).get());
}

TlsMaterial Make() {
  const Issued authority = IssueAuthority("nbdspec test authority");
  const Issued server = Issue("localhost", 2,
                              {{NID_basic_constraints, "critical,CA:FALSE"},
                               {NID_key_usage, "critical,digitalSignature"},
                               {NID_ext_key_usage, "serverAuth"},
                               {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"}},
                              &authority);
  const Issued client = IssueClient("nbdspec test client", authority);
  const Issued stranger = IssueClient("nbdspec unknown client", IssueAuthority("nbdspec unknown authority"));
  TlsMaterial made = {.authority = PemOf(authority.certificate.get()),
                      .server_certificate = PemOf(server.certificate.get()),
                      .server_key = PemOf(server.key.get()),
                      .client_certificate = PemOf(client.certificate.get()),
                      .client_key = PemOf(client.key.get()),
                      .stranger_certificate = PemOf(stranger.certificate.get()),
                      .stranger_key = PemOf(stranger.key.get()),
                      .shared_key = engine::Bytes(kSharedKeyBytes),
                      .dh_parameters = WellKnownGroup()};
  NBDSPEC_CHECK(RAND_bytes(made.shared_key.data(), static_cast<int>(kSharedKeyBytes)) == 1);
  return made;
}

}  // namespace

const TlsMaterial& TheTlsMaterial() {
  static const TlsMaterial kMaterial = Make();
  return kMaterial;
}

}  // namespace nbdspec::conformance
