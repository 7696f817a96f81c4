# SPDX-License-Identifier: Apache-2.0
"""Prints what passes between the scripted IBM platform and its devices, one line per message."""
import json
import time

from ibm_device import Violation

_COLOURS = {"in": "36", "out": "33", "breach": "31;1", "dim": "2"}


class Watch:
    """Callable for IbmPlatform's `watcher`; colours only on a terminal."""

    def __init__(self, stream, colour=None):
        self._stream = stream
        self._colour = stream.isatty() if colour is None else colour

    def __call__(self, what):
        if isinstance(what, Violation):
            line = self._paint("breach", f"             !! {what.code}: {what.text}")
        else:
            line = self._message(what)
        # One write per line: several threads print.
        self._stream.write(line + "\n")
        self._stream.flush()

    def _paint(self, name, text):
        return f"\033[{_COLOURS[name]}m{text}\033[0m" if self._colour else text

    def _message(self, message):
        stamp = time.strftime("%H:%M:%S", time.localtime(message.at))
        stamp += f".{int(message.at * 1000) % 1000:03d}"
        arrow = "cloud <--" if message.direction == "in" else "cloud -->"
        topic = message.suffix or message.topic
        head = f"{arrow} {message.device or '-':14} {topic}"
        return f"{self._paint('dim', stamp)} {self._paint(message.direction, head)}  " \
               f"{self._payload(message)}"

    @staticmethod
    def _payload(message):
        """Escapes included: what a device sends must not steer the terminal."""
        if message.body is None:
            return repr(message.payload)
        return json.dumps(message.body, separators=(",", ":"))
