// SPDX-License-Identifier: BSD-3-Clause
// Into TLS by STARTTLS, with what a check asks before it.

#pragma once

#include <span>

#include "conformance/checks/options/haggling.h"
#include "conformance/tls/tls_filter.h"

namespace nbdspec::conformance {

// A session whose STARTTLS was just acknowledged, after `before`. Errors: not applicable where it is not.
std::expected<Session, Judgement> TlsIsDue(CheckContext& context, std::span<const Option> before = {});

// What we show a server that knows us. Errors: nobody said, which is not applicable.
std::expected<TlsOptions, Judgement> OurTls(CheckContext& context);

// A session inside TLS, after `before` outside of it. What these are answered is not looked at.
std::expected<Session, Judgement> InTls(CheckContext& context, std::span<const Option> before = {});

// A session inside TLS, after STARTTLS and `option` in one segment, as an attacker in the middle would put it there: a
// server takes it for TLS, which it is not, or drops it. Errors: holds when there is no TLS then; broken when it is
// answered inside of TLS.
std::expected<Session, Judgement> InTlsBehind(CheckContext& context, const Option& option);

}  // namespace nbdspec::conformance
