"""FUZZ_TARGETS: every fuzz target, a row each. What is made of all of them is made of this list:

the registries of targets (fuzz/targets) and of planted bugs (fuzz/canary), the programs, the replay of the corpus, and,
where the row says what its comparison needs, the library of that. docs/howto/add_a_fuzz_target.md says how to add one.
"""

def _target(name, comparison = None, deps = None, has_canaries = True):
    """A row.

    Args:
      name: of its folders in corpus/, its program NAME_fuzz, and its row NameTarget().
      comparison: the library that has NameTarget(); by default //fuzz/comparisons:NAME_differential.
      deps: what that library needs besides the row itself, engine/base and fmt; None where it has a rule of its own.
      has_canaries: whether a file of fuzz/canary has NameCanaries(), its planted bugs.
    """
    camel = "".join([word.capitalize() for word in name.split("_")])
    return struct(
        name = name,
        comparison = comparison or "//fuzz/comparisons:%s_differential" % name,
        deps = deps,
        row = camel + "Target",
        canaries = camel + "Canaries" if has_canaries else None,
    )

# In the order of the tables in docs/howto/add_a_fuzz_target.md and docs/canaries.md.
FUZZ_TARGETS = [
    _target("extent_map"),
    _target("boundary_tree", "//fuzz/comparisons:boundary_tree_target"),
    # Its programs have the operator new of failing_new.
    _target("c_api", deps = [
        "//engine/extents:extent",
        "//engine/extents:extents_c",
        "//engine/extents:failing_new",
        "//engine/oracle",
        "//fuzz/inputs:c_api_input",
    ]),
    _target("block_status_reply", "//fuzz/comparisons:block_status_differential"),
    _target("layer_stack", deps = [
        "//engine/extents",
        "//engine/layers",
        "//engine/script",
        "//engine/wire",
        "//fuzz/inputs:layer_stack_input",
        "//fuzz/oracles:naive_layers",
    ]),
    _target("meta_context", "//fuzz/comparisons:server_session_differential"),
    _target("server_session"),
    _target("block_status_exchange", "//fuzz/exchange:block_status_exchange"),
    _target("wire_decode", deps = [
        "//engine/wire",
        "//fuzz/inputs:fresh_inputs",
    ]),
    _target("session_decode", deps = [
        "//conformance/peer:interface",
        "//conformance/session",
        "//engine/wire",
        "//fuzz/inputs:fresh_inputs",
        "//fuzz/inputs:session_decode_input",
        "//fuzz/oracles:naive_session",
    ]),
    _target("libnbd_client", "//fuzz/libnbd:libnbd_client_differential"),
    _target("script_shrink", "//fuzz/comparisons:script_differential", has_canaries = False),
    _target("script_text", "//fuzz/comparisons:script_differential"),
    _target("report_input", deps = [
        "//engine/script",
        "//engine/spec",
        "//fuzz/findings",
        "//fuzz/inputs:fresh_inputs",
        "//fuzz/nbdkit:nbdkit_differential",
        "//reports/model:run",
        "//third_party:json",
    ]),
]

# Of the comparisons: each once.
COMPARISONS = depset([target.comparison for target in FUZZ_TARGETS]).to_list()

def cc_list(name, header, type, list_function, functions):
    """Declares NAME.cc: `list_function`, which returns what each of `functions` returns, a `type` of `header`."""
    lines = ["#include \"%s\"" % header, "#include <vector>", "namespace nbdspec::fuzz {"] + [
        "%s %s();" % (type, function)
        for function in functions
    ] + [
        "std::vector<%s> %s() { return {%s}; }" % (
            type,
            list_function,
            ", ".join([function + "()" for function in functions]),
        ),
        "}",
    ]
    native.genrule(
        name = name,
        outs = [name + ".cc"],
        cmd = "printf '%%s\\n' %s > $@" % " ".join(["'%s'" % line for line in lines]),
    )
