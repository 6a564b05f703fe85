// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/testdata/client.h"

#include <gtest/gtest.h>

#include <utility>

#include "conformance/peer/testdata/peer_fixture.h"

namespace nbdspec::conformance {

using engine::Bytes;

namespace {

void Append(Bytes& bytes, std::uint64_t value, int byte_count) {
  for (int i = byte_count - 1; i >= 0; --i) {
    bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

std::uint64_t BigEndian(engine::ByteView bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) {
    value = value << 8 | byte;
  }
  return value;
}

}  // namespace

Client::Client(std::unique_ptr<Transport> transport, const std::string& export_name)
    : transport_(std::move(transport)) {
  const Bytes greeting = ReceiveBytes(*transport_, 18);
  EXPECT_EQ(greeting.size(), 18U);
  EXPECT_TRUE(std::string(greeting.begin(), greeting.end()).starts_with("NBDMAGICIHAVEOPT"));
  Bytes hello;
  Append(hello, 3, 4);  // NBD_FLAG_C_FIXED_NEWSTYLE, NBD_FLAG_C_NO_ZEROES.
  Append(hello, 0x49484156454f5054, 8);
  Append(hello, 1, 4);  // NBD_OPT_EXPORT_NAME.
  Append(hello, export_name.size(), 4);
  hello.insert(hello.end(), export_name.begin(), export_name.end());
  Send(hello);
  const Bytes reply = ReceiveBytes(*transport_, 10);
  EXPECT_EQ(reply.size(), 10U);
  if (reply.size() == 10) {
    size_ = BigEndian(engine::ByteView(reply).first(8));
    flags_ = static_cast<std::uint16_t>(BigEndian(engine::ByteView(reply).last(2)));
  }
}

Bytes Client::Read(std::uint64_t offset, std::uint32_t length) {
  Request(0, 0, offset, length);
  EXPECT_EQ(Error(), 0U);
  return ReceiveBytes(*transport_, length);
}

std::uint64_t Client::Write(std::uint64_t offset, const Bytes& bytes, std::uint16_t flags) {
  Request(1, flags, offset, bytes.size());
  Send(bytes);
  return Error();
}

std::uint64_t Client::Flush() {
  Request(3, 0, 0, 0);
  return Error();
}

void Client::Send(const Bytes& bytes) {
  EXPECT_EQ(transport_->Send(bytes, Transport::Clock::now() + std::chrono::seconds(30)), Ending::kNone);
}

void Client::Request(std::uint16_t type, std::uint16_t flags, std::uint64_t offset, std::uint64_t length) {
  Bytes request;
  Append(request, 0x25609513, 4);
  Append(request, flags, 2);
  Append(request, type, 2);
  Append(request, 42, 8);
  Append(request, offset, 8);
  Append(request, length, 4);
  Send(request);
}

std::uint64_t Client::Error() {
  const Bytes reply = ReceiveBytes(*transport_, 16);
  EXPECT_EQ(reply.size(), 16U);
  return reply.size() == 16 ? BigEndian(engine::ByteView(reply).subspan(4, 4)) : UINT64_MAX;
}

}  // namespace nbdspec::conformance
