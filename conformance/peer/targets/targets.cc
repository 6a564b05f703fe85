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
  UriTarget(std::string text, NbdUri uri) : text_(std::move(text)), uri_(std::move(uri)) {}

  std::expected<std::unique_ptr<Peer>, Trouble> Start(Setup setup, Clock::time_point /*deadline*/) override {
    if (!CanSetUp(setup)) {
      return std::unexpected(Trouble{"Cannot make the server at " + text_ + " read-only: nbdspec did not start it. " +
                                     "Start it read-only by hand, under another URI."});
    }
    NBDSPEC_ASSIGN_OR_RETURN(addresses, Addresses());
    return std::make_unique<UriPeer>(text_, is_unix(), addresses);
  }
  [[nodiscard]] bool CanSetUp(Setup setup) const override { return setup == Setup::kWritable; }
  [[nodiscard]] bool IsOurs() const override { return false; }
  [[nodiscard]] std::string Describe() const override { return text_; }
  [[nodiscard]] std::string CommandLine() const override { return QuoteWord(text_); }
  [[nodiscard]] std::string ExportName() const override { return uri_.export_name; }

 private:
  [[nodiscard]] bool is_unix() const { return !uri_.socket_path.empty(); }
  [[nodiscard]] std::expected<std::vector<SocketAddress>, Trouble> Addresses() const {
    if (!is_unix()) {
      return ResolveTcp(uri_.host, uri_.port);
    }
    NBDSPEC_ASSIGN_OR_RETURN(address, UnixSocketAddress(uri_.socket_path));
    return std::vector{address};
  }

  std::string text_;  // Parsed, so without control characters.
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

class SpawnTarget final : public Target {
 public:
  SpawnTarget(std::string_view command, std::vector<std::string> words, std::string_view export_name)
      : command_(command), words_(std::move(words)), export_name_(export_name) {}

  std::expected<std::unique_ptr<Peer>, Trouble> Start(Setup setup, Clock::time_point deadline) override {
    if (!CanSetUp(setup)) {
      return std::unexpected(Trouble{"Cannot make the server of --spawn read-only: its command says how it serves. " +
                                     std::string("Give --spawn a command that serves read-only.")});
    }
    return StartPeer(
        {.name = words_.front(),
         .command = [words = words_](const PrivateDirectory& directory,
                                     const std::string& image) -> std::expected<std::vector<std::string>, Trouble> {
           std::vector<std::string> replaced;
           for (const std::string& word : words) {
             replaced.push_back(
                 Replace(Replace(word, kImagePlaceholder, image), kSocketPlaceholder, directory.socket_path()));
           }
           return replaced;
         },
         .must_greet = false},
        deadline);
  }
  [[nodiscard]] bool CanSetUp(Setup setup) const override { return setup == Setup::kWritable; }
  [[nodiscard]] bool IsOurs() const override { return true; }
  [[nodiscard]] std::string Describe() const override { return command_; }
  [[nodiscard]] std::string CommandLine() const override {
    return "--spawn " + QuoteWord(command_) + (export_name_.empty() ? "" : " --export " + QuoteWord(export_name_));
  }
  [[nodiscard]] std::string ExportName() const override { return export_name_; }

 private:
  std::string command_;
  std::vector<std::string> words_;
  std::string export_name_;
};

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
  return std::make_unique<SpawnTarget>(command, std::move(words), export_name);
}

}  // namespace nbdspec::conformance
