// SPDX-License-Identifier: BSD-3-Clause
// PowerHistory: what the bytes of an export may be when the power has come back.
//
// It knows the bytes at the last power cut, and every request since; engine/durability says whose bytes may stand.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/durability/request_history.h"
#include "engine/wire/protocol.h"
#include "fuzz/live/model/disputed_bytes.h"
#include "fuzz/live/model/known_bytes.h"
#include "fuzz/live/model/timeline.h"

namespace nbdspec::fuzz {

class PowerHistory {
 public:
  // `before`: what is known of the bytes, all of it durable. `transmission_flags`: what the server promises.
  PowerHistory(KnownBytes before, std::uint16_t transmission_flags)
      : before_(std::move(before)),
        flags_(transmission_flags),
        history_((transmission_flags & engine::TransmissionFlag::kCanMultiConn) != 0) {}

  // A request was sent; its reply has come. One whose reply never comes has no End.
  void Begin(Ticket ticket, const Access& access);
  void End(Ticket ticket, bool succeeded);

  // A byte that cannot stand where it was read after the power cut.
  struct Lost {
    std::uint64_t offset = 0;
    std::uint8_t saw = 0;
    bool is_by_fua = false;     // FUA alone promised it.
    std::string expected = {};  // For people: whose bytes could stand there.
  };
  // The first one, when `after` was read. What nobody may know is unknown in `after` from now on: a TRIM, or a write
  // that failed, may leave anything, and may leave something else the next time.
  std::optional<Lost> Judge(KnownBytes& after) const;

 private:
  [[nodiscard]] std::optional<Lost> JudgeCell(engine::ByteRange cell, KnownBytes& after) const;
  // What `write`, which is not kBefore, left.
  [[nodiscard]] const Access& Sent(engine::RequestHistory::Number write) const { return sent_[write - 1]; }
  [[nodiscard]] std::string NameOf(engine::RequestHistory::Number number) const;

  KnownBytes before_;
  std::uint16_t flags_;
  engine::RequestHistory history_;
  std::vector<Access> sent_;  // By number, from 1.
  std::map<Ticket, engine::RequestHistory::Number> in_flight_;
};

}  // namespace nbdspec::fuzz
