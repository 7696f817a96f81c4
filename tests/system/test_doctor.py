# SPDX-License-Identifier: Apache-2.0
"""southbridgectl doctor with the real daemon: each finding made by a real fault."""
import contextlib
import os
import pathlib
import pty
import shutil
import socket
import sqlite3
import ssl
import sys
import threading
import time

import pytest
from daemon import write_config
from harness import Authority, Process, free_port, run, wait_until
from quick import Nobody, plain

HOLDER = pathlib.Path(__file__).with_name("holder.py")


@pytest.fixture
def broker(tls_broker):
    return tls_broker


@pytest.fixture
def line():
    """A line that nobody holds."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield name
    os.close(master)


class Clinic:
    """The daemon, and what doctor says of it."""

    def __init__(self, make, line):
        self._make, self.line = make, line
        self.southbridge = None

    def start(self, port=None, user=None, ready=True, **settings):
        self.southbridge = self._make({"uart1": port or self.line}, [], **settings)
        if user:
            user.take(self.southbridge.directory.parent, self.southbridge.directory)
            self.southbridge.prefix = user.prefix
        self.southbridge.start(ready)
        return self

    def examine(self, *words):
        """[(check, name, health, text, remedy)]"""
        done = self.southbridge.ctl("doctor", *words, check=False, timeout=60)
        assert done.json is not None, done
        found = [(c["check"], c["name"], c["health"], c["text"], c.get("remedy", ""))
                 for c in done.json["checks"]]
        failed = any(health == "failed" for _, _, health, _, _ in found)
        assert done.status == (1 if failed else 0), done
        return found

    def without_daemon(self):
        return self.examine("--config", str(self.southbridge.config))

    def says(self, check, health, text, remedy="", examine=None):
        """A finding like that; the rest of it. All others are not "failed"."""
        found = (examine or self.examine)()
        fitting = [f for f in found if f[0] == check and f[2] == health and text in f[3]]
        assert fitting and remedy in fitting[0][4], (check, health, text, remedy, found)
        others = [f for f in found if f[0] != check and f[2] == "failed"]
        assert not others, others
        return fitting[0]

    def wait_up(self):
        def state():
            return self.southbridge.links()[0]
        wait_until(lambda: state()["up"], 30, state)


@pytest.fixture
def clinic(make_southbridge, line):
    return Clinic(make_southbridge, line)


@pytest.fixture
def trust(broker, authority):
    return {"uri": f"mqtts://localhost:{broker.tls_port}",
            "link": {"ca_file": str(authority.ca)}}


def test_nothing_is_wrong(clinic, trust):
    clinic.start(**trust).wait_up()
    found = clinic.examine()
    assert all(health == "ok" for _, _, health, _, _ in found), found
    texts = {(check, name): text for check, name, _, text, _ in found if check != "link"}
    links = [text for check, _, _, text, _ in found if check == "link"]
    assert any("TLSv1.3" in text for text in links), links
    assert any("logged in since" in text for text in links), links
    assert "intact, schema" in texts["store", ""] and "free" in texts["bus", "uart1"], texts
    shown = plain(clinic.southbridge, "doctor", COLUMNS="70")
    assert shown.returncode == 0 and "nothing is wrong" in shown.stdout, shown
    assert all(len(row) <= 70 for row in shown.stdout.splitlines()), shown.stdout
    assert "\x1b" not in shown.stdout and "\x1b[32m" in plain(
        clinic.southbridge, "doctor", "--color").stdout


# ---- buses ----

def test_ports(clinic, line, tmp_path, trust):
    gone = tmp_path / "port"
    gone.symlink_to(line)
    clinic.start(port=gone, **trust).wait_up()
    clinic.says("bus", "ok", "baud")
    holder = Process("holder", [sys.executable, HOLDER, line, "flock"], tmp_path, talk=True)
    wait_until(lambda: "held" in holder.stdout, what=lambda: holder.stderr)
    clinic.says("bus", "failed", f"held by process {holder.pid} (python3", "stop it")
    holder.stop()
    gone.unlink()
    clinic.says("bus", "failed", "is not there", "plug it in")
    gone.symlink_to("/dev/null")
    clinic.says("bus", "failed", "not a serial line", "by-path")


def test_rights_are_the_daemons(clinic, line, workspace):
    """Asked by root, answered with the rights of the daemon's user."""
    user = Nobody()
    os.chmod(line, 0o600)
    os.chown(line, 0, 5)
    clinic.start(user=user, top={"links": {}, "control": {
        "socket": str(workspace / "southbridge" / "control"), "group": user.group}})
    clinic.says("bus", "failed", "may not read and write it (mode 0600, group tty)",
                "into the group 'tty'")
    state = clinic.southbridge.directory / "state"
    os.chown(state, 0, 0)
    found = clinic.examine()
    assert any(f[0] == "store" and f[2] == "failed" and "cannot be written" in f[3]
               and "chown" in f[4] for f in found), found
    os.chown(state, user.ID, user.ID)


# ---- links ----

def test_a_server_that_is_not_there(clinic, broker, trust):
    clinic.start(**trust).wait_up()
    broker.stop()
    def down():
        return not clinic.southbridge.links()[0]["up"]
    wait_until(down, 30, "the link is down")
    clinic.says("link", "failed", "Connection refused", "is the server running")
    clinic.says("link", "failed", "not logged in since 20", "tries again by itself")


def test_a_login_that_is_refused(clinic, trust):
    clinic.start(**trust, token="wrong-token")
    def told():
        return "not auth" in clinic.southbridge.links()[0]["text"].lower()
    wait_until(told, 30, lambda: clinic.southbridge.links())
    told = clinic.says("link", "failed", "not logged in since", "token")
    assert "not auth" in told[3].lower(), told
    assert "wrong-token" not in str(clinic.examine())


def test_a_certificate_that_is_not_accepted(clinic, broker, authority, workspace):
    (workspace / "other").mkdir()
    other = Authority(workspace / "other")
    clinic.start(uri=f"mqtts://localhost:{broker.tls_port}", link={"ca_file": str(other.ca)})
    clinic.says("link", "failed", "its certificate is not accepted", "ca_file")
    clinic.southbridge.stop()
    with server_of(*authority.issue("elsewhere", "DNS:elsewhere")) as port:
        renamed = Clinic(clinic._make, clinic.line)  # pylint: disable=protected-access
        renamed.start(uri=f"mqtts://127.0.0.1:{port}", link={"ca_file": str(authority.ca)})
        renamed.says("link", "failed", "mismatch", "the host in the uri")


@contextlib.contextmanager
def server_of(certificate, key):
    """Shakes hands under a certificate, and says no more; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                with client, contextlib.suppress(OSError):
                    client.settimeout(5)
                    context.wrap_socket(client, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_the_daemon_does_not_wait(clinic):
    """A server that accepts and says nothing costs the doctor seconds, the daemon none."""
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        clinic.start(uri=f"mqtts://127.0.0.1:{silent.getsockname()[1]}")
        program = clinic.southbridge.program("southbridgectl")
        doctor = Process("doctor", [program, "--socket", clinic.southbridge.socket, "--json",
                                    "doctor"], clinic.southbridge.directory)
        slowest = 0.0
        while doctor.running:
            began = time.monotonic()
            clinic.southbridge.ctl("device", "list")
            slowest = max(slowest, time.monotonic() - began)
        assert doctor.wait() == 1 and "no TLS handshake in time" in doctor.stdout, doctor.stdout
        assert slowest < 5, slowest


# ---- files, disk, daemon ----

def test_files(clinic, trust):
    clinic.start(**trust).wait_up()
    more = clinic.southbridge.directory / "devices.d" / "more.yaml"
    more.write_text("devices:\n  - { id: x, tipe: zephyr-smp }\n", encoding="ascii")
    clinic.says("devices", "failed", f"{more}:2:", "reload")
    more.unlink()
    os.utime(clinic.southbridge.config)
    clinic.says("config", "warning", "was changed after", "restart the daemon")


def test_space_and_pause(clinic, trust):
    clinic.start(**trust, top={"artifacts": {"free_floor": "1023G", "limit": "64M"}}).wait_up()
    clinic.says("space", "failed", "new jobs are refused", "free some")
    clinic.southbridge.ctl("job", "pause", "--all")
    found = clinic.examine()
    assert any(f[0] == "daemon" and "paused" in f[3] and "job resume" in f[4] for f in found)


def test_a_group_that_is_missing(clinic, trust, workspace):
    clinic.start(**trust, top={"control": {"socket": str(workspace / "southbridge/control"),
                                           "group": "no-such-group"}}).wait_up()
    clinic.says("control", "warning", "there is no group 'no-such-group'", "addgroup")


def test_without_the_helper(clinic, trust, workspace):
    """A daemon that was copied without it."""
    clinic.start(**trust, ready=False)
    clinic.southbridge.process.kill9()
    alone = workspace / "bin"
    alone.mkdir()
    shutil.copy(clinic.southbridge.daemon, alone / "southbridge")
    clinic.southbridge.daemon = alone / "southbridge"
    clinic.southbridge.start()
    clinic.wait_up()
    clinic.says("helper", "failed", "southbridge-fetch: No such file", "install")


# ---- without the daemon ----

def test_without_a_daemon(clinic, trust):
    clinic.start(**trust).wait_up()
    offline = clinic.without_daemon
    clinic.says("control", "ok", f"process {clinic.southbridge.process.pid} listens",
                "without --config", offline)
    clinic.southbridge.stop()
    unreachable = plain(clinic.southbridge, "doctor")
    assert unreachable.returncode == 3 and "doctor --config FILE" in unreachable.stderr
    clinic.says("daemon", "ok", "not asked", examine=offline)
    clinic.says("link", "ok", "TLSv1.3", examine=offline)
    store = clinic.southbridge.directory / "state" / "southbridge.db"
    clinic.says("store", "ok", "intact", examine=offline)
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA user_version = 1000")
    clinic.says("store", "failed", "schema 1000", examine=offline)
    store.write_bytes(b"not a database at all, but as long as a page " * 100)
    clinic.says("store", "failed", "is damaged", "keep a copy", offline)
    store.unlink()
    (clinic.southbridge.directory / "token").unlink()
    clinic.says("link", "failed", "token", examine=offline)


def test_a_configuration_that_cannot_be_read(clinic, workspace):
    config = write_config(workspace, ports={}, devices=[], uri="mqtt://127.0.0.1:1",
                          token="x", top={"stat": 1})
    program = clinic._make({}, []).program("southbridgectl")  # pylint: disable=protected-access
    done = run([program, "doctor", "--config", config])
    assert done.returncode == 1 and "unknown key 'stat'" in done.stdout, done
    assert "did you mean 'state'" in done.stdout.replace("\n", " "), done
