// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/block_status_input.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "engine/base/byte_reader.h"
#include "engine/oracle/oracles.h"
#include "engine/script/script_bytes.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Chunk;
using engine::ChunkType;
using engine::StatusExchange;

constexpr std::uint32_t kAllocationId = 7;
constexpr std::uint32_t kOtherId = 0;
constexpr std::uint32_t kUnknownId = 9;

std::uint64_t SaturatingAdd(std::uint64_t a, std::uint64_t b) { return b > UINT64_MAX - a ? UINT64_MAX : a + b; }

// --- A truth --------------------------------------------------------------------------------------------------

// An edge of an extent, or one byte beside it.
std::uint64_t Edge(const std::vector<engine::Extent>& truth, std::uint8_t selector, std::uint8_t nudge) {
  const std::uint64_t index = selector % (truth.size() + 1);
  const std::uint64_t edge = index < truth.size() ? truth[index].range.begin : truth.back().range.end;
  return nudge % 4 == 1 ? edge + 1 : nudge % 4 == 2 && edge > 0 ? edge - 1 : edge;
}

std::vector<engine::Extent> TruthOf(const engine::Script& script) {
  engine::LastWriterOracle oracle(script.size, script.initial);
  for (const engine::Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step)) {
      (void)oracle.Add(add->offset, add->length, add->type);  // One that is refused changes nothing.
    } else if (std::holds_alternative<engine::ClearStep>(step)) {
      oracle.Clear();
    }
  }
  const auto extents = oracle.Extents({.begin = 0, .end = script.size});
  return {extents.begin(), extents.end()};
}

// --- A reply --------------------------------------------------------------------------------------------------

std::uint64_t ExportBytes(std::uint8_t selector, ByteRange asked) {
  return engine::Pick<std::uint64_t>(selector,
                                     {SaturatingAdd(asked.end, 1 << 20), asked.end, SaturatingAdd(asked.end, 100),
                                      asked.end - (asked.end > 0 ? 1 : 0), 512, 0, UINT64_MAX});
}

std::vector<engine::MetaContext> Contexts(std::uint8_t selector) {
  static const engine::MetaContext allocation = {.id = kAllocationId, .name = std::string(engine::kBaseAllocation)};
  static const engine::MetaContext again = {.id = kUnknownId, .name = std::string(engine::kBaseAllocation)};
  static const engine::MetaContext other = {.id = kOtherId, .name = "x-test:other"};
  static const std::vector<engine::MetaContext> choices[] = {
      {allocation},        {allocation}, {allocation},        {other, allocation},
      {other, allocation}, {other},      {again, allocation}, {}};
  return choices[selector % std::size(choices)];
}

engine::Descriptor ReadDescriptor(engine::ByteReader& input, std::uint64_t asked) {
  const auto near = static_cast<std::uint32_t>(std::min<std::uint64_t>(asked, UINT32_MAX));
  const auto length = input.Choose<std::uint32_t>({512, 512, near, near / 2, near - (near > 0 ? 1 : 0),
                                                   near + (near < UINT32_MAX ? 1 : 0), 0, 1, 100, 4096, 1U << 31,
                                                   UINT32_MAX - 511, UINT32_MAX});
  const std::uint8_t status = input.Byte();
  return {.length = length, .status = (status & 7U) | ((status & 8U) << 28)};
}

Chunk ReadStatusChunk(engine::ByteReader& input, std::uint8_t id_selector, std::uint64_t asked) {
  engine::BlockStatus status = {
      .context_id = engine::Pick(id_selector, {kAllocationId, kAllocationId, kOtherId, kUnknownId}), .descriptors = {}};
  for (unsigned count = input.Byte() % 5U; count > 0; --count) {
    status.descriptors.push_back(ReadDescriptor(input, asked));
  }
  return {.type = ChunkType::kBlockStatus, .payload = engine::EncodePayload(status)};
}

Chunk Error(std::uint32_t error) {
  return {.type = ChunkType::kError, .payload = engine::EncodePayload(engine::ErrorPayload{.error = error})};
}

void ReadMessage(engine::ByteReader& input, StatusExchange& exchange) {
  const std::uint8_t kind = input.Byte();
  std::vector<Chunk>& chunks = exchange.chunks;
  switch (kind % 16) {
    case 8:
      return chunks.push_back({.type = ChunkType::kBlockStatus, .payload = engine::Bytes(input.Byte() % 24U)});
    case 9:
      return chunks.push_back(Error(engine::NbdError::kEinval));
    case 10:
      return chunks.push_back(Error(engine::NbdError::kEio));
    case 11:
      return chunks.push_back({.type = ChunkType::kErrorOffset});
    case 12:
      return chunks.push_back({.flags = engine::ChunkFlag::kDone});
    case 13:
      return chunks.push_back({.type = ChunkType::kBlockStatusExt, .payload = engine::Bytes(12)});
    case 14:
      exchange.simple_reply = engine::SimpleReply{
          .error = engine::Pick<std::uint32_t>(kind / 16U, {engine::NbdError::kOk, engine::NbdError::kEinval,
                                                            engine::NbdError::kOk, engine::NbdError::kEio})};
      return;
    case 15:
      return chunks.push_back({.type = static_cast<std::uint16_t>(kind / 16U), .payload = engine::Bytes(12)});
    default:
      chunks.push_back(ReadStatusChunk(input, kind / 16, exchange.asked.length()));
  }
}

}  // namespace

TruthInput ReadTruthInput(engine::ByteView bytes) {
  engine::ByteReader input(bytes);
  const std::uint8_t head = input.Byte();
  const std::uint8_t begin = input.Byte();
  const std::uint8_t end = input.Byte();
  const std::uint8_t nudges = input.Byte();
  const auto alignment = engine::Pick<std::uint32_t>(head >> 2U, {1, 512, 2, 4096, 64, 1U << 16, 1U << 31, 1});
  TruthInput read = {.options = {.req_one = (head & 2) != 0, .alignment = alignment}};
  read.options.descriptor_count_max = input.Choose<std::uint32_t>({64, 1, 2, 5});
  engine::Script script = engine::DecodeScript(input.rest(), {.steps_max = 16});
  script.size = std::max<std::uint64_t>(script.size, 1);
  read.size = script.size;
  read.truth = TruthOf(script);
  const std::uint64_t offset = std::min(Edge(read.truth, begin, nudges), read.size - 1);
  read.asked.begin = offset - offset % read.options.alignment;
  read.asked.end = std::min(Edge(read.truth, end, nudges >> 2 & 3), read.size);
  if (read.asked.end <= read.asked.begin) {
    read.asked.end = read.size;
  }
  return read;
}

ReplyInput ReadReplyInput(engine::ByteView bytes) {
  constexpr std::size_t kChunksMax = 8;
  engine::ByteReader input(bytes);
  ReplyInput read;
  StatusExchange& exchange = read.exchange;
  const std::uint8_t head = input.Byte();
  exchange.req_one = (head & 2) != 0;
  exchange.agreed.block_size.minimum = engine::Pick<std::uint32_t>(head >> 2U & 7U, {1, 512, 4096, 64, 0, 3});
  exchange.agreed.block_size.maximum =
      engine::Pick<std::uint32_t>(head >> 6U, {engine::kPayloadBytesDefaultMax, 32, 15, 0});
  exchange.asked.begin = input.Choose<std::uint64_t>(
      {0, 0, 512, 100, 4096, std::uint64_t{1} << 32, (std::uint64_t{1} << 63) - 4096, UINT64_MAX - 600});
  const auto length = input.Choose<std::uint64_t>({512, 4096, 1024, 100, 1, 0, std::uint64_t{1} << 31, UINT32_MAX});
  exchange.asked.end = SaturatingAdd(exchange.asked.begin, length);
  exchange.agreed.info.size = ExportBytes(input.Byte(), exchange.asked);
  exchange.agreed.contexts = Contexts(input.Byte());
  for (int i = 0; i < 2; ++i) {
    const std::uint8_t where = input.Byte();  // Up to 15 times 256 bytes from the begin, and 1 to 16 bytes of data.
    const std::uint64_t begin = SaturatingAdd(exchange.asked.begin, where % 16U * std::uint64_t{256});
    read.data.push_back({.begin = begin, .end = SaturatingAdd(begin, 1 + where / 16U)});
  }
  const std::uint8_t within = input.Byte();
  read.within.begin = SaturatingAdd(exchange.asked.begin, within % 4U * std::uint64_t{100});
  read.within.end = SaturatingAdd(read.within.begin, within < 128 ? within * std::uint64_t{64} : UINT64_MAX);
  while (!input.rest().empty() && exchange.chunks.size() < kChunksMax) {
    ReadMessage(input, exchange);
  }
  return read;
}

}  // namespace nbdspec::fuzz
