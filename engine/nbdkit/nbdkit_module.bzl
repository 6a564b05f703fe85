"""nbdkit_module: a shared library that the installed nbdkit can load, whatever the rest is built with."""

load("@rules_cc//cc:defs.bzl", "cc_binary")

_COPT = "//command_line_option:copt"
_LINKOPT = "//command_line_option:linkopt"

def _without_sanitizers(settings, _attr):
    # nbdkit is not built with a sanitizer, and cannot load what needs one's runtime.
    return {
        option: [
            flag
            for flag in settings[option]
            if not flag.startswith("-fsanitize") and not flag.startswith("-fno-sanitize")
        ]
        for option in (_COPT, _LINKOPT)
    }

_unsanitized = transition(
    implementation = _without_sanitizers,
    inputs = [_COPT, _LINKOPT],
    outputs = [_COPT, _LINKOPT],
)

def _unsanitized_file_impl(ctx):
    # A name of its own in the ordinary output tree, where programs look for it.
    file = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = file, target_file = ctx.file.binary)
    return [DefaultInfo(files = depset([file]), runfiles = ctx.runfiles([file]))]

_unsanitized_file = rule(
    implementation = _unsanitized_file_impl,
    attrs = {
        "binary": attr.label(mandatory = True, allow_single_file = True, cfg = _unsanitized),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def nbdkit_module(name, srcs, deps):
    """Declares NAME, a plugin or filter of nbdkit: only plugin_init or filter_init can be seen in it.

    Args:
      name: as nbdkit wants it: nbdkit-NAME-plugin.so or nbdkit-NAME-filter.so.
      srcs: its sources.
      deps: libraries linked into it.
    """
    cc_binary(
        name = "linked/" + name,
        srcs = srcs,
        # The script names both functions, a module has one.
        linkopts = [
            "-Wl,--version-script=$(location init_only.lds)",
            "-Wl,--undefined-version",
        ],
        linkshared = True,
        visibility = ["//visibility:private"],
        deps = deps + ["init_only.lds"],
    )
    _unsanitized_file(
        name = name,
        binary = ":linked/" + name,
    )
