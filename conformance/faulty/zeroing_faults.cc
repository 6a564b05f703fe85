// SPDX-License-Identifier: BSD-3-Clause
// Faults for zeroing_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::CommandFlag;
using engine::CommandType;
using engine::ConnectionState;
using engine::NbdError;
using engine::Request;
using engine::TransmissionFlag;

namespace {

constexpr std::uint16_t kZero = CommandType::kWriteZeroes;

Fault HangsUpOnNothing(std::string_view name, std::string_view check, std::uint16_t command) {
  return AnswersWrong(name, check, command, [](const Request& to, Said& said) {
    if (to.length == 0) {
      said = {engine::HardDisconnect{}};
    }
  });
}

// Zeroes only the first sector where WRITE_ZEROES has just the flags `flags`.
Fault ZeroesTooLittle(std::string_view name, std::string_view check, std::uint16_t flags) {
  return HearsWrong(name, check, [flags](ClientMessage& heard, const ConnectionState&) {
    auto* request = std::get_if<Request>(&heard);
    if (request != nullptr && request->type == kZero && request->flags == flags) {
      request->length = std::min(request->length, 512U);
    }
    return true;
  });
}

// Says `error` to WRITE_ZEROES with just the flags `flags`, having done it.
Fault Says(std::string_view name, std::string_view check, std::uint16_t flags, std::uint32_t error) {
  return AnswersWrong(name, check, kZero, [flags, error](const Request& to, Said& said) {
    if (to.flags == flags) {
      AnswerWith(to, error, said);
    }
  });
}

Fault WithoutFastZero(const Fault& fault) {
  return Both(AdvertisesFlags(
                  fault.name, fault.check,
                  [](std::uint16_t& flags) { flags &= static_cast<std::uint16_t>(~TransmissionFlag::kSendFastZero); }),
              fault);
}

}  // namespace

std::vector<Fault> ZeroingFaults() {
  constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;
  constexpr std::uint16_t kFast = CommandFlag::kFastZero;
  return {
      HangsUpOnNothing("server_hangs_up_on_empty_trim", spec::kTrimZeroNoDisconnect, CommandType::kTrim),
      HangsUpOnNothing("server_hangs_up_on_empty_write_zeroes", spec::kWriteZeroesZeroNoDisconnect, kZero),
      ZeroesTooLittle("server_zeroes_one_sector", spec::kWriteZeroesReadsZero, 0),
      ZeroesTooLittle("server_zeroes_one_sector_with_no_hole", spec::kSub<spec::kWriteZeroesReadsZero, "no-hole">,
                      kNoHole),
      ZeroesTooLittle("server_zeroes_one_sector_with_fast_zero", spec::kSub<spec::kWriteZeroesReadsZero, "fast">,
                      kFast),
      Says("server_does_not_support_slow_zeroes", spec::kWriteZeroesNoFastNoEnotsup, 0, NbdError::kEnotsup),
      Says("server_does_not_support_no_hole", spec::kWriteZeroesNoFastNoEnotsup, kNoHole, NbdError::kEnotsup),
      Says("server_overflows_on_fast_zero", spec::kWriteZeroesFastNoEoverflow, kFast, NbdError::kEoverflow),
      Says("server_zeroes_though_it_is_not_fast", spec::kWriteZeroesFastNoAlter, kFast, NbdError::kEnotsup),
      WithoutFastZero(Says("server_without_fast_zero_says_enotsup", spec::kWriteZeroesUnadvertisedNoEnotsup, 0,
                           NbdError::kEnotsup)),
      WithoutFastZero(
          Says("server_without_fast_zero_takes_it", spec::kWriteZeroesUnadvertisedEinval, kFast, NbdError::kOk)),
      WithoutFastZero(Says("server_without_fast_zero_says_enotsup_to_it", spec::kWriteZeroesUnadvertisedEinval, kFast,
                           NbdError::kEnotsup)),
  };
}

}  // namespace nbdspec::conformance
