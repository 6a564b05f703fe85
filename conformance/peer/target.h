// SPDX-License-Identifier: BSD-3-Clause
// Target: how a user names the server to check. Peer: a server that was made from it, and how to reach it. Transport:
// one connection to a peer as a stream of bytes with deadlines.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conformance/tls/tls_filter.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/storage/volatile_disk.h"

namespace nbdspec::conformance {

// How a connection came to say no more. These stay apart all the way to the report.
enum class Ending {
  kNone,      // It has not ended.
  kClosed,    // The peer closed it (FIN).
  kReset,     // The peer reset it (RST), or the pipe broke.
  kTimedOut,  // Nothing came in time; the connection is still up.
};

class Transport {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Transport() = default;

  // Sends all of `bytes`, and takes from their front what it has sent; what the peer says meanwhile is kept, so two
  // full buffers do not deadlock. Returns kNone, or why not everything was sent. After kTimedOut call it again with
  // what is left, even if that is nothing: inside TLS some of what was taken may not have gone out.
  virtual Ending SendSome(engine::ByteView& bytes, Clock::time_point deadline) = 0;
  Ending Send(engine::ByteView bytes, Clock::time_point deadline) { return SendSome(bytes, deadline); }

  // Appends what has come, at least one byte and at most `bytes_max`, to `out`.
  // Returns kNone, or why nothing came: kClosed and kReset only after all bytes were given.
  virtual Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) = 0;

  // Closes our sending side (FIN); receiving goes on.
  virtual void CloseSending() = 0;
};

// How the server should be set up. Only servers that nbdspec starts by name can follow it.
enum class Setup {
  kWritable,
  kReadOnly,
  kStrictBlockSize,  // Advertises a minimum block size above 1 and enforces it.
  kLarge,            // An export of more than 6 GiB, of which little takes space.
  kOnStorage,        // Its disk is storage of ours: Peer::storage.
  kTlsOffered,       // SELECTIVETLS: it has TLS, and serves at least one export without.
  kTlsDemanded,      // FORCEDTLS.
};

constexpr bool IsOfTls(Setup setup) { return setup == Setup::kTlsOffered || setup == Setup::kTlsDemanded; }

// The disk of a server that stores its bytes with us, instead of in a file.
class Storage {
 public:
  virtual ~Storage() = default;

  // The power goes: the server is killed, its connections have ended, and the disk keeps of what was not durable what
  // `cut` says.
  virtual void CutPower(const engine::PowerCut& cut) = 0;

  // Between CutPower and PowerUp: what the checker of the disk's format says is damaged, in its own words; nothing: it
  // finds no damage, or the format has no checker. Space that nothing uses any more is no damage.
  // Errors: the checker cannot be run, or does not end by `deadline`.
  virtual std::expected<std::optional<std::string>, engine::Trouble> FindDamage(
      Transport::Clock::time_point /*deadline*/) {
    return std::nullopt;
  }

  // Starts the server on what CutPower left. Errors: it does not come up on that disk by `deadline`, or at all.
  virtual std::expected<void, engine::Trouble> PowerUp(Transport::Clock::time_point deadline) = 0;

  // Calls `use` with the disk while no request of the server's is under way.
  virtual void With(const std::function<void(engine::VolatileDisk& disk)>& use) = 0;

  // Whether nothing was written since the last power cut: all that can be read is durable. Whoever connects to the
  // server says that it is not, and who has only read since, or has cut the power, that it is.
  [[nodiscard]] bool is_settled() const { return is_settled_; }
  void SetSettled(bool is_settled) { is_settled_ = is_settled; }

 private:
  bool is_settled_ = false;
};

// What a server's processes use, all together.
struct Usage {
  std::uint64_t memory_bytes = 0;  // In memory, and theirs alone.
  std::uint64_t descriptor_count = 0;
  std::uint64_t thread_count = 0;  // One of each process at least, of one that has ended and is not waited for too.
  std::chrono::milliseconds processor_time{0};
};

class Peer {
 public:
  // Stops what was started, with its whole process group, and removes its directory.
  virtual ~Peer() = default;

  // A new connection. Errors: a sentence that says what refused it.
  virtual std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) = 0;

  // How the server ended, when nbdspec started it and it has ("exited with status 1", "killed by SIGSEGV"), unless it
  // was to end so.
  virtual std::optional<std::string> Ended() { return {}; }

  // The same, waited for until `deadline` where it can be seen at all.
  virtual std::optional<std::string> EndedBy(Transport::Clock::time_point /*deadline*/) { return Ended(); }

  // From now on the server may end when its client has left (kEndedWell): it is started again for the next one, on what
  // it served. To be called only where nbdspec started it.
  virtual void MayEndWithItsClient() {}

  // Asks the server to end, as SIGTERM does; it has taken note, as a rule, when this returns. Connections go on as far
  // as it lets them; the next Connect starts it again from fresh contents. Errors: nbdspec did not start it.
  virtual std::expected<void, engine::Trouble> ShutDown() {
    return std::unexpected(engine::Trouble{"Only a server that nbdspec starts can be asked to end."});
  }

  // After ShutDown, when all connections are closed: whether it has ended by `deadline`.
  virtual bool HasShutDown(Transport::Clock::time_point /*deadline*/) { return false; }

  // Starts it again from fresh contents, when nbdspec started it. Errors: it cannot, or does not come up.
  virtual std::expected<void, engine::Trouble> Restart() = 0;

  // Its disk, in Setup::kOnStorage; else nothing.
  virtual Storage* storage() { return nullptr; }

  // What a client shows and wants to see in TLS, where conversations with the server are to be held inside of it; else
  // null.
  virtual const TlsCredentials* tls() { return nullptr; }

  // What it uses; nothing when that cannot be seen, or its process is not always the same one.
  virtual std::optional<Usage> ReadUsage() { return {}; }

  // The port of TCP where it is met; nothing for another kind of socket.
  virtual std::optional<std::uint16_t> tcp_port() { return {}; }

  // Makes READs of the last `bytes` of the default export fail, as when the file that the server serves has become
  // shorter, until what is returned goes. Null where that cannot be done, or may be too much for the server.
  virtual std::shared_ptr<void> LoseEnd(std::uint64_t /*bytes*/) { return nullptr; }

  // The last bytes the server wrote to standard error; empty when nbdspec did not start it.
  virtual std::string StandardError() { return {}; }
};

// Peer::Ended of a server that had no complaint.
inline constexpr std::string_view kEndedWell = "exited with status 0";

using PeerOrTrouble = std::expected<std::unique_ptr<Peer>, engine::Trouble>;

struct TargetFacts {
  std::string description;  // For reports: "nbdkit 1.32.5 (memory)", "nbd+unix:///d?socket=/s".
  // What to write on a command line to name it again, quoted for a shell: "nbdkit", "--spawn 'srv {socket}'".
  std::string command_line;
  std::string program = {};  // Of a server that nbdspec starts and knows: "nbdkit". Empty for others.
  std::vector<std::string> program_words = {};  // What that is started with, as far as it tells what is served.
  std::string version = {};      // What that says of itself, or its package: "10.0.13+ds"; empty when it does not.
  std::string export_name = {};  // The one to enter; "" for the default one.
  bool has_tls = false;          // Conversations are held inside TLS.
  // Whether each Start gives a server of its own: then several may be used at once, and it may be written to.
  bool is_ours = true;
  // Whether what one of them serves may be what another one serves: then there is one at a time.
  bool may_share_contents = false;
  std::vector<Setup> setups = {Setup::kWritable};  // Those that Start can follow.
};

class Target {
 public:
  using StartFunction = std::function<PeerOrTrouble(Setup setup, Transport::Clock::time_point deadline)>;

  Target(TargetFacts facts, StartFunction start) : facts_(std::move(facts)), start_(std::move(start)) {}

  // A peer of its own: a process for a server that nbdspec starts, the same server for a URI.
  // Errors: not installed, does not come up by `deadline`, dies at start (with its last words), setup not possible.
  PeerOrTrouble Start(Setup setup, Transport::Clock::time_point deadline) { return start_(setup, deadline); }

  [[nodiscard]] bool CanSetUp(Setup setup) const {
    return std::ranges::find(facts_.setups, setup) != facts_.setups.end();
  }
  [[nodiscard]] bool HasTls() const { return facts_.has_tls; }
  [[nodiscard]] bool IsOurs() const { return facts_.is_ours; }
  // Whether Start may be called while a peer from before is there, and gives one that has nothing to do with it.
  [[nodiscard]] bool CanRunTwice() const { return facts_.is_ours && !facts_.may_share_contents; }
  [[nodiscard]] const std::string& Describe() const { return facts_.description; }
  [[nodiscard]] const std::string& Program() const { return facts_.program; }
  [[nodiscard]] const std::vector<std::string>& ProgramWords() const { return facts_.program_words; }
  [[nodiscard]] const std::string& Version() const { return facts_.version; }
  [[nodiscard]] const std::string& CommandLine() const { return facts_.command_line; }
  [[nodiscard]] const std::string& ExportName() const { return facts_.export_name; }
  // From now on that one is entered. Not while another thread looks.
  void SetExportName(std::string_view name) { facts_.export_name = name; }

 private:
  TargetFacts facts_;
  StartFunction start_;
};

using TargetOrTrouble = std::expected<std::unique_ptr<Target>, engine::Trouble>;

// What a user says of TLS. Directories and files are as in targets/tls_files.h.
struct TlsWish {
  bool is_wanted = false;  // Conversations are held inside TLS; a server that nbdspec starts demands it.
  std::string certificates =
      {};                        // A directory; empty: made for the run, and any certificate of a URI's server will do.
  std::string shared_keys = {};  // A file, in place of certificates; may be empty.
  std::string shared_key_name = {};  // Which key of it; empty: the first.
  std::string host = {};             // What the server's certificate is for, where that is not the host of the URI.
  bool operator==(const TlsWish&) const = default;
};

// An NBD URI: nbd://host[:port]/[export], nbd+unix:///[export]?socket=PATH; with TLS nbds:// and nbds+unix://.
// Errors: it is none; no such certificates or keys.
TargetOrTrouble TargetFromUri(std::string_view uri, const TlsWish& tls = {});

// Of a server that nbdspec starts.
struct StartOptions {
  bool power_cut = false;  // Offers Setup::kOnStorage, where the server has a disk that can be ours.
  TlsWish tls = {};
};

// A command that starts a server, with {socket} (a unix socket to listen on) or {port} (of TCP; one of them is
// required), {image} (a file to serve, of 8 MiB, or sparse in Setup::kLarge) or {image-uri} (an NBD export with the
// same bytes), {size} (its bytes), {export} (the name to enter) and {certs} (a directory of certificates, where TLS is
// wanted) replaced. It is split into words by shell quoting rules, and not given to a shell.
TargetOrTrouble TargetFromSpawn(std::string_view command, std::string_view export_name,
                                const StartOptions& options = {});

// A server of the table in named_servers.cc, as this machine has it, or as another Debian release does
// (other_debian.h): "nbdkit", "qemu-nbd:qcow2", "nbdkit@trixie". ("reference" is in reference_target.h.) Errors: there
// is none of that name; no such certificates or keys. (That it is not installed is Start's.)
TargetOrTrouble TargetFromName(std::string_view name, const StartOptions& options = {});
bool IsServerName(std::string_view name);
std::vector<std::string_view> ServerNames();  // Of all rows.

}  // namespace nbdspec::conformance
