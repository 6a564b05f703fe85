// SPDX-License-Identifier: BSD-3-Clause
// Writes down what every check and a real server say to each other: seeds for fuzz targets (tools/record_seeds).
//
//   record_conversations TARGET DIR
//
// TARGET is a server by name, or "reference". Of each connection that differs from those before: DIR/N.client and
// DIR/N.server, how either side began.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <expected>
#include <fstream>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "conformance/runner/runner.h"
#include "engine/base/bytes.h"

namespace nbdspec::conformance {
namespace {

using engine::Bytes;
using engine::ByteView;

struct Conversation {
  Bytes client = {};
  Bytes server = {};
  bool operator<(const Conversation& other) const {
    return std::pair(client, server) < std::pair(other.client, other.server);
  }
};

class Conversations {
 public:
  // It stays where it is, for one worker to write to.
  Conversation& Begin() {
    const std::scoped_lock lock(mutex_);
    return all_.emplace_back();
  }
  // Once every worker is done.
  [[nodiscard]] std::size_t count() const { return all_.size(); }
  [[nodiscard]] std::set<Conversation> Different() const { return {all_.begin(), all_.end()}; }

 private:
  std::mutex mutex_;
  std::list<Conversation> all_;
};

// Fuzz targets read no more, and servers send megabytes.
void Keep(ByteView bytes, Bytes& said) {
  constexpr std::size_t kBytesMax = 4096;
  const ByteView kept = bytes.first(std::min(bytes.size(), kBytesMax - said.size()));
  said.insert(said.end(), kept.begin(), kept.end());
}

class RecordingTransport : public Transport {
 public:
  RecordingTransport(std::unique_ptr<Transport> inner, Conversation& said) : inner_(std::move(inner)), said_(said) {}

  Ending Send(ByteView bytes, Clock::time_point deadline) override {
    Keep(bytes, said_.client);
    return inner_->Send(bytes, deadline);
  }
  Ending Receive(Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override {
    const std::size_t before = out.size();
    const Ending ending = inner_->Receive(out, bytes_max, deadline);
    Keep(ByteView(out).subspan(before), said_.server);
    return ending;
  }
  void CloseSending() override { inner_->CloseSending(); }

 private:
  std::unique_ptr<Transport> inner_;
  Conversation& said_;
};

class RecordingPeer : public Peer {
 public:
  RecordingPeer(std::unique_ptr<Peer> inner, Conversations& all) : inner_(std::move(inner)), all_(all) {}

  std::expected<std::unique_ptr<Transport>, engine::Trouble> Connect(Transport::Clock::time_point deadline) override {
    auto transport = inner_->Connect(deadline);
    if (!transport) {
      return transport;
    }
    return std::make_unique<RecordingTransport>(*std::move(transport), all_.Begin());
  }
  std::optional<std::string> Ended() override { return inner_->Ended(); }
  std::expected<void, engine::Trouble> Restart() override { return inner_->Restart(); }
  std::string StandardError() override { return inner_->StandardError(); }

 private:
  std::unique_ptr<Peer> inner_;
  Conversations& all_;
};

class RecordingTarget : public Target {
 public:
  explicit RecordingTarget(std::unique_ptr<Target> inner) : inner_(std::move(inner)) {}

  std::expected<std::unique_ptr<Peer>, engine::Trouble> Start(Setup setup,
                                                              Transport::Clock::time_point deadline) override {
    auto peer = inner_->Start(setup, deadline);
    if (!peer) {
      return peer;
    }
    return std::make_unique<RecordingPeer>(*std::move(peer), all_);
  }
  [[nodiscard]] bool CanSetUp(Setup setup) const override { return inner_->CanSetUp(setup); }
  [[nodiscard]] bool IsOurs() const override { return inner_->IsOurs(); }
  [[nodiscard]] std::string Describe() const override { return inner_->Describe(); }
  [[nodiscard]] std::string CommandLine() const override { return inner_->CommandLine(); }
  [[nodiscard]] std::string ExportName() const override { return inner_->ExportName(); }

  [[nodiscard]] const Conversations& all() const { return all_; }

 private:
  std::unique_ptr<Target> inner_;
  Conversations all_;
};

bool Write(const std::string& path, ByteView bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(file.flush());
}

std::expected<std::unique_ptr<Target>, engine::Trouble> TargetNamed(const std::string& name) {
  if (name == "reference") {
    return ReferenceTarget();
  }
  return TargetFromName(name);
}

int Record(const std::string& name, const std::string& directory) {
  auto target = TargetNamed(name);
  if (!target) {
    std::fprintf(stderr, "%s\n", target.error().sentence.c_str());
    return 2;
  }
  RecordingTarget recorded(*std::move(target));
  const reports::Run run = RunChecks(recorded, AllChecks(), {.seed = 1, .worker_count = 16});  // They mostly wait.
  const std::set<Conversation> different = recorded.all().Different();
  int number = 0;
  for (const Conversation& each : different) {
    const std::string path = directory + "/" + std::to_string(++number);
    if (!Write(path + ".client", each.client) || !Write(path + ".server", each.server)) {
      std::fprintf(stderr, "cannot write to %s: name a folder that is there\n", directory.c_str());
      return 2;
    }
  }
  std::fprintf(stderr, "%s: %zu checks, %zu conversations, %zu different ones\n", name.c_str(), run.outcomes.size(),
               recorded.all().count(), different.size());
  return different.empty() ? 1 : 0;
}

}  // namespace
}  // namespace nbdspec::conformance

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: record_conversations TARGET DIR\n");
    return 2;
  }
  return nbdspec::conformance::Record(argv[1], argv[2]);
}
