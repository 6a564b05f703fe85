// SPDX-License-Identifier: BSD-3-Clause
// Faults for flag_checks.cc.
#include "conformance/faulty/answer_changes.h"

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
      AdvertisesFlags("server_clears_has_flags", "eflags.has-flags", [](std::uint16_t& flags) { flags &= 0xfffe; }),
      RefusesFlag("server_offers_df_and_refuses_it", "eflags.unsupported-clear", CommandType::kRead, CommandFlag::kDf),
      AnswersWithError("server_offers_trim_and_refuses_it", "eflags.unsupported-clear", CommandType::kTrim, kOfSuccess,
                       NbdError::kEinval),
      AnswersWithError("server_does_not_know_flush", "eflags.flush.works", CommandType::kFlush, kOfSuccess,
                       NbdError::kEinval),
      RefusesFlag("server_refuses_fua_of_write", "eflags.fua.works", CommandType::kWrite, CommandFlag::kFua),
      AnswersWithError("server_does_not_know_trim", "eflags.trim.works", CommandType::kTrim, kOfSuccess,
                       NbdError::kEinval),
      AnswersWithError("server_does_not_know_write_zeroes", "eflags.write-zeroes.works", CommandType::kWriteZeroes,
                       kOfSuccess, NbdError::kEinval),
      RefusesFlag("server_does_not_know_no_hole", "eflags.write-zeroes.works", CommandType::kWriteZeroes,
                  CommandFlag::kNoHole),
      AdvertisesFlags("server_offers_df_without_structured_replies", "eflags.df.clear-without-structured",
                      [](std::uint16_t& flags) { flags |= TransmissionFlag::kSendDf; }),
      AdvertisesFlags(
          "server_offers_fast_zero_alone", "eflags.fast-zero.needs-write-zeroes",
          [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendWriteZeroes); }),
      AnswersWithError("server_writes_read_only_export", "eflags.read-only.error-writes", CommandType::kWrite,
                       /*of_errors=*/true, NbdError::kOk),
      ReadOnlyWrong("server_trims_read_only_export", "eflags.read-only.error-writes", CommandType::kTrim,
                    NbdError::kOk),
      AnswersWithError("server_refuses_write_of_read_only_export_with_eio", "transmission.write.read-only",
                       CommandType::kWrite, /*of_errors=*/true, NbdError::kEio),
      ReadOnlyWrong("server_refuses_trim_of_read_only_export_with_eio", "transmission.trim.read-only",
                    CommandType::kTrim, NbdError::kEio),
      ReadOnlyWrong("server_refuses_write_zeroes_of_read_only_export_with_eio", "write-zeroes.read-only",
                    CommandType::kWriteZeroes, NbdError::kEio),
      RefusesFlag("server_refuses_fua_of_read", "cmdflag.fua.accept-all", CommandType::kRead, CommandFlag::kFua),
      RefusesFlag("server_refuses_fua_of_flush", "cmdflag.fua.accept-all", CommandType::kFlush, CommandFlag::kFua),
      RefusesFlag("server_refuses_no_hole", "cmdflag.no-hole.support", CommandType::kWriteZeroes, CommandFlag::kNoHole),
      AdvertisesFlags("server_offers_no_fua", "interop.flush-fua.server",
                      [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendFua); }),
      AdvertisesFlags("server_offers_no_flush", "interop.flush-fua.server",
                      [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendFlush); }),
  };
}

}  // namespace nbdspec::conformance
