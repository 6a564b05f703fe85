// SPDX-License-Identifier: BSD-3-Clause
#include "command/interrupt.h"

#include <csignal>

namespace nbdspec::command {

namespace {

std::atomic<bool> interrupted = false;
std::atomic<int> interrupt_signal = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler may only touch lock-free atomics");

void Note(int signal) {
  interrupt_signal = signal;
  interrupted = true;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = Note;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (signal != SIGHUP || before.sa_handler != SIG_IGN) {  // Under nohup a hangup is no reason to stop.
      ::sigaction(signal, &action, nullptr);
    }
  }
}

const std::atomic<bool>& Interrupted() { return interrupted; }

int InterruptSignal() { return interrupt_signal; }

}  // namespace nbdspec::command
