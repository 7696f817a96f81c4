# SPDX-License-Identifier: Apache-2.0
"""The simulated board with a serial console (tests/simulators/console_device.py), and its type."""
import json
import pathlib

from daemon import PYTHON
from harness import SIMULATORS, Process, run_good, wait_until

_SCRIPT = SIMULATORS / "console_device.py"


class Board:
    """A board on a pty; options: of the simulator."""

    def __init__(self, directory, name="board", *options):
        self.directory, self.name, self.options = pathlib.Path(directory), name, options
        self.link = self.directory / f"{name}.tty"
        self.process = None
        self.start()

    def start(self):
        ups = len(self.events("up"))
        self.process = Process(self.name, [
            PYTHON, _SCRIPT, "run", "--state", self.directory / f"{self.name}-flash",
            "--link", self.link, "--boot-time", "0.1", "--countdown", "0.2", *self.options],
            self.directory, talk=True)
        wait_until(lambda: len(self.events("up")) > ups, what=lambda: self.process.stderr)

    def events(self, kind):
        if not self.process:
            return []
        events = [json.loads(line) for line in self.process.stdout.split("\n")[:-1] if line]
        return [event for event in events if event["event"] == kind]

    def order(self, text):
        before = len(self.events("done"))
        self.process.say(text)
        wait_until(lambda: len(self.events("done")) > before, what=lambda: text)

    def fault(self, name, value=True):
        self.order(f"set {name} {json.dumps(value)}")

    def stop(self):
        if self.process.running:
            self.process.say("quit")
            self.process.wait()

    @property
    def version(self):
        """Of the image that runs."""
        return (self.events("installed") or self.events("boot"))[-1]["version"]


def board_type(directory, name="board-test"):
    """The board's type, as the text of a mapping; its password is in the directory."""
    password = pathlib.Path(directory) / "password"
    password.write_text("geheim-4711\n", "ascii")
    password.chmod(0o600)
    board = (SIMULATORS / "console_board.yaml").read_text("utf-8")
    board = board.replace("dialog:\n", f"dialog:\n  secrets: {{ password: 'file:{password}' }}\n")
    return f"name: {name}\ndriver: dialog\n{board}"


def board_image(path, version, size=20000):
    """Writes an image for the board; the path."""
    run_good([PYTHON, _SCRIPT, "make-image", "--version", version, "--size", size, path])
    return path
