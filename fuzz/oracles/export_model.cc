// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/export_model.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/extents/extent_map.h"
#include "engine/layers/filters.h"
#include "engine/script/step_request.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;
using engine::CommandFlag;
using engine::CommandType;
using engine::ExtentType;

namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr auto kBoth = static_cast<std::uint8_t>(ExtentType::kHoleZero);  // What is grown.

// What is true of each of `count` bytes.
std::uint8_t AllOf(const std::uint8_t* types, std::size_t count) {
  std::uint8_t all = kBoth;
  for (std::size_t i = 0; i < count; ++i) {
    all &= types[i];
  }
  return all;
}

bool IsZeroes(const std::uint8_t* bytes, std::size_t count) {
  std::uint8_t any = 0;
  for (std::size_t i = 0; i < count; ++i) {
    any |= bytes[i];
  }
  return any == 0;
}

engine::Disk MakeDisk(const engine::Script& script, std::uint64_t held) {
  engine::ExtentMap extents(held, script.initial);
  for (const engine::Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step)) {
      (void)extents.Add(add->offset, add->length, add->type);
    }
  }
  return engine::Disk(std::move(extents));
}

}  // namespace

engine::Export MakeExport(const engine::Script& script) {
  const std::uint64_t held = std::min(script.size, kHeldBytesMax);
  if (held == script.size) {
    return {.disk = MakeDisk(script, held)};
  }
  auto disk = std::make_unique<engine::Disk>(MakeDisk(script, held));
  return {.stack = std::make_unique<engine::TruncateFilter>(std::move(disk),
                                                            engine::TruncateFilter::Options{.size = script.size})};
}

std::vector<const engine::OptionStep*> HagglingOf(const engine::Script& script) {
  std::vector<const engine::OptionStep*> options;
  for (const engine::Step& step : script.steps) {
    if (std::holds_alternative<engine::RequestStep>(step)) {
      break;
    }
    if (const auto* option = std::get_if<engine::OptionStep>(&step)) {
      options.push_back(option);
    }
  }
  return options;
}

std::optional<engine::Request> MakeRequest(const engine::RequestStep& step, engine::HeaderForm form,
                                           std::span<const engine::MetaContext> contexts) {
  engine::RequestStep cut = step;
  if (step.command == engine::Command::kRead || step.command == engine::Command::kWrite) {
    cut.length = std::min<std::uint64_t>(step.length, kRequestBytesMax + 1);
  } else if (step.command == engine::Command::kStatus && form == engine::HeaderForm::kCompact) {
    cut.flags &= static_cast<std::uint16_t>(~CommandFlag::kPayloadLen);
  }
  auto request = engine::RequestFor(cut, form, contexts);
  if (request && request->type == CommandType::kWrite && request->announces_payload()) {
    request->payload.resize(request->length);
    engine::FillWithPattern(step.pattern, request->offset, request->payload);
  }
  return request;
}

void ExportModel::Reset(const engine::Script& script, engine::Export& of) {
  SetContents(of);
  SetTypes({.begin = 0, .end = held()}, script.initial);
  for (const engine::Step& step : script.steps) {
    const auto* add = std::get_if<engine::AddStep>(&step);
    if (add != nullptr && engine::IsExtentType(static_cast<std::uint8_t>(add->type))) {
      if (const auto range = ByteRange::From({.offset = add->offset, .length = add->length})) {
        SetTypes(*range, add->type);
      }
    }
  }
}

void ExportModel::Reset(engine::Export& of) {
  SetContents(of);
  of.disk.extents().ForEach({.begin = 0, .end = held()}, [this](const engine::Extent& extent) {
    SetTypes(extent.range, extent.type);
    return true;
  });
}

void ExportModel::SetContents(engine::Export& of) {
  size_ = of.layer().size();
  grid_ = std::max<std::uint64_t>(kSectorBytes, of.options.block_size.minimum);
  contents_.resize(of.stack != nullptr ? std::min(size_, kHeldBytesMax) : size_);
  types_.resize(contents_.size());
  NBDSPEC_CHECK(contents_.empty() || of.layer().Read(0, contents_).has_value());
}

ByteRange ExportModel::Held(ByteRange range) const { return Intersect(range, {.begin = 0, .end = held()}); }

void ExportModel::SetTypes(ByteRange range, ExtentType type) {
  const ByteRange here = Held(range);
  if (here.empty()) {
    return;
  }
  std::memset(&types_[here.begin], static_cast<int>(type), here.length());
}

void ExportModel::Apply(const engine::Request& request) {
  const ByteRange here = Held({.begin = request.offset, .end = request.offset + request.length});
  if (here.empty()) {
    return;
  }
  switch (request.type) {
    case CommandType::kWrite:
      std::memcpy(&contents_[here.begin], request.payload.data(), here.length());
      SetTypes(here, ExtentType::kData);
      return;
    case CommandType::kTrim:
    case CommandType::kWriteZeroes: {
      const bool stays = request.type == CommandType::kWriteZeroes && (request.flags & CommandFlag::kNoHole) != 0;
      std::memset(&contents_[here.begin], 0, here.length());
      SetTypes(here, stays ? ExtentType::kZero : ExtentType::kHoleZero);
      return;
    }
    default:
      return;
  }
}

bool ExportModel::Takes(std::uint64_t offset, ByteView payload) const {
  const std::uint64_t begin = offset < held() ? std::min<std::uint64_t>(held() - offset, payload.size()) : 0;
  return IsZeroes(payload.data() + begin, payload.size() - begin);
}

bool ExportModel::Holds(std::uint64_t offset, ByteView data) const {
  const ByteRange here = Held({.begin = offset, .end = offset + data.size()});
  const std::size_t held_count = here.length();
  return (here.empty() || std::memcmp(&contents_[here.begin], data.data(), held_count) == 0) &&
         IsZeroes(data.data() + held_count, data.size() - held_count);
}

bool ExportModel::HoldsZeroes(ByteRange range) const {
  const ByteRange here = Held(range);
  return here.empty() || IsZeroes(&contents_[here.begin], here.length());
}

std::uint32_t ExportModel::StatusAt(std::uint64_t offset) const {
  const std::uint64_t begin = offset / grid_ * grid_;
  return offset < held() ? AllOf(&types_[begin], std::min(grid_, held() - begin)) : kBoth;
}

bool ExportModel::AllHave(ByteRange range, std::uint32_t status, bool exactly) const {
  const ByteRange here = Held(range);
  bool all = status <= kBoth && (range.end <= held() || status == kBoth || !exactly);
  for (std::uint64_t at = here.begin / grid_ * grid_; all && at < here.end; at += grid_) {
    all = (exactly ? StatusAt(at) : StatusAt(at) & status) == status;
  }
  return all;
}

std::string ExportModel::Describe(ByteRange range) const {
  std::string text;
  for (std::uint64_t begin = range.begin; begin < range.end;) {
    const std::uint32_t status = StatusAt(begin);
    std::uint64_t end = begin;
    while (end < range.end && StatusAt(end) == status) {
      end = end < held() ? std::min({(end / grid_ + 1) * grid_, held(), range.end}) : range.end;
    }
    const engine::Extent extent = {.range = {.begin = begin, .end = end}, .type = static_cast<ExtentType>(status)};
    text += Print(extent) + "; ";
    begin = end;
  }
  return text;
}

}  // namespace nbdspec::fuzz
