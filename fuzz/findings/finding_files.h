// SPDX-License-Identifier: BSD-3-Clause
// The directory of one finding: its files, written and read. store.h says which there are.

#pragma once

#include <expected>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// Writes all of `finding` as the new directory `path`, to be called `name`, and to the disk. False: errno says why.
bool WriteFiles(const Finding& finding, const std::string& path, const std::string& name);

// Writes into the finding in `directory` that those have seen it, and no others. At any moment it is whole.
// False: errno says why.
bool WriteSightings(const std::string& directory, const std::vector<Sighting>& sightings);

// Whether what was renamed in `path` is on the disk now.
bool SyncDirectory(const std::string& path);

// Whether there is one in `directory`, whole or torn.
bool HoldsFinding(const std::string& directory);

// Reads a finding's directory. Without `keeps_streams` of the streams only whether they are whole: connections have no
// bytes then. Errors: a sentence that names the file that is missing, torn, too large or not understood.
std::expected<Finding, engine::Trouble> ReadFinding(const std::string& directory, bool keeps_streams = false);

}  // namespace nbdspec::fuzz
