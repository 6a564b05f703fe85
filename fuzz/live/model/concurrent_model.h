// SPDX-License-Identifier: BSD-3-Clause
// ConcurrentModel: which bytes may a reply show, when requests overlap in time?
//
//   write a   |--------|          both may have happened in either order: nothing is known of what they share
//   write b        |-------|
//   read          |--|            may show, byte by byte, what was there before, or what either wrote
//
// A request begins when it is sent and ends when its reply has come. What one connection wrote is only then certain
// for another when a FLUSH after it, or its FUA, was answered (eflags.multi-conn.flush-visible, fua-visible).

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/byte_range.h"
#include "fuzz/live/model/known_bytes.h"

namespace nbdspec::fuzz {

// What one request does with the bytes of the export.
struct Access {
  enum class Kind { kNone, kLooks, kWrites, kFlushes };
  Kind kind = Kind::kNone;
  engine::ByteRange range = {};  // Clipped to the export.
  Effect effect = {};            // Of kWrites, when it succeeds.
  bool is_durable = false;       // kWrites with FUA.
  std::uint8_t connection = 1;
};

class ConcurrentModel {
 public:
  // How a request in flight is named: never reused while it is.
  using Ticket = std::uint32_t;

  // `may_cache`: what is not flushed may be hidden from other connections.
  ConcurrentModel(KnownBytes bytes, bool may_cache) : bytes_(std::move(bytes)), may_cache_(may_cache) {}

  // While it learns, what READs show is taken for what the bytes are: nothing else is in flight.
  void SetLearning(bool is_learning) { is_learning_ = is_learning; }

  void Begin(Ticket ticket, const Access& access);

  // The reply has come: `succeeded`, or with an error, or it never will.
  void End(Ticket ticket, bool succeeded);

  // Whether `data` at `offset` may be shown by the request `ticket`. Returns the first offset where it may not.
  [[nodiscard]] std::optional<std::uint64_t> Refute(Ticket ticket, std::uint64_t offset, engine::ByteView data);

  // Whether the reply to `ticket` may claim that `range` reads as zeroes. Returns the first offset where it may not.
  [[nodiscard]] std::optional<std::uint64_t> RefuteZeroes(Ticket ticket, engine::ByteRange range);

  // What the bytes are when nothing is in flight.
  [[nodiscard]] const KnownBytes& bytes() const { return bytes_; }
  [[nodiscard]] KnownBytes& bytes() { return bytes_; }

 private:
  // A part of what a request looks at that may show more than one thing.
  struct Loose {
    engine::ByteRange range;
    Effect effect;                     // May show this,
    engine::Bytes before;              // or this.
    std::vector<Knowledge> knowledge;  // Of `before`; empty: anything may be shown.
  };
  struct InFlight {
    Ticket ticket = 0;
    Access access = {};
    std::vector<Loose> loose = {};                  // Of kLooks.
    std::vector<engine::ByteRange> contested = {};  // Of kWrites.
    std::uint64_t begun_at = 0;
  };
  struct Unflushed {
    engine::ByteRange range;
    std::uint8_t connection = 1;
    std::uint64_t ended_at = 0;
  };

  void Loosen(InFlight& looking, const Access& writing) const;
  void JoinUnflushed();
  [[nodiscard]] const InFlight& Find(Ticket ticket) const;
  [[nodiscard]] static bool MayShow(const Loose& loose, std::uint64_t offset, std::uint8_t byte);

  KnownBytes bytes_;
  bool may_cache_;
  bool is_learning_ = false;
  std::vector<InFlight> in_flight_;
  std::vector<Unflushed> unflushed_;
  std::uint64_t clock_ = 0;
};

}  // namespace nbdspec::fuzz
