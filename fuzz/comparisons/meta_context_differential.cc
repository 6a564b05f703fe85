// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/meta_context_differential.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/server/server.h"
#include "fuzz/inputs/server_session_input.h"
#include "fuzz/oracles/server_session_judge.h"

namespace nbdspec::fuzz {
namespace {

// Shared by all runs: nothing here writes.
std::vector<engine::Export>& Exports() {
  static std::vector<engine::Export> exports = [] {
    std::vector<engine::Export> made;
    const auto make = [&made](std::string_view name) {
      engine::ExtentMap extents(std::uint64_t{kMetaBlockCount} * kMetaBlockBytes, engine::ExtentType::kHoleZero);
      for (std::uint32_t block = 1; block < kMetaBlockCount; block += 2) {
        (void)extents.Add(std::uint64_t{block} * kMetaBlockBytes, kMetaBlockBytes, engine::ExtentType::kData);
      }
      made.push_back({.options = {.name = std::string(name), .base_allocation = name != kBareExport},
                      .disk = engine::Disk(std::move(extents))});
    };
    std::ranges::for_each(kMetaExports, make);
    make(kBareExport);
    return made;
  }();
  return exports;
}

}  // namespace

std::optional<Disagreement> FindMetaContextDisagreement(engine::ByteView bytes, engine::Interposer* interposer) {
  const SessionInput input = ReadMetaContextInput(bytes);
  std::vector<engine::Export*> served;
  for (engine::Export& each : Exports()) {
    served.push_back(&each);
  }
  engine::Server server(input.server, served, interposer);
  server.Receive(input.said);
  SessionTranscript transcript;
  for (engine::Bytes said = server.TakeOutput(); !said.empty(); said = server.TakeOutput()) {
    transcript.received.insert(transcript.received.end(), said.begin(), said.end());
  }
  transcript.closed = server.closed();
  return SessionJudge(input, Exports()).Judge(transcript, Exports());
}

FuzzTarget MetaContextTarget() {
  return {.name = "meta_context",
          .subject = "option haggling with it, in any order",
          .against = "the same judge",
          .inputs = {.bytes_max = 64},
          .find_in_bytes = [](engine::ByteView input) { return FindMetaContextDisagreement(input); }};
}

}  // namespace nbdspec::fuzz
