// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/tls_server.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::conformance {

using engine::Bytes;
using engine::ByteView;

namespace {

void Append(Bytes& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace

void TlsServer::Receive(ByteView bytes) {
  if (!filter_) {
    server_.Receive(has_failed_ ? ByteView() : bytes);
    return;
  }
  filter_->Receive(bytes);
  if (filter_->is_up()) {
    ReceiveInside(std::exchange(early_, {}));
    Append(plaintext_, std::exchange(conduct_.plaintext_inside, {}));
  }
  ReceiveInside(filter_->TakePlaintext());
  if (!filter_->failure().empty()) {
    Append(plaintext_, filter_->TakeOutput());  // An alert.
    has_failed_ = conduct_.ends_when_it_fails;
    filter_.reset();
  }
}

// What is only TLS's is no piece of what comes inside of it.
void TlsServer::ReceiveInside(ByteView plaintext) {
  if (!plaintext.empty()) {
    server_.Receive(plaintext);
  }
}

Bytes TlsServer::TakeOutput() {
  Bytes output = std::exchange(plaintext_, {});
  Bytes said = server_.TakeOutput();
  if (!filter_) {
    if (output.empty()) {
      output.swap(said);
    } else {
      Append(output, said);
    }
    if (server_.tls_is_due()) {
      BeginTls();  // At once: what the client sends from here on is TLS, and what it has sent is not.
    }
    return output;
  }
  if (!said.empty()) {
    filter_->Send(said);
  } else if (server_.closed() && conduct_.says_close && !std::exchange(has_said_close_, true)) {
    filter_->Close();
  }
  Append(output, filter_->TakeOutput());
  return output;
}

void TlsServer::BeginTls() {
  began_tls_ = true;
  conduct_ = server_.tls_conduct();
  TlsOptions options{.credentials = credentials_,
                     .oldest = conduct_.speaks_1_1   ? TlsVersion::k1_1
                               : conduct_.speaks_1_2 ? TlsVersion::k1_2
                                                     : TlsVersion::k1_3,
                     .newest = conduct_.speaks_1_3   ? TlsVersion::k1_3
                               : conduct_.speaks_1_2 ? TlsVersion::k1_2
                                                     : TlsVersion::k1_1};
  if (!conduct_.demands_certificate) {
    options.credentials.authorities.clear();
  }
  auto filter = TlsFilter::Make(TlsFilter::End::kServer, options);
  NBDSPEC_CHECK(filter);
  filter_ = *std::move(filter);
  plaintext_ = std::exchange(conduct_.plaintext_first, {});
  early_ = std::exchange(conduct_.comes_first, {});
  const Bytes behind = server_.BeginTls();
  if (conduct_.reads_what_came_before) {
    Append(early_, behind);
  } else {
    Receive(behind);
  }
}

}  // namespace nbdspec::conformance
