// SPDX-License-Identifier: BSD-3-Clause
// Faults of a server that was asked to end, and of what stays when a client has gone. The reference server refuses
// options by ERR_SHUTDOWN then, and requests, those that are in flight too, by ESHUTDOWN.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint32_t kErrShutdown = OptionReplyType::kErrShutdown;
constexpr std::uint32_t kEshutdown = NbdError::kEshutdown;

Change FailsWith(std::uint32_t error) {
  return ChangesErrors(kAnyCommand, [=](std::uint32_t given) { return given == kEshutdown ? error : given; });
}

bool OnEshutdown(const Request& /*to*/, const Messages& sent) {
  return std::ranges::any_of(sent, [](const ServerMessage& each) {
    const auto* simple = std::get_if<SimpleReply>(&each);
    return simple != nullptr && simple->error == kEshutdown;
  });
}

// Says the first half of a reply, and no more.
Change TearsReply() {
  return ChangesAnswer(kAnyCommand, OnEshutdown, [](Messages& sent) {
    Bytes bytes = Encode(sent.front());
    bytes.resize(bytes.size() / 2);
    sent = {RawBytes{.bytes = std::move(bytes)}, HardDisconnect{}};
  });
}

// Answers the second of the requests that are left, and no more.
Change LeavesOneOut() {
  return ChangesAnswer(kAnyCommand, OnEshutdown, [has_left_out = false](Messages& sent) mutable {
    if (std::exchange(has_left_out, true)) {
      sent.emplace_back(HardDisconnect{});
    } else {
      sent.clear();
    }
  });
}

// Of a client that goes before it has entered an export, or after.
Change Keeps(bool entered, Remains kept) {
  return {.remains = [=](const Negotiated& state, Remains& remains) {
    if (state.transmission == entered) {
      remains = kept;
    }
  }};
}

// Of a client that goes once TLS is due, and before it has entered an export.
Change KeepsOfTls(Remains kept) {
  return {.remains = [=](const Negotiated& state, Remains& remains) {
    if (state.tls && !state.transmission) {
      remains = kept;
    }
  }};
}

}  // namespace

std::vector<Fault> ShutdownFaults() {
  return {
      {"server_goes_on_haggling_when_asked_to_end", kSessionShutdownErrShutdown,
       ReplacesReply(kAnyOption, kErrShutdown, kAck)},
      {"server_forbids_options_when_asked_to_end", kSessionShutdownErrShutdown,
       ReplacesReply(kAnyOption, kErrShutdown, kErrPolicy)},
      {"server_tears_a_reply_when_asked_to_end", kTransmissionShutdownWaitInflight, TearsReply()},
      {"server_leaves_a_request_out_when_asked_to_end", kTransmissionShutdownWaitInflight, LeavesOneOut()},
      {"server_fails_with_eio_when_asked_to_end",
       By(kTransmissionShutdownEshutdownInflight, kTransmissionShutdownEshutdownLater), FailsWith(kEio)},
      {"server_keeps_descriptors_of_clients_that_went", kSessionDepartedNoGrowth,
       Keeps(/*entered=*/true, {.descriptor_count = 1})},
      {"server_keeps_threads_of_clients_that_went", kSessionDepartedNoGrowth,
       Keeps(/*entered=*/true, {.thread_count = 1})},
      {"server_keeps_memory_of_clients_that_went", kSessionDepartedNoGrowth,
       Keeps(/*entered=*/true, {.memory_bytes = 16 << 10})},
      {"server_is_busy_when_a_client_went_early", kSessionDepartedNoGrowth,
       Keeps(/*entered=*/false, {.is_busy = true})},
      {"server_keeps_descriptors_of_clients_that_went_in_tls_handshake",
       kSub<kSessionDepartedNoGrowth, "tls-handshake">, KeepsOfTls({.descriptor_count = 1})},
  };
}

}  // namespace nbdspec::engine::faults
