"""cc_fuzz_target: the programs of a fuzz target from its row (fuzz/comparisons/fuzz_target.h).

docs/howto/add_a_fuzz_target.md says how to add one.

Fuzz:    tools/fuzz wire_decode_fuzz -max_total_time=60
Replay:  bazel run //fuzz/targets:replay -- $PWD/FILE_OR_DIR...
Test:    bazel test //fuzz/targets/...   (replays both corpora, and some random inputs with a fixed seed)
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")

# For programs that only libFuzzer gives a main.
ONLY_WITH_LIBFUZZER = select({
    "//fuzz:libfuzzer": [],
    "//conditions:default": ["//fuzz:no_main"],
})

def cc_fuzz_target(name, comparison, row):
    """Declares the programs of a fuzz target.

    Gives NAME (a libFuzzer binary, with --config=fuzz or libfuzzer), NAME_corpus_test, NAME_seed_corpus
    (NAME_seed_corpus.tar) and NAME_options (NAME.options, for fuzzing farms).

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
        copts = ["-fno-sanitize=fuzzer-no-link"],  # Not under test.
        deps = [
            comparison,
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
        linkopts = ["-fsanitize=fuzzer"],
        target_compatible_with = ONLY_WITH_LIBFUZZER,
        deps = [":" + name + "_lib"],
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
    native.genrule(
        name = name + "_seed_corpus",
        srcs = ["//corpus:%s_seeds" % target],
        outs = [name + "_seed_corpus.tar"],
        cmd = "tar --create --dereference --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner " +
              "--transform='s:.*/::' --file=$@ $(SRCS)",
    )

    # A source, not a tool: one build of the comparisons is enough.
    native.genrule(
        name = name + "_options",
        testonly = True,
        srcs = [":replay"],
        outs = [name + ".options"],
        cmd = "$(execpath :replay) --options=%s > $@" % target,
    )
