// SPDX-License-Identifier: BSD-3-Clause
// EdgeMap: which edges of the code of an instrumented server were taken. nbdspec_coverage.c, which is linked with the
// server, marks them there.
//
// The server is hostile, as every peer, and may mark whatever it likes: a mark is a number and means nothing else. It
// can neither cut nor extend the memory, which is sealed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <vector>

#include "engine/base/error.h"

namespace nbdspec::fuzz {

class EdgeMap {
 public:
  static constexpr std::uint32_t kEdgesMax = 1 << 18;  // As nbdspec_coverage.c has it: a byte each.

  // Servers that are started from now on find it, by the environment. One at a time, and before other threads are
  // started. Errors: no memory, or no more descriptors.
  static std::expected<std::unique_ptr<EdgeMap>, engine::Trouble> Make();
  ~EdgeMap();
  EdgeMap(const EdgeMap&) = delete;
  EdgeMap& operator=(const EdgeMap&) = delete;

  // What ran until now does not count. A server may still be at what came before.
  void Clear();

  // Which edges were taken since Clear, as numbers below kEdgesMax: sorted, each once.
  [[nodiscard]] std::vector<std::uint32_t> Edges() const;

 private:
  explicit EdgeMap(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace nbdspec::fuzz
