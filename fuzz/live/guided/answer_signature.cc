// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/guided/answer_signature.h"

#include <algorithm>
#include <bit>

#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

namespace {

constexpr std::uint16_t kSimpleReplyType = 0x7fff;  // No chunk has it.
constexpr std::size_t kTypesShown = 6;
constexpr std::size_t kDescriptorsShown = 4;

// A number made of numbers, in their order.
class Signature {
 public:
  explicit Signature(std::uint64_t domain) { Add(domain); }
  Signature& Add(std::uint64_t value) {
    mixed_ = (mixed_ ^ value) * 0x9e37'79b9'7f4a'7c15;
    mixed_ ^= mixed_ >> 29;
    return *this;
  }
  [[nodiscard]] std::uint64_t whole() const { return mixed_; }
  [[nodiscard]] std::uint32_t value() const { return static_cast<std::uint32_t>(mixed_) % kSignatureLimit; }

 private:
  std::uint64_t mixed_ = 0x4e42'4400;
};

enum Domain : std::uint64_t { kKind, kShape, kExtent, kTransition };

// 0, 1, 2, 3, then the power of two below.
std::uint64_t Bucket(std::uint64_t count) {
  return count < 4 ? count : 2 + static_cast<std::uint64_t>(std::bit_width(count) - 1);
}

// Before, at or after.
std::uint64_t Side(std::uint64_t value, std::uint64_t mark) { return value < mark ? 0 : (value == mark ? 1 : 2); }

// Which messages with which error answer which kind of request: runs of one type count as one.
Signature KindOf(const engine::RequestStep& request, const engine::Answer& answer) {
  Signature kind(kKind);
  kind.Add(static_cast<std::uint64_t>(request.command)).Add(request.flags).Add(answer.error());
  if (answer.simple()) {
    kind.Add(kSimpleReplyType);
  }
  std::size_t shown = 0;
  for (std::size_t i = 0; i < answer.chunks().size() && shown < kTypesShown; ++i) {
    if (i == 0 || answer.chunks()[i].type != answer.chunks()[i - 1].type) {
      kind.Add(answer.chunks()[i].type);
      ++shown;
    }
  }
  return kind;
}

void AddStatus(const engine::RequestStep& request, const engine::ReplyChunk& chunk, std::vector<std::uint32_t>& found) {
  const auto status = chunk.is_error() ? std::nullopt : engine::DecodePayload<engine::BlockStatus>(chunk.payload);
  if (!status) {
    return;
  }
  std::uint64_t described = 0;
  Signature flags(kShape);
  flags.Add(status->context_id).Add(request.flags);
  for (std::size_t i = 0; i < status->descriptors.size(); ++i) {
    const engine::Descriptor& each = status->descriptors[i];
    described += each.length;
    if (i < kDescriptorsShown) {
      flags.Add(each.status);
    }
    found.push_back(Signature(kExtent)
                        .Add(status->context_id)
                        .Add(each.status)
                        .Add(Bucket(each.length))
                        .Add(Side(described, request.length))
                        .value());
  }
  found.push_back(flags.Add(Bucket(status->descriptors.size())).Add(Side(described, request.length)).value());
}

}  // namespace

std::vector<std::uint32_t> SignaturesOf(const engine::Script& script, const RunResult& result) {
  std::vector<std::uint32_t> found;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < std::min(script.steps.size(), result.answers.size()); ++i) {
    const auto* request = std::get_if<engine::RequestStep>(&script.steps[i]);
    const engine::Answer& answer = result.answers[i];
    if (request == nullptr || !answer.is_complete()) {
      continue;
    }
    const Signature kind = KindOf(*request, answer);
    found.push_back(kind.value());
    found.push_back(Signature(kTransition).Add(before).Add(kind.whole()).value());
    before = kind.whole();
    if (request->command == engine::Command::kRead) {
      found.push_back(Signature(kShape)
                          .Add(answer.error())
                          .Add(Bucket(answer.chunks().size() + (answer.simple() ? 1 : 0)))
                          .value());
    }
    for (const engine::ReplyChunk& chunk : answer.chunks()) {
      AddStatus(*request, chunk, found);
    }
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace nbdspec::fuzz
