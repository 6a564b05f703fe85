"""cc_fuzz_target: one line gives the fuzz binary, the test that replays its corpus, and its seed archive.

To add the target wire_decode:
1. fuzz/targets/wire_decode_fuzz.cc defines LLVMFuzzerTestOneInput, thin, over a function in fuzz/comparisons that returns
   std::optional<Disagreement> (comparisons/disagreement.h): none when subject and reference agree. The target passes it to
   AbortOnDisagreement, because libFuzzer ignores return values. A target that runs scripts takes its input through
   ReadScript (engine/script/script_bytes.h), so that seeds and regressions can be text, and defines
   LLVMFuzzerCustomMutator and LLVMFuzzerCustomCrossOver by way of inputs/script_mutator.h.
2. corpus/seeds/wire_decode/ has at least one input. Found bugs go to corpus/regressions/wire_decode/, a file
   each, named by what must hold.
3. fuzz/targets/BUILD: cc_fuzz_target(name = "wire_decode_fuzz", deps = [...]).
4. fuzz/canary: planted bugs that the function must find (canary/canary.h says how). A target without them proves nothing.

Fuzz:    bazel build --config=fuzz //fuzz/targets:wire_decode_fuzz
         bazel-bin/fuzz/targets/wire_decode_fuzz -max_len=512 NEW_INPUTS_DIR corpus/seeds/wire_decode
Replay:  bazel run //fuzz/targets:wire_decode_fuzz -- $PWD/FILE_OR_DIR...
Test:    bazel test //fuzz/targets/...   (replays both corpora, and some random inputs with a fixed seed)
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

_STANDALONE_MAIN = "//fuzz/targets:standalone_main"
_ASAN_OPTIONS = "//fuzz/targets:asan_options"

def cc_fuzz_target(name, deps, srcs = None, dictionary = None, max_len = 512, random_runs = 2000, random_seed = 1):
    """Declares a fuzz target.

    Gives NAME (a libFuzzer binary with --config=fuzz, else one that replays the files it is given),
    NAME_corpus_test, NAME_seed_corpus (NAME_seed_corpus.tar) and NAME_options (NAME.options, for fuzzing farms).

    Args:
      name: ends in _fuzz. The rest is the target's folder in corpus/seeds and corpus/regressions.
      deps: what the target needs.
      srcs: NAME.cc unless given.
      dictionary: a libFuzzer dictionary, or None.
      max_len: bytes of the longest input worth trying.
      random_runs: how many random inputs the corpus test adds.
      random_seed: their seed. Fixed, so that the test says the same thing every time.
    """
    if not name.endswith("_fuzz"):
        fail("the name of a fuzz target ends in _fuzz: " + name)
    target = name[:-len("_fuzz")]
    data = [dictionary] if dictionary else []
    flags = ["-max_len=%d" % max_len] + (["-dict=$(rootpath %s)" % dictionary] if dictionary else [])

    cc_library(
        name = name + "_lib",
        testonly = True,
        srcs = srcs or [name + ".cc"],
        deps = deps,
        alwayslink = True,  # LLVMFuzzerTestOneInput is found by name only.
    )
    cc_binary(
        name = name,
        testonly = True,
        srcs = [_ASAN_OPTIONS],
        args = select({
            "//fuzz:libfuzzer": flags,
            "//conditions:default": [],
        }),
        data = data,
        linkopts = select({
            "//fuzz:libfuzzer": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = [":" + name + "_lib"] + select({
            "//fuzz:libfuzzer": [],
            "//conditions:default": [_STANDALONE_MAIN],
        }),
    )

    # Never linked with libFuzzer: the same replay in every configuration.
    cc_test(
        name = name + "_corpus_test",
        size = "small",
        args = [
            "--max_len=%d" % max_len,
            "--runs=%d" % random_runs,
            "--seed=%d" % random_seed,
            "$(rootpaths //corpus:%s)" % target,
        ],
        data = ["//corpus:" + target],
        deps = [
            ":" + name + "_lib",
            _STANDALONE_MAIN,
        ],
    )
    native.genrule(
        name = name + "_seed_corpus",
        srcs = ["//corpus:%s_seeds" % target],
        outs = [name + "_seed_corpus.tar"],
        cmd = "tar --create --dereference --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner " +
              "--transform='s:.*/::' --file=$@ $(SRCS)",
    )
    native.genrule(
        name = name + "_options",
        srcs = data,
        outs = [name + ".options"],
        cmd = "printf '[libfuzzer]\\nmax_len = %d\\n' > $@" % max_len +
              ("; echo dict = $$(basename $(location %s)) >> $@" % dictionary if dictionary else ""),
    )
