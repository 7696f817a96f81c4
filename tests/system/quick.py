# SPDX-License-Identifier: Apache-2.0
"""What tests without a platform stand on: device types that lose no time, and jobs by the CLI."""
import grp
import os
import pathlib
import types

import pytest
from daemon import SmpDevice, device_spec, make_image
from harness import DEADLINE, SOURCE, build_dir, run, wait_until

# Short timeouts, so that silence is noticed soon; everything a type can have.
_TYPE = """# SPDX-License-Identifier: Apache-2.0
name: {name}
driver: smp
title: Board of the tests
verify: {verify}
confirm: auto
image_magic: 3db8f396
stall: 20s
restart: 15s
occupied: 30s
{extra}
smp:
  timeout: {timeout}
  tries: 4
  first_timeout: 3s
  stage: gateway
  method: test
  health: 200ms
  factory_reset: {{ method: erase_storage, restart: true }}
properties:
  interval: {{ setting: app/interval, type: u32, access: both, title: Interval, unit: s }}
  name: {{ setting: app/name, type: string, access: both, title: Name }}
  serial: {{ setting: ro/serial, type: string, access: read, title: Serial number }}
  clamped: {{ setting: limited/level, type: u32, access: both, title: Level }}
actions:
  sum: {{ group: 64, command: 1, op: read, repeatable: true, title: Adds its arguments }}
  count: {{ group: 64, command: 2, op: write, title: Counts }}
  fail: {{ group: 64, command: 3, op: write, title: Fails }}
"""
# Factory values of the simulated device that fit the type.
SETTINGS = ("--setting", "app/interval=3c000000", "--setting", "app/name=70756d70", "--setting",
            "ro/serial=34373131", "--setting", "limited/level=05000000")
QUICK_BOOT = ("--boot-time", "0.1", "--reset-delay", "0.1")


def smp_type(name="board", verify="hash", timeout="500ms", extra=""):
    """The text of the type."""
    return _TYPE.format(name=name, verify=verify, timeout=timeout, extra=extra)


def quick_mappings(directory, name="board", **more):
    """Directories of mappings: those of the source, and one with the type `name`."""
    folder = pathlib.Path(directory) / "mappings" / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(smp_type(name, **more), encoding="ascii")
    return [SOURCE / "mappings", folder.parents[0]]


class Bench:
    """Serial devices and a daemon without any cloud; jobs come by southbridgectl."""

    def __init__(self, directory, make_southbridge):
        self.directory, self._make = directory, make_southbridge
        self.southbridge = None
        self.devices = {}

    def device(self, name="pump-1", *options, version="1.0.0"):
        """A simulated device, powered up; its line is the bus of the same name."""
        device = SmpDevice(self.directory, version, name=name)
        self.devices[name] = device
        return device.start(*QUICK_BOOT, *SETTINGS, *options)

    def start(self, specs=None, *, wait=True, buses=None, user=None, disk=None, closed=(),
              **settings):
        """The daemon. buses: {name: {further keys}}; wait: until all devices are ready.

        user: Nobody(), whose process it then is. disk: a Disk with faults under it. closed: a
        command that starts it.
        """
        ports = {name: device.link for name, device in self.devices.items()}
        top = {"links": {}, "log": {"level": "debug"}, **settings.pop("top", {})}
        if buses is not None:
            top["buses"] = {name: {"port": str(ports[name]), **more}
                            for name, more in buses.items()}
        if specs is None:
            specs = [device_spec(name, "board", name, None) for name in self.devices]
        if "mappings" not in settings:
            settings["mappings"] = quick_mappings(self.directory)
        self.southbridge = self._make(ports, specs, top=top, **settings)
        self.southbridge.prefix = [*closed]
        if user:
            user.take(self.directory, self.southbridge.directory)
            self.southbridge.prefix = user.prefix
        if disk:
            disk.prepare(self.southbridge)
        self.southbridge.start()
        if wait:
            for spec in specs:
                self.wait_presence(spec["id"])
        return self.southbridge

    def image(self, version="2.0.0", size=20000, **options):
        """Path of an image file."""
        path = self.directory / f"{version}-{size}.img"
        path.write_bytes(make_image(self.directory, version, size, **options))
        return path

    def package(self, version="2.0.0", size=20000, **options):
        return self.ctl("package", "add", self.image(version, size, **options), "--version",
                        version)["id"]

    # ---- the CLI ----

    def ctl(self, *words):
        return self.southbridge.ctl(*map(str, words)).json

    def shown(self, *words, status=0, **env):
        """What people see, without --json."""
        done = plain(self.southbridge, *words, **env)
        assert done.returncode == status, (words, done)
        return done.stdout if status == 0 else done.stderr

    def job(self, operation, *words):
        """Its id."""
        return self.ctl("job", "create", operation, *words)["id"]

    def update(self, *words, package=None):
        return self.job("firmware-update", *(words or ("pump-1",)), "--package",
                        package or self.package())

    def task(self, job, index=0):
        return self.southbridge.job(job)["tasks"][index]

    def wait_task(self, job, condition, timeout=DEADLINE, index=0):
        """The job's task, as soon as it fits."""
        def fits():
            task = self.task(job, index)
            return task if condition(task) else None
        return wait_until(fits, timeout, lambda: f"job {job}: {self.task(job, index)}", 0.05)

    def ended(self, job, timeout=60):
        """The job's only task, final; index of several: see wait_task()."""
        return self.wait_task(job, lambda task: task["state"] in (
            "succeeded", "failed", "cancelled"), timeout)

    def succeeded(self, job, timeout=60):
        task = self.ended(job, timeout)
        assert task["state"] == "succeeded", task
        return task

    def presence(self, name="pump-1"):
        return self.southbridge.device(name)["presence"]

    def wait_presence(self, name="pump-1", presence="ready", timeout=30):
        wait_until(lambda: self.presence(name) == presence, timeout,
                   lambda: f"{name} {presence}:\n{self.southbridge.log()}", 0.05)

    def wait_log(self, text, timeout=DEADLINE):
        wait_until(lambda: text in self.southbridge.log(), timeout,
                   lambda: f"'{text}' in:\n{self.southbridge.log()}")

    def close(self):
        for device in self.devices.values():
            if device.process.running:
                device.stop()


def plain(southbridge, *words, **env):
    """southbridgectl as people call it: CompletedProcess."""
    program = southbridge.program("southbridgectl")
    return run([program, "--socket", southbridge.socket, *words],
               env=dict(southbridge.environment(leaks=False), **env))


class Nobody:
    """Another user than root, who is not stopped by rights."""

    ID = 65534
    prefix = ["setpriv", f"--reuid={ID}", f"--regid={ID}", "--clear-groups"]
    group = grp.getgrgid(ID).gr_name

    def __init__(self):
        if os.getuid() != 0:
            pytest.skip("only root can become somebody else")
        for path in (build_dir() / "bridge" / "programs" / "southbridge", SOURCE / "tests"):
            if run([*self.prefix, "test", "-r", path]).returncode != 0:
                pytest.skip(f"{path} is not for everybody")

    def take(self, parent, directory):
        """Gives a directory and all in it to this user; others on the way may be passed."""
        os.chmod(parent, 0o755)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self.ID, self.ID)


@pytest.fixture
def no_broker():
    """In the place of the broker, for daemons without links."""
    return types.SimpleNamespace(uri="mqtt://127.0.0.1:1")


@pytest.fixture
def bench(workspace, make_southbridge):
    bench = Bench(workspace, make_southbridge)
    yield bench
    bench.close()
