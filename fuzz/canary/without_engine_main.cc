// SPDX-License-Identifier: BSD-3-Clause
// The main of `canaries` where no engine brings one.

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);

int main(int argc, char** argv) { return LLVMFuzzerInitialize(&argc, &argv); }
