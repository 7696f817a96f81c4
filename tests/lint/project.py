#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the project promises of itself as a whole.

- Continuous integration runs the README's test command and nothing else; that command and the
  quickstart are programs which install what they need themselves.
- Simulators and scripted platforms share no code, table or mapping with the adapters which they
  are to judge.
- The licence is Apache-2.0, in whole.
- Every program of ctest is named by a row of tests/requirements.md: none is there for nobody.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get("SB_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = os.environ["SB_BUILD"]
# Steps that only prepare others, and what depends on the machine.
NEED_NO_ROW = {"interop_packages", "man_southbridgectl"}  # the latter where scdoc is there


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name):
    """The lines of a shell script that do something."""
    return [line.strip() for line in read(name).splitlines()
            if line.strip() and not line.lstrip().startswith("#")]


def check_commands():
    wanted = ["set -eu", 'cd "$(dirname "$0")/.."', "exec tests/run.sh"]
    if commands(".ci/run") != wanted:
        yield ".ci/run: does something else than tests/run.sh"
    for name in (".ci/run", "tests/run.sh", "packaging/quickstart.sh",
                 "packaging/install-missing.sh"):
        if not os.access(ROOT / name, os.X_OK):
            yield f"{name}: is not executable"
    for name in ("tests/run.sh", "packaging/quickstart.sh"):
        if not any(line.startswith("packaging/install-missing.sh") for line in commands(name)):
            yield f"{name}: does not install what is missing"
    run = read("tests/run.sh")
    for part in ("address,undefined", "ctest", "--no-tests=error"):
        if part not in run:
            yield f"tests/run.sh: no {part}"


# Of the platforms in C, which speak through the core's own stand-in for a transport.
SHARED = {".py": r"adapters/|mappings/|\byaml\b|ctypes", ".js": r"adapters/|mappings/",
          ".c": r"adapters/|mappings/|\bsb_(words|alibaba|azure|huawei|ibm)_"}


def check_simulators():
    platforms = [ROOT / f"tests/scenario/four_{name}.c"
                 for name in ("alibaba", "azure", "huawei", "ibm", "platforms")]
    for path in [*sorted((ROOT / "tests/simulators").iterdir()), *platforms]:
        if path.suffix not in SHARED:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(SHARED[path.suffix], line):
                yield f"{path.relative_to(ROOT)}:{number}: shares with what it judges: {line}"


def check_licence():
    text = read("LICENSE")
    if "Apache License" not in text or "END OF TERMS AND CONDITIONS" not in text:
        yield "LICENSE: is not the whole Apache License"


def check_rows():
    out = subprocess.run(["ctest", "--test-dir", BUILD, "-N"], capture_output=True, text=True,
                         check=True).stdout
    rows = read("tests/requirements.md")
    for test in re.findall(r"Test\s+#\d+: (\S+)", out):
        if test not in NEED_NO_ROW and not re.search(rf"`{test}(:\w+)?`", rows):
            yield f"tests/requirements.md: no row names {test}"


def main():
    findings = [finding for check in (check_commands, check_simulators, check_licence, check_rows)
                for finding in check()]
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
