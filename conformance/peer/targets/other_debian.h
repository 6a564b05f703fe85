// SPDX-License-Identifier: BSD-3-Clause
// Servers of other Debian releases than the one that runs here, as tools/other_debian unpacks them: "nbdkit@trixie".

#pragma once

#include <string>
#include <string_view>

namespace nbdspec::conformance {

// A server's name as the user writes it.
struct NameAndSuite {
  std::string_view name;
  std::string_view suite;  // Empty: this machine's.
};

// Splits `text` at its '@'. What follows one and cannot be a suite's name stays with the name.
// Example: qemu-nbd:qcow2@sid -> qemu-nbd:qcow2, sid
NameAndSuite SplitAtSuite(std::string_view text);

// The path of the command that runs `program` of `suite`, where it is unpacked.
std::string PathInSuite(std::string_view suite, std::string_view program);

// The version of `package` in `suite`, without epoch: "10.0.13+ds-0+deb13u1". (What a program says of itself is not
// always true: nbd-server of nbd 3.27.1 says 3.26.1.) Empty when the suite is not unpacked.
std::string VersionInSuite(std::string_view suite, std::string_view package);

}  // namespace nbdspec::conformance
