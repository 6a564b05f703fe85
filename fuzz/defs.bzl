"""cc_fuzz_target: the programs of a fuzz target from its row (fuzz/comparisons/fuzz_target.h).

docs/howto/add_a_fuzz_target.md says how to add one.

Fuzz:    tools/fuzz wire_decode_fuzz -max_total_time=60   (--engine=afl: with AFL++)
Replay:  bazel run //fuzz/targets:replay -- $PWD/FILE_OR_DIR...
Test:    bazel test //fuzz/targets/...   (replays both corpora, and some random inputs with a fixed seed)
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")

# For programs that only libFuzzer gives a main.
ONLY_WITH_LIBFUZZER = select({
    "//fuzz:libfuzzer": [],
    "//conditions:default": ["//fuzz:no_main"],
})

_ONLY_WITH_AFL = select({
    "//fuzz:afl": [],
    "//conditions:default": ["//fuzz:no_main"],
})

_ONLY_WITH_AN_ENGINE = select({
    "//fuzz:libfuzzer": [],
    "//fuzz:afl": [],
    "//conditions:default": ["//fuzz:no_main"],
})

# What an engine adds to a program.
ENGINE_LINKOPTS = select({
    "//fuzz:libfuzzer": ["-fsanitize=fuzzer"],
    # afl++
    "//fuzz:afl": [
        "/usr/lib/afl/libAFLDriver.a",
        "/usr/lib/afl/afl-compiler-rt.o",
    ],
    "//conditions:default": [],
})

def cc_fuzz_target(name, comparison, row):
    """Declares the programs of a fuzz target.

    Gives NAME (the program, with --config=fuzz, libfuzzer or afl), NAME_afl_mutator.so (with --config=afl) and
    NAME_corpus_test. What farms get is made by tools/oss_fuzz of the same rows.

    Args:
      name: ends in _fuzz. The rest is the name in the target's row, and of its folders in corpus/.
      comparison: the library that defines the row.
      row: the function that returns it: WireDecodeTarget for wire_decode_fuzz.
    """
    if not name.endswith("_fuzz"):
        fail("the name of a fuzz target ends in _fuzz: " + name)
    target = name[:-len("_fuzz")]

    native.genrule(
        name = name + "_row",
        outs = [name + "_row.cc"],
        cmd = "printf '%s\\n' '#include \"fuzz/comparisons/fuzz_target.h\"' 'namespace nbdspec::fuzz {' " +
              "'FuzzTarget %s();' 'FuzzTarget ThisTarget() { return %s(); }' '}' > $@" % (row, row),
    )
    cc_library(
        name = name + "_lib",
        testonly = True,
        srcs = [
            name + "_row.cc",
            "//fuzz/targets:entry.cc",
        ],
        deps = [
            comparison,
            "//fuzz/comparisons:farm",
            "//fuzz/comparisons:fuzz_target",
            "//fuzz/inputs:input_mutator",
        ],
        alwayslink = True,  # LLVMFuzzerTestOneInput is found by name only.
    )
    cc_binary(
        name = name,
        testonly = True,
        srcs = ["//fuzz/targets:asan_options.cc"],
        data = native.glob(["*.dict"]),
        linkopts = ENGINE_LINKOPTS,
        target_compatible_with = _ONLY_WITH_AN_ENGINE,
        deps = [":" + name + "_lib"],
    )
    cc_binary(
        name = name + "_afl_mutator.so",
        testonly = True,
        srcs = [name + "_row.cc"],
        linkshared = True,
        target_compatible_with = _ONLY_WITH_AFL,
        deps = [
            comparison,
            "//fuzz/comparisons:fuzz_target",
            "//fuzz/targets:afl_mutator",
        ],
    )

    # Not with libFuzzer: the same replay in every configuration.
    native.sh_test(
        name = name + "_corpus_test",
        size = "small",
        srcs = [":replay"],
        args = [
            "--target=" + target,
            "--random",
            "$(rootpaths //corpus:%s)" % target,
        ],
        data = ["//corpus:" + target],
    )
