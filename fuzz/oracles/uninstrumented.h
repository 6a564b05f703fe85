// SPDX-License-Identifier: BSD-3-Clause
// NBDSPEC_UNINSTRUMENTED: before a function of an oracle, which sanitizers and coverage are to leave alone.
//
// A comparison after every step costs more than the steps, and instrumented some ten times as much again; what a
// fuzzer learns of the oracle's own branches only leads it astray. Use it where a function touches raw memory in
// bounds that are plain to see, and calls nothing.

#pragma once

#define NBDSPEC_UNINSTRUMENTED __attribute__((no_sanitize("address", "undefined", "coverage")))
