// SPDX-License-Identifier: BSD-3-Clause
// TLS as users name it: directories of certificates and files of shared keys, in the layout of servers that use GnuTLS.
//
//   ca-cert.pem                        who has signed the others
//   server-cert.pem, server-key.pem    what a server shows
//   client-cert.pem, client-key.pem    what a client shows; it may have none
//   keys.psk                           shared keys, a line each: NAME:HEXADECIMAL
//   dh-params.pem                      a group for Diffie-Hellman; a server may have none

#pragma once

#include <expected>
#include <string>

#include "conformance/peer/target.h"
#include "conformance/tls/tls_filter.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

// What a client shows by what `wish` names, and wants to see; `host` is the server's unless the wish has one.
// Errors: a file cannot be read, a key that is named is not in its file.
std::expected<TlsCredentials, engine::Trouble> CredentialsFrom(const TlsWish& wish, const std::string& host = "");

// Writes TheTlsMaterial into `directory`, in that layout. Errors: the file system's.
std::expected<void, engine::Trouble> WriteTlsMaterial(const std::string& directory);

// The last of these files alone, for a server that has shared keys of the user's. Errors: the same.
std::expected<void, engine::Trouble> WriteDhParameters(const std::string& directory);

}  // namespace nbdspec::conformance
