# SPDX-License-Identifier: Apache-2.0
"""The daemon under test and the serial device behind it, as processes."""
import collections
import contextlib
import grp
import json
import os
import pathlib
import re
import socket

from harness import (DEADLINE, SIMULATORS, SOURCE, Process, build_dir, run, run_good,
                     wait_until)

ORG, GATEWAY = "abc123", "gw/gw1"
PYTHON = "/usr/bin/python3"
_SMP = SIMULATORS / "smp_device.py"
_SANITIZER = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:"
                        r"|SUMMARY: \w*Sanitizer")
CtlResult = collections.namedtuple("CtlResult", "status json text error")


def device_spec(name="pump-1", kind="zephyr-smp", bus="uart1", ibm="pump/pump-1", **more):
    """One device of devices.d; further keys as keyword arguments, None leaves one out."""
    spec = dict(id=name, type=kind, bus=bus, names={"ibm": ibm} if ibm else None, **more)
    return {key: value for key, value in spec.items() if value is not None}


def write_config(directory, *, uri, token, ports, devices, link=None, top=None, mappings=None):
    """The daemon's configuration and devices.d below a directory; the path of the file.

    ports: {bus: path of the serial line}; link, top: keys to add or change. Written as JSON, which
    is YAML, so that nothing here depends on how the daemon reads YAML.
    """
    directory = pathlib.Path(directory)
    (directory / "devices.d").mkdir(exist_ok=True)
    (directory / "token").write_text(token + "\n", encoding="ascii")
    (directory / "token").chmod(0o600)
    kind, name = GATEWAY.split("/")
    uplink = {"dialect": "ibm", "role": "uplink", "uri": uri, "org": ORG, "type": kind, "id": name,
              "token": f"file:{directory}/token",
              "uri_rules": {"schemes": ["http", "https"], "networks": ["127.0.0.0/8"]},
              **(link or {})}
    config = {
        "state": str(directory / "state"),
        "mappings": [str(path) for path in mappings or [SOURCE / "mappings"]],
        "devices": str(directory / "devices.d"),
        "control": {"socket": str(directory / "control"),
                    "group": grp.getgrgid(os.getgid()).gr_name},
        "buses": {bus: {"port": str(path), "baud": 115200} for bus, path in ports.items()},
        "links": {"factory": {key: value for key, value in uplink.items() if value is not None}},
        **(top or {}),
    }
    write_devices(directory, devices)
    path = directory / "southbridge.yaml"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return path


def write_devices(directory, devices):
    path = pathlib.Path(directory) / "devices.d" / "devices.yaml"
    path.write_text(json.dumps({"devices": list(devices)}, indent=2) + "\n", encoding="utf-8")


class Southbridge:
    """The daemon with its own directory; survives kill9() and start()."""

    def __init__(self, directory, config):
        self.directory = pathlib.Path(directory)
        self.config = config
        self.process = None
        self.prefix = []  # words before the daemon's own: another user, a limit
        self._programs = build_dir() / "bridge" / "programs"
        self.daemon = self.program("southbridge")
        for name in ("southbridge", "southbridgectl"):
            if not (self._programs / name).exists():
                raise RuntimeError(f"{self._programs / name} is not built")

    def program(self, name):
        return self._programs / name

    def environment(self, leaks=True):
        # Reports go to files as well: they must not depend on who reads stderr.
        options = f"log_path={self.directory}/sanitizer:exitcode=99"
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), options)))
        return {"ASAN_OPTIONS": f"{asan}:detect_leaks={leaks:d}", "TSAN_OPTIONS": options,
                "UBSAN_OPTIONS": f"{options}:print_stacktrace=1"}

    @property
    def socket(self):
        return self.directory / "control"

    def start(self, ready=True):
        self.process = Process("southbridge", [
            *self.prefix, self.daemon, "--config", self.config], self.directory,
            self.environment())
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=DEADLINE):
        """Until this process answers at its control socket."""
        def answers():
            self.process.check_running()
            with contextlib.suppress(OSError):
                return self.status()
        wait_until(answers, timeout, lambda: f"southbridge answers:\n{self.log()}", interval=0.05)

    def stop(self):
        """SIGTERM; it must end by itself and well."""
        if self.process and self.process.running:
            status = self.process.stop()
            if status != 0:
                raise RuntimeError(f"southbridge ended with {status}:\n{self.log()}")

    def kill9(self):
        self.process.kill9()

    def restart(self):
        self.stop()
        return self.start()

    def ctl(self, *words, check=True, timeout=DEADLINE):
        """southbridgectl with --json; the answer's JSON (None when it printed none).

        Its leaks are looked for in the unit tests: at each call it would take half of the time.
        """
        done = run([self.program("southbridgectl"), "--socket", self.socket, *words, "--json"],
                   timeout=timeout, env=self.environment(leaks=False))
        try:
            body = json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError:
            raise AssertionError(f"southbridgectl {words}: not JSON: {done.stdout!r}") from None
        if check and done.returncode != 0:
            raise AssertionError(f"southbridgectl {words} ended with {done.returncode}: "
                                 f"{done.stderr}{done.stdout}")
        return CtlResult(done.returncode, body, done.stdout, done.stderr)

    def ask(self, verb, timeout=DEADLINE, **args):
        """One request at the control socket, without a process for it: what is asked often."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(timeout)
            peer.connect(str(self.socket))
            peer.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
            with peer.makefile("rb") as lines:
                line = lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"{verb}: no answer")
        answer = json.loads(line)
        assert answer["ok"], f"{verb} {args}: {answer}"
        return answer["data"]

    def status(self):
        return self.ask("status")

    def job(self, number):
        return self.ask("job show", id=int(number))

    def jobs(self, device=None):
        """All, oldest first."""
        listed = self.ask("job list", all=True, **({"device": device} if device else {}))
        return sorted(listed, key=lambda job: job["id"])

    def device(self, name):
        return self.ask("device show", id=name)

    def links(self):
        return self.ask("link list")

    def log(self):
        if not self.process:
            return ""
        return self.process.stderr + self.process.stdout

    def sanitizer_reports(self):
        """The texts with a report in them; a notice alone ("Unable to get registers from thread",
        when a library's thread ends beneath the leak check) is none."""
        texts = [path.read_text(errors="replace")
                 for path in sorted(self.directory.glob("sanitizer.*"))]
        return [text for text in [*texts, self.log()] if _SANITIZER.search(text)]


class Watched:
    """What a world's daemon says of itself; its `southbridge`."""

    southbridge = None

    def jobs(self):
        return self.southbridge.jobs()

    def tasks(self):
        """(operation, state) of each job's only task, oldest first."""
        shown = [self.southbridge.job(job["id"]) for job in self.jobs()]
        return [(job["operation"], job["tasks"][0]["state"]) for job in shown]

    def uplink(self):
        return self.southbridge.links()[0]

    def wait_quiet(self):
        """Until no job is open and nothing is left to tell."""
        def quiet():
            status = self.southbridge.status()
            return (status["jobs"]["open"] == 0
                    and all(link["waiting"] == 0 for link in status["links"]))
        wait_until(quiet, 30, lambda: f"quiet: {self.southbridge.status()}", 0.1)


def make_image(directory, version, size=40000, **options):
    """The bytes of an image for the serial device; options: bad_signature=True and the like."""
    path = pathlib.Path(directory) / f"image-{version}-{size}.bin"
    flags = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    run_good([PYTHON, _SMP, "make-image", "--version", version, "--size", size, *flags, path])
    return path.read_bytes()


class SmpDevice:
    """The serial device on a pseudo terminal: a simulator process with JSON events on stdout.

    Its flash is a directory: kill9() is a power cut, start() powers it up again.
    """

    def __init__(self, directory, version="1.0.0", kind="zephyr", name="smp"):
        self.directory = pathlib.Path(directory)
        self.name, self.kind = name, kind
        self.link = self.directory / f"{name}.tty"
        self.process = None
        self._held = []
        self._image = self.directory / f"{name}-first.bin"
        self._image.write_bytes(make_image(directory, version))

    def start(self, *options):
        """options: of the simulator, like "--slot-size", 65536."""
        ups = len(self.events("up"))
        self.process = Process(self.name, [
            PYTHON, _SMP, "run", "--state", self.directory / f"{self.name}-flash", "--link",
            self.link, "--kind", self.kind, "--image", self._image, *options], self.directory,
            talk=True)
        self.wait_event("up", count=ups + 1)
        self._hold()
        return self

    def _hold(self):
        """Keeps the terminal's number: after a power cut the link must not lead to somebody
        else's new terminal."""
        with contextlib.suppress(OSError):
            self._held.append(os.open(self.link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))

    def stop(self):
        if self.process and self.process.running:
            self.process.say("quit")
            self.process.wait()
        while self._held:
            os.close(self._held.pop())

    def kill9(self):
        self.process.kill9()

    def fault(self, name, value=True):
        """A fault of the simulator, in force when this returns."""
        self._order(f"set {name} {json.dumps(value)}")

    def unplug(self):
        self._order("unplug")

    def plug(self):
        self._order("plug")
        self._hold()

    def _order(self, text):
        before = len(self.events("done"))
        self.process.say(text)
        self.wait_event("done", lambda e: e["command"] == text, count=1, after=before)

    def events(self, kind=None):
        """What it told so far, over all its lives; an unfinished last line is left for later."""
        if not self.process:
            return []
        lines = self.process.stdout.split("\n")[:-1]
        events = [json.loads(line) for line in lines if line.strip()]
        return [event for event in events if kind in (None, event.get("event"))]

    def wait_event(self, kind, condition=lambda _: True, timeout=DEADLINE, count=1, after=0):
        """The count-th fitting event; after: events of this kind to skip."""
        def find():
            fitting = [event for event in self.events(kind)[after:] if condition(event)]
            if len(fitting) < count:
                self.process.check_running()
                return None
            return fitting[count - 1]
        return wait_until(find, timeout, lambda: f"event {kind}; told: {self.events()[-10:]}")

    @property
    def version(self):
        """Of the image that runs."""
        return self.events("boot")[-1]["version"]

    @property
    def confirmed(self):
        told = [event for event in self.events() if event["event"] in ("boot", "state")]
        return told[-1]["confirmed"]

    @property
    def boots(self):
        return len(self.events("boot"))
