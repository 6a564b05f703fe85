// SPDX-License-Identifier: BSD-3-Clause
// The guardian: a small process between nbdspec and a server, which outlives nbdspec for as long as it takes to
// stop the server, whatever killed nbdspec, and to remove the server's directory.
//
//   nbdspec --fork--> guardian (own session) --fork, exec--> server (own process group)
//
// It is the subreaper of all that the server starts, so daemons become its children and can be found.
// One socket joins it to nbdspec, which sends orders. It makes the directory, so that there is none that nobody guards,
// and nbdspec then makes what the server needs, until the first order. The end of the socket means "stop": the kernel
// also ends it when nbdspec is gone. What the server writes on its outputs comes through a pipe, so that no more than
// kLogBytesMax of it is ever on the disk.

#pragma once

#include <sys/resource.h>

#include <cstdint>

namespace nbdspec::conformance {

// Everything the guardian needs, made before the fork: nothing may be allocated after it, since another thread of
// nbdspec may hold the allocator's lock and never release it.
struct GuardianPlan {
  const char* executable;
  char* const* arguments;
  char* const* environment;
  const char* directory;      // Removed in the end.
  bool makes_directory;       // Else it is there.
  const char* log;            // The file for what the server says on both of its outputs.
  const char* mount_point;    // What is mounted there by then is unmounted first; it need not exist.
  const char* fusermount;     // The program that unmounts for who is not root; may be null.
  int channel;                // The guardian's end of a SOCK_SEQPACKET pair.
  const rlimit* descriptors;  // How many files the server may open; null: as many as nbdspec.
};

// When the log passes this it begins anew.
inline constexpr std::int64_t kLogBytesMax = 16 << 20;

// Where the kernel lists the children of the thread that reads it: daemons among the guardian's are found by nothing
// else.
inline constexpr const char* kChildrenFile = "/proc/thread-self/children";

// What nbdspec tells the guardian: one packet.
enum class GuardianOrder : std::uint8_t {
  kStart,
  kShutDown,  // Ask the server to end, by SIGTERM; kAnswered answers.
  kDrain,     // Put what the server has said into the log; kAnswered answers.
  kKill,
};

// What the guardian tells nbdspec: one packet, in this machine's byte order.
struct GuardianNews {
  enum class Kind : std::int32_t {
    kMade,        // The directory and the log are there; before any other.
    kCannotMake,  // They cannot be made; value is the errno. Nothing follows.
    kCannotRun,   // exec failed; value is its errno.
    kEnded,       // The server ended; value is its wait status.
    kAnswered,    // An order is done.
  };
  Kind kind;
  std::int32_t value;
};

// Runs as the guardian; called between fork and the end of the process, with all signals blocked.
[[noreturn]] void RunGuardian(const GuardianPlan& plan);

}  // namespace nbdspec::conformance
