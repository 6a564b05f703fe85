// SPDX-License-Identifier: BSD-3-Clause
// The main of `canaries` where libFuzzer does not bring one.

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);

int main(int argc, char** argv) { return LLVMFuzzerInitialize(&argc, &argv); }
