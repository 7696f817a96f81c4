# SPDX-License-Identifier: Apache-2.0
"""Links to a cloud that are secure, wrong, not there or lost: what people are told, what goes on.

The broker checks passwords; the platform stands beside it.
"""
import base64
import json
import pathlib
import shutil
import socket
import stat
import threading
import time

import pytest
from daemon import GATEWAY, ORG, SmpDevice, device_spec
from harness import Authority, Broker, free_port, wait_until
from ibm_world import DEVICE, World, both
from quick import QUICK_BOOT, SETTINGS, plain, quick_mappings

from ibm_platform import IbmPlatform

TOKEN = "secret-token"  # the broker's, of fixture tls_broker


@pytest.fixture
def broker(tls_broker):
    return tls_broker


@pytest.fixture
def platform(broker):
    with IbmPlatform(broker.port, ORG, username="platform",
                     password="platform-secret") as platform:
        yield platform


@pytest.fixture
def smp_device(workspace):
    device = SmpDevice(workspace).start(*QUICK_BOOT, *SETTINGS)
    yield device
    device.stop()


@pytest.fixture
def make_world(workspace, platform, artifacts, smp_device, make_southbridge):
    """make(uri, **link): cloud, daemon and one device; the daemon only answers on its socket."""
    worlds = []

    def make(uri, token=TOKEN, top=None, **link):
        world = World(workspace, platform, artifacts, smp_device, make_southbridge)
        worlds.append(world)
        world.southbridge = make_southbridge(
            {"uart1": smp_device.link}, [device_spec(kind="board")], uri=uri, token=token,
            link=link, top=top, mappings=quick_mappings(workspace)).start()
        return world

    yield make
    for world in worlds:
        world.check()


@pytest.fixture
def authority_of_others(workspace):
    (workspace / "other").mkdir()
    return Authority(workspace / "other")


def link(world, name="factory"):
    links = world.southbridge.links()
    return next(entry for entry in links if entry["name"] == name)


def wait_text(world, *pieces, name="factory", timeout=30):
    """Until the link is down with a text that has all the pieces; the text."""
    def fits():
        told = link(world, name)
        text = told.get("text", "")
        return text if not told["up"] and all(piece in text for piece in pieces) else None
    return wait_until(fits, timeout, lambda: f"{pieces} in {link(world, name)}", 0.05)


def wait_up(world, timeout=60):
    world.platform.wait_managed(GATEWAY, timeout)
    wait_until(lambda: link(world)["up"], timeout, "the link is up")


def goes_on(world):
    """The daemon does its other work while a link is down."""
    wait_until(lambda: world.southbridge.device("pump-1")["presence"]
               == "ready", what="the device")
    job = world.southbridge.ctl("job", "create", "read", "pump-1", "--name", "interval").json["id"]
    def done():
        return world.southbridge.job(job)["tasks"][0]
    task = wait_until(lambda: done() if done()["state"] == "succeeded" else None, what=done)
    assert task["result"] == {"interval": 60}


# ---- secure and unusual ways ----

@pytest.mark.parametrize("scheme, port", [
    ("mqtts", "tls_port"), ("ws", "websocket_port"), ("wss", "secure_websocket_port")])
def test_a_whole_update(make_world, broker, authority, scheme, port):
    trust = {"ca_file": str(authority.ca)} if scheme in ("mqtts", "wss") else {}
    world = make_world(f"{scheme}://localhost:{getattr(broker, port)}", **trust)
    wait_up(world)
    world.platform.wait_managed(DEVICE, 30)
    world.downloaded()
    outcome = world.update()
    assert outcome.ok and world.device.version == "2.0.0", outcome
    world.wait_version("2.0.0")
    assert link(world)["text"] == "connected"


def test_a_large_answer_over_websocket(make_world, broker):
    """More than one packet of the network holds."""
    world = make_world(f"ws://127.0.0.1:{broker.websocket_port}")
    wait_up(world)
    world.platform.wait_managed(DEVICE, 30)
    value = {"note": "x" * 7000}
    assert world.platform.set_attributes(DEVICE, {"metadata": value}).rc == 204
    assert world.southbridge.device("pump-1")["facts"]["metadata"] == value


# ---- who is trusted ----

def test_an_authority_that_is_not_trusted(make_world, broker, authority, authority_of_others,
                                          workspace):
    """Told in clear words everywhere, and put right by the file alone."""
    trust = workspace / "trust.pem"
    shutil.copy(authority_of_others.ca, trust)
    world = make_world(f"mqtts://localhost:{broker.tls_port}", ca_file=str(trust))
    text = wait_text(world, "certificate", "not trusted", "ca_file", str(trust))
    assert f"localhost:{broker.tls_port}" in text and "next try in" in text
    for words in (("link", "list"), ("status",)):
        shown = plain(world.southbridge, *words)
        assert shown.returncode == 0 and "not trusted" in shown.stdout and "down" in shown.stdout
    assert "not trusted" in world.southbridge.log()
    goes_on(world)
    assert world.platform.since(direction="in") == []
    shutil.copy(authority.ca, trust)
    wait_up(world)


def test_a_certificate_for_another_name(make_world, workspace, authority):
    class Elsewhere:
        @staticmethod
        def issue(_name):
            return authority.issue("elsewhere", "DNS:elsewhere.example")
    other = Broker(workspace / "elsewhere", authority=Elsewhere()).start()
    try:
        world = make_world(f"mqtts://localhost:{other.tls_port}", ca_file=str(authority.ca))
        wait_text(world, f"localhost:{other.tls_port}", "name")
        goes_on(world)
    finally:
        other.stop()


def test_a_trust_file_that_is_not_there(make_world, broker, workspace):
    world = make_world(f"mqtts://localhost:{broker.tls_port}", ca_file=str(workspace / "none.pem"))
    wait_text(world, "ca_file", "none.pem", "No such file")
    goes_on(world)


def test_tls_to_a_listener_without_it(make_world, broker, authority):
    world = make_world(f"mqtts://localhost:{broker.port}", ca_file=str(authority.ca))
    wait_text(world, f"localhost:{broker.port}")
    goes_on(world)


# ---- tokens ----

def test_a_wrong_token(make_world, broker):
    """The text names the remedy; a right one is used without a restart."""
    world = make_world(broker.uri, token="not-the-token-4711")
    wait_text(world, "check", "token")
    goes_on(world)
    (world.southbridge.directory / "token").write_text(TOKEN + "\n", encoding="ascii")
    wait_up(world)
    assert "not-the-token-4711" not in world.southbridge.log()


def test_a_token_file_that_others_may_read(make_world, broker):
    world = make_world(broker.uri)
    wait_up(world)
    world.southbridge.stop()
    token = world.southbridge.directory / "token"
    token.chmod(0o644)
    world.southbridge.start()
    wait_text(world, str(token), "chmod 600")
    token.unlink()
    wait_text(world, str(token), "No such file")
    token.write_text(TOKEN, encoding="ascii")
    token.chmod(0o600)
    wait_up(world)


# ---- brokers that come and go ----

def test_no_broker_at_the_start(make_world, workspace, platform):
    """The daemon works without it, and comes up when it does."""
    late = Broker(workspace / "late", users={"use-token-auth": TOKEN, "p": "p"})
    late.port = free_port()
    world = make_world(late.uri)
    wait_text(world, f"127.0.0.1:{late.port}", "no connection", "next try in")
    goes_on(world)
    assert world.southbridge.process.running
    late.start()
    try:
        with IbmPlatform(late.port, ORG, username="p", password="p") as cloud:
            cloud.wait_managed(GATEWAY, 60)
            cloud.wait_managed(DEVICE, 60)
        world.southbridge.stop()
    finally:
        late.stop()
    assert platform.since(direction="in") == []


def test_a_host_that_cannot_be_found(make_world):
    world = make_world("mqtt://no-such-host.invalid:1883")
    wait_text(world, "no-such-host.invalid", "cannot find the host")
    goes_on(world)


class Slammer:
    """Takes connections on a port and closes them; remembers when this client came."""

    def __init__(self, port, client):
        self.times = []
        self._client = client.encode()
        self._socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    if self._client in connection.recv(512):
                        self.times.append(time.monotonic())
                except OSError:
                    pass  # it went, or said nothing

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def test_a_broker_that_restarts(make_world, broker):
    """It knocks until the broker is back (how often: unit_mqtt_faults); nothing is lost."""
    world = make_world(broker.uri)
    wait_up(world)
    world.platform.wait_managed(DEVICE, 30)
    world.downloaded()
    broker.kill9()
    wait_text(world, "next try in")
    slammer = Slammer(broker.port, "g:abc123:gw:gw1")  # the platform comes back as well
    wait_until(lambda: len(slammer.times) >= 4, 60, "four tries")
    slammer.close()
    goes_on(world)
    broker.start()
    manages = len(world.record.manages)
    world.platform.wait_managed(DEVICE, 90, manages + 1)
    assert world.observed() == both(2, 0)
    assert world.update().ok


def test_one_link_is_down_and_the_other_works(make_world, broker, authority_of_others, workspace):
    """A bad link never stops the others."""
    (workspace / "token").write_text(TOKEN, encoding="ascii")
    (workspace / "token").chmod(0o600)
    one = {"dialect": "ibm", "org": ORG, "type": "gw", "token": f"file:{workspace}/token"}
    world = make_world(broker.uri, top={"links": {
        "good": {**one, "uri": broker.uri, "id": "gw1",
                 "uri_rules": {"schemes": ["http"], "networks": ["127.0.0.0/8"]}},
        "bad": {**one, "uri": f"mqtts://localhost:{broker.tls_port}", "id": "gw2",
                "ca_file": str(authority_of_others.ca)}}})
    wait_text(world, "not trusted", name="bad")
    world.platform.wait_managed(DEVICE, 30)
    assert link(world, "good")["up"]
    world.downloaded()
    assert world.update().ok
    status = world.southbridge.status()
    assert {entry["name"]: entry["up"] for entry in status["links"]} == {"good": True,
                                                                         "bad": False}


# ---- secrets ----

USER, PASSWORD, SIGNATURE = "fleet-user-77", "pa55word-in-uri", "sig-0123456789abcdef"


def secret_uri(world, path="/2.0.0.bin"):
    plain_uri = world.artifacts.uri(path)
    return plain_uri.replace("://", f"://{USER}:{PASSWORD}@") + f"?sv=1&sig={SIGNATURE}"


def all_that_is_shown(world):
    """Every word the daemon or its CLI says: {where: text}."""
    southbridge = world.southbridge
    commands = [("status",), ("link", "list"), ("device", "list"), ("device", "show", "pump-1"),
                ("job", "list", "--all"), ("package", "list"), ("audit", "--limit", "1000"),
                ("mapping", "explain", "pump-1")]
    commands += [("job", "show", str(job["id"])) for job in world.jobs()]
    commands += [("package", "show", package["id"])
                 for package in southbridge.ctl("package", "list").json]
    told = {"log": southbridge.log()}
    for words in commands:
        for form in ((), ("--json",)):
            done = plain(southbridge, *words, *form)
            told[" ".join((*words, *form))] = done.stdout + done.stderr
    return told


def assert_secret(told, *secrets):
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for where, text in told.items():
        for secret in (*secrets, PASSWORD, SIGNATURE, basic):
            assert secret not in text, (where, secret)


def private(directory):
    """Files below it that others may read."""
    return [path for path in pathlib.Path(directory).rglob("*")
            if not path.is_symlink() and stat.S_ISREG(path.stat().st_mode)
            and path.stat().st_mode & 0o077]


def processes_of(southbridge):
    """What /proc shows to all of the daemon and its helpers: command lines."""
    pids = [southbridge.process.pid]
    for path in pathlib.Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == southbridge.process.pid:
                pids.append(int(path.name))
    return {str(pid): pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            + pathlib.Path(f"/proc/{pid}/environ").read_text(errors="replace") for pid in pids}


def test_secrets_are_shown_nowhere(make_world, broker):
    """The token; user, password and query of an image's URI, whether it works or not."""
    world = make_world(broker.uri, top={"log": {"level": "debug"}})
    wait_up(world)
    world.platform.wait_managed(DEVICE, 30)
    _, digest = world.image("2.0.0")

    world.artifacts.fault("/2.0.0.bin", status=403)  # says so, and repeats nothing secret
    outcome = world.platform.download(DEVICE, secret_uri(world), "2.0.0", "n", digest)
    assert (outcome.status, outcome.update_status) == ("failure", 6), outcome
    logs = {f"diagnostics {i}": json.dumps(entry) for i, entry in enumerate(world.record.logs)}
    assert_secret(logs, TOKEN)
    assert_secret(all_that_is_shown(world), TOKEN)

    world.artifacts.fault("/2.0.0.bin", hold_after=8192)
    running = world.platform.start("download", DEVICE, secret_uri(world), "2.0.0", "n", digest)
    world.artifacts.wait_sent("/2.0.0.bin", 8192)
    shown = processes_of(world.southbridge)
    assert len(shown) >= 2, "the helper is under way"
    assert_secret(shown, TOKEN)
    assert_secret(all_that_is_shown(world), TOKEN)
    world.southbridge.kill9()
    world.artifacts.heal("/2.0.0.bin")
    world.southbridge.start()
    outcome = running.result(90)
    assert outcome.ok, outcome
    assert world.update().ok
    assert_secret(all_that_is_shown(world), TOKEN)
    assert private(world.southbridge.directory / "state") == []


def test_secrets_of_an_operators_uri(make_world, broker):
    world = make_world(broker.uri)
    world.image("2.0.0")
    ctl = world.southbridge.ctl
    package = ctl("package", "add", secret_uri(world), "--version", "2.0.0").json
    assert package["uri"].startswith("http://") and package["uri"].split("?")[0].endswith(".bin")
    assert_secret({"package add": json.dumps(package)}, TOKEN)
    job = ctl("job", "create", "firmware-download", "pump-1", "--package", package["id"]).json["id"]
    wait_until(lambda: ctl("job", "show", str(job)).json["state"] == "done", what="the download")
    task = ctl("job", "show", str(job)).json["tasks"][0]
    assert task["state"] == "succeeded", task
    job = ctl("job", "create", "firmware-update", "pump-1", "--uri",
              secret_uri(world, "/nothing.bin"), "--version", "3.0.0").json["id"]
    wait_until(lambda: ctl("job", "show", str(job)).json["state"] == "done", what="its failure")
    assert_secret(all_that_is_shown(world), TOKEN)
    refused = plain(world.southbridge, "package", "add",
                    f"http://{USER}:{PASSWORD}@/nowhere?sig={SIGNATURE}")
    assert refused.returncode == 5 and "no host" in refused.stderr, refused
    assert_secret({"refusal": refused.stdout + refused.stderr})
