// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "conformance/peer/process/process.h"
#include "conformance/peer/socket/socket_transport.h"
#include "conformance/peer/targets/started_peer.h"

namespace nbdspec::conformance {
namespace {

class Image : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(directory_.has_value()) << directory_.error().sentence;
    path_ = directory_->PathOf("image");
    const auto written = WriteImage(path_);
    ASSERT_TRUE(written.has_value()) << written.error().sentence;
  }

  std::expected<PrivateDirectory, engine::Trouble> directory_ = PrivateDirectory::Make();
  std::string path_;
};

TEST_F(Image, HoldsTheByteThatItsOffsetSays) {
  std::ifstream file(path_, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  ASSERT_EQ(bytes.size(), kImageBytes);
  for (std::uint64_t offset = 0; offset < kImageBytes; ++offset) {
    ASSERT_EQ(static_cast<std::uint8_t>(bytes[offset]), ImageByteAt(offset)) << offset;
  }
}

TEST_F(Image, HasItsHolesAndWrittenZeroesWhereDocumented) {
  const FileDescriptor file(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.is_open());
  std::vector<engine::ByteRange> allocated;
  for (off_t at = 0; (at = lseek(file.get(), at, SEEK_DATA)) >= 0;) {
    const off_t end = lseek(file.get(), at, SEEK_HOLE);
    allocated.push_back({.begin = static_cast<std::uint64_t>(at), .end = static_cast<std::uint64_t>(end)});
    at = end;
  }
  const std::vector<engine::ByteRange> expected = {kImageData[0], kImageData[1], kImageWrittenZeroes, kImageData[2]};
  EXPECT_EQ(allocated, expected);
}

TEST_F(Image, DataHasNoZeroByte) {
  for (const engine::ByteRange data : kImageData) {
    for (std::uint64_t offset = data.begin; offset < data.end; ++offset) {
      ASSERT_NE(ImageByteAt(offset), 0) << offset;
    }
  }
  EXPECT_EQ(ImageByteAt(kImageData[0].end), 0);
  EXPECT_EQ(ImageByteAt(kImageWrittenZeroes.begin), 0);
}

TEST_F(Image, OfALargeExportIsSparse) {
  const std::string path = directory_->PathOf("large");
  ASSERT_TRUE(WriteImage(path, Setup::kLarge).has_value());
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  ASSERT_EQ(fstat(file.get(), &status), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), kLargeImageBytes);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  std::uint8_t last = 0;
  ASSERT_EQ(pread(file.get(), &last, 1, static_cast<off_t>(kLargeImageBytes - 1)), 1);
  EXPECT_EQ(last, DataByteAt(kLargeImageBytes - 1));
}

TEST_F(Image, DoesNotReplaceAFile) {
  const auto again = WriteImage(path_);
  ASSERT_FALSE(again.has_value());
  EXPECT_TRUE(again.error().sentence.contains("File exists")) << again.error().sentence;
}

}  // namespace
}  // namespace nbdspec::conformance
