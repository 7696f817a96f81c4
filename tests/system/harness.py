# SPDX-License-Identifier: Apache-2.0
"""What tests of the real daemon stand on: processes, ports, brokers, certificates, deadlines.

Everything lives in a temporary directory and on loopback, carries the session's mark in its
environment and is ended by process id; leftovers() finds what escaped.
"""
import contextlib
import getpass
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

SOURCE = pathlib.Path(os.environ.get("SB_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
SIMULATORS = SOURCE / "tests" / "simulators"
MARK_NAME = "SB_TEST_SESSION"
MARK = uuid.uuid4().hex
DEADLINE = 20.0  # s, for whatever should take well under a second

if str(SIMULATORS) not in sys.path:
    sys.path.insert(0, str(SIMULATORS))


def build_dir():
    """The build folder under test; an error that says what to set when there is none."""
    path = os.environ.get("SB_BUILD")
    if not path:
        raise RuntimeError("no build folder: set SB_BUILD or pass --build DIR")
    return pathlib.Path(path)


def wait_until(condition, timeout=DEADLINE, what="condition", interval=0.02):
    """The condition's first true value. `what` may be a function that describes the failure.

    What takes long to ask is asked less often.
    """
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise TimeoutError(f"not within {timeout:g} s: {text}")
        time.sleep(max(interval, time.monotonic() - asked))


_ports = set()


def free_port():
    """A TCP port of loopback that nobody uses.

    Below the kernel's ephemeral range, so that no outgoing connection takes it while a broker is
    down; never the same twice in one session.
    """
    for _ in range(1000):
        port = random.randrange(15000, 32000)
        if port in _ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports.add(port)
        return port
    raise RuntimeError("no free port")


class Process:
    """One child: its own session, output in files, ended by id."""

    alive = []  # every process that was started and not yet reaped

    def __init__(self, name, argv, directory, env=None, cwd=None, talk=False):
        """talk: with a pipe to its stdin, for say()."""
        self.name, self.argv = name, [str(word) for word in argv]
        self.stdout_path = pathlib.Path(directory) / f"{name}.out"
        self.stderr_path = pathlib.Path(directory) / f"{name}.err"
        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self._popen = subprocess.Popen(
                self.argv, stdin=subprocess.PIPE if talk else subprocess.DEVNULL, stdout=out,
                stderr=err, cwd=cwd or directory,
                env=dict(os.environ, **(env or {}), **{MARK_NAME: MARK}), start_new_session=True)
        Process.alive.append(self)

    @property
    def pid(self):
        return self._popen.pid

    @property
    def running(self):
        return self._popen.poll() is None

    @property
    def status(self):
        """Exit status; negative: the signal; None: still running."""
        return self._popen.poll()

    @property
    def stdout(self):
        return self.stdout_path.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self):
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def say(self, line):
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def signal(self, number):
        if self.running:
            self._popen.send_signal(number)

    def wait(self, timeout=DEADLINE):
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout:g} s") from None
        self._reaped()
        return status

    def _reaped(self):
        if self._popen.stdin:
            self._popen.stdin.close()
        if self in Process.alive:
            Process.alive.remove(self)

    def kill9(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def stop(self, timeout=DEADLINE):
        """SIGTERM; what does not end in time is killed and that is an error."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except TimeoutError:
            self.kill9()
            raise

    def check_running(self):
        if not self.running:
            raise RuntimeError(f"{self.name} ended with {self.status}:\n{self.stderr}")


def leftovers():
    """[(pid, command)] of processes that carry this session's mark, zombies aside."""
    found = []
    needle = f"{MARK_NAME}={MARK}".encode()
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                found.append((int(entry.name), b" ".join(words).decode(errors="replace")))
    return found


def run(argv, timeout=DEADLINE, **options):
    """A program to its end; CompletedProcess with text."""
    environment = dict(os.environ, **options.pop("env", {}), **{MARK_NAME: MARK})
    return subprocess.run([str(word) for word in argv], timeout=timeout, text=True, check=False,
                          capture_output=True, stdin=subprocess.DEVNULL, env=environment, **options)


def run_good(argv, **options):
    done = run(argv, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stderr}")
    return done


class Authority:
    """A certificate authority of one test session, and certificates for loopback."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.ca = self.directory / "ca.pem"
        self._key = self.directory / "ca.key"
        run_good(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                  "/CN=southbridge test authority", "-keyout", self._key, "-out", self.ca])

    def issue(self, name, alternatives="DNS:localhost,IP:127.0.0.1"):
        """(certificate, key) files for a server."""
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        if cert.exists():
            return cert, key
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\n", encoding="ascii")
        run_good(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                  "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request])
        run_good(["openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key,
                  "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", cert])
        return cert, key


class Broker:
    """A private Mosquitto with persistence: survives kill9() and start() on the same ports."""

    def __init__(self, directory, *, authority=None, websockets=False, users=None,
                 client_certificates=False):
        """users: {name: password}; without, everybody may connect. authority: adds TLS.

        client_certificates: who comes by TLS must have one; its name becomes the user's.
        """
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._authority, self._users, self._websockets = authority, users, websockets
        self._client_certificates = client_certificates
        self.port = self.tls_port = self.websocket_port = self.secure_websocket_port = None
        self.process = None
        self.log_path = self.directory / "mosquitto.log"

    def _allot(self):
        self.port = free_port()
        self.tls_port = free_port() if self._authority else None
        self.websocket_port = free_port() if self._websockets else None
        self.secure_websocket_port = (free_port() if self._websockets and self._authority
                                      else None)

    @property
    def uri(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def _configuration(self):
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        lines = [f"user {getpass.getuser()}", "per_listener_settings false", "persistence true",
                 f"persistence_location {data}/",
                 # Saved with every change: what was accepted is there after kill -9.
                 "autosave_on_changes true", "autosave_interval 1", "set_tcp_nodelay true",
                 f"log_dest file {self.log_path}", "log_type all", "connection_messages true"]
        if self._users:
            lines += ["allow_anonymous false", f"password_file {self._password_file()}"]
        else:
            lines.append("allow_anonymous true")
        lines.append(f"listener {self.port} 127.0.0.1")
        if self._authority:
            cert, key = self._authority.issue("broker")
            tls = [f"certfile {cert}", f"keyfile {key}"]
            if self._client_certificates:
                tls += [f"cafile {self._authority.ca}", "require_certificate true",
                        "use_identity_as_username true"]
        if self.tls_port:
            lines += [f"listener {self.tls_port} 127.0.0.1", *tls]
        if self.websocket_port:
            lines += [f"listener {self.websocket_port} 127.0.0.1", "protocol websockets"]
        if self.secure_websocket_port:
            lines += [f"listener {self.secure_websocket_port} 127.0.0.1", "protocol websockets",
                      *tls]
        return "\n".join(lines) + "\n"

    def _password_file(self):
        path = self.directory / "passwords"
        path.write_text("", encoding="ascii")
        path.chmod(0o600)
        for name, password in self._users.items():
            run_good(["mosquitto_passwd", "-b", path, name, password])
        return path

    def start(self):
        """First start or restart; returns when every listener accepts."""
        for _ in range(5):
            first = self.port is None
            if first:
                self._allot()
            path = self.directory / "mosquitto.conf"
            path.write_text(self._configuration(), encoding="ascii")
            binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
            before = len(self.log())
            self.process = Process("mosquitto", [binary, "-c", path], self.directory)
            if self._await_start(before):
                return self
            if not first:
                break
            self.port = None  # somebody else took one of the ports: others
        raise RuntimeError(f"mosquitto did not start:\n{self.log()}\n{self.process.stderr}")

    def _await_start(self, before):
        """By its log: an accepting port may be somebody else's."""
        wait_until(lambda: not self.process.running or " running\n" in self.log()[before:],
                   what=lambda: f"mosquitto listens:\n{self.log()}")
        if self.process.running:
            return True
        self.process.wait()
        return False

    def stop(self):
        if self.process and self.process.running:
            self.process.stop()

    def kill9(self):
        self.process.kill9()

    def restart(self):
        self.stop()
        return self.start()

    def wait_saved(self):
        """Until all that was acknowledged so far is on disk: Mosquitto acknowledges first."""
        def saved():
            log = self.log()
            return log.rfind("Saving in-memory") > max(log.rfind("Received PUB"),
                                                       log.rfind("Sending PUBLISH"))
        wait_until(saved, what=lambda: f"the broker saved:\n{self.log()[-2000:]}")
        # The line stands at the beginning of a save; the next connection is taken after it.
        before = len(self.log())
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE):
            self.wait_log("New connection", after=before)

    def log(self):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, pattern, timeout=DEADLINE, after=0):
        """Until the log has a fitting line; `after`: characters of the log to skip."""
        return wait_until(lambda: re.search(pattern, self.log()[after:]), timeout,
                          lambda: f"'{pattern}' in the broker's log:\n{self.log()[after:]}")
