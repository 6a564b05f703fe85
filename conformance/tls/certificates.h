// SPDX-License-Identifier: BSD-3-Clause
// Certificates and a shared key made for a run: nobody trusts them but the two ends of its connections.

#pragma once

#include <string>

#include "conformance/tls/tls_filter.h"

namespace nbdspec::conformance {

// What servers and clients of one run have. The server's certificate is for localhost, 127.0.0.1 and ::1. In PEM.
struct TlsMaterial {
  std::string authority = {};  // Has signed both certificates.
  std::string server_certificate = {};
  std::string server_key = {};
  std::string client_certificate = {};
  std::string client_key = {};
  std::string stranger_certificate = {};  // A client's, signed by another authority.
  std::string stranger_key = {};
  engine::Bytes shared_key = {};
  std::string dh_parameters = {};  // Of a well-known group: qemu makes a new one for seconds where it is given none.

  static constexpr std::string_view kSharedKeyName = "nbdspec";

  [[nodiscard]] TlsCredentials OfServer() const {
    return {.authorities = authority, .certificate = server_certificate, .key = server_key};
  }
  [[nodiscard]] TlsCredentials OfClient() const {
    return {.authorities = authority, .certificate = client_certificate, .key = client_key};
  }
};

// The same whenever it is called in this process. Costs: some milliseconds once.
const TlsMaterial& TheTlsMaterial();

}  // namespace nbdspec::conformance
