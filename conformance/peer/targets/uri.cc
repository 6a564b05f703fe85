// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/uri.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "conformance/peer/process/process.h"
#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/target.h"
#include "conformance/peer/targets/tls_files.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "engine/wire/protocol.h"

namespace nbdspec::conformance {

namespace {

using engine::Quoted;
using engine::Trouble;
using Clock = Transport::Clock;

// The error is what is wrong, to follow "The NBD URI ... cannot be used: ".
using Error = std::unexpected<std::string>;
template <typename T>
using Parsed = std::expected<T, std::string>;

// Not <cctype>: the locale must not matter.
bool IsAlphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What comes before and after the first `separator`; after is nothing when there is none.
std::pair<std::string_view, std::optional<std::string_view>> SplitAt(std::string_view text, char separator) {
  const std::size_t at = text.find(separator);
  return {text.substr(0, at), at == std::string_view::npos ? std::nullopt : std::optional(text.substr(at + 1))};
}

Parsed<std::string> PercentDecode(const std::string& part, std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      unsigned value = 0;
      const std::string_view digits = text.substr(i + 1, 2);
      const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
      if (digits.size() != 2 || error != std::errc() || stop != digits.data() + 2) {
        return Error(part + " has a % that two hexadecimal digits do not follow; write a percent sign as %25");
      }
      decoded += static_cast<char>(value);
      i += 2;
    } else if (IsAlphanumeric(text[i]) || std::string_view("-._~!$&'()*+,;=:@/?").contains(text[i])) {
      decoded += text[i];
    } else {
      return Error(part + " has the character " + Quoted(text.substr(i, 1)) +
                   ", which a URI cannot hold as it is; write it as % and two hexadecimal digits");
    }
  }
  return decoded;
}

Parsed<std::uint16_t> ParsePort(std::string_view text) {
  if (text.empty()) {
    return engine::kNbdPort;  // RFC 3986 lets a URI end its authority with the colon.
  }
  std::uint16_t port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || stop != text.data() + text.size() || port == 0) {
    return Error("the port " + Quoted(text) + " is not a number from 1 to 65535");
  }
  return port;
}

// Takes a user name off the front of `authority`.
Parsed<void> ParseUser(std::string_view& authority, NbdUri& uri) {
  const auto [user, rest] = SplitAt(authority, '@');
  if (!rest) {
    return {};
  }
  if (!uri.tls.is_wanted) {
    return Error("the user name before @ is for TLS; write nbds in front of it");
  }
  NBDSPEC_ASSIGN_OR_RETURN(name, PercentDecode("the user name", user));
  uri.tls.shared_key_name = name;
  authority = *rest;
  return {};
}

Parsed<void> ParseAuthority(std::string_view authority, NbdUri& uri) {
  std::optional<std::string_view> port;
  if (authority.starts_with('[')) {
    const auto [literal, rest] = SplitAt(authority.substr(1), ']');
    if (!rest) {
      return Error("the IPv6 address in the host has no closing bracket");
    }
    if (!rest->empty() && !rest->starts_with(':')) {
      return Error("only :port may follow the closing bracket of the host");
    }
    uri.host = literal;
    in6_addr ignored = {};
    if (uri.host.contains('\0') || inet_pton(AF_INET6, uri.host.c_str(), &ignored) != 1) {
      return Error("the host " + Quoted(literal) + " in brackets is no IPv6 address");
    }
    port = rest->empty() ? *rest : rest->substr(1);
  } else {
    const auto [name, after] = SplitAt(authority, ':');
    NBDSPEC_ASSIGN_OR_RETURN(host, PercentDecode("the host", name));
    if (!std::ranges::all_of(host, [](char c) { return IsAlphanumeric(c) || c == '-' || c == '.' || c == '_'; })) {
      return Error("the host " + Quoted(host) + " is no host name; write an IPv6 address in brackets, as in [::1]");
    }
    if (!host.empty()) {
      uri.host = host;
    }
    port = after.value_or("");
  }
  NBDSPEC_ASSIGN_OR_RETURN(number, ParsePort(*port));
  uri.port = number;
  return {};
}

// Takes one KEY=VALUE of the query, of which only "socket" means anything here.
Parsed<void> ParseParameter(std::string_view parameter, bool is_unix, NbdUri& uri) {
  const auto [key_text, value_text] = SplitAt(parameter, '=');
  NBDSPEC_ASSIGN_OR_RETURN(key, PercentDecode("the name of a query parameter", key_text));
  constexpr std::pair<std::string_view, std::string TlsWish::*> kOfTls[] = {
      {"tls-certificates", &TlsWish::certificates},
      {"tls-psk-file", &TlsWish::shared_keys},
      {"tls-hostname", &TlsWish::host},
  };
  if (const auto* const known = std::ranges::find(kOfTls, key, [](const auto& each) { return each.first; });
      known != std::end(kOfTls)) {
    if (!uri.tls.is_wanted) {
      return Error("the query parameter " + Quoted(key) + " is for TLS; its scheme is not nbds");
    }
    NBDSPEC_ASSIGN_OR_RETURN(value, PercentDecode("the parameter " + key, value_text.value_or("")));
    uri.tls.*known->second = value;
    return {};
  }
  if (key != "socket") {
    return Error("the query parameter " + Quoted(key) +
                 " is not known; socket, tls-certificates, tls-psk-file and tls-hostname are");
  }
  if (!is_unix) {
    return Error("the socket parameter goes with nbd+unix://, not with nbd://");
  }
  if (!uri.socket_path.empty()) {
    return Error("the socket parameter is given twice");
  }
  NBDSPEC_ASSIGN_OR_RETURN(path, PercentDecode("the socket parameter", value_text.value_or("")));
  if (path.empty() || path == std::string_view("\0", 1)) {
    return Error("the socket parameter is empty; write ?socket=PATH");
  }
  if (path.find('\0', 1) != std::string::npos) {
    return Error("the socket parameter has a %00 that is not its first character");
  }
  if (path.size() > kUnixPathBytesMax) {
    return Error("the socket parameter has " + std::to_string(path.size()) + " bytes, more than the " +
                 std::to_string(kUnixPathBytesMax) + " of a unix socket's path");
  }
  uri.socket_path = path;
  return {};
}

Parsed<void> ParseQuery(std::string_view query, bool is_unix, NbdUri& uri) {
  for (std::optional<std::string_view> rest = query; rest;) {
    const auto [parameter, after] = SplitAt(*rest, '&');
    rest = after;
    if (!parameter.empty()) {
      NBDSPEC_RETURN_IF_ERROR(ParseParameter(parameter, is_unix, uri));
    }
  }
  if (is_unix && uri.socket_path.empty()) {
    return Error("it has no socket parameter; write nbd+unix:///[export]?socket=PATH");
  }
  return {};
}

Parsed<void> ParseExportName(std::string_view text, NbdUri& uri) {
  NBDSPEC_ASSIGN_OR_RETURN(name, PercentDecode("the export name", text));
  if (name.contains('\0')) {
    return Error("the export name has a %00, which no export name may have");
  }
  if (name.size() > engine::kStringBytesMax) {
    return Error("the export name has " + std::to_string(name.size()) + " bytes, more than the 4096 of the protocol");
  }
  uri.export_name = name;
  return {};
}

struct Scheme {
  bool is_unix = false;
  bool is_tls = false;
};

Parsed<Scheme> ParseScheme(std::string_view text) {
  std::string scheme(text);
  std::ranges::transform(scheme, scheme.begin(), [](char c) { return 'A' <= c && c <= 'Z' ? c - 'A' + 'a' : c; });
  if (scheme == "nbd" || scheme == "nbd+unix" || scheme == "nbds" || scheme == "nbds+unix") {
    return Scheme{.is_unix = scheme.ends_with("+unix"), .is_tls = scheme.starts_with("nbds")};
  }
  if (scheme == "nbd+vsock" || scheme == "nbds+vsock") {
    return Error("its scheme " + scheme + " asks for a vsock, which is not supported yet");
  }
  return Error("its scheme " + Quoted(text) + " is not known; nbd, nbds, nbd+unix and nbds+unix are");
}

Parsed<NbdUri> Parse(std::string_view text) {
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) {
    return Error("it has no scheme; write nbd://host[:port]/[export] or nbd+unix:///[export]?socket=PATH");
  }
  NBDSPEC_ASSIGN_OR_RETURN(scheme, ParseScheme(text.substr(0, scheme_end)));
  const bool is_unix = scheme.is_unix;
  const std::string_view rest = text.substr(scheme_end + 3);
  if (rest.contains('#')) {
    return Error("it has a fragment (#), which NBD URIs do not have; write a number sign as %23");
  }
  const auto [hierarchy, query] = SplitAt(rest, '?');
  auto [authority, path] = SplitAt(hierarchy, '/');
  NbdUri uri{.tls = {.is_wanted = scheme.is_tls}};
  NBDSPEC_RETURN_IF_ERROR(ParseUser(authority, uri));
  if (is_unix && !authority.empty()) {
    return Error("it has a host, " + Quoted(authority) +
                 ", where a unix socket has none; write three slashes: nbd+unix:///[export]?socket=PATH");
  }
  NBDSPEC_RETURN_IF_ERROR(ParseAuthority(authority, uri));
  NBDSPEC_RETURN_IF_ERROR(ParseExportName(path.value_or(""), uri));
  NBDSPEC_RETURN_IF_ERROR(ParseQuery(query.value_or(""), is_unix, uri));
  return uri;
}

// --- A server that is already there ---

class UriPeer final : public Peer {
 public:
  // `addresses` is not empty.
  UriPeer(std::string uri, std::optional<std::uint16_t> port, std::vector<SocketAddress> addresses,
          std::optional<TlsCredentials> tls)
      : uri_(std::move(uri)), port_(port), addresses_(std::move(addresses)), tls_(std::move(tls)) {}

  std::optional<std::uint16_t> tcp_port() override { return port_; }

  const TlsCredentials* tls() override { return tls_ ? &*tls_ : nullptr; }

  std::expected<std::unique_ptr<Transport>, Trouble> Connect(Clock::time_point deadline) override {
    std::string refusals;
    std::ptrdiff_t addresses_left = std::ssize(addresses_);
    for (const SocketAddress& address : addresses_) {
      // An address that does not answer must leave time for the others.
      const auto time_left = std::max<Clock::duration>(deadline - Clock::now(), Clock::duration::zero());
      auto transport = ConnectSocket(address, Clock::now() + time_left / addresses_left--);
      if (transport) {
        return *std::move(transport);
      }
      refusals += (refusals.empty() ? "" : "; ") + (port_ ? DescribeTcp(address) + ": " : "") +
                  std::generic_category().message(transport.error());
    }
    return std::unexpected(
        Trouble{"Cannot connect to " + uri_ + ": " + refusals + ". Is the server running, and listening there?"});
  }

  std::expected<void, Trouble> Restart() override {
    return std::unexpected(Trouble{"Cannot restart the server at " + uri_ +
                                   ": nbdspec did not start it. Restart it by hand, or give its command to --spawn."});
  }

 private:
  std::string uri_;
  std::optional<std::uint16_t> port_;  // Of TCP.
  std::vector<SocketAddress> addresses_;
  std::optional<TlsCredentials> tls_;
};

// What a client shows at `uri`, where both it and the command line may have wishes.
std::expected<std::optional<TlsCredentials>, Trouble> CredentialsFor(const NbdUri& uri, const TlsWish& given) {
  TlsWish tls = uri.tls;
  tls.is_wanted |= given.is_wanted;
  for (const auto member : {&TlsWish::certificates, &TlsWish::shared_keys, &TlsWish::host}) {
    if (!(given.*member).empty()) {
      tls.*member = given.*member;
    }
  }
  if (!tls.is_wanted) {
    return std::nullopt;
  }
  NBDSPEC_ASSIGN_OR_RETURN(credentials, CredentialsFrom(tls, uri.socket_path.empty() ? uri.host : ""));
  return std::move(credentials);
}

// `text` with all bytes percent-encoded that have a meaning in a URI, or may have one.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          std::string_view("-._~/").contains(c);
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    escaped += is_plain ? std::string(1, c) : std::string{'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return escaped;
}

}  // namespace

std::expected<NbdUri, Trouble> ParseNbdUri(std::string_view uri) {
  Parsed<NbdUri> parsed = Parse(uri);
  if (!parsed) {
    return std::unexpected(Trouble{"The NBD URI " + Quoted(uri, 200) + " cannot be used: " + parsed.error() + "."});
  }
  return *std::move(parsed);
}

TargetOrTrouble TargetFromUri(std::string_view uri, const TlsWish& tls) {
  NBDSPEC_ASSIGN_OR_RETURN(parsed, ParseNbdUri(uri));
  NBDSPEC_ASSIGN_OR_RETURN(credentials, CredentialsFor(parsed, tls));
  const std::string text(uri);  // It is parsed, so it has no control characters.
  TargetFacts facts = {.description = text,
                       .command_line = QuoteWord(text),
                       .export_name = parsed.export_name,
                       .has_tls = credentials.has_value(),
                       .is_ours = false};
  return std::make_unique<Target>(
      std::move(facts), [text, server = parsed, credentials](Setup setup, auto) -> PeerOrTrouble {
        if (setup != Setup::kWritable) {
          return std::unexpected(Trouble{"Cannot make the server at " + text +
                                         " read-only: nbdspec did not start it. " +
                                         "Start it read-only by hand, under another URI."});
        }
        if (server.socket_path.empty()) {
          NBDSPEC_ASSIGN_OR_RETURN(addresses, ResolveTcp(server.host, server.port));
          return std::make_unique<UriPeer>(text, server.port, addresses, credentials);
        }
        NBDSPEC_ASSIGN_OR_RETURN(address, UnixSocketAddress(server.socket_path));
        return std::make_unique<UriPeer>(text, /*port=*/std::nullopt, std::vector{address}, credentials);
      });
}

std::string UnixUriOf(std::string_view socket_path, std::string_view export_name, bool tls) {
  return std::string(tls ? "nbds" : "nbd") + "+unix:///" + Escaped(export_name) + "?socket=" + Escaped(socket_path);
}

std::string TcpUriOf(std::uint16_t port, std::string_view export_name, bool tls) {
  return std::string(tls ? "nbds://localhost:" : "nbd://127.0.0.1:") + std::to_string(port) + "/" +
         Escaped(export_name);
}

}  // namespace nbdspec::conformance
