// SPDX-License-Identifier: BSD-3-Clause
// What fuzz targets ask of AddressSanitizer, where ASAN_OPTIONS does not say otherwise: a third of their time.
//
// What is under test is new for each input, so that a quarantine of the last few hundred is enough, and fits a cache.
// Use of a stack after return is looked for when the corpus is replayed (bazel test --config=asan), which is soon done.

extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=1:detect_stack_use_after_return=0"; }
