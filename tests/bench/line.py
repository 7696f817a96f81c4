#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A serial line of a given speed between two ptys: what the kernel's own ptys do not have.

    line.py DEVICE LINK BAUD

DEVICE is the far end's terminal, LINK the name under which the near end finds its own. A piece is
handed on when its last bit would have passed (8N1: ten bits a byte); both directions are
independent. A line on stdin makes it tell all that has passed: [[seconds, "down"|"up", bytes]...].
"""
import contextlib
import json
import os
import select
import sys
import time
import tty

PIECE = 4096


class Direction:
    """Bytes of one way, with the times at which they may be handed on."""

    def __init__(self, name, source, sink, baud):
        self.name, self.source, self.sink = name, source, sink
        self._second_of_byte = 10 / baud
        self._free_at = 0.0
        self.pieces = []

    def take(self):
        data = os.read(self.source, PIECE)
        self._free_at = max(self._free_at, time.monotonic()) + len(data) * self._second_of_byte
        self.pieces.append((self._free_at, data))

    def hand_on(self, told):
        while self.pieces and self.pieces[0][0] <= time.monotonic():
            at, data = self.pieces.pop(0)
            os.write(self.sink, data)
            told.append((at, self.name, len(data)))


def carry(directions):
    """Until stdin is closed."""
    told = []
    by_source = {direction.source: direction for direction in directions}
    while True:
        due = [direction.pieces[0][0] for direction in directions if direction.pieces]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        ready = select.select([0, *by_source], [], [], timeout)[0]
        for fd in ready:
            if fd in by_source:
                by_source[fd].take()
            elif os.read(0, 100):
                print(json.dumps(told), flush=True)
            else:
                return
        for direction in directions:
            direction.hand_on(told)


def main():
    device, link, baud = sys.argv[1], sys.argv[2], int(sys.argv[3])
    far = os.open(device, os.O_RDWR | os.O_NOCTTY)
    near, end = os.openpty()
    for fd in (far, end):
        tty.setraw(fd)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    os.symlink(os.ttyname(end), link)
    print("[]", flush=True)
    carry([Direction("down", near, far, baud), Direction("up", far, near, baud)])


if __name__ == "__main__":
    main()
