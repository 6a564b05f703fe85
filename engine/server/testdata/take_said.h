// SPDX-License-Identifier: BSD-3-Clause
// What a server in memory has said, for tests.

#pragma once

#include <gtest/gtest.h>

#include <variant>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/server/server.h"
#include "engine/wire/decoders.h"

namespace nbdspec::engine {

// Takes all that `server` has to say, decoded by `decoder`. Bytes that are no message fail the test.
inline std::vector<ServerMessage> TakeSaid(Server& server, ServerDecoder& decoder) {
  for (Bytes bytes = server.TakeOutput(); !bytes.empty(); bytes = server.TakeOutput()) {
    decoder.Feed(bytes);
  }
  std::vector<ServerMessage> said;
  while (auto next = decoder.Next()) {
    const auto* placed = std::get_if<PlacedServerMessage>(&*next);
    if (placed == nullptr) {
      ADD_FAILURE() << std::get<Undecodable>(*next).what;
      break;
    }
    said.push_back(placed->message);
  }
  return said;
}

}  // namespace nbdspec::engine
