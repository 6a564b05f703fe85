// SPDX-License-Identifier: BSD-3-Clause
// Fresh inputs of the targets whose bytes have a form that random bytes never meet (InputKind::fresh): texts and
// messages that are right but for one thing or two.

#pragma once

#include "engine/base/bytes.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {

// For script_text: scripts of every kind of step, as text or as bytes, for the target takes both.
engine::Bytes FreshScriptText(Random& random);

// For wire_decode: messages in the phase that the head says.
engine::Bytes FreshWireInput(Random& random);

// For server_session: choices among messages, most of which the server answers.
engine::Bytes FreshSessionInput(Random& random);

// For session_decode: steps, and messages that are whole.
engine::Bytes FreshSessionDecodeInput(Random& random);

// For report_input: requirements, a case for nbdkit, or what a finding is.
engine::Bytes FreshReportText(Random& random);

}  // namespace nbdspec::fuzz
