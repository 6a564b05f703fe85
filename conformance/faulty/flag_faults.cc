// SPDX-License-Identifier: BSD-3-Clause
// Faults for flag_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;
using engine::TransmissionFlag;

namespace {

constexpr bool kOfSuccess = false;  // For AnswersWithError.

// Refuses requests with `flag`.
Fault RefusesFlag(std::string_view name, std::string_view check, std::uint16_t command, std::uint16_t flag) {
  return AnswersWrong(name, check, command, [flag](const Request& to, Said& said) {
    if ((to.flags & flag) != 0) {
      AnswerWith(to, NbdError::kEinval, said);
    }
  });
}

// Offers TRIM and WRITE_ZEROES though the export is read-only, and answers `command` with `error`.
Fault ReadOnlyWrong(std::string_view name, std::string_view check, std::uint16_t command, std::uint32_t error) {
  return Both(AdvertisesFlags(name, check,
                              [](std::uint16_t& flags) {
                                flags |= TransmissionFlag::kSendTrim | TransmissionFlag::kSendWriteZeroes;
                              }),
              AnswersWithError(name, check, command, /*of_errors=*/true, error));
}

}  // namespace

std::vector<Fault> FlagFaults() {
  return {
      AdvertisesFlags("server_clears_has_flags", spec::kEflagsHasFlags, [](std::uint16_t& flags) { flags &= 0xfffe; }),
      RefusesFlag("server_offers_df_and_refuses_it", spec::kEflagsUnsupportedClear, CommandType::kRead,
                  CommandFlag::kDf),
      AnswersWithError("server_offers_trim_and_refuses_it", spec::kEflagsUnsupportedClear, CommandType::kTrim,
                       kOfSuccess, NbdError::kEinval),
      AnswersWithError("server_does_not_know_flush", spec::kEflagsFlushWorks, CommandType::kFlush, kOfSuccess,
                       NbdError::kEinval),
      RefusesFlag("server_refuses_fua_of_write", spec::kEflagsFuaWorks, CommandType::kWrite, CommandFlag::kFua),
      AnswersWithError("server_does_not_know_trim", spec::kEflagsTrimWorks, CommandType::kTrim, kOfSuccess,
                       NbdError::kEinval),
      AnswersWithError("server_does_not_know_write_zeroes", spec::kEflagsWriteZeroesWorks, CommandType::kWriteZeroes,
                       kOfSuccess, NbdError::kEinval),
      RefusesFlag("server_does_not_know_no_hole", spec::kEflagsWriteZeroesWorks, CommandType::kWriteZeroes,
                  CommandFlag::kNoHole),
      AdvertisesFlags("server_offers_df_without_structured_replies", spec::kEflagsDfClearWithoutStructured,
                      [](std::uint16_t& flags) { flags |= TransmissionFlag::kSendDf; }),
      AdvertisesFlags(
          "server_offers_fast_zero_alone", spec::kEflagsFastZeroNeedsWriteZeroes,
          [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendWriteZeroes); }),
      AnswersWithError("server_writes_read_only_export", spec::kEflagsReadOnlyErrorWrites, CommandType::kWrite,
                       /*of_errors=*/true, NbdError::kOk),
      ReadOnlyWrong("server_trims_read_only_export", spec::kEflagsReadOnlyErrorWrites, CommandType::kTrim,
                    NbdError::kOk),
      AnswersWithError("server_refuses_write_of_read_only_export_with_eio", spec::kTransmissionWriteReadOnly,
                       CommandType::kWrite, /*of_errors=*/true, NbdError::kEio),
      ReadOnlyWrong("server_refuses_trim_of_read_only_export_with_eio", spec::kTransmissionTrimReadOnly,
                    CommandType::kTrim, NbdError::kEio),
      ReadOnlyWrong("server_refuses_write_zeroes_of_read_only_export_with_eio", spec::kWriteZeroesReadOnly,
                    CommandType::kWriteZeroes, NbdError::kEio),
      RefusesFlag("server_refuses_fua_of_read", spec::kCmdflagFuaAcceptAll, CommandType::kRead, CommandFlag::kFua),
      RefusesFlag("server_refuses_fua_of_flush", spec::kCmdflagFuaAcceptAll, CommandType::kFlush, CommandFlag::kFua),
      RefusesFlag("server_refuses_no_hole", spec::kCmdflagNoHoleSupport, CommandType::kWriteZeroes,
                  CommandFlag::kNoHole),
      AdvertisesFlags("server_offers_no_fua", spec::kInteropFlushFuaServer,
                      [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendFua); }),
      AdvertisesFlags("server_offers_no_flush", spec::kInteropFlushFuaServer,
                      [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendFlush); }),
  };
}

}  // namespace nbdspec::conformance
