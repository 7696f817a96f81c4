# SPDX-License-Identifier: Apache-2.0
"""What the simulated serial devices share: their line, and the commands of whoever runs them."""
import os
import random
import select
import termios
import time
import tty


class Line:
    """A pty whose far end has a stable name, with a bad cable if wanted: faults has the shares of
    bytes to "drop", "duplicate" and "corrupt". patience: so long a write waits for a reader."""

    def __init__(self, link, faults, seed, echo=False, patience=0.0):
        self.link, self.faults, self.random = link, faults, random.Random(seed)
        self.echo, self.patience = echo, patience
        self.master = self.slave = -1
        self.plug()

    def plug(self):
        if self.master >= 0:
            return
        self.master, self.slave = os.openpty()  # both ends held: a closing peer changes nothing
        tty.setraw(self.slave, termios.TCSANOW)
        os.set_blocking(self.master, False)
        self.name = os.ttyname(self.slave)
        if self.link:
            new = self.link + ".new"
            if os.path.lexists(new):
                os.unlink(new)
            os.symlink(self.name, new)
            os.rename(new, self.link)

    def unplug(self):
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = -1
        if self.link and os.path.lexists(self.link):
            os.unlink(self.link)

    def spoil(self, data):
        f = self.faults
        if not (f["drop"] or f["duplicate"] or f["corrupt"]):
            return data
        out = bytearray()
        for byte in data:
            if self.random.random() < f["drop"]:
                continue
            if self.random.random() < f["corrupt"]:
                byte = self.random.randrange(256)
            out.append(byte)
            if self.random.random() < f["duplicate"]:
                out.append(byte)
        return bytes(out)

    def read(self):
        try:
            data = os.read(self.master, 4096)
        except BlockingIOError:
            return b""
        if self.echo:
            self.write(data)
        return self.spoil(data)

    def write(self, data):
        data = self.spoil(data)
        until = time.monotonic() + 5
        while data and self.master >= 0 and time.monotonic() < until:
            try:
                data = data[os.write(self.master, data):]
            except BlockingIOError:
                # Nobody reads: a serial line would lose the bytes.
                if not select.select([], [self.master], [], self.patience)[1]:
                    return


class Commands:
    """Lines of the standard input."""

    def __init__(self):
        self.pending = b""

    def read(self):
        """Those that are there; None: whoever started us is gone."""
        data = os.read(0, 4096)
        if not data:
            return None
        *lines, self.pending = (self.pending + data).split(b"\n")
        return [line.decode() for line in lines if line.strip()]
