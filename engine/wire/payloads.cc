// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/payloads.h"

#include <concepts>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/utf8.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::engine {
namespace {

// Appends fields to a payload.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  template <std::unsigned_integral Unsigned>
  void Number(Unsigned number) {
    PutBigEndian<Unsigned>(number, out_);
  }

  template <std::unsigned_integral Unsigned>
  void Constant(Unsigned number) {
    Number(number);
  }

  // The length of `text` as a Size, then the text.
  template <std::unsigned_integral Size>
  void Text(const std::string& text) {
    NumberOf<Size>(text);
    Rest(text);
  }

  // The count of `items` as a Count, then each item.
  template <std::unsigned_integral Count, typename Items, typename PutItem>
  void List(const Items& items, PutItem put_item) {
    NumberOf<Count>(items);
    ListToEnd(items, put_item);
  }

  template <typename Items, typename PutItem>
  void ListToEnd(const Items& items, PutItem put_item) {
    for (const auto& item : items) {
      put_item(item);
    }
  }

  template <typename Sequence>
  void Rest(const Sequence& bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

 private:
  template <typename Unsigned, typename Sized>
  void NumberOf(const Sized& sized) {
    NBDSPEC_CHECK(sized.size() <= std::numeric_limits<Unsigned>::max());
    Number(static_cast<Unsigned>(sized.size()));
  }

  Bytes& out_;
};

// Takes fields from the front of a payload, as Writer puts them. A field that is missing is empty, and ok() says so.
class Reader {
 public:
  explicit Reader(ByteView payload) : rest_(payload) {}

  template <std::unsigned_integral Unsigned>
  void Number(Unsigned& number) {
    const ByteView bytes = Take(sizeof number);
    number = ok_ ? GetBigEndian<Unsigned>(bytes) : Unsigned{0};
  }

  template <std::unsigned_integral Unsigned>
  void Constant(Unsigned expected) {
    Unsigned number = 0;
    Number(number);
    ok_ = ok_ && number == expected;
  }

  template <std::unsigned_integral Size>
  void Text(std::string& text) {
    Size size = 0;
    Number(size);
    const ByteView bytes = Take(size);
    text.assign(bytes.begin(), bytes.end());
  }

  template <std::unsigned_integral Count, typename Items, typename TakeItem>
  void List(Items& items, TakeItem take_item) {
    Count count = 0;
    Number(count);
    for (Count i = 0; i < count && ok_; ++i) {  // Ends with the payload, whatever `count` claims.
      take_item(items.emplace_back());
    }
  }

  template <typename Items, typename TakeItem>
  void ListToEnd(Items& items, TakeItem take_item) {
    items.reserve(rest_.size() / sizeof(typename Items::value_type));
    while (ok_ && !rest_.empty()) {
      take_item(items.emplace_back());
    }
  }

  template <typename Sequence>
  void Rest(Sequence& bytes) {
    const ByteView rest = Take(rest_.size());
    bytes.assign(rest.begin(), rest.end());
  }

  // Whether every field was there.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool ok_to_the_end() const { return ok_ && rest_.empty(); }

 private:
  ByteView Take(std::size_t count) {
    ok_ = ok_ && count <= rest_.size();
    if (!ok_) {
      return {};
    }
    const ByteView bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }

  ByteView rest_;
  bool ok_ = true;
};

// The layout of each payload, once: `io` is a Writer or a Reader.
template <typename Given, typename Payload>
concept Of = std::same_as<std::remove_const_t<Given>, Payload>;

template <typename Io>
void Fields(Io& io, Of<InfoQuery> auto& query) {
  io.template Text<std::uint32_t>(query.name);
  io.template List<std::uint16_t>(query.requests, [&io](auto& request) { io.Number(request); });
}

template <typename Io>
void Fields(Io& io, Of<MetaContextQuery> auto& query) {
  io.template Text<std::uint32_t>(query.export_name);
  io.template List<std::uint32_t>(query.queries, [&io](auto& each) { io.template Text<std::uint32_t>(each); });
}

template <typename Io>
void Fields(Io& io, Of<ListedExport> auto& listed) {
  io.template Text<std::uint32_t>(listed.name);
  io.Rest(listed.description);
}

template <typename Io>
void Fields(Io& io, Of<MetaContext> auto& context) {
  io.Number(context.id);
  io.Rest(context.name);
}

template <typename Io>
void Fields(Io& io, Of<InfoExport> auto& info) {
  io.Constant(InfoType::kExport);
  io.Number(info.size);
  io.Number(info.flags);
}

template <typename Io>
void Fields(Io& io, Of<InfoBlockSize> auto& info) {
  io.Constant(InfoType::kBlockSize);
  io.Number(info.minimum);
  io.Number(info.preferred);
  io.Number(info.maximum);
}

template <typename Io>
void Fields(Io& io, Of<InfoText> auto& info) {
  io.Number(info.type);
  io.Rest(info.text);
}

template <typename Io>
void Fields(Io& io, Of<OffsetData> auto& data) {
  io.Number(data.offset);
  io.Rest(data.data);
}

template <typename Io>
void Fields(Io& io, Of<OffsetHole> auto& hole) {
  io.Number(hole.offset);
  io.Number(hole.length);
}

template <typename Io>
void Fields(Io& io, Of<BlockStatus> auto& status) {
  io.Number(status.context_id);
  io.ListToEnd(status.descriptors, [&io](auto& descriptor) {
    io.Number(descriptor.length);
    io.Number(descriptor.status);
  });
}

template <typename Io>
void Fields(Io& io, Of<ErrorPayload> auto& error) {
  io.Number(error.error);
  io.template Text<std::uint16_t>(error.message);
  if (error.offset) {
    io.Number(*error.offset);
  }
}

template <typename Payload>
Bytes Encoded(const Payload& payload) {
  Bytes out;
  Writer writer(out);
  Fields(writer, payload);
  return out;
}

// Nothing unless the fields fill `bytes` exactly.
template <typename Payload>
std::optional<Payload> Decoded(ByteView bytes) {
  Reader reader(bytes);
  Payload payload;
  Fields(reader, payload);
  return reader.ok_to_the_end() ? std::optional(std::move(payload)) : std::nullopt;
}

}  // namespace

Bytes EncodePayload(const InfoQuery& query) { return Encoded(query); }
Bytes EncodePayload(const MetaContextQuery& query) { return Encoded(query); }
Bytes EncodePayload(const ListedExport& listed) { return Encoded(listed); }
Bytes EncodePayload(const MetaContext& context) { return Encoded(context); }
Bytes EncodePayload(const InfoExport& info) { return Encoded(info); }
Bytes EncodePayload(const InfoBlockSize& info) { return Encoded(info); }
Bytes EncodePayload(const InfoText& info) { return Encoded(info); }
Bytes EncodePayload(const OffsetData& data) { return Encoded(data); }
Bytes EncodePayload(const OffsetHole& hole) { return Encoded(hole); }
Bytes EncodePayload(const BlockStatus& status) { return Encoded(status); }
Bytes EncodePayload(const ErrorPayload& error) { return Encoded(error); }

std::optional<InfoQuery> DecodeInfoQuery(ByteView payload) { return Decoded<InfoQuery>(payload); }
std::optional<MetaContextQuery> DecodeMetaContextQuery(ByteView payload) { return Decoded<MetaContextQuery>(payload); }
std::optional<ListedExport> DecodeListedExport(ByteView payload) { return Decoded<ListedExport>(payload); }
std::optional<MetaContext> DecodeMetaContext(ByteView payload) { return Decoded<MetaContext>(payload); }
std::optional<InfoExport> DecodeInfoExport(ByteView payload) { return Decoded<InfoExport>(payload); }
std::optional<InfoBlockSize> DecodeInfoBlockSize(ByteView payload) { return Decoded<InfoBlockSize>(payload); }
std::optional<InfoText> DecodeInfoText(ByteView payload) { return Decoded<InfoText>(payload); }
std::optional<OffsetData> DecodeOffsetData(ByteView payload) { return Decoded<OffsetData>(payload); }
std::optional<OffsetHole> DecodeOffsetHole(ByteView payload) { return Decoded<OffsetHole>(payload); }
std::optional<BlockStatus> DecodeBlockStatus(ByteView payload) { return Decoded<BlockStatus>(payload); }

std::optional<std::uint16_t> DecodeInfoType(ByteView payload) {
  Reader reader(payload);
  std::uint16_t type = 0;
  reader.Number(type);
  return reader.ok() ? std::optional(type) : std::nullopt;
}

std::optional<ErrorPayload> DecodeErrorPayload(std::uint16_t chunk_type, ByteView payload) {
  Reader reader(payload);
  ErrorPayload error;
  if (chunk_type == ChunkType::kErrorOffset) {
    error.offset = 0;
  }
  Fields(reader, error);
  return reader.ok() ? std::optional(std::move(error)) : std::nullopt;
}

bool IsValidString(std::string_view text) {
  while (!text.empty()) {
    const CodePoint first = FirstCodePoint(text);
    if (first.length == 0 || first.value == 0) {
      return false;
    }
    text.remove_prefix(first.length);
  }
  return true;
}

}  // namespace nbdspec::engine
