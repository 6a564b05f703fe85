// SPDX-License-Identifier: BSD-3-Clause
// How faults about metadata contexts are made. `option` is LIST_META_CONTEXT or SET_META_CONTEXT, 0 for both.

#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "conformance/faulty/fault.h"
#include "engine/wire/payloads.h"

namespace nbdspec::conformance {

// Whether `heard` is the option; 0: either.
bool IsContextOption(const engine::ClientMessage* heard, std::uint32_t option);

// Changes each context named.
Fault NamesWrong(std::string_view name, std::string_view check, std::uint32_t option,
                 std::function<void(engine::MetaContext&)> change);

// Gives one context more than is right, before the ACK.
Fault GivesContext(std::string_view name, std::string_view check, std::uint32_t option, engine::MetaContext more);

// Gives no contexts: a lone ACK.
Fault ForgetsContexts(std::string_view name, std::string_view check, std::uint32_t option);

// Ends with `type` where it should with ACK.
Fault EndsWrong(std::string_view name, std::string_view check, std::uint32_t option, std::uint32_t type);

// Acknowledges what it should refuse: ERR_INVALID becomes ACK.
Fault Acknowledges(std::string_view name, std::string_view check, std::uint32_t option);

// Names contexts twice that several queries match.
Fault RepeatsForEachQuery(std::string_view name, std::string_view check, std::uint32_t option);

// Keeps what was selected when a second SET_META_CONTEXT comes: it is kept from the server and answered `type`.
Fault KeepsSelection(std::string_view name, std::string_view check, std::uint32_t type);

// Refuses BLOCK_STATUS with EINVAL once the option was heard.
Fault RefusesStatusAfter(std::string_view name, std::string_view check, std::uint32_t option);

}  // namespace nbdspec::conformance
