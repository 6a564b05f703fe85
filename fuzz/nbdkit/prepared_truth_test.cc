// SPDX-License-Identifier: BSD-3-Clause
// Live: what real servers say of images that the harness laid out is exactly what was laid out. Fails where nbdkit or
// qemu-utils is not installed. NBDSPEC_LIVE_LAYOUTS: how many layouts of each kind.

#include "fuzz/nbdkit/testdata/prepared_truth.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

namespace nbdspec::fuzz {
namespace {

using conformance::Target;

std::uint64_t Layouts() {
  const char* const text = std::getenv("NBDSPEC_LIVE_LAYOUTS");
  return text == nullptr ? 8 : std::strtoull(text, nullptr, 10);
}

// An image in a directory of its own.
class Prepared {
 public:
  Prepared(PreparedImage image, bool is_qcow2) : image_(std::move(image)) {
    const char* const base = std::getenv("TEST_TMPDIR");
    directory_ = std::string(base != nullptr ? base : "/tmp") + "/prepared";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    if (is_qcow2) {
      const std::string commands = CommandsForQcow2(image_, directory_);
      EXPECT_EQ(std::system(commands.c_str()), 0) << commands;
    } else {
      EXPECT_TRUE(WriteSparseFile(image_, directory_)) << directory_;
    }
  }
  [[nodiscard]] const PreparedImage& image() const { return image_; }
  // `command` has IMAGE in it.
  [[nodiscard]] std::unique_ptr<Target> Served(std::string command) const {
    command.replace(command.find("IMAGE"), 5, directory_ + "/" + kPreparedFile);
    auto target = conformance::TargetFromSpawn(command, "");
    EXPECT_TRUE(target) << target.error().sentence;
    return *std::move(target);
  }

 private:
  PreparedImage image_;
  std::string directory_;
};

constexpr const char* kNbdkitFile = "nbdkit -f --threads=1 -U {socket} file IMAGE";
constexpr const char* kQemuRaw = "qemu-nbd -t --shared=0 -k {socket} -x '' --cache=unsafe -f raw IMAGE";
constexpr const char* kQemuQcow2 = "qemu-nbd -t --shared=0 -k {socket} -x '' -r -f qcow2 -A -B b0 IMAGE";

void ExpectEqual(const Prepared& prepared, const char* command, const PreparedTruth& truth, std::uint64_t seed) {
  const auto target = prepared.Served(command);
  const auto found = FindPreparedDisagreement(*target, prepared.image(), truth, seed);
  EXPECT_FALSE(found) << "seed " << seed << "\nwhere     " << found->where << "\nexpected  " << found->expected
                      << "\nsaw       " << found->saw;
}

TEST(PreparedTruth, SparseFilesAreToldAsTheyWereLaidOut) {
  for (std::uint64_t seed = 1; seed <= Layouts(); ++seed) {
    const Prepared prepared(RandomSparseFile(seed), /*is_qcow2=*/false);
    const PreparedTruth truth = TruthOfSparseFile(prepared.image());
    ExpectEqual(prepared, kNbdkitFile, truth, seed);
    ExpectEqual(prepared, kQemuRaw, truth, seed);
  }
}

TEST(PreparedTruth, ClustersBackingFilesAndBitmapsAreToldAsTheyWereMade) {
  for (std::uint64_t seed = 1; seed <= Layouts(); ++seed) {
    const Prepared prepared(RandomQcow2(seed), /*is_qcow2=*/true);
    ExpectEqual(prepared, kQemuQcow2, TruthOfQcow2(prepared.image()), seed);
  }
}

// What shows that the comparison can fail: each status of each context, made another in one cluster.
void ExpectEachWrongLayoutIsDetected(const Prepared& prepared, const char* command, const PreparedTruth& truth) {
  const auto target = prepared.Served(command);
  for (const auto& [context, statuses] : truth) {
    for (const std::size_t cluster : {std::size_t{0}, statuses.size() / 2, statuses.size() - 1}) {
      PreparedTruth wrong = truth;
      wrong[context][cluster] ^= 1U;
      const auto found = FindPreparedDisagreement(*target, prepared.image(), wrong, 1);
      ASSERT_TRUE(found) << context << ", cluster " << cluster;
      EXPECT_TRUE(found->where.starts_with(context)) << found->where;
    }
  }
}

TEST(PreparedTruth, WrongLayoutsAreDetected) {
  const Prepared sparse(RandomSparseFile(1), /*is_qcow2=*/false);
  ExpectEachWrongLayoutIsDetected(sparse, kNbdkitFile, TruthOfSparseFile(sparse.image()));
  const Prepared qcow2(RandomQcow2(1), /*is_qcow2=*/true);
  ExpectEachWrongLayoutIsDetected(qcow2, kQemuQcow2, TruthOfQcow2(qcow2.image()));
}

TEST(PreparedTruth, AnImageOfAnotherSizeIsDetected) {
  const Prepared sparse(RandomSparseFile(1), /*is_qcow2=*/false);
  PreparedImage other = sparse.image();
  other.size -= 512;
  const auto found = FindPreparedDisagreement(*sparse.Served(kNbdkitFile), other, TruthOfSparseFile(other), 1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->where, "the export");
}

}  // namespace
}  // namespace nbdspec::fuzz
