// SPDX-License-Identifier: BSD-3-Clause
// What one connection has negotiated so far, as either end knows it.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

struct Negotiated {
  std::uint16_t handshake_flags = 0;
  std::uint32_t client_flags = 0;
  bool structured_replies = false;
  bool transmission = false;               // GO or EXPORT_NAME has entered an export.
  std::string export_name = {};            // The one entered.
  std::string context_export = {};         // Named in the last successful SET_META_CONTEXT.
  std::vector<MetaContext> contexts = {};  // Selected by it.
  InfoExport info = {};                    // Size and transmission flags of the export entered.
  InfoBlockSize block_size = {};           // The specification's defaults where the server sent none.
  bool has_block_size = false;             // Whether it sent them.
  bool operator==(const Negotiated&) const = default;

  [[nodiscard]] bool Has(std::uint16_t transmission_flag) const { return (info.flags & transmission_flag) != 0; }
};

}  // namespace nbdspec::engine
