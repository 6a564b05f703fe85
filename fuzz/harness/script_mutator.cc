// SPDX-License-Identifier: BSD-3-Clause
// libFuzzer's mutator for targets that read scripts: it keeps records whole, so that a step is added, left out,
// copied or swapped rather than torn. Linking this library into a target is all that is needed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"

// libFuzzer's own mutator; without libFuzzer there is none, and nobody calls ours.
extern "C" __attribute__((weak)) std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                                              std::size_t size_max);

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::kScriptHeadBytes;
using engine::kScriptRecordBytes;

class RecordMutator {
 public:
  RecordMutator(Bytes& bytes, unsigned seed) : bytes_(bytes), random_(seed) {}

  void MutateOnce() {
    bytes_.resize(std::max(bytes_.size(), kScriptHeadBytes));
    const std::size_t count = (bytes_.size() - kScriptHeadBytes) / kScriptRecordBytes;
    bytes_.resize(kScriptHeadBytes + count * kScriptRecordBytes);
    const std::size_t index = random_() % (count + 1);
    const auto record = Record(index);
    switch (random_() % 8) {
      case 0:
        if (index < count) {
          bytes_.erase(record, Record(index + 1));
        }
        return;
      case 1:
        if (index < count) {
          const Bytes copy(record, Record(index + 1));
          bytes_.insert(Record(random_() % (count + 1)), copy.begin(), copy.end());
        }
        return;
      case 2:
        if (index < count) {
          std::swap_ranges(record, Record(index + 1), Record(random_() % count));
        }
        return;
      case 3:
      case 4: {
        Bytes fresh(kScriptRecordBytes);
        std::ranges::generate(fresh, [this] { return static_cast<std::uint8_t>(random_()); });
        bytes_.insert(record, fresh.begin(), fresh.end());
        return;
      }
      case 5:  // The head: initial type and size.
        LLVMFuzzerMutate(bytes_.data(), kScriptHeadBytes, kScriptHeadBytes);
        return;
      default:
        if (index < count) {
          LLVMFuzzerMutate(&*record, kScriptRecordBytes, kScriptRecordBytes);
        }
    }
  }

 private:
  Bytes::iterator Record(std::size_t index) {
    return bytes_.begin() + static_cast<std::ptrdiff_t>(kScriptHeadBytes + index * kScriptRecordBytes);
  }

  Bytes& bytes_;
  std::minstd_rand random_;
};

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  // A seed that people wrote as text goes on as bytes.
  Bytes bytes(data, data + size);
  if (std::string_view(reinterpret_cast<const char*>(data), size).starts_with(engine::kScriptHeader)) {
    bytes = engine::EncodeScript(engine::ReadScript(bytes, {}));
  }
  RecordMutator mutator(bytes, seed);
  for (unsigned left = 1 + seed % 3; left > 0; --left) {
    mutator.MutateOnce();
  }
  const std::size_t length = std::min(bytes.size(), size_max);
  std::copy_n(bytes.begin(), length, data);
  return length;
}

}  // namespace nbdspec::fuzz
