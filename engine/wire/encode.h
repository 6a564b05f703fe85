// SPDX-License-Identifier: BSD-3-Clause
// Messages to bytes, field by field: an illegal message gives illegal bytes.

#pragma once

#include "engine/base/bytes.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// Appends the wire form of `message` to `out`. HardDisconnect has none.
void Encode(const ServerMessage& message, Bytes& out);
void Encode(const ClientMessage& message, Bytes& out);

Bytes Encode(const ServerMessage& message);
Bytes Encode(const ClientMessage& message);

}  // namespace nbdspec::engine
