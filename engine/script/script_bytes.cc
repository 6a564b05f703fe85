// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/script_bytes.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

// How a byte chooses an offset or a length: kChoices[byte % 8]. Edges weigh most: that is where maps go wrong.
enum class Choice { kSmall, kEdge, kInteresting, kInside, kLiteral };
constexpr std::array<Choice, 8> kChoices = {Choice::kSmall, Choice::kSmall,  Choice::kEdge,        Choice::kEdge,
                                            Choice::kEdge,  Choice::kInside, Choice::kInteresting, Choice::kLiteral};
constexpr std::uint8_t kLiteralByte = 7;

// How the head chooses a size: small ones twice, for there overlaps are likely and the bitmap oracle applies.
enum class SizeChoice : std::uint8_t { kSmall, kTiny, kInteresting, kLiteral };

constexpr std::uint64_t kSmallMax = 64;

constexpr std::array<std::uint64_t, 11> kInteresting = {
    0, 1, 512, 4096, 65536, 1ULL << 31, 1ULL << 32, 3ULL << 32, 1ULL << 62, 1ULL << 63, kMax};

// -1, 0 or +1, from what a choice byte has left.
constexpr std::uint64_t Nudge(std::uint64_t number, unsigned selector) { return number + selector % 3 - 1; }

// The kinds of steps: the low bits of a record's first byte. With all other bits set, the second byte is meant as it
// is; otherwise only its low two bits count, so that most types are legal and most stops come early.
enum class Kind : std::uint8_t { kAdd = 0, kForEach = 5, kLookup = 6, kClearOrAdd = 7 };
constexpr unsigned kKindBits = 3;
constexpr std::uint8_t kAsItIs = 0xff << kKindBits & 0xff;

// Takes bytes from the front; zeroes once there are none.
class Input {
 public:
  explicit Input(ByteView bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

  std::uint8_t Byte() {
    if (bytes_.empty()) {
      return 0;
    }
    const std::uint8_t byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte;
  }

  std::uint64_t Value() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 8) {
      value |= std::uint64_t{Byte()} << shift;
    }
    return value;
  }

 private:
  ByteView bytes_;
};

class Decoder {
 public:
  Decoder(ByteView bytes, const ScriptLimits& limits) : input_(bytes), limits_(limits) {}

  Script Decode() {
    DecodeHead();
    edges_ = {0, script_.size};
    while (input_.left() >= kScriptRecordBytes && script_.steps.size() < limits_.steps_max) {
      DecodeStep();
    }
    return std::move(script_);
  }

 private:
  void DecodeHead() {
    const std::uint8_t head = input_.Byte();
    const std::uint64_t value = input_.Value();
    script_.initial = static_cast<ExtentType>(head % 4);
    switch (static_cast<SizeChoice>(head / 4 % 4)) {
      case SizeChoice::kSmall:
        script_.size = value % (kSmallMax + 1);
        break;
      case SizeChoice::kTiny:
        script_.size = value % 9;
        break;
      case SizeChoice::kInteresting:
        script_.size = Nudge(kInteresting[value % kInteresting.size()], head / 16);
        break;
      case SizeChoice::kLiteral:
        script_.size = value;
        break;
    }
    script_.size = std::min({script_.size, limits_.export_bytes_max, kExportBytesMax});
  }

  // The number that `choice` makes of `value`, as an offset.
  std::uint64_t Offset(std::uint8_t choice, std::uint64_t value) {
    switch (kChoices[choice % kChoices.size()]) {
      case Choice::kSmall:
        return value % (kSmallMax + 2);
      case Choice::kEdge:
        return Nudge(edges_[value % edges_.size()], choice / 8);
      case Choice::kInside:
        return value % (script_.size + 1);
      case Choice::kInteresting:
        return Nudge(kInteresting[value % kInteresting.size()], choice / 8);
      case Choice::kLiteral:
        return value;
    }
    std::unreachable();
  }

  // Offset and length. Where the second choice is a place rather than a number, the range lies between the two.
  ByteRange::OffsetAndLength Range() {
    const std::uint8_t offset_choice = input_.Byte();
    const std::uint8_t length_choice = input_.Byte();
    std::uint64_t offset = Offset(offset_choice, input_.Value());
    std::uint64_t length = Offset(length_choice, input_.Value());
    const Choice choice = kChoices[length_choice % kChoices.size()];
    if (choice == Choice::kEdge || choice == Choice::kInside) {
      const auto [low, high] = std::minmax({offset, length});
      offset = low;
      length = high - low;
    }
    return {.offset = offset, .length = length};
  }

  void DecodeStep() {
    const std::uint8_t first = input_.Byte();
    const std::uint8_t second = input_.Byte();
    const std::uint8_t detail = (first & kAsItIs) == kAsItIs ? second : second % 4;
    const ByteRange::OffsetAndLength range = Range();
    switch (static_cast<Kind>(first & ~kAsItIs)) {
      case Kind::kForEach: {
        const std::uint64_t end = range.length > kMax - range.offset ? kMax : range.offset + range.length;
        script_.steps.push_back(ForEachStep{.bounds = {.begin = range.offset, .end = end}, .stop_at = detail});
        return;
      }
      case Kind::kLookup:
        script_.steps.push_back(LookupStep{.offset = range.offset});
        return;
      case Kind::kClearOrAdd:
        if (detail == 0) {
          script_.steps.push_back(ClearStep{});
          return;
        }
        break;
      default:
        break;
    }
    edges_.push_back(range.offset);
    edges_.push_back(range.offset + range.length);  // May wrap: then it is just another number.
    script_.steps.push_back(
        AddStep{.offset = range.offset, .length = range.length, .type = static_cast<ExtentType>(detail)});
  }

  Input input_;
  ScriptLimits limits_;
  Script script_;
  std::vector<std::uint64_t> edges_;
};

void AppendValue(std::uint64_t value, Bytes& bytes) {
  for (int shift = 0; shift < 64; shift += 8) {
    bytes.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

struct StepEncoder {
  Bytes& bytes;

  void Record(Kind kind, std::uint8_t detail, std::uint64_t offset, std::uint64_t length) const {
    bytes.push_back(static_cast<std::uint8_t>(kAsItIs | static_cast<std::uint8_t>(kind)));
    bytes.push_back(detail);
    bytes.push_back(kLiteralByte);
    bytes.push_back(kLiteralByte);
    AppendValue(offset, bytes);
    AppendValue(length, bytes);
  }

  void operator()(const AddStep& step) const {
    Record(Kind::kAdd, static_cast<std::uint8_t>(step.type), step.offset, step.length);
  }
  void operator()(const ClearStep&) const { Record(Kind::kClearOrAdd, 0, 0, 0); }
  void operator()(const ForEachStep& step) const {
    Record(Kind::kForEach, step.stop_at, step.bounds.begin, step.bounds.length());
  }
  void operator()(const LookupStep& step) const { Record(Kind::kLookup, 0, step.offset, 0); }
};

}  // namespace

Script DecodeScript(ByteView bytes, const ScriptLimits& limits) { return Decoder(bytes, limits).Decode(); }

Bytes EncodeScript(const Script& script) {
  Bytes bytes = {static_cast<std::uint8_t>(static_cast<unsigned>(SizeChoice::kLiteral) * 4 |
                                           static_cast<unsigned>(script.initial))};
  AppendValue(script.size, bytes);
  for (const Step& step : script.steps) {
    std::visit(StepEncoder{bytes}, step);
  }
  return bytes;
}

Script ReadScript(ByteView input, const ScriptLimits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (text.starts_with(kScriptHeader)) {
    if (auto script = ParseScript(text)) {
      return *std::move(script);
    }
  }
  return DecodeScript(input, limits);
}

}  // namespace nbdspec::engine
