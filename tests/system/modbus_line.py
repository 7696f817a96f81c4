# SPDX-License-Identifier: Apache-2.0
"""RS-485 lines of the tests: simulated devices, and peers by other people on a pair of ptys."""
import json
import os
import pathlib
import select
import threading
import tty

from daemon import PYTHON, SmpDevice, device_spec
from harness import SIMULATORS, SOURCE, Process, build_dir, run_good, wait_until
from quick import Bench

_SCRIPT = SIMULATORS / "modbus_device.py"
SHIPPED = SOURCE / "mappings" / "devices" / "modbus-bootloader.yaml"


class ModbusLine(SmpDevice):  # pylint: disable=super-init-not-called
    """Several devices on one pty, as one process. units: {unit: {members of its JSON}}."""

    def __init__(self, directory, units, name="line"):
        self.directory, self.name = pathlib.Path(directory), name
        self.link = self.directory / f"{name}.tty"
        self.units = units
        self.process = None
        self._held = []

    def start(self, *options):
        ups = len(self.events("ready"))
        devices = [word for unit, more in self.units.items()
                   for word in ("--device", json.dumps({"unit": unit, **more}))]
        self.process = Process(self.name, [
            PYTHON, _SCRIPT, "run", "--state", self.directory / f"{self.name}-flash", "--link",
            self.link, "--boot-time", "0.3", *devices, *options], self.directory, talk=True)
        self.wait_event("ready", count=ups + 1)
        self._hold()
        return self

    def reset(self, unit):
        self._order(f"reset {unit}")

    def of(self, unit, kind):
        return [event for event in self.events(kind) if event.get("unit") == unit]

    def version_of(self, unit):
        return self.of(unit, "up")[-1]["version"]


def modbus_type(name="board", **keys):
    """The text of a type: the shipped bootloader board, in a hurry, with these keys changed."""
    text = SHIPPED.read_text(encoding="utf-8").replace("name: modbus-bootloader", f"name: {name}")
    for key, value in {"timeout": "200ms", "restart": "8s", "stall": "20s", **keys}.items():
        head, sep, rest = text.partition(f"\n{key}: ")
        if not sep:
            head, sep, rest = text.partition(f"\n  {key}: ")
        if sep:
            text = head + sep + str(value) + "\n" + rest.partition("\n")[2]
        else:
            text = text.replace("\nmodbus:\n", f"\n{key}: {value}\nmodbus:\n")
    return text


# What the board's bootloader may say of a block, and the cause that it is.
STATUSES = {1: "timeout", 3: "write_failed", 4: "no_space", 21: "low_battery", 22: "no_memory"}


ACTIONS = """actions:
  set-mark: { arguments: { mark: 1 }, repeatable: true, steps: [{ write: 8, value: $mark }] }
"""


def moody_type(name="board"):
    """The same board with an action, more to complain about, and a second at most for a block."""
    text = modbus_type(name) + ACTIONS
    block = "every: 20ms, timeout: 5s,\n          errors: { 2: repeat,"
    assert text.count(block) == 1
    return text.replace(block, "every: 20ms, timeout: 1s,\n          errors: { 21: low_battery, "
                               "22: no_memory, 2: repeat,")


def modbus_image(path, version, size=20000):
    """Writes an image for the board; the path."""
    run_good([PYTHON, _SCRIPT, "make-image", "--version", version, "--size", size, path])
    return path


class ModbusBench(Bench):
    """A daemon with one line; devices pump-1, pump-2... are its units."""

    def line(self, units, *options):
        self.devices["line"] = ModbusLine(self.directory, units)
        return self.devices["line"].start(*options)

    def types(self, **keys):
        """Directories of mappings: the shipped bootloader board as `board`, in a hurry."""
        folder = self.directory / "mappings" / "devices"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "board.yaml").write_text(modbus_type(**keys), encoding="utf-8")
        return [SOURCE / "mappings", folder.parents[0]]

    def begin(self, units=(1,), wait=True, more=None, **keys):
        """The daemon, with a device for each of the units."""
        specs = [device_spec(f"pump-{unit}", "board", "line", None, address={"unit": unit})
                 for unit in units]
        return self.start(specs, wait=wait, mappings=self.types(**keys), **(more or {}))

    def begin_again(self, **keys):
        """The same daemon anew, with other keys of its type."""
        self.southbridge.stop()
        self.types(**keys)
        self.southbridge.start()
        for device in self.ctl("device", "list"):
            self.wait_presence(device["id"])

    def image(self, version="2.0.0", size=20000, **_):
        return modbus_image(self.directory / f"{version}-{size}.img", version, size)


class PtyPair:
    """Two ptys with a wire between them, for programs that open a serial line themselves."""

    def __init__(self, directory):
        self.links, self._masters, self._slaves = [], [], []
        for name in ("near", "far"):
            master, slave = os.openpty()
            tty.setraw(slave)
            link = pathlib.Path(directory) / f"{name}.tty"
            link.symlink_to(os.ttyname(slave))
            self.links.append(link)
            self._masters.append(master)
            self._slaves.append(slave)
        self._stop = os.pipe()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self):
        here, there = self._masters
        while True:
            ready = select.select([here, there, self._stop[0]], [], [])[0]
            if self._stop[0] in ready:
                return
            for one, other in ((here, there), (there, here)):
                if one in ready:
                    os.write(other, os.read(one, 4096))

    def close(self):
        os.write(self._stop[1], b"x")
        self._thread.join()
        for fd in (*self._masters, *self._slaves, *self._stop):
            os.close(fd)


def start_peer(kind, port, directory):
    """A Modbus server by other people: libmodbus or pymodbus."""
    argv = {"libmodbus": [build_dir() / "tests" / "fakes" / "modbus_server", port],
            "pymodbus": [PYTHON, SIMULATORS / "modbus_pymodbus.py", port]}[kind]
    peer = Process(kind, argv, directory)
    wait_until(lambda: "listening" in peer.stdout or not peer.running, what=lambda: peer.stderr)
    peer.check_running()
    return peer
