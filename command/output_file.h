// SPDX-License-Identifier: BSD-3-Clause
// Files that the command writes: whole or not at all.

#pragma once

#include <cstdio>
#include <string>

namespace nbdspec::conformance {

// Writes all of `text`. Returns 0, or the errno that says why not.
int WriteTo(std::FILE* stream, const std::string& text);

// Whether `file` may be replaced: a plain file, or none yet. Pipes, devices and links are written to as they are.
bool IsPlain(const std::string& file);

// Replaces a plain file in one step, so that whoever reads it never sees half of it. "-" is standard output.
// Returns 0 or an errno.
int WriteOutput(const std::string& file, const std::string& text);

}  // namespace nbdspec::conformance
