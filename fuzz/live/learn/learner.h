// SPDX-License-Identifier: BSD-3-Clause
// Learner: keeps the scripts that showed something new, and makes the next ones by changing them.
//
// What is new is for others to say, as signatures (answer_kinds.h, storage_kinds.h, ../coverage). The same seed, and
// the same scripts and signatures before, give the same script.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "engine/exchange/legality.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/inputs/random.h"
#include "fuzz/live/connection/live_connection.h"
#include "fuzz/live/learn/answer_kinds.h"

namespace nbdspec::fuzz {

// Whether a request of that legality is illegal for no other reason than that it reaches past the end.
bool IsOffered(const engine::Legality& legality);

// What a script is to keep to on the connections that it is made for.
struct ScriptFrame {
  Offer offer = {};                               // What `haggling` gets.
  std::vector<engine::OptionStep> haggling = {};  // How it begins.
  std::size_t steps_max = 128;                    // Of those that are no options.
  std::uint8_t connections_max = 1;
  bool only_offered = false;
  bool power_cuts = false;
};

// Makes what stands in `script`, which may be anybody's, fit for the export, the connections and the power of `frame`.
// Its own options stay, and its length.
void FitInto(const ScriptFrame& frame, engine::Script& script);

// What a script showed: signatures below kMax, of each sort.
struct ScriptSignatures {
  static constexpr std::uint32_t kMax = 1 << 18;

  std::span<const std::uint32_t> answers = {};  // Kinds of answers.
  std::span<const std::uint32_t> edges = {};    // Of the server's code.
  std::span<const std::uint32_t> storage = {};  // Kinds of operations at the disk below the server.
};

class Learner {
 public:
  explicit Learner(std::uint64_t seed) : seed_(seed) {}

  // The script to send as the `number`th: `fresh`, which was made afresh for it, or one that was kept, changed. Once
  // some are kept it depends on seed and number alone which of the two.
  [[nodiscard]] engine::Script Next(std::uint64_t number, engine::Script fresh, const ScriptFrame& frame) const;

  // Notes what `script` showed, and keeps it if some of it is new. Returns whether it is.
  bool Note(const engine::Script& script, const ScriptSignatures& signatures);

  // How many different signatures were noted.
  [[nodiscard]] std::size_t kind_count() const { return answers_.count(); }
  [[nodiscard]] std::size_t edge_count() const { return edges_.count(); }
  [[nodiscard]] std::size_t storage_kind_count() const { return storage_.count(); }

 private:
  static constexpr std::size_t kKeptMax = 4096;  // Then a new one takes the place of an old one.

  class Seen {
   public:
    // Returns whether any of them is new.
    bool Add(std::span<const std::uint32_t> signatures);
    [[nodiscard]] std::size_t count() const { return count_; }

   private:
    std::vector<bool> has_come_;
    std::size_t count_ = 0;
  };

  [[nodiscard]] const engine::Script& Choose(Random& random) const;

  std::uint64_t seed_;
  Seen answers_;
  Seen edges_;
  Seen storage_;
  std::vector<engine::Script> kept_;   // Without their options.
  std::size_t noted_count_ = 0;        // Of those that were kept.
  std::deque<engine::Script> inside_;  // Those of them that showed something new within the server, the newest last.
};

}  // namespace nbdspec::fuzz
