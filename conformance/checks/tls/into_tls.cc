// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/tls/into_tls.h"

#include <array>

namespace nbdspec::conformance {

std::expected<Session, Judgement> TlsIsDue(CheckContext& context, std::span<const Option> before) {
  NBDSPEC_TRY(session, context.HagglePlain());
  for (const Option& option : before) {
    NBDSPEC_TRY(replies, session.Try(option));
  }
  NBDSPEC_TRY(replies, session.Try(kStarttls));
  if (!IsAcknowledged(replies)) {
    return Stop(NotApplicable("STARTTLS was answered " + TypesOf(replies)));
  }
  return std::move(session);
}

std::expected<TlsOptions, Judgement> OurTls(CheckContext& context) {
  if (context.peer.tls() == nullptr) {
    return Stop(
        NotApplicable("what the server wants to see in TLS is not known: see --tls-certificates and --tls-psk"));
  }
  return TlsOptions{.credentials = *context.peer.tls()};
}

std::expected<Session, Judgement> InTls(CheckContext& context, std::span<const Option> before) {
  NBDSPEC_TRY(session, TlsIsDue(context, before));
  NBDSPEC_TRY(ours, OurTls(context));
  if (const auto up = session.StartTls(ours); !up) {
    return Stop(Inconclusive(up.error()));
  }
  return std::move(session);
}

std::expected<Session, Judgement> InTlsBehind(CheckContext& context, const Option& option) {
  NBDSPEC_TRY(ours, OurTls(context));
  NBDSPEC_TRY(session, context.HagglePlain());
  session.SendTogether(std::array<ClientMessage, 2>{kStarttls, option});
  const auto replies = session.NextOptionReplies();
  if (!replies || !IsAcknowledged(*replies) || !session.StartTls(ours)) {
    return Stop(Holds());
  }
  const auto next = session.Ask({.option = kUnknownOption});
  if (!next) {
    return Stop(Holds());
  }
  if (next->front().option != kUnknownOption) {
    return Stop(Broken("inside TLS, unasked: a reply for " + OptionName(next->front().option),
                       "nothing that came in plaintext has an effect inside TLS"));
  }
  return std::move(session);
}

}  // namespace nbdspec::conformance
