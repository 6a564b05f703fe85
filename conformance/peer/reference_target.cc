// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/reference_target.h"

#include <algorithm>
#include <utility>

#include "conformance/peer/tls_server.h"
#include "conformance/tls/certificates.h"
#include "engine/base/check.h"
#include "engine/layers/layer.h"
#include "engine/server/server.h"
#include "engine/wire/byte_queue.h"

namespace nbdspec::conformance {

namespace {

using engine::kKiB;
using engine::kMiB;

constexpr std::uint64_t kDiskBytes = 4 * kMiB;
constexpr std::uint64_t kLargeDiskBytes = kMiB * 6 * 1024 + 3584;
constexpr std::uint32_t kStrictMinimumBytes = 4096;

// Data at the start, in the middle and at the end; allocated zeroes; holes between.
//   [0, 64K) data  |  hole  |  [1M, 1M+64K) data  |  hole  |  [2M, 2M+64K) zeroes  |  hole  |  last 4K data
void FillDefaultDisk(engine::Layer& disk) {
  const auto put_data = [&](std::uint64_t begin, std::uint64_t end) {
    engine::Bytes data(end - begin);
    for (std::size_t i = 0; i < data.size(); ++i) {
      data[i] = static_cast<std::uint8_t>((begin + i) % 251 + 1);  // Never zero, and no power of two as its period.
    }
    NBDSPEC_CHECK(disk.Write(begin, data));
  };
  put_data(0, 64 * kKiB);
  put_data(kMiB, kMiB + 64 * kKiB);
  NBDSPEC_CHECK(disk.WriteZeroes({.begin = 2 * kMiB, .end = 2 * kMiB + 64 * kKiB}, /*may_punch_hole=*/false));
  put_data(kDiskBytes - 4 * kKiB, kDiskBytes);
  NBDSPEC_CHECK(disk.Flush());
}

// Lets no flush succeed after one that failed: what that one should have made durable may be lost. (As qemu's file
// driver does.) flush.no-success-after-loss
class FailsAfterFailedFlush : public engine::Filter {
 public:
  using Filter::Filter;

  engine::LayerResult Flush() override { return Note(next().Flush()); }
  engine::LayerResult Persist(engine::ByteRange range) override { return Note(next().Persist(range)); }

  // As a server that was started again.
  void Forget() { failed_ = {}; }

 private:
  engine::LayerResult Note(const engine::LayerResult& result) {
    failed_ = failed_ ? result : failed_;
    return failed_;
  }

  engine::LayerResult failed_ = {};  // The first that did.
};

// READs fail of what the disk has lost.
class LosesEnd : public engine::Filter {
 public:
  LosesEnd(std::unique_ptr<engine::Layer> next, std::shared_ptr<std::uint64_t> lost_bytes)
      : Filter(std::move(next)), lost_bytes_(std::move(lost_bytes)) {}

  engine::LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const bool is_lost = offset + into.size() > size() - *lost_bytes_;
    return is_lost ? std::unexpected(engine::NbdError::kEio) : next().Read(offset, into);
  }

 private:
  std::shared_ptr<std::uint64_t> lost_bytes_;
};

// Counts the power cuts of a server, each of which ends its connections.
using PowerCuts = std::shared_ptr<std::uint64_t>;

// What a server and its connections know of each other.
struct Shared {
  bool is_shut_down = false;     // It was asked to end.
  engine::Remains remains = {};  // Of the connections that have gone.
};

// The second export: other bytes than the first has there.
engine::Disk SecondDisk() {
  engine::Disk disk(64 * kKiB);
  engine::Bytes data(4 * kKiB);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<std::uint8_t>(i % 241 + 7);
  }
  NBDSPEC_CHECK(disk.Write(0, data));
  return disk;
}

// A connection: what one side sends the other has received at once.
class InProcessTransport : public Transport {
 public:
  InProcessTransport(const engine::ServerOptions& options, std::vector<engine::Export*> exports,
                     std::unique_ptr<engine::Interposer> interposer, TlsCredentials credentials, Wire wire,
                     PowerCuts power_cuts, std::shared_ptr<Shared> shared)
      : interposer_(std::move(interposer)),
        wire_(std::move(wire)),
        server_(options, std::move(exports), interposer_.get(), std::move(credentials)),
        power_cuts_(std::move(power_cuts)),
        power_cuts_before_(*power_cuts_),
        shared_(std::move(shared)) {}

  ~InProcessTransport() override {
    const engine::Remains remains = server_.remains();
    shared_->remains.memory_bytes += remains.memory_bytes;
    shared_->remains.descriptor_count += remains.descriptor_count;
    shared_->remains.thread_count += remains.thread_count;
    shared_->remains.is_busy |= remains.is_busy;
  }
  InProcessTransport(const InProcessTransport&) = delete;
  InProcessTransport& operator=(const InProcessTransport&) = delete;

  Ending SendSome(engine::ByteView& bytes, Clock::time_point) override {
    if (server_.closed() || cut_ || HasLostPower()) {
      return Ending::kReset;
    }
    HearOfShutDown();
    server_.Receive(std::exchange(bytes, {}));
    return Ending::kNone;
  }

  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point) override {
    HearOfShutDown();
    while (arrived_.size() == 0 && !cut_ && !HasLostPower()) {
      engine::Bytes said = server_.TakeOutput();
      if (said.empty()) {
        return server_.closed() || client_is_done_ ? Ending::kClosed : Ending::kTimedOut;
      }
      if (wire_) {
        const engine::Bytes sent = std::exchange(said, {});
        cut_ = !wire_(sent, said);
      }
      arrived_.Append(said);
    }
    if (arrived_.size() == 0) {
      return Ending::kClosed;
    }
    const auto given = arrived_.view().first(std::min(bytes_max, arrived_.size()));
    out.insert(out.end(), given.begin(), given.end());
    arrived_.Drop(given.size());
    return Ending::kNone;
  }

  void CloseSending() override { client_is_done_ = true; }

 private:
  [[nodiscard]] bool HasLostPower() const { return *power_cuts_ != power_cuts_before_; }

  void HearOfShutDown() {
    if (shared_->is_shut_down) {
      server_.ShutDown();
    }
  }

  std::unique_ptr<engine::Interposer> interposer_;
  Wire wire_;
  TlsServer server_;
  PowerCuts power_cuts_;
  std::uint64_t power_cuts_before_;
  std::shared_ptr<Shared> shared_;
  engine::ByteQueue arrived_;  // On the client's side.
  bool cut_ = false;
  bool client_is_done_ = false;
};

class InProcessPeer : public Peer, public Storage {
 public:
  InProcessPeer(const ReferenceOptions& options, Setup setup) : options_(options), setup_(setup) { Fill(); }

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point) override {
    if (shared_->is_shut_down) {
      Fill();
    }
    engine::ServerOptions server = options_.server;
    server.tls = tls_;
    return std::make_unique<InProcessTransport>(
        server, std::vector<engine::Export*>{exports_[0].get(), exports_[1].get()},
        options_.interposers ? options_.interposers(volatile_disk_ != nullptr ? *volatile_disk_ : exports_[0]->layer())
                             : nullptr,
        CredentialsOf(TlsFilter::End::kServer), options_.wires ? options_.wires() : Wire{}, power_cuts_, shared_);
  }

  std::expected<void, engine::Trouble> ShutDown() override {
    shared_->is_shut_down = true;
    return {};
  }

  bool HasShutDown(Transport::Clock::time_point) override { return shared_->is_shut_down; }

  std::optional<Usage> ReadUsage() override {
    if (shared_->remains.is_busy) {
      processor_time_ += std::chrono::seconds(1);
    }
    return Usage{.memory_bytes = shared_->remains.memory_bytes,
                 .descriptor_count = shared_->remains.descriptor_count,
                 .thread_count = shared_->remains.thread_count,
                 .processor_time = processor_time_};
  }

  const TlsCredentials* tls() override { return tls_ == engine::TlsMode::kNone ? nullptr : &credentials_; }

  std::optional<std::uint16_t> tcp_port() override { return options_.tcp_port; }

  std::shared_ptr<void> LoseEnd(std::uint64_t bytes) override {
    *lost_bytes_ = bytes;
    return std::shared_ptr<void>(lost_bytes_.get(), [lost_bytes = lost_bytes_](void*) { *lost_bytes = 0; });
  }

  Storage* storage() override { return volatile_disk_ != nullptr ? this : nullptr; }

  void CutPower(const engine::PowerCut& cut) override {
    ++*power_cuts_;
    volatile_disk_->Cut(cut);
    flushes_->Forget();
  }

  std::expected<std::optional<std::string>, engine::Trouble> FindDamage(Transport::Clock::time_point) override {
    return options_.damage;
  }

  std::expected<void, engine::Trouble> PowerUp(Transport::Clock::time_point) override { return {}; }

  void With(const std::function<void(engine::VolatileDisk& disk)>& use) override { use(*volatile_disk_); }

  std::expected<void, engine::Trouble> Restart() override {
    Fill();
    return {};
  }

 private:
  // Certificates are for the checks of TLS: with a key that both ends know, a handshake costs a fifth.
  [[nodiscard]] TlsCredentials CredentialsOf(TlsFilter::End end) const {
    const TlsMaterial& material = TheTlsMaterial();
    if (!IsOfTls(setup_)) {
      return {.shared_key = material.shared_key, .shared_key_name = std::string(TlsMaterial::kSharedKeyName)};
    }
    return end == TlsFilter::End::kServer ? material.OfServer() : material.OfClient();
  }

  void Fill() {
    shared_ = std::make_shared<Shared>();
    engine::ExportOptions options = options_.offers;
    options.read_only |= setup_ == Setup::kReadOnly;
    if (setup_ == Setup::kStrictBlockSize) {
      options.block_size.minimum = std::max(options.block_size.minimum, kStrictMinimumBytes);
      options.block_size.preferred = std::max(options.block_size.preferred, options.block_size.minimum);
    }
    exports_.clear();
    exports_.push_back(std::make_unique<engine::Export>(options));
    if (setup_ == Setup::kOnStorage) {
      auto disk = std::make_unique<engine::VolatileDisk>(kDiskBytes);
      volatile_disk_ = disk.get();
      auto flushes = std::make_unique<FailsAfterFailedFlush>(std::move(disk));
      flushes_ = flushes.get();
      exports_[0]->stack = std::move(flushes);
    } else if (setup_ == Setup::kLarge) {
      exports_[0]->stack = std::make_unique<engine::VolatileDisk>(kLargeDiskBytes);
    } else {
      exports_[0]->stack = std::make_unique<LosesEnd>(std::make_unique<engine::Disk>(kDiskBytes), lost_bytes_);
    }
    FillDefaultDisk(exports_[0]->layer());
    exports_.push_back(std::make_unique<engine::Export>(
        engine::ExportOptions{.name = "second", .tls_only = setup_ == Setup::kTlsOffered}, SecondDisk()));
  }

  const ReferenceOptions options_;
  const Setup setup_;
  const engine::TlsMode tls_ = setup_ == Setup::kTlsOffered                    ? engine::TlsMode::kSelective
                               : setup_ == Setup::kTlsDemanded || options_.tls ? engine::TlsMode::kForced
                                                                               : engine::TlsMode::kNone;
  const TlsCredentials credentials_ = CredentialsOf(TlsFilter::End::kClient);
  std::vector<std::unique_ptr<engine::Export>> exports_;
  engine::VolatileDisk* volatile_disk_ = nullptr;  // Of the first export, in Setup::kOnStorage.
  FailsAfterFailedFlush* flushes_ = nullptr;       // Over it.
  PowerCuts power_cuts_ = std::make_shared<std::uint64_t>(0);
  std::shared_ptr<std::uint64_t> lost_bytes_ = std::make_shared<std::uint64_t>(0);
  std::shared_ptr<Shared> shared_;
  std::chrono::milliseconds processor_time_{0};
};

}  // namespace

std::unique_ptr<Target> ReferenceTarget(ReferenceOptions options) {
  TargetFacts facts{
      .description = "nbdspec reference server (in process)",
      .command_line = "reference",
      .setups = {Setup::kWritable, Setup::kReadOnly, Setup::kStrictBlockSize, Setup::kOnStorage, Setup::kLarge}};
  if (!options.server.oldstyle) {
    facts.setups.insert(facts.setups.end(), {Setup::kTlsOffered, Setup::kTlsDemanded});
  }
  return std::make_unique<Target>(std::move(facts), [options = std::move(options)](Setup setup, auto) {
    return std::make_unique<InProcessPeer>(options, setup);
  });
}

}  // namespace nbdspec::conformance
