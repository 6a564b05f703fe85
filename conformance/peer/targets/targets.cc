// SPDX-License-Identifier: BSD-3-Clause
// Targets named by a URI, and by a command to spawn.

#include <algorithm>
#include <system_error>
#include <utility>

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
      refusals += (refusals.empty() ? "" : "; ") + (is_unix_ ? "" : DescribeTcp(address) + ": ") +
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
  bool is_unix_;
  std::vector<SocketAddress> addresses_;
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

TargetOrTrouble TargetFromUri(std::string_view uri) {
  NBDSPEC_ASSIGN_OR_RETURN(parsed, ParseNbdUri(uri));
  const std::string text(uri);  // It is parsed, so it has no control characters.
  TargetFacts facts = {
      .description = text, .command_line = QuoteWord(text), .export_name = parsed.export_name, .is_ours = false};
  return std::make_unique<Target>(std::move(facts), [text, server = parsed](Setup setup, auto) -> PeerOrTrouble {
    if (setup != Setup::kWritable) {
      return std::unexpected(Trouble{"Cannot make the server at " + text + " read-only: nbdspec did not start it. " +
                                     "Start it read-only by hand, under another URI."});
    }
    if (server.socket_path.empty()) {
      NBDSPEC_ASSIGN_OR_RETURN(addresses, ResolveTcp(server.host, server.port));
      return std::make_unique<UriPeer>(text, /*is_unix=*/false, addresses);
    }
    NBDSPEC_ASSIGN_OR_RETURN(address, UnixSocketAddress(server.socket_path));
    return std::make_unique<UriPeer>(text, /*is_unix=*/true, std::vector{address});
  });
}

TargetOrTrouble TargetFromSpawn(std::string_view command, std::string_view export_name) {
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
