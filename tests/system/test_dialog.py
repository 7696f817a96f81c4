# SPDX-License-Identifier: Apache-2.0
"""The driver `dialog` in the real daemon: U-Boot in QEMU, and a board that may not keep an image."""
import contextlib
import json
import os
import pathlib
import re
import select
import threading
import tty
import zlib

import pytest
from console_board import Board, board_image, board_type
from daemon import device_spec
from harness import SOURCE, Process, wait_until
from quick import Bench

UBOOT = pathlib.Path("/usr/lib/u-boot/qemu_arm/u-boot.bin")
# QEMU's NOR flash does not take U-Boot's writes: memory that outlives a reset is the flash here.
STORE_IN_MEMORY = """      - send: cp.b {load} {flash} {image.size_hex}
        timeout: 30s
        expect: [ { prompt: '@prompt' } ]
"""


@pytest.fixture
def broker(no_broker):
    return no_broker


@pytest.fixture
def bench(workspace, make_southbridge):
    bench = DialogBench(workspace, make_southbridge)
    yield bench
    bench.close()


def uboot_type(text):
    """The shipped type with the test's own `store` and addresses."""
    text = text.replace('flash: "04100000"', 'flash: "43000000"')
    begin = text.index("    store:\n") + len("    store:\n")
    end = text.index("    # Before an update")
    text = text[:begin] + STORE_IN_MEMORY + "\n" + text[end:]
    text = text.replace("  timeout: 10s\n", "  timeout: 10s\n  transfer_timeout: 3s\n")
    # A command that no U-Boot has.
    text = text.replace("    boot:\n", "    odd:\n      - send: nosuchcommand\n        expect:\n"
                        "          - { line: '@unknown', cause: unsupported }\n"
                        "          - prompt: '@prompt'\n    boot:\n", 1)
    text += "  odd: { script: odd, repeatable: true }\n"
    return text.replace("name: uboot-console", "name: uboot-test")


class Relay:
    """A pty under a stable name, in front of another one: QEMU's. Faults are attributes.

    Whoever opens the line through it can be unplugged, and bytes on the way can be harmed.
    """

    def __init__(self, link):
        self.link = pathlib.Path(link)
        self.far = -1
        self.drop_after = None      # from so many bytes on to the device: silence both ways
        self.harm = None            # harm(direction, data) -> data; "in" is to the device
        self.passed = 0
        self.seen = b""             # the last of what the device said
        self._near = self._slave = -1
        self._wake = os.pipe()
        self._thread = None
        self._stop = False
        self.plug()

    def plug(self):
        self._near, self._slave = os.openpty()
        tty.setraw(self._slave)
        fresh = self.link.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.rename(self.link)
        os.write(self._wake[1], b"x")

    def unplug(self):
        near, slave = self._near, self._slave
        self._near = self._slave = -1
        os.write(self._wake[1], b"x")
        self.link.unlink()
        os.close(near)
        os.close(slave)

    def connect(self, path):
        self.far = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.far)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _carry(self, source, target, direction):
        try:
            data = os.read(source, 4096)
        except OSError:
            return
        if direction == "out":
            self.seen = (self.seen + data)[-4000:]
        else:
            self.passed += len(data)
        if self.drop_after is not None and self.passed > self.drop_after:
            return
        if self.harm:
            data = self.harm(direction, data)
        with contextlib.suppress(OSError):
            while data and target >= 0:
                data = data[os.write(target, data):]

    def _run(self):
        while not self._stop:
            near = self._near
            fds = [fd for fd in (self.far, near, self._wake[0]) if fd >= 0]
            try:
                ready = select.select(fds, [], [], 1)[0]
            except (OSError, ValueError):
                continue
            if self._wake[0] in ready:
                os.read(self._wake[0], 100)
                continue
            if self.far in ready:
                self._carry(self.far, self._near, "out")
            if near in ready:
                self._carry(near, self.far, "in")

    def close(self):
        self._stop = True
        os.write(self._wake[1], b"x")
        if self._thread:
            self._thread.join()
        with contextlib.suppress(OSError):
            self.link.unlink()
        for fd in (self.far, self._near, self._slave, *self._wake):
            if fd >= 0:
                os.close(fd)


class Uboot:
    """U-Boot on a virtual ARM board; `link` is its console."""

    def __init__(self, directory, name="board"):
        self.link = pathlib.Path(directory) / f"{name}.tty"
        self.relay = Relay(self.link)
        self.process = Process(name, [
            "qemu-system-arm", "-M", "virt", "-bios", UBOOT, "-display", "none", "-monitor",
            "stdio", "-nic", "none", "-serial", "pty"], directory, talk=True)
        found = wait_until(lambda: re.search(r"redirected to (/dev/pts/\d+)",
                                             self.process.stdout + self.process.stderr),
                           what=lambda: self.process.stderr)
        self.relay.connect(found.group(1))

    def power_cycle(self):
        self.process.say("system_reset")

    def stop(self):
        if self.process.running:
            self.process.say("quit")
            self.process.wait()
        self.relay.close()


class DialogBench(Bench):
    """A daemon with console devices."""

    def mappings(self):
        folder = self.directory / "mappings" / "devices"
        folder.mkdir(parents=True, exist_ok=True)
        shipped = (SOURCE / "mappings" / "devices" / "uboot-console.yaml").read_text("utf-8")
        (folder / "uboot-test.yaml").write_text(uboot_type(shipped), "utf-8")
        (folder / "board-test.yaml").write_text(board_type(self.directory), "utf-8")
        return [SOURCE / "mappings", folder.parents[0]]

    def uboot(self):
        self.devices["board"] = Uboot(self.directory)
        return self.devices["board"]

    def board(self, *options):
        self.devices["board"] = Board(self.directory, "board", *options)
        return self.devices["board"]

    def begin(self, kind, **settings):
        return self.start([device_spec("board", kind, "board", None)], mappings=self.mappings(),
                          **settings)

    def raw_image(self, size=20000, version="1.1.0", first=b""):
        path = self.directory / f"raw-{version}-{size}.bin"
        path.write_bytes((first + bytes((i * 7 + i // 256) % 256 for i in range(size)))[:size])
        return path

    def add(self, path, version):
        return self.ctl("package", "add", path, "--version", version)["id"]

    def board_image(self, version, size=20000):
        path = self.directory / f"board-{version}.img"
        return self.add(board_image(path, version, size), version)

    def transcript(self, job, index=0):
        return self.task(job, index)["transcript"]


# ---- U-Boot ----

def test_uboot_identity_environment_and_reset(bench):
    """version, printenv and setenv, a value that is not there, reset: all with a real U-Boot."""
    bench.uboot()
    bench.begin("uboot-test")
    shown = bench.southbridge.device("board")
    assert shown["versions"][""].startswith("20") and shown["identity"]["model"] == "qemu-arm"
    assert "> version" in shown["transcript"]
    done = bench.succeeded(bench.job("read", "board", "--name", "bootdelay", "--name", "baudrate"))
    assert done["result"] == {"bootdelay": 2, "baudrate": 115200}
    done = bench.succeeded(bench.job("write", "board", "--value", "bootdelay=7", "--value",
                                     "serverip=192.0.2.7"))
    assert done["result"] == {"bootdelay": 7, "serverip": "192.0.2.7"}
    # What is only in memory does not outlive a reset.
    job = bench.job("reboot", "board")
    bench.succeeded(job)
    assert "< resetting ..." in bench.transcript(job) and "< U-Boot 20" in bench.transcript(job)
    done = bench.succeeded(bench.job("read", "board", "--name", "bootdelay"))
    assert done["result"] == {"bootdelay": 2}
    job = bench.job("read", "board", "--name", "serverip")
    task = bench.ended(job)
    assert (task["state"], task["cause"]) == ("failed", "not_ready"), task
    assert task["text"] == "serverip is not set on the device"
    assert "> printenv serverip" in bench.shown("job", "show", str(job))
    # Keeping it: QEMU's flash cannot, and says so.
    task = bench.ended(bench.job("configure", "board", "--value", "bootdelay=5"))
    assert (task["state"], task["cause"]) == ("failed", "write_failed"), task
    bench.succeeded(bench.job("factory-reset", "board"))
    task = bench.ended(bench.job("invoke", "board", "--action", "odd"))
    assert (task["state"], task["cause"]) == ("failed", "unsupported"), task
    assert task["text"] == "the device says 'Unknown command 'nosuchcommand' - try 'help''"
    for wrong in ("bootdelay=9999", "serverip=1; reset"):
        done = bench.southbridge.ctl("job", "create", "write", "board", "--value", wrong,
                                     check=False)
        assert done.status != 0 and "invalid_request" in done.error + done.text, done


def test_uboot_takes_an_image(bench):
    """loady, crc32 in memory and in the "flash", over a reset; what is there is not sent again."""
    uboot = bench.uboot()
    bench.begin("uboot-test")
    path = bench.raw_image(20001)
    package = bench.add(path, "2.0.0")
    job = bench.update("board", package=package)
    task = bench.succeeded(job, 120)
    said = bench.transcript(job)
    assert f"==> {zlib.crc32(path.read_bytes()):08x}" in said and "# ymodem: 20001 bytes" in said
    assert task["text"] == "the device runs the image", task
    passed = uboot.relay.passed
    uboot.power_cycle()
    job = bench.job("firmware-update", "board", "--package", package)
    bench.succeeded(job)
    assert uboot.relay.passed - passed < 2000, "nothing was sent again"


def test_uboot_cancel_in_the_middle(bench):
    """The transfer is told that it has ended, and U-Boot is at its prompt again."""
    uboot = bench.uboot()
    bench.begin("uboot-test")
    slow(uboot)
    job = bench.update("board", package=bench.add(bench.raw_image(200000), "2.0.0"))
    wait_until(lambda: uboot.relay.passed > 8000, 60, "some blocks")
    bench.ctl("job", "cancel", job)
    task = bench.ended(job)
    assert task["state"] == "cancelled", task
    uboot.relay.harm = None
    done = bench.succeeded(bench.job("read", "board", "--name", "bootdelay"))
    assert done["result"] == {"bootdelay": 2}


def slow(uboot, seconds=0.01):
    """The line takes its time, so that there is a middle of a transfer."""
    def harm(direction, data):
        if direction == "in" and len(data) > 100:
            threading.Event().wait(seconds)
        return data
    uboot.relay.harm = harm


def test_uboot_kill_of_the_daemon_in_the_middle(bench):
    """After kill -9 in a transfer the board is brought to its prompt, and the job goes on."""
    uboot = bench.uboot()
    southbridge = bench.begin("uboot-test")
    slow(uboot)
    path = bench.raw_image(30000)
    job = bench.update("board", package=bench.add(path, "2.0.0"))
    wait_until(lambda: uboot.relay.passed > 8000, 60, "some blocks")
    southbridge.kill9()
    uboot.relay.harm = None
    southbridge.start()
    bench.succeeded(job, 120)
    assert f"==> {zlib.crc32(path.read_bytes()):08x}" in bench.transcript(job)


def test_uboot_resets_in_the_middle(bench):
    """A board that restarts in a transfer: the attempt fails, the next one succeeds."""
    uboot = bench.uboot()
    bench.begin("uboot-test")
    slow(uboot)
    job = bench.update("board", "--retries", "3", "--retry-interval", "500ms",
                       package=bench.add(bench.raw_image(30000), "2.0.0"))
    wait_until(lambda: uboot.relay.passed > 8000, 60, "some blocks")
    uboot.power_cycle()
    task = bench.wait_task(job, lambda task: task["state"] == "queued" or task["attempt"] > 1, 90)
    if task["state"] == "queued":  # the next one may have begun meanwhile
        assert task["cause"] in ("link_lost", "timeout"), task
    uboot.relay.harm = None
    bench.succeeded(job, 120)
    assert bench.task(job)["attempt"] > 1


def test_uboot_noise(bench):
    """Bytes changed, lost and doubled on their way: blocks are sent again, damaged commands are not
    carried out."""
    uboot = bench.uboot()
    bench.begin("uboot-test")
    count = {"bytes": 0, "harmed": 0}
    harms = (lambda byte: bytes([byte ^ 0x10]), lambda byte: b"", lambda byte: bytes([byte, byte]))

    def harm(_direction, data):
        out = bytearray()
        for byte in data:
            count["bytes"] += 1
            if count["bytes"] % 3001 == 0:
                out += harms[count["harmed"] % 3](byte)
                count["harmed"] += 1
            else:
                out.append(byte)
        return bytes(out)
    uboot.relay.harm = harm
    job = bench.update("board", "--retries", "5", "--retry-interval", "200ms",
                       package=bench.add(bench.raw_image(10000), "2.0.0"))
    bench.succeeded(job, 180)
    assert count["harmed"] >= 4


def test_uboot_unplugged_and_back(bench):
    uboot = bench.uboot()
    bench.begin("uboot-test")
    slow(uboot)
    # The next try does not find the line either: it begins after the first one was looked at.
    job = bench.update("board", "--retries", "5", "--retry-interval", "5s",
                       package=bench.add(bench.raw_image(30000), "2.0.0"))
    wait_until(lambda: uboot.relay.passed > 8000, 60, "some blocks")
    uboot.relay.unplug()
    task = bench.wait_task(job, lambda task: task["state"] == "queued")
    assert task["cause"] == "link_lost" and "the line has gone" in task["text"], task
    uboot.relay.harm = None
    uboot.relay.plug()
    bench.succeeded(job, 120)


# ---- what U-Boot cannot play ----

def test_a_board_behind_a_login(bench):
    """Version by regular expression after the restart; the password is nowhere."""
    board = bench.board("--password", "geheim-4711")
    bench.begin("board-test")
    job = bench.update("board", package=bench.board_image("1.1.0"))
    task = bench.succeeded(job)
    assert bench.southbridge.device("board")["versions"] == {"": "1.1.0"}, task
    said = bench.transcript(job)
    assert "> ***" in said and "# the device restarts" in said
    texts = [bench.southbridge.log(), bench.shown("job", "show", str(job)),
             bench.shown("device", "show", "board"), json.dumps(bench.ctl("job", "show", job))]
    assert not any("geheim" in text for text in texts)
    assert len(board.events("installed")) == 1


def test_a_board_that_goes_back(bench):
    board = bench.board()
    bench.begin("board-test")
    board.fault("rollback")
    task = bench.ended(bench.update("board", package=bench.board_image("1.1.0")))
    assert (task["state"], task["cause"]) == ("failed", "rolled_back"), task
    assert "going back" in task["transcript"] or "Version: 1.0.0" in task["transcript"]


def test_kill_of_the_daemon_at_the_restart(bench):
    """The board restarts while nobody looks: judged by what it runs, not installed again."""
    board = bench.board("--boot-time", "1.5")
    southbridge = bench.begin("board-test")
    job = bench.update("board", package=bench.board_image("1.1.0"))
    wait_until(lambda: board.events("down"), 60, "the restart")
    southbridge.kill9()
    southbridge.start()
    bench.succeeded(job)
    assert len(board.events("loaded")) == 1 and len(board.events("installed")) == 1


def test_a_silent_board(bench):
    """The operator reads why, and what was said, without any job."""
    board = bench.board()
    bench.begin("board-test")
    board.fault("silent")
    bench.southbridge.ctl("device", "identify", "board", "--wait", "10s", check=False)
    bench.wait_presence("board", "offline")
    shown = bench.shown("device", "show", "board")
    assert "the device is silent" in shown and "# script attach" in shown
    board.fault("silent", False)
    bench.ctl("device", "identify", "board", "--wait", "10s")
    assert bench.presence("board") == "ready"
