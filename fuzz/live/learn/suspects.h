// SPDX-License-Identifier: BSD-3-Clause
// Suspects: which kinds of requests end scripts by a finding that is known already, so that the next scripts have fewer
// of them, and what else is wrong can be found.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "engine/negotiation/negotiated.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

class Suspects {
 public:
  // `script` ran to its end on connections that had negotiated `offer`.
  void Acquit(const engine::Script& script, const engine::Negotiated& offer);

  // It ended at `step`, which did it: all before were answered.
  void Accuse(const engine::Script& script, std::size_t step, const engine::Negotiated& offer);

  // Takes out of `script` the requests of kinds that ended scripts so often that few others were answered; unless
  // nothing would be left.
  void Thin(const engine::Negotiated& offer, engine::Script& script) const;

 private:
  struct Record {
    std::uint64_t ended = 0;     // Scripts.
    std::uint64_t answered = 0;  // Requests.
  };

  void AcquitUntil(const engine::Script& script, std::size_t step, const engine::Negotiated& offer);
  [[nodiscard]] bool IsSuspect(const engine::RequestStep& request, const engine::Negotiated& offer) const;

  std::map<std::uint64_t, Record> records_;  // By kind.
};

}  // namespace nbdspec::fuzz
