// SPDX-License-Identifier: BSD-3-Clause
// What a server of tests does to its bytes, whatever it is about to say: for faults that no message has.

#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>

#include "engine/faults/change.h"

namespace nbdspec::testdata {

// Of a connection: the first `bytes_right` bytes are sent as they are, then `name` begins. "" sends all as it is.
//
// "silent" says no more, "closes" hangs up, "half-closes" does so and goes on listening, "dies" and "aborts" end the
// process, "stops" stops it, "repeats" says the same piece again without end, "garbage", "ones" and "zeroes" come
// without end, "trickles" sends a byte at a time, "flips" inverts eight bytes and goes on. "swells" gives each chunk of
// a structured reply a payload of 64 MiB, well-formed.
struct Malice {
  std::string name = {};
  std::uint64_t bytes_right = 0;
};

std::istream& operator>>(std::istream& from, Malice& malice);

// What is sent on one connection.
class MaliciousSender {
 public:
  explicit MaliciousSender(const Malice& malice) : malice_(&malice) {}

  // Returns whether the connection goes on.
  bool Send(int fd, std::span<const unsigned char> bytes);

 private:
  bool DoWorst(int fd, std::span<const unsigned char> bytes);

  const Malice* malice_;
  std::uint64_t bytes_sent_ = 0;
  std::size_t flipped_left_ = 8;
};

// Has what moves a terminal's cursor in each string that it sends.
engine::faults::Change SpeaksInEscapes();

}  // namespace nbdspec::testdata
