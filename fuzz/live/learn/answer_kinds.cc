// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/answer_kinds.h"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <variant>

#include "engine/exchange/status.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {

using engine::Script;

namespace {

constexpr std::size_t kTypesShown = 6;
constexpr std::size_t kDescriptorsShown = 4;

enum Domain : std::uint64_t { kKind, kShape, kExtent, kTransition };

std::uint32_t SignatureOf(std::initializer_list<std::uint64_t> facts) {
  return static_cast<std::uint32_t>(Mix(facts)) % kSignatureLimit;
}

// 0, 1, 2, 3, then the power of two below.
std::uint64_t Bucket(std::uint64_t count) {
  return count < 4 ? count : 2 + static_cast<std::uint64_t>(std::bit_width(count) - 1);
}

// Before, at or after.
std::uint64_t Side(std::uint64_t value, std::uint64_t mark) { return value < mark ? 0 : (value == mark ? 1 : 2); }

// Which messages with which error answer which kind of request: runs of one type count as one.
std::uint64_t KindOf(const engine::RequestStep& request, const engine::Answer& answer) {
  std::uint64_t kind = Mix(
      {kKind, static_cast<std::uint64_t>(request.command), request.flags, answer.error(), answer.simple().has_value()});
  std::size_t shown = 0;
  for (std::size_t i = 0; i < answer.chunks().size() && shown < kTypesShown; ++i) {
    if (i == 0 || answer.chunks()[i].type != answer.chunks()[i - 1].type) {
      kind = Mix({kind, answer.chunks()[i].type});
      ++shown;
    }
  }
  return kind;
}

void AddStatus(const engine::RequestStep& request, const engine::StatusChunk& chunk,
               std::vector<std::uint32_t>& found) {
  std::uint64_t described = 0;
  std::uint64_t shape = Mix({kShape, chunk.context_id(), request.flags});
  ForEachDescriptor(chunk, request.offset, [&](const engine::Located& each) {
    const auto [length, status] = each.descriptor();
    described += length;
    shape = each.index < kDescriptorsShown ? Mix({shape, status}) : shape;
    found.push_back(
        SignatureOf({kExtent, chunk.context_id(), status, Bucket(length), Side(described, request.length)}));
  });
  found.push_back(SignatureOf({shape, Bucket(chunk.descriptor_count()), Side(described, request.length)}));
}

}  // namespace

std::vector<std::uint32_t> SignaturesOf(const Script& script, std::span<const engine::Answer> answers) {
  std::vector<std::uint32_t> found;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < std::min(script.steps.size(), answers.size()); ++i) {
    const auto* request = std::get_if<engine::RequestStep>(&script.steps[i]);
    const engine::Answer& answer = answers[i];
    if (request == nullptr || !answer.is_complete()) {
      continue;
    }
    const std::uint64_t kind = KindOf(*request, answer);
    found.push_back(SignatureOf({kind}));
    found.push_back(SignatureOf({kTransition, before, kind}));
    before = kind;
    if (request->command == engine::Command::kRead) {
      found.push_back(
          SignatureOf({kShape, answer.error(), Bucket(answer.chunks().size() + (answer.simple() ? 1 : 0))}));
    }
    for (const engine::ReplyChunk& chunk : answer.chunks()) {
      if (const auto status = engine::StatusChunk::From(chunk)) {
        AddStatus(*request, *status, found);
      }
    }
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace nbdspec::fuzz
