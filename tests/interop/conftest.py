# SPDX-License-Identifier: Apache-2.0
"""Interop tests: vendors' unmodified packages as peers; the rest is as in the system tests."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

# pylint: disable=wrong-import-position,wildcard-import,unused-wildcard-import
import pytest  # noqa: E402
from fixtures import *  # noqa: E402,F401,F403
from harness import SOURCE, run_good  # noqa: E402

# The brokers listen on 127.0.0.1; Debian's Node tries the first address of localhost alone, ::1.
os.environ["NODE_OPTIONS"] = "--dns-result-order=ipv4first"


@pytest.fixture(scope="session")
def node_modules():
    """The packages of package-lock.json: in the build folder, or beside this file."""
    base = os.environ.get("SB_BUILD")
    here = SOURCE / "tests" / "interop"
    directory = pathlib.Path(base) / "tests" / "interop" if base else here
    if directory != here:
        run_good([here / "install.sh", directory], timeout=300)
    modules = directory / "node_modules"
    assert (modules / "ibmiotf").exists(), f"no packages in {modules}: run npm ci in {here}"
    return modules
