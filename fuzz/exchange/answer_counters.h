// SPDX-License-Identifier: BSD-3-Clause
// Tells libFuzzer what kinds of answers the reference server gives, besides which code ran.
//
// The code of a server is soon covered; that a status of five descriptors was requested with REQ_ONE after a failed
// SET_META_CONTEXT is not code. Two answers are of one kind when the same was negotiated, and their messages, errors,
// numbers of descriptors and statuses are alike.

#pragma once

#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"
#include "fuzz/oracles/reference_judge.h"

namespace nbdspec::fuzz {

void CountReplies(const engine::OptionReplies& replies, const engine::Negotiated& state);
void CountAnswer(const engine::Request& request, const engine::Negotiated& state, const ReceivedAnswer& answer);

}  // namespace nbdspec::fuzz
