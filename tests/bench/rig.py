# SPDX-License-Identifier: Apache-2.0
"""What the benchmark sets up: a broker, the load, and what is measured."""
import contextlib
import getpass
import hashlib
import json
import os
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(os.environ.get("SB_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
sys.path[:0] = [str(SOURCE / "tests" / "system"), str(SOURCE / "tests" / "simulators")]

from artifacts import ArtifactServer  # noqa: E402
from daemon import (PYTHON, SmpDevice, Southbridge, device_spec, make_image,  # noqa: E402
                    write_config)
from harness import (MARK, MARK_NAME, Broker, Process, build_dir, run_good,  # noqa: E402
                     wait_until)
from modbus_line import ModbusLine  # noqa: E402

ECHOES = ("paho", "mosquitto")
_COUNTERS = 4096  # bytes: a page
_TYPE = """# SPDX-License-Identifier: Apache-2.0
name: pump
driver: smp
verify: hash
smp: { stage: gateway, health: 200ms }
"""


def _board_type(directory):
    """The simulated board's, with its password."""
    text = (SOURCE / "tests" / "simulators" / "console_board.yaml").read_text(encoding="ascii")
    password = directory / "password"
    password.write_text("geheim-4711\n", encoding="ascii")
    password.chmod(0o600)
    return "name: board\ndriver: dialog\n" + text.replace(
        "dialog:\n", f"dialog:\n  secrets: {{ password: 'file:{password}' }}\n", 1)


def program(name):
    return build_dir() / "tests" / "bench" / name


def sanitized():
    """A build with sanitizers: its figures are worth nothing, and it cannot be preloaded."""
    cache = (build_dir() / "CMakeCache.txt").read_text(encoding="utf-8")
    return "SB_SANITIZE:STRING=\n" not in cache


class FastBroker(Broker):
    """As one would run it for speed: nothing to disk, little in the log, no small window."""

    def _configuration(self):
        return "\n".join([
            f"user {getpass.getuser()}", "persistence false", "set_tcp_nodelay true",
            "max_inflight_messages 1000", "max_queued_messages 20000",
            f"log_dest file {self.log_path}", "log_type error", "log_type warning",
            "log_type information", "connection_messages false", "allow_anonymous true",
            f"listener {self.port} 127.0.0.1"]) + "\n"


class Peer:
    """A program that plays clouds: orders in, measurements out; `first` is what it says first."""

    def __init__(self, name, *arguments):
        self._popen = subprocess.Popen(
            [str(program(name)), *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
            env=dict(os.environ, **{MARK_NAME: MARK}), start_new_session=True)
        try:
            self.first = self._answer()
        except RuntimeError:
            self.close()
            raise

    def _answer(self):
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._popen.args[0]} ended with {self._popen.wait()}")
        return json.loads(line)

    def begin(self, *words):
        self._popen.stdin.write(" ".join(map(str, words)) + "\n")

    def order(self, *words):
        self.begin(*words)
        return self._answer()

    def end(self):
        """What begin() comes to."""
        return self._answer()

    def close(self):
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()


class Gateway(Southbridge):
    """The daemon with its devices on one line; counted: with the counters of count.c."""

    def __init__(self, bench, directory, devices, counted=False, port=None, specs=None,
                 baud=115200, links=None):
        """specs: other devices than so many pumps; port: another line than the SMP device's;
        links: others than the one to IBM's dialect."""
        directory.mkdir(parents=True)
        types = directory / "types" / "devices"
        types.mkdir(parents=True)
        (types / "pump.yaml").write_text(_TYPE, encoding="ascii")
        (types / "board.yaml").write_text(_board_type(directory), encoding="ascii")
        specs = specs or [device_spec(f"d{i}", "pump", "line", f"pump/d{i}")
                          for i in range(devices)]
        super().__init__(directory, write_config(
            directory, uri=bench.broker.uri, token="secret", devices=specs,
            ports={}, mappings=[SOURCE / "mappings", types.parent], top={
                **({"links": links} if links else {}),
                "buses": {"line": {"port": str(port or bench.device.link), "baud": baud}},
                "retention": {"bytes": "1G", "job_count": 100000, "audit_count": 1000000}}))
        self.counters = None
        if counted:
            self.counters = directory / "counters"
            self.counters.write_bytes(bytes(_COUNTERS))
            self.prefix = ["env", f"SB_BENCH_COUNTERS={self.counters}",
                           f"LD_PRELOAD={program('libbench_count.so')}"]

    def wait_devices(self, count=None, timeout=120):
        """Until so many (all) devices have been looked at and found."""
        def found():
            told = self.ctl("device", "list", timeout=60).json
            ready = sum(device["presence"] == "ready" for device in told)
            return ready >= (count or len(told))
        wait_until(found, timeout, "the devices are ready", 0.2)

    def wait_quiet(self):
        """Until it owes nobody anything."""
        wait_until(lambda: all(link["waiting"] == 0 for link in self.ctl("status").json["links"]),
                   60, "nothing waits to be told", 0.2)

    def ended(self, job):
        """True when its only task has succeeded; an error when it has failed."""
        task = self.ctl("job", "show", str(job)).json["tasks"][0]
        if task["state"] in ("failed", "cancelled"):
            raise RuntimeError(f"job {job}: {task}")
        return task["state"] == "succeeded"

    def store_size(self):
        return sum(path.stat().st_size for path in (self.directory / "state").glob("*.db*"))

    def memory(self):
        """{RSS, PSS, anonymous} in MB (10^6 bytes)."""
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        kib = {line.split(":")[0]: int(line.split()[1])
               for line in text.splitlines() if line.endswith(" kB")}
        return {name: kib[key] * 1024 / 1e6
                for name, key in (("rss", "Rss"), ("pss", "Pss"), ("anonymous", "Anonymous"))}

    def stored_jobs(self):
        """Of the file, while no daemon has it."""
        with contextlib.closing(sqlite3.connect(self.directory / "state/southbridge.db")) as store:
            return store.execute("SELECT count(*) FROM job").fetchone()[0]

    def start_ms(self):
        """(ms from the call of exec until it says that it is ready, ms of processor time until it
        has ended again in order)"""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        popen = subprocess.Popen([str(self.daemon), "--config", str(self.config)],
                                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                 env=dict(os.environ, **{MARK_NAME: MARK}), start_new_session=True)
        told = b""
        try:
            while b"is ready" not in told:
                line = popen.stderr.readline()
                if not line:
                    raise RuntimeError(f"southbridge did not start: {told.decode()}")
                told += line
            spent = time.monotonic() - begun
        finally:
            popen.terminate()
            popen.communicate(timeout=30)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return spent * 1000, worked * 1000


class Echo:
    """A yardstick, with the daemon's manners."""

    counters = None

    def memory(self):
        return {"rss": 0.0}

    def __init__(self, bench, name):
        self._bench, self._name = bench, name
        self.process = None

    def start(self, ready=False):  # noqa: ARG002 (the load asks until it answers)
        self.process = Process(f"echo-{self._name}", [
            program(f"bench_echo_{self._name}"), self._bench.broker.port], self._bench.directory)
        return self

    def stop(self):
        self.process.stop()


class Bench:
    """A broker, a serial device, a server of images, and directories on disk and in memory."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sb-bench-", dir=build_dir()))
        memory = pathlib.Path("/dev/shm")
        self.memory = pathlib.Path(tempfile.mkdtemp(
            prefix="sb-bench-", dir=memory if memory.is_dir() else None))
        self._gateways = 0
        self.broker = FastBroker(self.directory / "broker").start()
        image = make_image(self.directory, "2.0.0", 20000)
        self.artifacts = ArtifactServer()
        self.uri = self.artifacts.add("/pump.bin", image)
        self.digest = hashlib.sha256(image).hexdigest()
        self.device = SmpDevice(self.directory).start("--boot-time", "0.1")

    def gateway(self, devices, in_memory=False, **options):
        self._gateways += 1
        where = self.memory if in_memory else self.directory
        return Gateway(self, where / f"gateway{self._gateways}", devices, **options)

    @contextlib.contextmanager
    def loaded(self, subject, devices):
        """The subject, started and connected, with a load that watches it."""
        load = Peer("bench_load", self.broker.port, devices, self.uri, self.digest)
        try:
            subject.start(ready=False)
            load.order("await")
            load.order("watch", subject.process.pid, *filter(None, [subject.counters]))
            yield load
        finally:
            load.close()
            subject.stop()

    def clouds(self, ports, each):
        """A gateway under four clouds, each with devices that no other has a name for."""
        secret, keys = self.directory / "secret", f"file:{self.directory}/{{name}}.key"
        links = {
            "ibm": {"org": "abc123", "type": "gw", "id": "gw1", "token": f"file:{secret}"},
            "azure": {"hub": "hub.example.com", "key": keys},
            "huawei": {"id": "prod_gw1", "secret": f"file:{secret}"},
            "alibaba": {"product_key": "Prod", "device_name": "gw-1", "secret": f"file:{secret}",
                        "device_product": "Prod", "device_secret": keys}}
        names = {"ibm": "pump/dev-{}", "azure": "dev-{}", "huawei": "prod_dev-{}",
                 "alibaba": "Prod/dev-{}"}
        specs = []
        self._keep(secret, "a secret of the benchmark")
        for number, (cloud, port) in enumerate(zip(links, ports, strict=True)):
            links[cloud].update(dialect=cloud, role="uplink", uri=f"mqtt://127.0.0.1:{port}")
            for device in range(number * each, (number + 1) * each):
                specs.append(self._only_in(cloud, device, names[cloud].format(device)))
                self._keep(self.directory / f"dev-{device}.key", "YSBzZWNyZXQ=")
        return self.gateway(4 * each, links=links, specs=specs)

    @staticmethod
    def _only_in(cloud, device, name):
        """Its id makes no name in any cloud but Azure's, where the others have no key."""
        return {"id": f"a.device.of.the.benchmark.with.number.{device:06}", "type": "pump",
                "bus": "line", "names": {cloud: name}}

    @staticmethod
    def _keep(path, text):
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)

    def close(self):
        for process in list(Process.alive):
            with contextlib.suppress(Exception):
                process.kill9()
        self.artifacts.close()
        shutil.rmtree(self.directory)
        shutil.rmtree(self.memory)


class Line:
    """A serial device behind a line of a given speed."""

    def __init__(self, bench, device, baud):
        self.link = bench.directory / f"{device.name}{baud}"
        self._popen = subprocess.Popen(
            [PYTHON, str(SOURCE / "tests" / "bench" / "line.py"), str(device.link),
             str(self.link), str(baud)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1, env=dict(os.environ, **{MARK_NAME: MARK}), start_new_session=True)
        self._popen.stdout.readline()

    def told(self):
        """[(seconds, "down" or "up", bytes)] of all that has passed."""
        self._popen.stdin.write("tell\n")
        return json.loads(self._popen.stdout.readline())

    def close(self):
        self._popen.stdin.close()
        self._popen.wait(10)
        self._popen.stdout.close()


class SmpTarget:
    """The SMP device, and an update of it."""

    name, kind = "smp", "pump"
    address = {}

    def __init__(self, bench):
        self._bench = bench
        self.device = bench.device

    def image(self, version, size):
        path = self._bench.directory / f"{self.name}-{version}.img"
        path.write_bytes(make_image(self._bench.directory, version, size))
        return path

    def close(self):
        pass


class ModbusTarget(SmpTarget):
    """A Modbus device with the bootloader of the shipped type, and an update of it."""

    name, kind = "modbus", "modbus-bootloader"
    address = {"unit": 1}

    def __init__(self, bench):
        super().__init__(bench)
        self.device = ModbusLine(bench.directory, {1: {}}, "modbus").start()

    def image(self, version, size):
        path = self._bench.directory / f"{self.name}-{version}.img"
        run_good([PYTHON, SOURCE / "tests" / "simulators" / "modbus_device.py", "make-image",
                  "--version", version, "--size", size, path])
        return path

    def close(self):
        self.device.stop()


class Board:
    """The simulated board with a serial console, which takes images by YMODEM."""

    def __init__(self, directory):
        self.name, self.link = "dialog", pathlib.Path(directory) / "board.tty"
        self.process = Process(self.name, [
            PYTHON, SOURCE / "tests" / "simulators" / "console_device.py", "run", "--state",
            pathlib.Path(directory) / "board-flash", "--link", self.link, "--boot-time", "0.1",
            "--countdown", "0.2"], directory, talk=True)
        wait_until(lambda: '"up"' in self.process.stdout, what=lambda: self.process.stderr)

    def stop(self):
        self.process.say("quit")
        self.process.wait()


class ConsoleTarget(SmpTarget):
    """A board with a serial console, and an update of it."""

    name, kind = "dialog", "board"

    def __init__(self, bench):
        super().__init__(bench)
        self.device = Board(bench.directory)

    def image(self, version, size):
        path = self._bench.directory / f"{self.name}-{version}.img"
        run_good([PYTHON, SOURCE / "tests" / "simulators" / "console_device.py", "make-image",
                  "--version", version, "--size", size, path])
        return path

    def close(self):
        self.device.stop()
