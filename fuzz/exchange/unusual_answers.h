// SPDX-License-Identifier: BSD-3-Clause
// UnusualAnswers: makes the reference server answer in ways that are legal and that hardly any server chooses.
//
// Replies out of order, with their chunks interleaved; reads in pieces of odd sizes, as data and holes, from back to
// front; statuses split, short, longer than asked for, or with claims left out; contexts in any order, with any ids;
// errors after half of an answer; DONE by itself. A client must take all of it, and so must a judge. What is chosen
// depends on the seed and on the request alone, so that a script replays.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/server/server.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {

class UnusualAnswers : public engine::Interposer {
 public:
  // What `inner`, which may be null, lets the server receive and send is then made unusual.
  explicit UnusualAnswers(std::uint64_t seed, engine::Interposer* inner = nullptr) : seed_(seed), inner_(inner) {}

  // Holds back the answers to the next `count` requests, then lets them all go, in another order.
  void HoldAnswers(std::size_t count) { to_hold_ = count; }

  bool BeforeServer(engine::ClientMessage& received, const engine::Negotiated& state) override;
  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated& state,
                   std::vector<engine::ServerMessage>& sent) override;

 private:
  using Sent = std::vector<engine::ServerMessage>;

  void ChangeOption(const engine::Option& option, Sent& sent);
  void ChangeContent(const engine::Request& request, const engine::Negotiated& state, Sent& sent);
  void ChangeOther(const engine::Request& request, Sent& sent);
  void CutIntoPieces(const engine::Chunk& data, Sent& pieces);
  void ChangeDescriptors(const engine::Request& request, const engine::Negotiated& state, engine::Chunk& chunk);
  void Finish(const engine::Request& request, Sent& sent);
  void Release(Sent& sent);

  [[nodiscard]] std::uint32_t IdFor(std::uint32_t id) const;
  std::uint64_t Choose(std::uint64_t count) { return count == 0 ? 0 : random_.Below(count); }
  void Shuffle(Sent& sent);

  std::uint64_t seed_;
  engine::Interposer* inner_;
  Random random_{0};
  std::size_t to_hold_ = 0;
  std::vector<Sent> held_;
};

}  // namespace nbdspec::fuzz
