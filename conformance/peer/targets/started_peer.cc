// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/started_peer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "conformance/peer/down.h"
#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/storage/mounted_storage.h"
#include "conformance/peer/storage/storage_server.h"
#include "conformance/peer/targets/tls_files.h"
#include "conformance/peer/targets/uri.h"
#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;
using Clock = Transport::Clock;

// Between two looks at a server that is starting.
constexpr std::chrono::milliseconds kReadinessPause{2};
// How long a connection made to look may stay silent: nbd-server listens seconds before it has what it needs to greet.
constexpr std::chrono::milliseconds kGreetingWait{5000};
constexpr std::chrono::milliseconds kGreetingSlice{100};  // Before looking whether that is cancelled.
// A killed server's sockets close a moment before its death is known.
constexpr std::chrono::milliseconds kNewsOfDeathWait{20};
// How long a server that ends with its client may take for that.
constexpr std::chrono::milliseconds kEndWait{1000};
// How long one may take that has seen its client go, before it is taken for one that stays.
constexpr std::chrono::milliseconds kLeaveWait{50};
// How long Restart waits: what Start was given, within these.
constexpr std::chrono::seconds kRestartWaitMin{1};
constexpr std::chrono::seconds kRestartWaitMax{60};
// How many times the image's size the storage has that holds it in a disk format, which adds tables of its own.
constexpr std::uint64_t kFormattedFactor = 2;
// How often a server is started that ends at once: that may be chance, on a busy machine more than elsewhere, and it
// would be taken for the server's answer to whatever was asked before.
constexpr int kStartsMax = 4;
// Where more of the starts on fresh contents fail, kStartsMax in a row that fail on others say nothing of these.
constexpr double kFailedStartsUsual = 0.125;

// In a PrivateDirectory: no longer than its own socket's name, which fits.
constexpr std::string_view kDiskSocket = "disk";

constexpr std::string_view kBuiltIn = "engine/nbdkit";
constexpr std::string_view kInstalled = "nbdkit/plugins";

// What a file has from an offset on: cut off, until this goes.
class ImageEnd {
 public:
  ImageEnd(std::string path, std::uint64_t begin) : path_(std::move(path)), begin_(begin) {
    std::ifstream file(path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(begin_));
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    std::error_code error;
    std::filesystem::resize_file(path_, begin_, error);
    is_lost_ = !error;
  }
  ~ImageEnd() {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(begin_));
    file << bytes_;
  }
  ImageEnd(const ImageEnd&) = delete;
  ImageEnd& operator=(const ImageEnd&) = delete;

  [[nodiscard]] bool is_lost() const { return is_lost_; }

 private:
  std::string path_;
  std::uint64_t begin_;
  std::string bytes_;
  bool is_lost_ = false;
};

using Prepare = std::function<std::expected<void, Trouble>()>;
std::expected<void, Trouble> NothingToDo() { return {}; }

std::string ExitedWith(int status) { return "exited with status " + std::to_string(status); }

struct Ran {
  std::string how;  // "exited with status 0".
  std::string said;
};

// Runs `words` to their end. Errors: they cannot be run, or take longer than `deadline`.
std::expected<Ran, Trouble> RunToEnd(const std::vector<std::string>& words, PrivateDirectory directory,
                                     const Prepare& prepare, Clock::time_point deadline) {
  NBDSPEC_ASSIGN_OR_RETURN(process, ServerProcess::Start(words, std::move(directory), prepare));
  const auto ended = process->EndedUnlessCancelled(deadline);
  if (!ended) {
    return std::unexpected(Trouble{words.front() + " did not end in the time it was given. " +
                                   TellLastWords(process->LastWords()) + " Give it more."});
  }
  return Ran{.how = *ended, .said = process->LastWords()};
}

// A connection of which some bytes came already.
class BegunTransport final : public Transport {
 public:
  BegunTransport(std::unique_ptr<Transport> rest, engine::Bytes begun)
      : rest_(std::move(rest)), begun_(std::move(begun)) {}

  Ending SendSome(engine::ByteView& bytes, Clock::time_point deadline) override {
    return rest_->SendSome(bytes, deadline);
  }

  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    if (begun_.empty()) {
      return rest_->Receive(out, bytes_max, deadline);
    }
    NBDSPEC_CHECK(begun_.size() <= bytes_max);
    out.insert(out.end(), begun_.begin(), begun_.end());
    begun_.clear();
    return Ending::kNone;
  }

  void CloseSending() override { rest_->CloseSending(); }

 private:
  std::unique_ptr<Transport> rest_;
  engine::Bytes begun_;
};

using PeerConnection = std::expected<std::unique_ptr<Transport>, Trouble>;

// How the starts of all servers of a target went, on fresh contents. For any thread.
class Starts {
 public:
  void Note(bool has_failed) {
    ++all_;
    failed_ += has_failed ? 1 : 0;
  }
  [[nodiscard]] bool AreUnsteady() const { return failed_ > kFailedStartsUsual * all_; }

 private:
  std::atomic<int> failed_ = 0;
  std::atomic<int> all_ = 0;
};

class StartedPeer final : public Peer, public Storage {
 public:
  StartedPeer(ServerRecipe recipe, Setup setup, std::chrono::nanoseconds restart_wait, std::shared_ptr<Starts> starts)
      : recipe_(std::move(recipe)), setup_(setup), restart_wait_(restart_wait), starts_(std::move(starts)) {}

  std::expected<void, Trouble> Start(Clock::time_point deadline) {
    process_.reset();  // First: its command may name a port or a lock that only one server can have.
    is_shut_down_ = false;
    is_disk_fresh_ = true;
    mounted_.reset();
    storage_.reset();
    if (setup_ == Setup::kOnStorage || recipe_.takes_disk == TakesDisk::kUri) {
      NBDSPEC_ASSIGN_OR_RETURN(storage, MakeStorage(deadline));
      storage_ = std::move(storage);
    }
    return StartOnItsDisk(deadline);
  }

  PeerConnection Connect(Clock::time_point deadline) override {
    if (process_ == nullptr) {
      return std::unexpected(Trouble{"The server " + recipe_.name + " is not running: its last start failed."});
    }
    if (is_shut_down_) {
      NBDSPEC_RETURN_IF_ERROR(Restart());
    }
    if (may_end_) {
      return ConnectToNext(deadline);
    }
    auto transport = ConnectSocket(address_, deadline);
    if (transport) {
      return *std::move(transport);
    }
    return std::unexpected(CannotConnect(transport.error()));
  }

  std::optional<std::string> Ended() override { return EndedBy(Clock::now() + kNewsOfDeathWait); }

  std::optional<std::string> EndedBy(Clock::time_point deadline) override {
    if (process_ == nullptr) {
      const bool is_down = is_disk_fresh_ || starts_->AreUnsteady();
      return is_down ? std::string(kIsDown) : "could not be started again";
    }
    auto ended = process_->EndedBy(deadline);
    const bool is_wanted = ended && ((may_end_ && ended == kEndedWell) || (is_shut_down_ && IsEndOnRequest(*ended)));
    return is_wanted ? std::nullopt : std::move(ended);
  }

  std::expected<void, Trouble> ShutDown() override {
    if (process_ != nullptr) {
      process_->ShutDown();
    }
    is_shut_down_ = true;
    return {};
  }

  bool HasShutDown(Clock::time_point deadline) override {
    return is_shut_down_ && (process_ == nullptr || process_->EndedBy(deadline).has_value());
  }

  std::optional<Usage> ReadUsage() override {
    return process_ == nullptr || may_end_ ? std::nullopt : process_->ReadUsage();
  }

  void MayEndWithItsClient() override {
    may_end_ = true;
    had_client_ = true;  // The look at whether it is up.
    is_met_ = true;
  }

  std::expected<void, Trouble> Restart() override { return Start(Clock::now() + restart_wait_); }
  std::string StandardError() override { return process_ == nullptr ? std::string() : process_->LastWords(); }

  std::shared_ptr<void> LoseEnd(std::uint64_t bytes) override {
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(image_path_, error);
    if (!recipe_.can_lose_end || storage_ != nullptr || recipe_.format || error || bytes > size) {
      return nullptr;
    }
    const auto end = std::make_shared<ImageEnd>(image_path_, size - bytes);
    return end->is_lost() ? end : nullptr;
  }

  std::optional<std::uint16_t> tcp_port() override {
    const auto* const address = reinterpret_cast<const sockaddr_in*>(&address_.storage);
    return recipe_.is_on_tcp ? std::optional(ntohs(address->sin_port)) : std::nullopt;
  }

  const TlsCredentials* tls() override { return HasTls() ? &recipe_.client : nullptr; }

  Storage* storage() override { return setup_ == Setup::kOnStorage ? this : nullptr; }

  void CutPower(const engine::PowerCut& cut) override {
    is_disk_fresh_ = false;
    storage_->Silence();  // The moment of the cut: what the server, or who stops it, still writes is lost.
    if (process_ != nullptr) {
      process_->Kill();
      process_.reset();
    }
    mounted_.reset();
    storage_->With([&](engine::VolatileDisk& disk) { disk.Cut(cut); });
  }

  std::expected<std::optional<std::string>, Trouble> FindDamage(Clock::time_point deadline) override {
    if (!recipe_.check) {
      return std::nullopt;
    }
    NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
    const std::string socket_path = directory.PathOf(kDiskSocket);
    NBDSPEC_ASSIGN_OR_RETURN(ran, RunToEnd(
                                      recipe_.check(UnixUriOf(socket_path)), std::move(directory),
                                      [&] { return storage_->Listen(socket_path); }, deadline));
    storage_->Silence();
    if (ran.how != ExitedWith(recipe_.damaged_status)) {
      return std::nullopt;
    }
    const std::size_t begin = ran.said.find(recipe_.damage_word);  // Leaks may come before.
    return begin == std::string::npos ? std::move(ran.said) : ran.said.substr(begin);
  }

  std::expected<void, Trouble> PowerUp(Clock::time_point deadline) override { return StartOnItsDisk(deadline); }

  void With(const std::function<void(engine::VolatileDisk& disk)>& use) override { storage_->With(use); }

 private:
  [[nodiscard]] bool HasTls() const { return recipe_.tls.is_wanted || IsOfTls(setup_); }

  // With the image on it.
  std::expected<std::unique_ptr<StorageServer>, Trouble> MakeStorage(Clock::time_point deadline) {
    NBDSPEC_ASSIGN_OR_RETURN(storage, StorageServer::Make(ImageSize(setup_) * (recipe_.format ? kFormattedFactor : 1)));
    if (!recipe_.format) {
      storage->With([this](engine::VolatileDisk& disk) { WriteImage(disk, setup_); });
      return std::move(storage);
    }
    NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
    const std::string socket_path = directory.PathOf(kDiskSocket);
    NBDSPEC_RETURN_IF_ERROR(
        Format(UnixUriOf(socket_path), std::move(directory), deadline, [&] { return storage->Listen(socket_path); }));
    storage->Silence();
    storage->With([](engine::VolatileDisk& disk) { NBDSPEC_CHECK(disk.Flush()); });
    return std::move(storage);
  }

  // Makes `disk` hold the image in the recipe's format, with a command that runs in `directory`.
  std::expected<void, Trouble> Format(const std::string& disk, PrivateDirectory directory, Clock::time_point deadline,
                                      const Prepare& prepare = NothingToDo) {
    const std::string image = directory.PathOf("raw");
    const std::vector<std::string> words = recipe_.format(image, disk);
    const auto make_all = [&] -> std::expected<void, Trouble> {
      NBDSPEC_RETURN_IF_ERROR(WriteImage(image, setup_));
      return prepare();
    };
    NBDSPEC_ASSIGN_OR_RETURN(ran, RunToEnd(words, std::move(directory), make_all, deadline));
    if (ran.how != ExitedWith(0)) {
      return std::unexpected(Trouble{words.front() + " cannot make the test image for " + recipe_.name + ": it " +
                                     ran.how + ". " + TellLastWords(ran.said)});
    }
    return {};
  }

  std::expected<void, Trouble> MakeImageFile(const std::string& path, Clock::time_point deadline) {
    if (!recipe_.format) {
      return WriteImage(path, setup_);
    }
    NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
    return Format(path, std::move(directory), deadline);
  }

  [[nodiscard]] Trouble CannotConnect(int error) {
    const auto ended = Ended();
    return Trouble{"Cannot connect to the server " + recipe_.name + ": " + std::generic_category().message(error) +
                   ". " + (ended ? "It " + *ended + ". " : "It still runs. ") + TellLastWords(process_->LastWords())};
  }

  // To the server, or to the next one where this one has ended with its client.
  PeerConnection ConnectToNext(Clock::time_point deadline) {
    for (int start_count = 1;; ++start_count) {
      // One that had its client may greet the next although it is about to end.
      const auto wait = std::exchange(had_client_, true) ? kLeaveWait : kReadinessPause;
      if (process_->EndedBy(Clock::now() + wait) == kEndedWell) {
        NBDSPEC_RETURN_IF_ERROR(StartOnWhatItServed(deadline));
      }
      auto transport = ConnectSocket(address_, deadline);
      is_met_ = is_met_ || transport;
      engine::Bytes first;
      const Ending ending = transport ? (*transport)->Receive(first, 1, deadline) : Ending::kClosed;
      if (transport && (ending == Ending::kNone || ending == Ending::kTimedOut)) {
        return std::make_unique<BegunTransport>(*std::move(transport), std::move(first));
      }
      // It may be about to end; where it refuses, it may not have begun to listen.
      const auto ended = process_->EndedBy(std::min(deadline, Clock::now() + (transport ? kEndWait : kReadinessPause)));
      const bool is_late = Clock::now() >= deadline || AreWaitsForServersOver();
      if (ended && !is_met_ && !is_late && start_count < kStartsMax) {
        NBDSPEC_RETURN_IF_ERROR(StartOnWhatItServed(deadline));
      } else if (is_late || (ended && !is_met_) || (ended != kEndedWell && (ended || transport))) {
        return transport ? PeerConnection(*std::move(transport)) : std::unexpected(NotMet(transport.error()));
      }
    }
  }

  // Why nobody met the server. Who never did cannot tell how it serves: it did not come up.
  Trouble NotMet(int error) {
    Trouble trouble = CannotConnect(error);
    if (!is_met_) {
      process_.reset();
    }
    return trouble;
  }

  std::expected<void, Trouble> StartOnWhatItServed(Clock::time_point deadline) {
    if (storage_ != nullptr) {
      process_.reset();
      mounted_.reset();
      return StartOnItsDisk(deadline);
    }
    const std::string served = image_path_;
    auto started = StartProcess(deadline, [&](const std::string& image) -> std::expected<void, Trouble> {
      std::error_code error;
      std::filesystem::rename(served, image, error);
      return error ? std::expected<void, Trouble>(std::unexpected(
                         Trouble{"Cannot keep the test image for the next client: " + error.message() + "."}))
                   : std::expected<void, Trouble>();
    });
    process_ = started ? std::move(process_) : nullptr;
    return started;
  }

  std::expected<void, Trouble> StartOnItsDisk(Clock::time_point deadline) {
    for (int start_count = 1;; ++start_count) {
      auto started = StartOnce(deadline);
      if (is_disk_fresh_) {
        starts_->Note(!started);
      }
      const bool has_ended = !started && process_ != nullptr && process_->EndedBy(Clock::now());
      if (started || !has_ended || start_count == kStartsMax || Clock::now() >= deadline || AreWaitsForServersOver()) {
        process_ = started ? std::move(process_) : nullptr;
        return started;
      }
      process_.reset();
      mounted_.reset();
    }
  }

  std::expected<void, Trouble> StartOnce(Clock::time_point deadline) {
    NBDSPEC_RETURN_IF_ERROR(
        StartProcess(deadline, [this, deadline](const std::string& image) { return MakeImageFile(image, deadline); }));
    // One that may end: a look at it could be the connection that it is there for.
    return may_end_ ? std::expected<void, Trouble>() : WaitUntilUp(deadline);
  }

  // `make_image` makes the file that is to be served.
  std::expected<void, Trouble> StartProcess(
      Clock::time_point deadline, const std::function<std::expected<void, Trouble>(const std::string&)>& make_image) {
    if (storage_ != nullptr && recipe_.takes_disk == TakesDisk::kFile) {
      NBDSPEC_ASSIGN_OR_RETURN(mounted, MountedStorage::Mount(*storage_, deadline));
      mounted_ = std::move(mounted);
    }
    NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
    // Each start has a port of its own: the last one's may not be free so soon.
    NBDSPEC_ASSIGN_OR_RETURN(address,
                             recipe_.is_on_tcp ? LoopbackAddress(0) : UnixSocketAddress(directory.socket_path()));
    address_ = address;
    const std::string socket_path = directory.PathOf(kDiskSocket);
    image_path_ = directory.PathOf("image");
    std::string disk = image_path_;
    Prepare prepare = NothingToDo;
    if (mounted_) {
      disk = mounted_->path();
    } else if (storage_ != nullptr) {
      disk = UnixUriOf(socket_path);
      prepare = [&] { return storage_->Listen(socket_path); };
    } else if (recipe_.takes_disk != TakesDisk::kNothing) {
      prepare = [&] { return make_image(image_path_); };
    }
    ServerPlace place = {.disk = disk, .port = tcp_port().value_or(0)};
    if (HasTls()) {
      place.shared_keys = recipe_.tls.shared_keys;
      place.certificates = recipe_.tls.certificates;
    }
    const bool makes_certificates = HasTls() && !place.has_tls();
    if (makes_certificates) {
      place.certificates = directory.path();
    }
    NBDSPEC_ASSIGN_OR_RETURN(words, recipe_.command(setup_, directory, place));
    const auto prepare_all = [&, path = directory.path()] -> std::expected<void, Trouble> {
      if (makes_certificates) {
        NBDSPEC_RETURN_IF_ERROR(WriteTlsMaterial(path));
      }
      if (place.prepare) {
        NBDSPEC_RETURN_IF_ERROR(place.prepare());
      }
      return prepare();
    };
    NBDSPEC_ASSIGN_OR_RETURN(process, ServerProcess::Start(words, std::move(directory), prepare_all));
    process_ = std::move(process);
    had_client_ = false;
    is_met_ = false;
    return {};
  }

  [[nodiscard]] bool IsUp(Clock::time_point deadline) const {
    const auto transport = ConnectSocket(address_, deadline);
    if (!transport) {
      return false;
    }
    // Its greeting is read even when it is not needed: a server may not expect a client that leaves before.
    constexpr std::string_view kMagic = "NBDMAGIC";
    const Clock::time_point silent_until = std::min(deadline, Clock::now() + kGreetingWait);
    engine::Bytes greeting;
    for (auto now = Clock::now(); greeting.size() < kMagic.size() && now < silent_until && !AreWaitsForServersOver();
         now = Clock::now()) {
      const Ending ending = (*transport)->Receive(greeting, 64, std::min(silent_until, now + kGreetingSlice));
      if (ending != Ending::kNone && ending != Ending::kTimedOut) {
        break;
      }
    }
    return !recipe_.must_greet ||
           std::string_view(reinterpret_cast<const char*>(greeting.data()), greeting.size()).starts_with(kMagic);
  }

  std::expected<void, Trouble> WaitUntilUp(Clock::time_point deadline) {
    for (;;) {
      if (const auto ended = process_->EndedBy(Clock::now() + kReadinessPause)) {
        return std::unexpected(Trouble{"The server " + recipe_.name + " " + *ended + " when it was started. " +
                                       TellLastWords(process_->LastWords()) + " Try its command by hand."});
      }
      if (IsUp(deadline)) {
        return {};
      }
      if (Clock::now() >= deadline || AreWaitsForServersOver()) {
        return std::unexpected(Trouble{"The server " + recipe_.name + " runs but does not " +
                                       (recipe_.must_greet ? "greet clients on" : "listen on") +
                                       (recipe_.is_on_tcp ? " the port it was given" : " its unix socket") +
                                       " in time. " + TellLastWords(process_->LastWords()) +
                                       " Check its options, or give it more time."});
      }
    }
  }

  ServerRecipe recipe_;
  Setup setup_;
  std::chrono::nanoseconds restart_wait_;
  std::shared_ptr<Starts> starts_;
  SocketAddress address_;
  bool may_end_ = false;
  bool is_shut_down_ = false;
  bool had_client_ = false;  // This process, so the next.
  bool is_met_ = false;      // It took a connection, where it may end with its client.
  bool is_disk_fresh_ = true;
  std::string image_path_;
  std::unique_ptr<StorageServer> storage_;  // What is declared last goes first: the server may want its disk to stop.
  std::optional<MountedStorage> mounted_;
  std::unique_ptr<ServerProcess> process_;  // Null only when the last start failed.
};

PeerOrTrouble StartNoted(ServerRecipe recipe, Setup setup, Clock::time_point deadline, std::shared_ptr<Starts> starts) {
  const auto given = deadline - Clock::now();
  auto peer = std::make_unique<StartedPeer>(
      std::move(recipe), setup, std::clamp<std::chrono::nanoseconds>(given, kRestartWaitMin, kRestartWaitMax),
      std::move(starts));
  NBDSPEC_RETURN_IF_ERROR(peer->Start(deadline));
  return peer;
}

}  // namespace

PeerOrTrouble StartPeer(ServerRecipe recipe, Setup setup, Clock::time_point deadline) {
  return StartNoted(std::move(recipe), setup, deadline, std::make_shared<Starts>());
}

std::unique_ptr<Target> StartedTarget(const TargetFacts& facts, ServerRecipe recipe) {
  return std::make_unique<Target>(facts,
                                  [facts, recipe = std::move(recipe), starts = std::make_shared<Starts>()](
                                      Setup setup, Clock::time_point deadline) -> PeerOrTrouble {
                                    if (std::ranges::find(facts.setups, setup) == facts.setups.end()) {
                                      return std::unexpected(Trouble{"Cannot set up " + facts.description +
                                                                     " like that: its command says how it serves."});
                                    }
                                    return StartNoted(recipe, setup, deadline, starts);
                                  });
}

std::expected<std::string, Trouble> FindNbdkitModule(std::string_view file) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<fs::path> folders;
  const char* const told = std::getenv("NBDSPEC_PLUGIN_DIR");
  if (told != nullptr && *told != '\0') {
    folders.emplace_back(told);
  } else {
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    folders.push_back(program.parent_path());
    // In Bazel's output tree a program is some folders below the one that also holds engine/nbdkit.
    fs::path above = program.parent_path();
    while (above.has_relative_path() && !fs::is_directory(above / kBuiltIn, ignored)) {
      above = above.parent_path();
    }
    folders.push_back(above / kBuiltIn);
    // As the package nbdspec-nbdkit-plugins installs it: /usr/lib/ARCHITECTURE/nbdkit/plugins beside /usr/bin.
    for (const fs::directory_entry& of_architecture :
         fs::directory_iterator(program.parent_path().parent_path() / "lib", ignored)) {
      if (fs::is_regular_file(of_architecture.path() / kInstalled / file, ignored)) {
        folders.push_back(of_architecture.path() / kInstalled);
      }
    }
  }
  std::string looked;
  for (const fs::path& folder : folders) {
    const fs::path candidate = fs::absolute(folder / file, ignored);
    if (fs::is_regular_file(candidate, ignored)) {
      return candidate.string();
    }
    looked += (looked.empty() ? "" : " and ") + engine::Quoted(folder.string(), 200);
  }
  return std::unexpected(Trouble{
      "Cannot find " + std::string(file) + " in " + looked + ": install nbdspec-nbdkit-plugins, or build it with " +
      "bazel build //engine/nbdkit/... and set NBDSPEC_PLUGIN_DIR to the folder that it is in."});
}

}  // namespace nbdspec::conformance
