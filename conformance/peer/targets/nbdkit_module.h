// SPDX-License-Identifier: BSD-3-Clause
// Where the plugin and the filter of engine/nbdkit are, for nbdkit to load.

#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace nbdspec::conformance {

inline constexpr std::string_view kExtentsPlugin = "nbdkit-nbdspec-extents-plugin.so";
inline constexpr std::string_view kOffsetFilter = "nbdkit-nbdspec-offset-filter.so";

// The absolute path of `file`: in $NBDSPEC_PLUGIN_DIR when that is set, else beside this program, else where Bazel
// builds it. Errors: it is in none of them.
std::expected<std::string, engine::Trouble> FindNbdkitModule(std::string_view file);

}  // namespace nbdspec::conformance
