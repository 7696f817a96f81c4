#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Another program that has a serial line open: holder.py PATH [flock] [exclusive] [file:DIR].

Says "held" when it has it, and keeps it until its stdin ends.
"""
import fcntl
import os
import pathlib
import signal
import sys
import termios


def main(path, *how):
    real = os.path.realpath(path)
    line = os.open(real, os.O_RDWR | os.O_NOCTTY)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for way in how:
        if way == "flock":
            fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif way == "exclusive":
            fcntl.ioctl(line, termios.TIOCEXCL)
        else:
            directory = pathlib.Path(way.removeprefix("file:"))
            name = real.removeprefix("/dev/").replace("/", "_")
            (directory / f"LCK..{name}").write_text(f"{os.getpid():10d}\n", encoding="ascii")
    print("held", flush=True)
    try:
        sys.stdin.read()
    finally:
        fcntl.ioctl(line, termios.TIOCNXCL)  # a pty whose other end is open would keep it


if __name__ == "__main__":
    main(*sys.argv[1:])
