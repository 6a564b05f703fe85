// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/testdata/malice.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <istream>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/peer/testdata/unix_server.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/option_changes.h"
#include "engine/wire/fields.h"

namespace nbdspec::testdata {

namespace {

using engine::Bytes;
namespace faults = engine::faults;

bool SendWithoutEnd(int fd, std::span<const unsigned char> bytes) {
  while (SendAll(fd, bytes)) {
  }
  return false;
}

Bytes Noise() {
  std::mt19937 random(1);
  Bytes noise(4096);
  std::ranges::generate(noise, [&] { return static_cast<std::uint8_t>(random()); });
  return noise;
}

// Each chunk at the front of `bytes` with zeroes behind its payload; then the rest as it is.
bool SendSwollen(int fd, std::span<const unsigned char> bytes) {
  constexpr std::size_t kHeaderBytes = 20;
  constexpr std::size_t kLengthAt = 16;
  constexpr std::size_t kSwollenBytes = 64 << 20;
  const Bytes zeroes(1 << 16);
  bool goes_on = true;
  while (goes_on && bytes.size() >= kHeaderBytes && engine::GetBigEndian<std::uint32_t>(bytes) == engine::kChunkMagic) {
    const std::size_t length = engine::GetBigEndian<std::uint32_t>(bytes, kLengthAt);
    Bytes begin(bytes.begin(), bytes.begin() + kLengthAt);
    engine::PutBigEndian<std::uint32_t>(kSwollenBytes, begin);
    const auto payload = bytes.subspan(kHeaderBytes).first(std::min(length, bytes.size() - kHeaderBytes));
    begin.insert(begin.end(), payload.begin(), payload.end());
    goes_on = SendAll(fd, begin);
    for (std::size_t left = kSwollenBytes - payload.size(); goes_on && left > 0;) {
      const auto some = std::span(zeroes).first(std::min(left, zeroes.size()));
      goes_on = SendAll(fd, some);
      left -= some.size();
    }
    bytes = bytes.subspan(kHeaderBytes + payload.size());
  }
  return goes_on && SendAll(fd, bytes);
}

// A title, the whole screen, a bell, C1's introducer in two encodings, and what is no UTF-8.
constexpr std::string_view kEscapes =
    "\x1b]0;title\a\x1b[2J\b\xc2\x9b"
    "1m\x9b"
    "1m\xff\xe2\x80\xae\r";

Bytes EscapeBytes() { return {kEscapes.begin(), kEscapes.end()}; }

void SpeakInEscapes(engine::OptionReply& reply) {
  if (reply.is_error()) {
    reply.payload = EscapeBytes();
  } else if (reply.type == engine::OptionReplyType::kServer) {
    faults::ChangePayload<engine::ListedExport>(reply.payload, [](auto& each) { each.description = kEscapes; });
  } else if (reply.type == engine::OptionReplyType::kMetaContext) {
    faults::ChangePayload<engine::MetaContext>(reply.payload, [](auto& context) { context.name += kEscapes; });
  }
}

void SpeakInEscapes(engine::Chunk& chunk) {
  auto error = chunk.is_error() ? engine::DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
  if (error) {
    error->message = kEscapes;
    chunk.payload = EncodePayload(*error);
  }
}

// A name and a description for whoever enters.
void Introduce(const engine::Option& to, faults::Messages& sent) {
  for (const std::uint16_t type : {engine::InfoType::kName, engine::InfoType::kDescription}) {
    Bytes payload = {0, static_cast<std::uint8_t>(type)};
    payload.insert(payload.end(), kEscapes.begin(), kEscapes.end());
    sent.insert(sent.begin(),
                engine::OptionReply{
                    .option = to.option, .type = engine::OptionReplyType::kInfo, .payload = std::move(payload)});
  }
}

}  // namespace

std::istream& operator>>(std::istream& from, Malice& malice) { return from >> malice.name >> malice.bytes_right; }

bool MaliciousSender::Send(int fd, std::span<const unsigned char> bytes) {
  if (malice_->name.empty()) {
    return SendAll(fd, bytes);
  }
  const std::uint64_t right =
      std::min(bytes.size(), malice_->bytes_right - std::min(malice_->bytes_right, bytes_sent_));
  bytes_sent_ += bytes.size();
  return SendAll(fd, bytes.first(right)) && (right == bytes.size() || DoWorst(fd, bytes.subspan(right)));
}

bool MaliciousSender::DoWorst(int fd, std::span<const unsigned char> bytes) {
  if (malice_->name == "half-closes") {
    shutdown(fd, SHUT_WR);
  } else if (malice_->name == "dies") {
    std::exit(7);
  } else if (malice_->name == "aborts") {
    std::abort();
  } else if (malice_->name == "stops") {
    std::raise(SIGSTOP);
  } else if (malice_->name == "repeats") {
    return SendWithoutEnd(fd, bytes);
  } else if (malice_->name == "garbage") {
    return SendWithoutEnd(fd, Noise());
  } else if (malice_->name == "ones") {
    return SendWithoutEnd(fd, Bytes(4096, 0xff));
  } else if (malice_->name == "zeroes") {
    return SendWithoutEnd(fd, Bytes(4096));
  } else if (malice_->name == "swells") {
    return SendSwollen(fd, bytes);
  } else if (malice_->name == "trickles") {
    for (bool goes_on = true; goes_on && !bytes.empty(); bytes = bytes.subspan(1)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(4));
      goes_on = SendAll(fd, bytes.first(1));
    }
    return bytes.empty();
  } else if (malice_->name == "flips") {
    Bytes changed(bytes.begin(), bytes.end());
    for (std::uint8_t& byte : std::span(changed).first(std::min(bytes.size(), flipped_left_))) {
      byte = static_cast<std::uint8_t>(~byte);
      --flipped_left_;
    }
    return SendAll(fd, changed);
  }
  return malice_->name != "closes";
}

engine::faults::Change SpeaksInEscapes() {
  return {.sent = [](const engine::ClientMessage* to, const faults::Connection&, faults::Messages& sent) {
    faults::ForEach<engine::OptionReply>(sent, [](engine::OptionReply& reply) { SpeakInEscapes(reply); });
    faults::ForEach<engine::Chunk>(sent, [](engine::Chunk& chunk) { SpeakInEscapes(chunk); });
    const auto* option = to == nullptr ? nullptr : std::get_if<engine::Option>(to);
    if (option != nullptr && (option->option == faults::kGo || option->option == faults::kInfo)) {
      Introduce(*option, sent);
    }
  }};
}

}  // namespace nbdspec::testdata
