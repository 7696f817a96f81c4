#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every test that tests/requirements.md names exists and is run, and every behaviour names one.

A test is named `ctest-name` or `ctest-name:function`, as in `unit_machine:test_every_edge` or
`system_ibm_errors:test_unknown_device`. In C it is one that SB_TEST, or a macro made of it, begins.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get("SB_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = os.environ["SB_BUILD"]
FOLDERS = {"unit": ("unit/{}_test.c",), "scenario": ("scenario/{}_test.c",),
           "system": ("system/test_{}.py",), "interop": ("interop/test_{}.py",),
           "fuzz": ("fuzz/{}.c",), "lint": ("lint/{}.py",), "tsan": ("tsan/{}.py",),
           "bench": ("bench/{}.c", "bench/test_{}.py")}
NAME = re.compile(r"`((?:unit|scenario|system|interop|fuzz|lint|tsan|bench)_\w+)(?::(\w+))?`")


def known_tests():
    out = subprocess.run(["ctest", "--test-dir", BUILD, "-N"], capture_output=True, text=True,
                         check=True).stdout
    return set(re.findall(r"Test\s+#\d+: (\S+)", out))


def source_of(test):
    kind, _, rest = test.partition("_")
    for pattern in FOLDERS[kind]:
        path = ROOT / "tests" / pattern.format(rest)
        if path.exists():
            return path.read_text(encoding="utf-8")
    return None


def is_run(text, function):
    """Is it a test of this source, by its name or, after a macro that adds "test_", without?"""
    if re.search(rf"^ *def {function}\(", text, re.MULTILINE):
        return True
    names = rf"(?:{function}|{function.removeprefix('test_')})"
    if re.search(rf"^\w+\((?:[^,()]+, )?{names}(?:, [\w, ]+)?\)\n\{{", text, re.MULTILINE):
        return True
    found = re.search(rf"^static void {function}\(void \*\*state\b", text, re.MULTILINE)
    if not found:
        return False
    short = function.removeprefix("test_")
    return re.search(rf"\b{function}\b|\(({function}|{short})\)", text[found.end():]) is not None


def check_row(number, cells, tests):
    named = NAME.findall(cells[-1])
    if not named:
        yield f"{number}: '{cells[0]}' names no test"
    for test, function in named:
        if test not in tests:
            yield f"{number}: there is no test {test}"
        elif function:
            text = source_of(test)
            if text is None or not is_run(text, function):
                yield f"{number}: {test} runs no function {function}"


def main():
    tests = known_tests()
    findings, rows = [], 0
    lines = (ROOT / "tests/requirements.md").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.startswith("|") or line.startswith(("|--", "| --", "| Behaviour")):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows += 1
        if len(cells) != 2 or not all(cells):
            findings.append(f"{number}: not a row of two cells")
            continue
        findings += check_row(number, cells, tests)
    for finding in findings:
        print("tests/requirements.md:" + finding)
    print(f"{rows} behaviours, {len(findings)} findings")
    return 1 if findings or rows == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
