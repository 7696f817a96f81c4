#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What every file of the tree has to keep to: licence line, bounded calls, direction of includes.

Dependencies point one way; LAYERS says who may include whom. A pure dialect file (codec,
conversation) sees records and words only.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get("SB_SOURCE", pathlib.Path(__file__).resolve().parents[2]))

# Layer by path prefix, longest first; each may include its own and those listed.
LAYERS = {
    "bridge/base/": [],
    "bridge/loop": ["bridge/base/"],
    "bridge/config/": ["bridge/base/"],
    "bridge/job/": ["bridge/base/"],
    "bridge/supply": ["bridge/base/", "bridge/job/"],
    "bridge/mapping/": ["bridge/base/", "bridge/config/", "bridge/job/", "bridge/driver.h"],
    "bridge/store/": ["bridge/base/", "bridge/loop"],
    "bridge/audit": ["bridge/base/", "bridge/loop", "bridge/store/"],
    "bridge/device/": ["bridge/base/", "bridge/config/", "bridge/store/", "bridge/mapping/"],
    "bridge/package/": ["bridge/base/", "bridge/child", "bridge/config/", "bridge/job/",
                        "bridge/loop", "bridge/store/", "bridge/supply"],
    "bridge/fetch/": ["bridge/base/", "bridge/config/", "bridge/job/", "bridge/package/"],
    "bridge/port": ["bridge/base/", "bridge/config/"],
    "bridge/driver": ["bridge/base/", "bridge/config/", "bridge/job/"],
    "bridge/outbox/": ["bridge/base/", "bridge/loop", "bridge/job/", "bridge/store/",
                      "bridge/audit"],
    "bridge/book/": ["bridge/base/", "bridge/loop", "bridge/job/", "bridge/store/",
                    "bridge/audit"],
    "bridge/news": ["bridge/job/", "bridge/device/"],
    "bridge/runner/": ["bridge/base/", "bridge/loop", "bridge/job/", "bridge/store/",
                       "bridge/audit", "bridge/book/", "bridge/device/", "bridge/package/",
                       "bridge/driver", "bridge/port", "bridge/mapping/", "bridge/news"],
    "bridge/retention/": ["bridge/base/", "bridge/loop", "bridge/store/", "bridge/audit",
                          "bridge/book/", "bridge/device/", "bridge/package/", "bridge/outbox/"],
    "bridge/space": ["bridge/base/", "bridge/loop", "bridge/package/"],
    "bridge/intake/": ["bridge/retention/", "bridge/space", "bridge/base/", "bridge/job/", "bridge/mapping/", "bridge/package/",
                      "bridge/runner/"],
    "bridge/door": ["bridge/base/", "bridge/config/", "bridge/device/", "bridge/intake/",
                    "bridge/job/", "bridge/loop", "bridge/mapping/", "bridge/news",
                    "bridge/outbox/", "bridge/reach", "bridge/supply"],
    "bridge/adapters": ["bridge/door", "bridge/driver", "bridge/port"],
    "bridge/host": ["bridge/adapters", "bridge/base/", "bridge/config/"],
    "bridge/link": ["bridge/host", "bridge/base/", "bridge/package/"],
    "bridge/bus": ["bridge/adapters", "bridge/base/", "bridge/config/"],
    "bridge/check": ["bridge/adapters", "bridge/base/", "bridge/bus", "bridge/config/",
                     "bridge/host", "bridge/mapping/"],
    "bridge/keys": ["bridge/adapters", "bridge/base/", "bridge/config/", "bridge/mapping/",
                    "bridge/package/"],
    "bridge/core": ["bridge/adapters", "bridge/base/", "bridge/bus", "bridge/check",
                    "bridge/config/",
                    "bridge/host", "bridge/intake/", "bridge/mapping/"],
    "bridge/reach": ["bridge/base/"],
    "bridge/child": ["bridge/base/", "bridge/loop"],
    "bridge/doctor/": ["bridge/adapters", "bridge/base/", "bridge/bus", "bridge/check",
                       "bridge/config/", "bridge/host", "bridge/mapping/", "bridge/store/store.h"],
    "bridge/control/": ["bridge/base/", "bridge/child", "bridge/core", "bridge/loop",
                        "bridge/mapping/", "bridge/package/"],
    "bridge/ctl/": ["bridge/base/", "bridge/job/", "bridge/audit", "bridge/control/"],
    "bridge/main": ["bridge/", "adapters/adapters.h"],
    "adapters/adapters": ["adapters/", "bridge/adapters"],
    "adapters/dialects/": ["adapters/dialects/", "adapters/transports/mqtt.h",
                           "adapters/transports/mqtt_address.h", "bridge/base/",
                           "bridge/config/", "bridge/job/", "bridge/door", "bridge/driver.h",
                           "bridge/mapping/", "bridge/package/package.h"],
    "adapters/transports/": ["adapters/transports/", "adapters/dialects/dialect.h",
                             "bridge/base/", "bridge/loop", "bridge/port", "bridge/config/"],
    "adapters/devices/": ["adapters/devices/", "bridge/base/", "bridge/config/", "bridge/job/",
                          "bridge/driver", "bridge/port", "bridge/mapping/"],
}
# No I/O, loop or store where a codec or conversation thinks.
PURE = re.compile(r"adapters/dialects/\w+/(?!uplink|platform)\w+\.[ch]$")
PURE_MAY = ("adapters/dialects/dialect.h", "adapters/dialects/effects.h", "bridge/base/", "bridge/config/schema.h",
            "bridge/job/", "bridge/mapping/", "bridge/driver.h", "bridge/package/package.h")
UNBOUNDED = re.compile(r"\b(sprintf|vsprintf|strcpy|strcat|gets|atoi|atol|alloca)\s*\(")
COMMENTED = {".c": "/* SPDX-License-Identifier: Apache-2.0 */",
             ".h": "/* SPDX-License-Identifier: Apache-2.0 */",
             ".js": "SPDX-License-Identifier: Apache-2.0"}
HASHED = {".py", ".sh", ".cmake", ".yaml", ".txt", ".sql", ".scd", ".conf"}


def files():
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=False)
    if done.returncode == 0:
        return [name for name in done.stdout.decode().split("\0") if name]
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]


def layer_of(name):
    fitting = [prefix for prefix in LAYERS if name.startswith(prefix)]
    return max(fitting, key=len) if fitting else None


def check_licence(name, text):
    suffix = pathlib.Path(name).suffix
    head = "\n".join(text.splitlines()[:3])
    wanted = COMMENTED.get(suffix)
    if suffix in HASHED or name.endswith("CMakeLists.txt"):
        wanted = "SPDX-License-Identifier: Apache-2.0"
    if "fuzz/corpus" in name or "transcripts" in name:
        return
    if wanted and wanted not in head:
        yield f"{name}:1: no licence line ('{wanted}')"


def check_includes(name, number, included):
    layer = layer_of(name)
    if layer is None:
        yield f"{name}:{number}: belongs to no layer of tests/lint/tree.py"
        return
    if not any(included.startswith(prefix) for prefix in [layer] + LAYERS[layer]):
        yield f"{name}:{number}: {layer} may not include {included}"
    folder = os.path.dirname(name) + "/"
    if PURE.match(name) and not included.startswith(PURE_MAY + (folder,)):
        yield f"{name}:{number}: a pure file may not include {included}"


def check_code(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        if UNBOUNDED.search(line):
            yield f"{name}:{number}: unbounded or unchecked call: {line.strip()}"
        found = re.match(r'\s*#include "([^"]+)"', line)
        if found:
            yield from check_includes(name, number, found.group(1))


def main():
    findings, seen = [], 0
    for name in files():
        path = ROOT / name
        if not path.is_file() or path.is_symlink():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        seen += 1
        findings += check_licence(name, text)
        if name.startswith(("bridge/", "adapters/")) and name.endswith((".c", ".h")):
            findings += check_code(name, text)
    for finding in findings:
        print(finding)
    print(f"{seen} files, {len(findings)} findings")
    return 1 if findings or seen < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
