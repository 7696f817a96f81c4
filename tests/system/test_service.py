# SPDX-License-Identifier: Apache-2.0
"""The daemon under a service manager: what it tells it, when, and what it is given by it."""
import signal
import socket

import pytest
from daemon import write_devices
from harness import DEADLINE, run, wait_until


@pytest.fixture
def broker(no_broker):
    return no_broker


class Manager:
    """The socket on which services tell how they are."""

    def __init__(self, path):
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE)

    def next(self):
        return self._socket.recv(4096).decode()

    def nothing_more(self):
        self._socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            self._socket.recv(4096)

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(workspace, monkeypatch):
    manager = Manager(workspace / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    yield manager
    manager.close()


def start(southbridge):
    """Without waiting for anything, which is the manager's part here."""
    return southbridge.start(ready=False)


def configured(bench):
    """Its files, and no process."""
    southbridge = bench.start([])
    southbridge.stop()
    return southbridge


def says(bench, text):
    """Until the only link says this about itself."""
    def told():
        return text in bench.southbridge.links()[0].get("text", "")
    wait_until(told, what=lambda: f"'{text}': {bench.southbridge.links()}", interval=0.05)


def test_it_tells_when_it_is_ready_reloads_and_stops(bench, manager):
    southbridge = configured(bench)
    assert [manager.next(), manager.next()] == ["READY=1", "STOPPING=1"]
    start(southbridge)
    assert manager.next() == "READY=1"
    assert southbridge.status()["running"] is True, "ready is ready"
    for devices in ([], [{"id": "pump-1", "tpye": "board"}]):  # in order or not: it goes on
        write_devices(southbridge.directory, devices)
        southbridge.process.signal(signal.SIGHUP)
        assert [manager.next(), manager.next()] == ["RELOADING=1", "READY=1"]
    southbridge.process.signal(signal.SIGTERM)
    assert manager.next() == "STOPPING=1"
    assert southbridge.process.wait() == 0
    manager.nothing_more()


def test_a_start_that_fails_is_never_ready(bench, manager):
    southbridge = configured(bench)
    assert [manager.next(), manager.next()] == ["READY=1", "STOPPING=1"]
    (southbridge.directory / "state" / "southbridge.db").write_bytes(b"no database" * 1000)
    done = run([southbridge.program("southbridge"), "--config", southbridge.config])
    assert done.returncode == 1, done
    manager.nothing_more()


def test_secrets_come_as_credentials(bench, workspace, monkeypatch):
    """`credential:NAME` is a file of the folder that the service manager makes for the service."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    folder = workspace / "credentials"
    folder.mkdir(mode=0o700)
    link = {"factory": {"dialect": "ibm", "uri": "mqtt://127.0.0.1:1", "org": "abc123",
                        "type": "gw", "id": "gw1", "token": "credential:uplink"}}
    southbridge = bench.start([], top={"links": link})
    says(bench, "LoadCredential=uplink")
    southbridge.stop()
    (folder / "uplink").write_text("a-token-of-the-manager\n", encoding="ascii")
    (folder / "uplink").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    southbridge.start()
    says(bench, "no connection: refused")  # it got as far as the place where a broker would be
    assert "a-token-of-the-manager" not in southbridge.log()
