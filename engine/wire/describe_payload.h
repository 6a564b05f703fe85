// SPDX-License-Identifier: BSD-3-Clause
// Payloads in a few words, for the descriptions of messages.

#pragma once

#include <cstdint>
#include <string>

#include "engine/base/bytes.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// What the payload says, escaped and cut to some 150 characters; its first bytes when it cannot be taken apart or
// nothing is known of it; "" when there is none.
std::string DescribePayload(const Option& option);
std::string DescribePayload(const OptionReply& reply);
std::string DescribePayload(const Chunk& chunk);

// The first bytes: as text when all of them are printable, else in hexadecimal.
std::string DescribeBytes(ByteView bytes);

}  // namespace nbdspec::engine
