// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/testdata/prepared_truth.h"

#include <fmt/format.h>

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
#include "fuzz/nbdkit/truth.h"

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

// Writes the chosen clusters, all without a choice; 0x55 is data.
std::string QemuIo(const PreparedImage& image, const std::vector<Cluster>& clusters, const std::string& file,
                   const std::vector<bool>& chosen) {
  std::string writes;
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    if (clusters[i] != Cluster::kNone && (chosen.empty() || chosen[i])) {
      const ByteRange range = RangeOf(image, i);
      writes += fmt::format(" -c 'write {} {} {}'", clusters[i] == Cluster::kZeroes ? "-z" : "-P 0x55", range.begin,
                            range.length());
    }
  }
  return writes.empty() ? "" : fmt::format("qemu-io -t unsafe -f qcow2{} {} >/dev/null && ", writes, file);
}

std::string Print(const std::vector<engine::Extent>& extents) {
  std::string text;
  for (const auto& [range, status] : extents) {
    text += fmt::format("{}[{}, {}) {}", text.empty() ? "" : " ", engine::PrintNumber(range.begin),
                        engine::PrintNumber(range.end), static_cast<unsigned>(status));
  }
  return text.empty() ? "nothing" : text;
}

std::vector<engine::Extent> Expected(const PreparedImage& image, const std::vector<std::uint32_t>& truth,
                                     ByteRange bounds) {
  std::vector<engine::Extent> extents;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const ByteRange part = Intersect(RangeOf(image, i), bounds);
    if (!part.empty()) {
      extents.push_back({.range = part, .type = static_cast<engine::ExtentType>(truth[i])});
    }
  }
  return Merged(extents);
}

// A connection with the contexts of a truth.
class Asker {
 public:
  Asker(const PreparedImage& image, const PreparedTruth& truth) : image_(image), truth_(truth) {}

  Found Enter(conformance::Target& target) {
    const auto deadline = Clock::now() + kWait;
    std::vector<std::string> contexts;
    for (const auto& [name, statuses] : truth_) {
      contexts.push_back(name);
    }
    auto client = ExportClient::Enter(target.Start(conformance::Setup::kWritable, deadline), deadline,
                                      target.ExportName(), contexts);
    if (!client) {
      return client.error();
    }
    client_ = *std::move(client);
    const std::size_t context_count = client_->negotiated().contexts.size();
    if (client_->size() != image_.size || context_count != truth_.size()) {
      constexpr std::string_view kForm = "{} bytes, {} contexts";
      return Disagreement{.where = "the export",
                          .expected = fmt::format(kForm, image_.size, truth_.size()),
                          .saw = fmt::format(kForm, client_->size(), context_count)};
    }
    return {};
  }

  Found Ask(ByteRange asked, bool req_one) {
    const std::string where = PrintQuestion(asked, req_one);
    const auto exchange = client_->Status(asked, req_one);
    if (!exchange) {
      return exchange.error();
    }
    std::size_t answered = 0;
    for (const engine::ReplyChunk& chunk : exchange->answer.chunks()) {
      if (chunk.type == engine::ChunkType::kNone) {
        continue;
      }
      const auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
      if (!status || chunk.type != engine::ChunkType::kBlockStatus) {
        return client_->Lost(where, "a chunk that is no status");
      }
      ++answered;
      if (auto found = Compare(where, asked, *status)) {
        return found;
      }
    }
    return answered == truth_.size() ? Found() : client_->Lost(where, std::to_string(answered) + " contexts answered");
  }

 private:
  Found Compare(const std::string& where, ByteRange asked, const engine::BlockStatus& status) {
    const auto& contexts = client_->negotiated().contexts;
    const auto context = std::ranges::find(contexts, status.context_id, &engine::MetaContext::id);
    if (context == contexts.end() || !truth_.contains(context->name)) {
      return client_->Lost(where, "a context that was not selected");
    }
    const std::vector<engine::Extent> saw = Merged(ExtentsFrom(asked.begin, status));
    const ByteRange described = {.begin = asked.begin, .end = saw.empty() ? asked.begin : saw.back().range.end};
    const std::vector<engine::Extent> expected = Expected(image_, truth_.at(context->name), described);
    if (saw == expected && !described.empty()) {
      return {};
    }
    return Disagreement{.where = context->name + ", " + where, .expected = Print(expected), .saw = Print(saw)};
  }

  const PreparedImage& image_;
  const PreparedTruth& truth_;
  std::unique_ptr<ExportClient> client_;
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
  std::vector<bool> clean = image.dirty;
  clean.flip();
  std::string text;
  std::string over;  // The option for a backing file.
  if (!image.backing.empty()) {
    over = fmt::format("-b {} -F qcow2 ", backing);
    text = fmt::format("qemu-img create -q -f qcow2 {} {} && ", backing, image.size) +
           QemuIo(image, image.backing, backing, {});
  }
  text += fmt::format("qemu-img create -q -f qcow2 {}{} {} && ", over, file, image.size) +
          QemuIo(image, image.top, file, clean);
  text += fmt::format(
      "qemu-img bitmap --add --enable --image-opts "
      "driver=qcow2,cache.no-flush=on,file.driver=file,file.cache.no-flush=on,file.filename={} {} && ",
      file, kPreparedBitmap);
  return text + QemuIo(image, image.top, file, image.dirty) + "true";
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
