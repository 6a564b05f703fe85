// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/prepared_truth.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <utility>

#include "engine/script/script.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"
#include "fuzz/inputs/random.h"
#include "fuzz/nbdkit/export_client.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using Found = std::optional<Disagreement>;
using Clock = conformance::Transport::Clock;

namespace {

constexpr std::chrono::seconds kWait{20};  // A loaded machine is no finding.
constexpr std::size_t kClustersMax = 40;
constexpr int kPartsAsked = 24;
constexpr const char* kBaseContext = "base:allocation";
constexpr const char* kDepthContext = "qemu:allocation-depth";

std::string BitmapContext() { return std::string("qemu:dirty-bitmap:") + kPreparedBitmap; }

ByteRange RangeOf(const PreparedImage& image, std::size_t cluster) {
  return {.begin = cluster * kPreparedCluster, .end = std::min((cluster + 1) * kPreparedCluster, image.size)};
}

// Runs of equal clusters are likely: neighbours must be merged, and told apart.
std::vector<Cluster> RandomClusters(std::size_t count, std::uint64_t kinds, Random& random) {
  std::vector<Cluster> clusters(count);
  for (std::size_t i = 0; i < count; ++i) {
    clusters[i] = i > 0 && random.OneIn(2) ? clusters[i - 1] : static_cast<Cluster>(random.Below(kinds));
  }
  return clusters;
}

PreparedImage RandomImage(std::uint64_t kinds, Random& random) {
  const std::size_t count = 1 + random.Below(kClustersMax);
  const std::uint64_t tail = random.OneIn(2) ? kPreparedCluster : 512 * (1 + random.Below(127));
  return {.size = (count - 1) * kPreparedCluster + tail, .top = RandomClusters(count, kinds, random)};
}

// One cluster of qemu-io's input: 0x55 is data.
std::string WriteCommand(const PreparedImage& image, std::size_t cluster, Cluster kind) {
  const ByteRange range = RangeOf(image, cluster);
  const std::string where = std::to_string(range.begin) + " " + std::to_string(range.length());
  return std::string(" -c 'write ") + (kind == Cluster::kZeroes ? "-z " : "-P 0x55 ") + where + "'";
}

std::string QemuIo(const PreparedImage& image, const std::vector<Cluster>& clusters, const std::string& file,
                   const std::vector<bool>& chosen) {
  std::string writes;
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    if (clusters[i] != Cluster::kNone && (chosen.empty() || chosen[i])) {
      writes += WriteCommand(image, i, clusters[i]);
    }
  }
  return writes.empty() ? "" : "qemu-io -t unsafe -f qcow2" + writes + " " + file + " >/dev/null && ";
}

std::string PrintRuns(const std::vector<std::pair<ByteRange, std::uint32_t>>& runs) {
  std::string text;
  for (const auto& [range, status] : runs) {
    text += (text.empty() ? "" : " ") + std::string("[") + engine::PrintNumber(range.begin) + ", " +
            engine::PrintNumber(range.end) + ") " + std::to_string(status);
  }
  return text.empty() ? "nothing" : text;
}

using Runs = std::vector<std::pair<ByteRange, std::uint32_t>>;

void AddRun(Runs& runs, ByteRange range, std::uint32_t status) {
  if (!runs.empty() && runs.back().second == status) {
    runs.back().first.end = range.end;
  } else {
    runs.emplace_back(range, status);
  }
}

Runs ExpectedRuns(const PreparedImage& image, const std::vector<std::uint32_t>& truth, ByteRange bounds) {
  Runs runs;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const ByteRange part = Intersect(RangeOf(image, i), bounds);
    if (!part.empty()) {
      AddRun(runs, part, truth[i]);
    }
  }
  return runs;
}

// A connection with the contexts of a truth.
class Asker {
 public:
  Asker(const PreparedImage& image, const PreparedTruth& truth) : image_(image), truth_(truth) {}

  Found Enter(conformance::Target& target) {
    const auto deadline = Clock::now() + kWait;
    auto peer = target.Start(conformance::Setup::kWritable, deadline);
    if (!peer) {
      return Lost("start", peer.error().sentence);
    }
    peer_ = *std::move(peer);
    auto transport = peer_->Connect(deadline);
    if (!transport) {
      return Lost("connect", transport.error().sentence);
    }
    std::vector<std::string> contexts;
    for (const auto& [name, statuses] : truth_) {
      contexts.push_back(name);
    }
    auto client = ExportClient::Enter(*std::move(transport), target.ExportName(), std::move(contexts));
    if (!client) {
      return Lost("handshake", client.error());
    }
    client_ = *std::move(client);
    if (client_->size() != image_.size || client_->contexts().size() != truth_.size()) {
      const auto text = [](std::uint64_t size, std::size_t count) {
        return std::to_string(size) + " bytes, " + std::to_string(count) + " contexts";
      };
      return Disagreement{.where = "the export",
                          .expected = text(image_.size, truth_.size()),
                          .saw = text(client_->size(), client_->contexts().size())};
    }
    return {};
  }

  Found Ask(ByteRange asked, bool req_one) {
    const std::string where = "status of [" + engine::PrintNumber(asked.begin) + ", " + engine::PrintNumber(asked.end) +
                              ")" + (req_one ? " req-one" : "");
    const auto exchange = client_->Status(asked, req_one);
    if (!exchange) {
      return Lost(where, exchange.error());
    }
    std::size_t answered = 0;
    for (const engine::Chunk& chunk : exchange->chunks) {
      if (chunk.type == engine::ChunkType::kNone) {
        continue;
      }
      const auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
      if (!status || chunk.type != engine::ChunkType::kBlockStatus) {
        return Lost(where, "a chunk that is no status");
      }
      ++answered;
      if (auto found = Compare(where, asked, *status)) {
        return found;
      }
    }
    return answered == truth_.size() ? Found() : Lost(where, std::to_string(answered) + " contexts answered");
  }

 private:
  Found Compare(const std::string& where, ByteRange asked, const engine::BlockStatus& status) {
    const auto context = std::ranges::find(client_->contexts(), status.context_id, &engine::MetaContext::id);
    if (context == client_->contexts().end() || !truth_.contains(context->name)) {
      return Lost(where, "a context that was not selected");
    }
    Runs runs;
    ByteRange described = {.begin = asked.begin, .end = asked.begin};
    for (const engine::Descriptor& each : status.descriptors) {
      const ByteRange range = {.begin = described.end, .end = described.end + each.length};
      AddRun(runs, range, each.status);
      described.end = range.end;
    }
    const Runs expected = ExpectedRuns(image_, truth_.at(context->name), described);
    if (runs == expected && !described.empty()) {
      return {};
    }
    return Disagreement{.where = context->name + ", " + where, .expected = PrintRuns(expected), .saw = PrintRuns(runs)};
  }

  Found Lost(const std::string& where, const std::string& saw) {
    const auto ended = peer_ ? peer_->Ended() : std::nullopt;
    return Disagreement{.where = where,
                        .expected = "the server answers",
                        .saw = saw + (ended ? "; it " + *ended + ": " + peer_->StandardError() : "")};
  }

  const PreparedImage& image_;
  const PreparedTruth& truth_;
  std::unique_ptr<conformance::Peer> peer_;
  std::unique_ptr<ExportClient> client_;  // It ends before its server.
};

}  // namespace

PreparedImage RandomSparseFile(std::uint64_t seed) {
  Random random(seed);
  return RandomImage(2, random);
}

PreparedImage RandomQcow2(std::uint64_t seed) {
  Random random(seed);
  PreparedImage image = RandomImage(3, random);
  if (!random.OneIn(4)) {
    image.backing = RandomClusters(image.top.size(), 3, random);
  }
  for (std::size_t i = 0; i < image.top.size(); ++i) {
    image.dirty.push_back(image.top[i] != Cluster::kNone && random.OneIn(2));
  }
  return image;
}

PreparedTruth TruthOfSparseFile(const PreparedImage& image) {
  PreparedTruth truth;
  for (const Cluster each : image.top) {
    truth[kBaseContext].push_back(each == Cluster::kData ? 0U : 3U);
  }
  return truth;
}

PreparedTruth TruthOfQcow2(const PreparedImage& image) {
  PreparedTruth truth;
  for (std::size_t i = 0; i < image.top.size(); ++i) {
    const Cluster below = image.backing.empty() ? Cluster::kNone : image.backing[i];
    const Cluster seen = image.top[i] == Cluster::kNone ? below : image.top[i];
    // qemu says HOLE of zero clusters too: they hold no data.
    truth[kBaseContext].push_back(seen == Cluster::kData ? 0U : 3U);
    const std::uint32_t depth_below = below == Cluster::kNone ? 0U : 2U;
    truth[kDepthContext].push_back(image.top[i] == Cluster::kNone ? depth_below : 1U);
    truth[BitmapContext()].push_back(image.dirty[i] ? 1U : 0U);
  }
  return truth;
}

bool WriteSparseFile(const PreparedImage& image, const std::string& directory) {
  std::ofstream file(directory + "/" + kPreparedFile, std::ios::binary | std::ios::trunc);
  for (std::size_t i = 0; i < image.top.size(); ++i) {
    if (image.top[i] == Cluster::kData) {
      const ByteRange range = RangeOf(image, i);
      file.seekp(static_cast<std::streamoff>(range.begin));
      file << std::string(range.length(), '\x55');
    }
  }
  file.close();
  std::error_code error;
  std::filesystem::resize_file(directory + "/" + kPreparedFile, image.size, error);
  return file && !error;
}

std::string CommandsForQcow2(const PreparedImage& image, const std::string& directory) {
  const std::string file = directory + "/" + kPreparedFile;
  const std::string backing = directory + "/backing";
  const std::string size = std::to_string(image.size);
  std::vector<bool> clean = image.dirty;
  clean.flip();
  std::string text;
  if (!image.backing.empty()) {
    text += "qemu-img create -q -f qcow2 " + backing + " " + size + " && " + QemuIo(image, image.backing, backing, {});
  }
  text += "qemu-img create -q -f qcow2 " + (image.backing.empty() ? "" : "-b " + backing + " -F qcow2 ") + file + " " +
          size + " && " + QemuIo(image, image.top, file, clean);
  const std::string unsynced = "driver=qcow2,cache.no-flush=on,file.driver=file,file.cache.no-flush=on,file.filename=";
  return text + "qemu-img bitmap --add --enable --image-opts " + unsynced + file + " " + kPreparedBitmap + " && " +
         QemuIo(image, image.top, file, image.dirty) + "true";
}

Found FindPreparedDisagreement(conformance::Target& target, const PreparedImage& image, const PreparedTruth& truth,
                               std::uint64_t seed) {
  Asker asker(image, truth);
  if (auto found = asker.Enter(target)) {
    return found;
  }
  if (auto found = asker.Ask({.begin = 0, .end = image.size}, false)) {
    return found;
  }
  for (std::size_t i = 0; i < image.top.size(); ++i) {  // Each cluster by itself: nothing goes unsaid.
    if (auto found = asker.Ask(RangeOf(image, i), i % 2 == 0)) {
      return found;
    }
  }
  Random random(seed);
  for (int i = 0; i < kPartsAsked; ++i) {
    const std::uint64_t begin = 512 * random.Below(image.size / 512);
    const std::uint64_t length = 512 * (1 + random.Below((image.size - begin) / 512));
    if (auto found = asker.Ask({.begin = begin, .end = begin + length}, random.OneIn(4))) {
      return found;
    }
  }
  return {};
}

}  // namespace nbdspec::fuzz
