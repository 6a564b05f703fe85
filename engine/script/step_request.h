// SPDX-License-Identifier: BSD-3-Clause
// The request that a step of a script becomes on a connection, by the form of its headers and what it has selected.

#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/script/script.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// The longest payload of a command that has no use for one: servers that take less would end the connection.
inline constexpr std::uint64_t kUselessPayloadBytesMax = 4096;

// `step` in headers of `form`, with its payload but for the data of a WRITE, which its pattern is. `contexts` are those
// that the connection has selected.
//
// Compact headers have no payloads but those of WRITE: PAYLOAD_LEN is a flag as any other, and nothing comes of
// `contexts` and `is_unannounced`. Where headers are extended, a WRITE has PAYLOAD_LEN unless it is unannounced; with
// that flag, BLOCK_STATUS has a query as payload, and what has no use for a payload has one of step.length bytes, at
// most kUselessPayloadBytesMax.
//
// Nothing where the form cannot carry it, which whoever runs the script then leaves out: more than 2^32-1 bytes in
// compact headers. Nor is so much data written in either form.
[[nodiscard]] std::optional<Request> RequestFor(const RequestStep& step, HeaderForm form,
                                                std::span<const MetaContext> contexts);

}  // namespace nbdspec::engine
