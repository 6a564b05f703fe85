"""A binary that is optimised, with all it is made of, whatever the command line says."""

# .bazelrc gives every build -O1, which comes after -c opt's own -O2 and would win.
def _optimised_impl(settings, _attr):
    copts = [option for option in settings["//command_line_option:copt"] if not option.startswith("-O")]
    return {
        "//command_line_option:compilation_mode": "opt",
        "//command_line_option:copt": copts + ["-O3"],
    }

_optimised = transition(
    implementation = _optimised_impl,
    inputs = ["//command_line_option:copt"],
    outputs = [
        "//command_line_option:compilation_mode",
        "//command_line_option:copt",
    ],
)

def _optimised_binary_impl(ctx):
    binary = ctx.attr.binary[0][DefaultInfo]
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = binary.files_to_run.executable, is_executable = True)
    return [DefaultInfo(executable = out, files = depset([out]), runfiles = binary.default_runfiles)]

optimised_binary = rule(
    implementation = _optimised_binary_impl,
    attrs = {
        "binary": attr.label(cfg = _optimised, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
)
