#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: real daemon, real Mosquitto, real SQLite file, beside two bare echoes.

What counts are the ratios within one run: the figures themselves are the machine's and the
hour's. tests/bench/run.sh builds what is measured and calls this.
"""
import argparse
import json
import os
import platform
import sys

import show
import stages
from rig import Bench, build_dir, sanitized

_SCALES = {  # rounds, ms of each measurement, devices, jobs, starts, devices of each of four clouds,
    # links by TLS, bauds, bytes of the image
    "tiny": dict(rounds=1, ms=100, few=2, many=4, jobs=8, starts=1, each=2, tls=12,
                 bauds=(921600,), size=3000),
    "quick": dict(rounds=3, ms=1000, few=8, many=1000, jobs=10000, starts=5, each=250, tls=300,
                  bauds=(115200, 921600), size=20000),
    "full": dict(rounds=7, ms=2500, few=8, many=1000, jobs=10000, starts=11, each=250, tls=300,
                 bauds=(9600, 115200, 921600), size=60000),
}


def _machine(directory):
    with open("/proc/mounts", encoding="utf-8") as mounts:
        fitting = [line.split() for line in mounts
                   if os.path.realpath(directory).startswith(line.split()[1])]
    # In a changed root even "/" may be missing.
    kind = max(fitting, key=lambda words: len(words[1]), default=[None, None, "?"])[2]
    build = "SANITIZERS; " if sanitized() else ""
    return (f"{build}{os.cpu_count()} processors, Linux {platform.release().split('-')[0]}, store "
            f"on {kind}, load {os.getloadavg()[0]:.1f}")


def _say(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def measure(scale, only):
    bench = Bench()
    wanted = {
        "speed": lambda: stages.speed(bench, scale["rounds"], scale["ms"], _say),
        "costs": lambda: stages.costs(bench, scale["ms"], _say),
        "room": lambda: stages.room(bench, scale["few"], scale["many"], scale["jobs"],
                                    scale["starts"], _say),
        "clouds": lambda: stages.clouds(bench, scale["each"], stages.OUTSTANDING, scale["ms"],
                                        scale["tls"], _say),
        "image": lambda: stages.image(bench, scale["bauds"], scale["size"], _say),
    }
    try:
        found = {"machine": _machine(bench.directory)}
        for name, stage in wanted.items():
            if only in (None, name):
                found[name] = stage()
        return found
    finally:
        _say("")
        bench.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", metavar="DIR", help="build folder (else SB_BUILD)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--quick", dest="scale", action="store_const", const="quick",
                        default="full", help="two minutes instead of five")
    parser.add_argument("--tiny", dest="scale", action="store_const", const="tiny",
                        help="shows only that it works")
    parser.add_argument("--only", choices=("speed", "costs", "room", "clouds", "image"))
    options = parser.parse_args()
    if options.build:
        os.environ["SB_BUILD"] = os.path.abspath(options.build)
    build_dir()
    found = measure(_SCALES[options.scale], options.only)
    print(json.dumps(found, indent=2) if options.json else "\n".join(show.lines(found)))


if __name__ == "__main__":
    main()
