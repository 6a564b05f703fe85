// SPDX-License-Identifier: BSD-3-Clause
// Faults for error_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

constexpr std::uint32_t kEnoent = 2;  // An errno that the protocol does not have.
constexpr std::uint16_t kUnknown = 0x7fff;

// Fails with `error` where a request fails, or succeeds with it (kOk).
Fault FailsWith(std::string_view name, std::string_view check, std::uint16_t command, std::uint32_t error) {
  return AnswersWithError(name, check, command, /*of_errors=*/true, error);
}

// Says that requests with flags succeed.
Fault IgnoresFlags(std::string_view name, std::string_view check, std::uint16_t command) {
  return HearsWrong(name, check, [command](engine::ClientMessage& heard, const engine::ConnectionState&) {
    auto* request = std::get_if<Request>(&heard);
    if (request != nullptr && request->type == command) {
      request->flags = 0;
    }
    return true;
  });
}

// Answers a request that passes the end of the export as one that does not.
Fault MovesInside(std::string_view name, std::string_view check, std::uint16_t command) {
  return HearsWrong(name, check, [command](engine::ClientMessage& heard, const engine::ConnectionState&) {
    auto* request = std::get_if<Request>(&heard);
    if (request != nullptr && request->type == command) {
      request->offset = 0;
    }
    return true;
  });
}

}  // namespace

std::vector<Fault> ErrorFaults() {
  constexpr std::uint16_t kWrite = CommandType::kWrite;
  constexpr std::uint16_t kRead = CommandType::kRead;
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  return {
      FailsWith("server_leaks_errno_of_its_host", spec::kErrorCodeAllowedSet, kRead, kEnoent),
      FailsWith("server_says_enomem", spec::kErrorNoEnomem, kRead, NbdError::kEnomem),
      FailsWith("server_overflows_on_unknown_command", spec::kErrorEoverflowLimited, kUnknown, NbdError::kEoverflow),
      FailsWith("server_does_not_support_unknown_command", spec::kErrorEnotsupLimited, kUnknown, NbdError::kEnotsup),
      FailsWith("server_says_eio_to_unknown_command", spec::kErrorUnknownCommand, kUnknown, NbdError::kEio),
      FailsWith("server_takes_unknown_command", spec::kErrorUnknownCommand, kUnknown, NbdError::kOk),
      IgnoresFlags("server_ignores_unknown_flag_of_read", spec::kErrorUnknownFlag, kRead),
      IgnoresFlags("server_ignores_unknown_flag_of_write", spec::kSub<spec::kErrorUnknownFlag, "write">, kWrite),
      IgnoresFlags("server_ignores_req_one_of_read", spec::kErrorInapplicableFlag, kRead),
      IgnoresFlags("server_ignores_df_of_write", spec::kSub<spec::kErrorInapplicableFlag, "write">, kWrite),
      IgnoresFlags("server_ignores_no_hole_of_block_status", spec::kSub<spec::kErrorInapplicableFlag, "block-status">,
                   CommandType::kBlockStatus),
      FailsWith("server_says_eio_past_the_end", spec::kTransmissionReadOutOfBounds, kRead, NbdError::kEio),
      MovesInside("server_reads_past_the_end", spec::kTransmissionReadOutOfBounds, kRead),
      FailsWith("server_says_eio_to_write_past_the_end", spec::kTransmissionWriteOutOfBounds, kWrite, NbdError::kEio),
      FailsWith("server_writes_past_the_end", spec::kTransmissionWriteOutOfBounds, kWrite, NbdError::kOk),
      FailsWith("server_says_enospc_to_trim", spec::kTransmissionTrimOutOfBounds, CommandType::kTrim,
                NbdError::kEnospc),
      FailsWith("server_zeroes_past_the_end", spec::kWriteZeroesOutOfBounds, kZero, NbdError::kOk),
      FailsWith("server_fails_write_with_errno_of_its_host", spec::kTransmissionWriteErrorCode, kWrite, kEnoent),
      FailsWith("server_fails_cache_with_errno_of_its_host", spec::kCacheErrorCode, CommandType::kCache, kEnoent),
      FailsWith("server_fails_write_zeroes_with_errno_of_its_host", spec::kWriteZeroesErrorCode, kZero, kEnoent),
  };
}

}  // namespace nbdspec::conformance
