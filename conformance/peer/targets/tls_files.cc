// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/tls_files.h"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include "conformance/peer/process/process.h"
#include "conformance/tls/certificates.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::Quoted;
using engine::Trouble;

constexpr std::string_view kAuthorities = "ca-cert.pem";
constexpr std::string_view kClientCertificate = "client-cert.pem";
constexpr std::string_view kClientKey = "client-key.pem";
constexpr std::size_t kFileBytesMax = 1 << 20;

std::string In(const std::string& directory, std::string_view name) { return directory + "/" + std::string(name); }

std::expected<std::string, Trouble> ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  for (std::istreambuf_iterator<char> at(file), end; at != end && text.size() < kFileBytesMax; ++at) {
    text += *at;
  }
  if (!file.is_open() || file.bad() || text.empty()) {
    return std::unexpected(Trouble{"Cannot read " + Quoted(path, 200) + ", or it is empty: TLS needs it."});
  }
  return text;
}

std::string HexadecimalOf(const Bytes& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

std::optional<Bytes> FromHexadecimal(std::string_view text) {
  Bytes bytes;
  for (; !text.empty(); text.remove_prefix(2)) {
    const std::string_view digits = text.substr(0, 2);
    std::uint8_t byte = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || stop != digits.data() + 2) {
      return {};
    }
    bytes.push_back(byte);
  }
  return bytes.empty() ? std::nullopt : std::optional(bytes);
}

// The key called `name` in the file `path`, or its first one when that is empty.
std::expected<TlsCredentials, Trouble> SharedKey(const std::string& path, const std::string& name) {
  NBDSPEC_ASSIGN_OR_RETURN(text, ReadFile(path));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (line.starts_with('#') || colon == std::string::npos || (!name.empty() && line.substr(0, colon) != name)) {
      continue;
    }
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (auto key = FromHexadecimal(std::string_view(line).substr(colon + 1))) {
      return TlsCredentials{.shared_key = *std::move(key), .shared_key_name = line.substr(0, colon)};
    }
  }
  return std::unexpected(Trouble{"The file " + Quoted(path, 200) + " has no line " +
                                 (name.empty() ? "NAME:HEXADECIMAL" : Quoted(name) + ":HEXADECIMAL") +
                                 ": make one with psktool."});
}

}  // namespace

std::expected<TlsCredentials, Trouble> CredentialsFrom(const TlsWish& wish, const std::string& host) {
  if (!wish.shared_keys.empty()) {
    return SharedKey(wish.shared_keys, wish.shared_key_name);
  }
  if (wish.certificates.empty()) {
    return TlsCredentials{};  // Trusts anyone, and shows nothing.
  }
  NBDSPEC_ASSIGN_OR_RETURN(authorities, ReadFile(In(wish.certificates, kAuthorities)));
  TlsCredentials credentials = {.authorities = std::move(authorities), .host = wish.host.empty() ? host : wish.host};
  if (access(In(wish.certificates, kClientCertificate).c_str(), F_OK) == 0) {
    NBDSPEC_ASSIGN_OR_RETURN(certificate, ReadFile(In(wish.certificates, kClientCertificate)));
    NBDSPEC_ASSIGN_OR_RETURN(key, ReadFile(In(wish.certificates, kClientKey)));
    credentials.certificate = std::move(certificate);
    credentials.key = std::move(key);
  }
  NBDSPEC_RETURN_IF_ERROR(TlsFilter::Make(TlsFilter::End::kClient, {.credentials = credentials}));
  return credentials;
}

std::expected<void, Trouble> WriteTlsMaterial(const std::string& directory) {
  const TlsMaterial& material = TheTlsMaterial();
  const std::string shared_key =
      std::string(TlsMaterial::kSharedKeyName) + ":" + HexadecimalOf(material.shared_key) + "\n";
  for (const auto& [name, text] : {std::pair{kAuthorities, &material.authority},
                                   {"server-cert.pem", &material.server_certificate},
                                   {"server-key.pem", &material.server_key},
                                   {kClientCertificate, &material.client_certificate},
                                   {kClientKey, &material.client_key},
                                   {"keys.psk", &shared_key}}) {
    NBDSPEC_RETURN_IF_ERROR(WriteNewFile(In(directory, name), *text));
  }
  return WriteDhParameters(directory);
}

std::expected<void, Trouble> WriteDhParameters(const std::string& directory) {
  return WriteNewFile(In(directory, "dh-params.pem"), TheTlsMaterial().dh_parameters);
}

}  // namespace nbdspec::conformance
