// SPDX-License-Identifier: BSD-3-Clause
// Targets named by a URI, and by a command to spawn.

#include <algorithm>
#include <system_error>
#include <utility>

#include "conformance/peer/process/command_line.h"
#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/target.h"
#include "conformance/peer/targets/started_peer.h"
#include "conformance/peer/targets/uri.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;
using Clock = Transport::Clock;

// --- A server that is already there ---

class UriPeer final : public Peer {
 public:
  // `addresses` is not empty.
  UriPeer(std::string uri, bool is_unix, std::vector<SocketAddress> addresses)
      : uri_(std::move(uri)), is_unix_(is_unix), addresses_(std::move(addresses)) {}

  std::expected<std::unique_ptr<Transport>, Trouble> Connect(Clock::time_point deadline) override;
  std::expected<void, Trouble> Restart() override {
    return std::unexpected(Trouble{"Cannot restart the server at " + uri_ +
                                   ": nbdspec did not start it. Restart it by hand, or give its command to --spawn."});
  }

 private:
  std::string uri_;
  bool is_unix_;
  std::vector<SocketAddress> addresses_;
};

std::expected<std::unique_ptr<Transport>, Trouble> UriPeer::Connect(Clock::time_point deadline) {
  std::string refusals;
  std::ptrdiff_t addresses_left = std::ssize(addresses_);
  for (const SocketAddress& address : addresses_) {
    // An address that does not answer must leave time for the others.
    const auto time_left = std::max<Clock::duration>(deadline - Clock::now(), Clock::duration::zero());
    auto transport = ConnectSocket(address, Clock::now() + time_left / addresses_left--);
    if (transport) {
      return *std::move(transport);
    }
    refusals += (refusals.empty() ? "" : "; ") + (is_unix_ ? "" : DescribeTcp(address) + ": ") +
                std::generic_category().message(transport.error());
  }
  return std::unexpected(
      Trouble{"Cannot connect to " + uri_ + ": " + refusals + ". Is the server running, and listening there?"});
}

class UriTarget final : public Target {
 public:
  // `text` is parsed, so it has no control characters.
  UriTarget(const std::string& text, NbdUri uri)
      : Target(
            {.description = text, .command_line = QuoteWord(text), .export_name = uri.export_name, .is_ours = false}),
        uri_(std::move(uri)) {}

  std::expected<std::unique_ptr<Peer>, Trouble> Start(Setup setup, Clock::time_point /*deadline*/) override {
    if (!CanSetUp(setup)) {
      return std::unexpected(Trouble{"Cannot make the server at " + Describe() +
                                     " read-only: nbdspec did not start it. " +
                                     "Start it read-only by hand, under another URI."});
    }
    if (uri_.socket_path.empty()) {
      NBDSPEC_ASSIGN_OR_RETURN(addresses, ResolveTcp(uri_.host, uri_.port));
      return std::make_unique<UriPeer>(Describe(), /*is_unix=*/false, addresses);
    }
    NBDSPEC_ASSIGN_OR_RETURN(address, UnixSocketAddress(uri_.socket_path));
    return std::make_unique<UriPeer>(Describe(), /*is_unix=*/true, std::vector{address});
  }

 private:
  NbdUri uri_;
};

// --- A command that starts a server ---

constexpr std::string_view kSocketPlaceholder = "{socket}";
constexpr std::string_view kImagePlaceholder = "{image}";

std::string Replace(std::string text, std::string_view placeholder, const std::string& value) {
  for (std::size_t at = text.find(placeholder); at != std::string::npos; at = text.find(placeholder, at)) {
    text.replace(at, placeholder.size(), value);
    at += value.size();
  }
  return text;
}

}  // namespace

std::expected<std::unique_ptr<Target>, Trouble> TargetFromUri(std::string_view uri) {
  NBDSPEC_ASSIGN_OR_RETURN(parsed, ParseNbdUri(uri));
  return std::make_unique<UriTarget>(std::string(uri), std::move(parsed));
}

std::expected<std::unique_ptr<Target>, Trouble> TargetFromSpawn(std::string_view command,
                                                                std::string_view export_name) {
  NBDSPEC_ASSIGN_OR_RETURN(words, SplitCommand(command));
  if (std::ranges::none_of(words, [](const std::string& word) { return word.contains(kSocketPlaceholder); })) {
    return std::unexpected(Trouble{"The command " + engine::Quoted(command, 200) + " has no {socket}: write it where " +
                                   "the server takes the path of the unix socket to listen on."});
  }
  const std::string export_words = export_name.empty() ? "" : " --export " + QuoteWord(export_name);
  return StartedTarget(
      {.description = std::string(command),
       .command_line = "--spawn " + QuoteWord(command) + export_words,
       .export_name = std::string(export_name)},
      {.name = words.front(),
       .command = [words](Setup, const PrivateDirectory& directory,
                          const std::string& image) -> std::expected<std::vector<std::string>, Trouble> {
         std::vector<std::string> replaced;
         for (const std::string& word : words) {
           replaced.push_back(
               Replace(Replace(word, kImagePlaceholder, image), kSocketPlaceholder, directory.socket_path()));
         }
         return replaced;
       },
       .must_greet = false});
}

}  // namespace nbdspec::conformance
