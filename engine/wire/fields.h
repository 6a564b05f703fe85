// SPDX-License-Identifier: BSD-3-Clause
// Integers in network order; FieldWriter and FieldReader: the fields of messages and payloads, to bytes and from bytes.
//
// Each message and payload lists its fields once, in a function Fields(io, message) where `io` is one of these.
// Spec: general.byte-order.server, general.byte-order.client.

#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// The integer at bytes[at, at + sizeof(Unsigned)), which must be inside.
template <typename Unsigned>
Unsigned GetBigEndian(ByteView bytes, std::size_t at = 0) {
  static_assert(std::is_unsigned_v<Unsigned>);
  NBDSPEC_CHECK(at <= bytes.size() && sizeof(Unsigned) <= bytes.size() - at);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    value = value << 8 | bytes[at + i];
  }
  return static_cast<Unsigned>(value);
}

// Appends fields to a message.
class FieldWriter {
 public:
  explicit FieldWriter(Bytes& out) : out_(out) {}

  template <std::unsigned_integral... Unsigned>
  void Numbers(Unsigned... numbers) {
    std::array<std::uint8_t, (sizeof(Unsigned) + ...)> bytes;
    std::size_t count = 0;
    const auto put = [&bytes, &count](std::uint8_t byte) { bytes[count++] = byte; };
    (PutEach(numbers, put), ...);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  void Constant(std::unsigned_integral auto number) { Numbers(number); }

  // The length of `text` as a Size, then the text.
  template <std::unsigned_integral Size = std::uint32_t>
  void Text(const std::string& text) {
    NumberOf<Size>(text);
    Rest(text);
  }

  // The count of `items` as a Count, then each item.
  template <std::unsigned_integral Count>
  void List(const auto& items, auto put_item) {
    NumberOf<Count>(items);
    std::ranges::for_each(items, put_item);
  }

  void ListToEnd(const auto& items, std::size_t /*bytes_each*/, auto put_item) {
    std::ranges::for_each(items, put_item);
  }

  // `count_field`, or the count of `items`; then each item.
  template <std::unsigned_integral Count>
  void CountedToEnd(const auto& items, std::size_t bytes_each, std::optional<Count> count_field, auto put_item) {
    if (count_field) {
      Numbers(*count_field);
    } else {
      NumberOf<Count>(items);
    }
    ListToEnd(items, bytes_each, put_item);
  }

  void Rest(const auto& bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  // `magic`, or else that of the form.
  void Magic(std::optional<std::uint32_t> magic, std::uint32_t of_form) { Numbers(magic.value_or(of_form)); }

  // As wide as lengths are in `form`: the low 32 bits, or all.
  void Length(std::uint64_t length, HeaderForm form) {
    if (form == HeaderForm::kExtended) {
      Numbers(length);
    } else {
      Numbers(static_cast<std::uint32_t>(length));
    }
  }

  // `length_field`, or the length of `payload`; then the payload.
  template <std::unsigned_integral Size>
  void Payload(const Bytes& payload, std::optional<Size> length_field, HeaderForm form = HeaderForm::kCompact) {
    Length(length_field ? std::uint64_t{*length_field} : payload.size(), form);
    Rest(payload);
  }

 private:
  static void PutEach(std::unsigned_integral auto number, auto put) {
    for (std::size_t shift = sizeof number * 8; shift > 0; shift -= 8) {
      put(static_cast<std::uint8_t>(number >> (shift - 8)));
    }
  }

  template <typename Unsigned>
  void NumberOf(const auto& sized) {
    NBDSPEC_CHECK(sized.size() <= std::numeric_limits<Unsigned>::max());
    Numbers(static_cast<Unsigned>(sized.size()));
  }

  Bytes& out_;
};

// Appends `value` to `out`, most significant byte first.
template <std::unsigned_integral Unsigned>
void PutBigEndian(std::type_identity_t<Unsigned> value, Bytes& out) {
  FieldWriter(out).Numbers(value);
}

// Takes fields from the front of a payload, as FieldWriter puts them. A field that is missing is empty, and ok() says
// so.
class FieldReader {
 public:
  explicit FieldReader(ByteView payload) : rest_(payload) {}

  template <std::unsigned_integral... Unsigned>
  [[gnu::always_inline]] void Numbers(Unsigned&... numbers) {
    ((numbers = TakeNumber<Unsigned>()), ...);
  }

  [[gnu::always_inline]] void Length(std::uint64_t& length, HeaderForm form) {
    length = form == HeaderForm::kExtended ? TakeNumber<std::uint64_t>() : TakeNumber<std::uint32_t>();
  }

  template <std::unsigned_integral Unsigned>
  void Constant(Unsigned expected) {
    ok_ = TakeNumber<Unsigned>() == expected && ok_;
  }

  template <std::unsigned_integral Size = std::uint32_t>
  void Text(std::string& text) {
    const ByteView bytes = Take(TakeNumber<Size>());
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());  // Iterators would copy it twice.
  }

  template <std::unsigned_integral Count>
  void List(auto& items, auto take_item) {
    const auto count = TakeNumber<Count>();
    for (Count i = 0; i < count && ok_; ++i) {  // Ends with the payload, whatever `count` claims.
      take_item(items.emplace_back());
    }
  }

  // `bytes_each` is what an item takes.
  [[gnu::always_inline]] void ListToEnd(auto& items, std::size_t bytes_each, auto take_item) {
    items.reserve(rest_.size() / bytes_each);
    while (ok_ && !rest_.empty()) {
      take_item(items.emplace_back());
    }
  }

  // Sets `count_field` where it does not say how many items there are.
  template <std::unsigned_integral Count>
  void CountedToEnd(auto& items, std::size_t bytes_each, std::optional<Count>& count_field, auto take_item) {
    const auto count = TakeNumber<Count>();
    ListToEnd(items, bytes_each, take_item);
    count_field = items.size() == count ? std::nullopt : std::optional(count);
  }

  void Rest(auto& bytes) {
    const ByteView rest = Take(rest_.size());
    bytes.assign(rest.begin(), rest.end());
  }

  // Whether every field was there.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  template <std::unsigned_integral Unsigned>
  [[gnu::always_inline]] Unsigned TakeNumber() {
    const ByteView bytes = Take(sizeof(Unsigned));
    return bytes.empty() ? Unsigned{0} : GetBigEndian<Unsigned>(bytes);
  }

  // After a field that is missing, nothing is left.
  [[gnu::always_inline]] ByteView Take(std::size_t count) {
    if (count > rest_.size()) [[unlikely]] {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const ByteView bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }

  ByteView rest_;
  bool ok_ = true;
};

// Takes the fields of a message but its payload.
struct HeaderReader : FieldReader {
  using FieldReader::FieldReader;

  void Rest(const auto& /*bytes*/) {}
  void Magic(const auto& /*magic*/, std::uint32_t /*of_form*/) { Numbers(magic); }
  void Payload(const auto& /*payload*/, const auto& /*length_field*/, HeaderForm form = HeaderForm::kCompact) {
    Length(length, form);
  }

  std::uint32_t magic = 0;   // Of a message that has one for each form.
  std::uint64_t length = 0;  // What the length field of a payload says, if there is one.
};

// The header of a `Message` at the front of `bytes`, of one that has forms in `form`. The decoders' inner loop.
template <typename Message, HeaderForm form = HeaderForm::kCompact>
struct Header {
  [[gnu::flatten]] explicit Header(ByteView bytes) {
    if constexpr (requires { message.form; }) {
      message.form = form;
    }
    HeaderReader reader(bytes);
    Message::Fields(reader, message);
    is_whole = reader.ok();
    rest = reader.rest();
    size = bytes.size() - rest.size();
    magic = reader.magic;
    length = reader.length;
  }

  Message message = {};
  bool is_whole = false;
  ByteView rest = {};       // What follows it.
  std::size_t size = 0;     // Of the header, in bytes.
  std::uint32_t magic = 0;  // As in HeaderReader; so the next.
  std::uint64_t length = 0;
};

}  // namespace nbdspec::engine
