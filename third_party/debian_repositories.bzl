"""Bazel's own dependencies, taken from Debian packages so that no build needs a network."""

# bazel-rules-cc 0.0.4 loads use_cpp_toolchain from @bazel_tools in these files; Bazel 4.2.3 has no such
# function yet, and its value is this list.
_FILES_TO_MEND = [
    "cc/private/rules_impl/cc_flags_supplier.bzl",
    "cc/private/rules_impl/compiler_flag.bzl",
]

def _debian_rules_cc_impl(repository_ctx):
    repository_ctx.execute(["cp", "-r", "/usr/share/bazel/rules/cc/.", "."])
    for path in _FILES_TO_MEND:
        text = repository_ctx.read(path)
        text = text.replace(', "use_cpp_toolchain"', "")
        text = text.replace("use_cpp_toolchain()", '["@bazel_tools//tools/cpp:toolchain_type"]')
        repository_ctx.file(path, text, executable = False)

_debian_rules_cc = repository_rule(implementation = _debian_rules_cc_impl, local = True)

_EMPTY_COVERAGE_TOOLS = """
package(default_visibility = ["//visibility:public"])
filegroup(name = "coverage_report_generator")
filegroup(name = "coverage_output_generator")
"""

def debian_repositories():
    _debian_rules_cc(name = "rules_cc")
    native.local_repository(name = "rules_java", path = "/usr/share/bazel/rules/java")

    # Without it Bazel 4 would download a coverage tool before it analyses any cc_test.
    native.new_local_repository(
        name = "remote_coverage_tools",
        path = "/usr/share/bazel/platforms",
        build_file_content = _EMPTY_COVERAGE_TOOLS,
    )
