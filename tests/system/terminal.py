# SPDX-License-Identifier: Apache-2.0
"""A terminal: a program on a pty of a given size, and what then stands on the screen."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import DEADLINE, MARK, MARK_NAME

_PIECE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Screen:
    """As much of a terminal as the program needs; an escape that it does not know is an error."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0
        self.widest = 0  # columns used in any line at any time

    def _erase(self, how):
        self.lines[self.row] = self.lines[self.row][:self.column]
        if how == "J":
            del self.lines[self.row + 1:]

    def _write(self, text):
        line = self.lines[self.row].ljust(self.column)
        end = self.column + len(text)
        self.lines[self.row] = line[:self.column] + text + line[end:]
        self.column = end
        self.widest = max(self.widest, end)

    def feed(self, text):
        at = 0
        for piece in _PIECE.finditer(text):
            assert piece.start() == at, repr(text[at:piece.end()])
            at = piece.end()
            number, verb, home, down, plain = piece.groups()
            if plain:
                self._write(plain)
            elif home:
                self.column = 0
            elif down:
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif verb == "A":
                self.row -= int(number or 1)
                assert self.row >= 0, "above the first line"
            elif verb in "KJ":
                self._erase(verb)
            else:
                assert verb == "m", repr(piece[0])
        assert at == len(text), repr(text[at:])

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")


class Terminal:
    """The program, as a person has it in front of them."""

    def __init__(self, argv, columns=80, rows=24, **environment):
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.output = ""
        self._popen = subprocess.Popen(
            [str(word) for word in argv], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8",
                                         MARK_NAME: MARK, **environment})
        os.close(slave)

    def resize(self, columns, rows=24):
        self.columns = columns
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number=signal.SIGINT):
        self._popen.send_signal(number)

    def _read(self, left):
        """False: the program has closed its end."""
        if not select.select([self._master], [], [], max(left, 0))[0]:
            raise TimeoutError(f"nothing more on the terminal:\n{self.output!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.output += data.decode()
        return bool(data)

    def wait_for(self, pattern, timeout=DEADLINE):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.output):
            if not self._read(deadline - time.monotonic()):
                raise EOFError(f"no '{pattern}' on the terminal:\n{self.output!r}")

    def finish(self, timeout=60):
        """(exit status, the screen) at its end."""
        deadline = time.monotonic() + timeout
        try:
            while self._read(deadline - time.monotonic()):
                pass
        finally:
            os.close(self._master)
            if self._popen.poll() is None:
                try:
                    self._popen.wait(5)
                except subprocess.TimeoutExpired:
                    self._popen.kill()
        screen = Screen(self.columns)
        screen.feed(self.output)
        return self._popen.wait(DEADLINE), screen
