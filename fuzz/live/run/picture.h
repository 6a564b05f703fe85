// SPDX-License-Identifier: BSD-3-Clause
// What passed on the connections of a run, for a finding: as lines, and as what reports draw of it.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/findings/finding.h"
#include "fuzz/live/judge/reply_judge.h"
#include "reports/model/evidence.h"

namespace nbdspec::fuzz {

// "C1> @4 +28  NBD_CMD_READ ...": a line of a finding's transcript.
std::string TranscriptLine(const reports::Message& message);

// Of all that passed: the messages with `cookie`, marked, and what is near to them. Without a cookie, or where none has
// it, what passed last.
FindingPicture PictureOf(std::vector<reports::Message> messages, std::optional<std::uint64_t> cookie,
                         const Failure& failure);

}  // namespace nbdspec::fuzz
