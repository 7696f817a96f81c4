#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the given unit tests with ThreadSanitizer, in a folder of the build's own, and runs them.

A race ends its test with an error. Nothing is suppressed: the MQTT library is not instrumented,
and what it locks with is seen.
"""
import os
import pathlib
import subprocess
import sys

SOURCE = os.environ["SB_SOURCE"]
FOLDER = pathlib.Path(os.environ["SB_BUILD"]) / "tsan"
AT_ONCE = "8"  # they mostly wait


def run(*words, **environment):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(f"{' '.join(map(str, words))}: ended with {done.returncode}")
    return done.stdout


def fixed_addresses():
    """Words that keep addresses from being random, which the sanitizer of some compilers needs."""
    words = ["setarch", "-R"]
    try:
        done = subprocess.run([*words, "true"], check=False, stderr=subprocess.DEVNULL)
    except OSError:
        return []
    return words if done.returncode == 0 else []


def main(tests):
    run("cmake", "-S", SOURCE, "-B", FOLDER, "-G", os.environ["SB_GENERATOR"],
        f"-DCMAKE_C_COMPILER={os.environ['SB_CC']}", "-DSB_SANITIZE=thread",
        "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_C_FLAGS=-O1 -g1")
    run("cmake", "--build", FOLDER, "--target", *tests)
    out = run(*fixed_addresses(), "ctest", "--test-dir", FOLDER, "-j", AT_ONCE,
              "--output-on-failure", "--no-tests=error", "-R", f"^({'|'.join(tests)})$",
              TSAN_OPTIONS="halt_on_error=1 exitcode=66")
    ran = out.count("Passed")
    print(out)
    if ran != len(tests):
        sys.exit(f"{ran} of {len(tests)} tests ran")


if __name__ == "__main__":
    main(sys.argv[1:])
