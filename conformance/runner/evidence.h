// SPDX-License-Identifier: BSD-3-Clause
// Evidence of a judgement: which messages of the conversation it is about, and which of their fields.
//
// Decided here and nowhere else; every report shows what is marked. A check names its subject where that is not what
// was asked last (checks/subject.h).

#pragma once

#include <cstddef>
#include <string>

#include "conformance/checks/check.h"
#include "conformance/session/transcript.h"
#include "reports/model/evidence.h"

namespace nbdspec::conformance {

// How many messages evidence shows: those that were judged, and the nearest around them.
inline constexpr std::size_t kMessagesShownMax = 24;

// What was asked is the message that `judgement.about` names, or asks for the one it names: by default the last that
// was sent, except to leave. What was judged is what answers it on its connection; where nothing does, the message
// itself and the note on how the connection went on. Of what was judged those fields are judged whose value
// `judgement.saw` quotes, unless what was asked has it, too, or whose name. Messages are there only where there is
// something to show: unless the requirement holds or does not apply.
reports::Evidence EvidenceOf(const Transcript& transcript, const Judgement& judgement);

// `sentence` with a full stop, unless it ends like a sentence already.
std::string WithFullStop(std::string sentence);

// "line 14, byte 1342 from the server".
std::string PlaceOf(const reports::Message& message);

}  // namespace nbdspec::conformance
