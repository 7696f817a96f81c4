# SPDX-License-Identifier: Apache-2.0
"""The real daemon under attack: on its control socket, by a broker that is hostile, by a cloud that
sends anything. It may refuse and hang up; it may not stop, grow, or keep others waiting."""
import contextlib
import json
import os
import pathlib
import random
import select
import socket
import struct
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from daemon import GATEWAY, SmpDevice, device_spec
from harness import run, wait_until
from ibm_world import DEVICE
from quick import QUICK_BOOT, SETTINGS, Nobody, quick_mappings

REQUEST = b'{"verb":"link list"}\n'
PATIENCE = 10  # s for an answer: under sanitizers, on a machine that does other things as well


def process_of(southbridge):
    return pathlib.Path(f"/proc/{southbridge.process.pid}")


def descriptors(southbridge):
    return len(list((process_of(southbridge) / "fd").iterdir()))


def connect(southbridge):
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(southbridge.socket))  # waits while the queue is full
    client.settimeout(PATIENCE)
    return client


def answers(southbridge):
    """A proper client gets its answer in time."""
    began = time.monotonic()
    with connect(southbridge) as client:
        client.sendall(REQUEST)
        line = client.makefile().readline()
    assert json.loads(line)["ok"] is True, line
    assert time.monotonic() - began < PATIENCE


def ends(client):
    """The daemon hangs up; what it said before."""
    said = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := client.recv(65536):
            said += piece
            assert len(said) < 64 << 20
    client.close()
    return said


@pytest.fixture
def daemon(make_southbridge):
    daemon = make_southbridge({}, [], top={"links": {}}).start()
    yield daemon
    answers(daemon)
    daemon.process.check_running()


# ---- the control socket ----

def test_half_requests_and_slow_clients(daemon):
    """As many as there may be but one, none of them ready: one more is still served."""
    clients = [connect(daemon) for _ in range(31)]
    for number, client in enumerate(clients):
        client.sendall(REQUEST[:number % len(REQUEST)])
    for _ in range(5):
        answers(daemon)
    slow = clients.pop()
    slow.sendall(b"\n")  # ends whatever it had begun
    json.loads(slow.makefile().readline())
    for byte in REQUEST:
        slow.sendall(bytes([byte]))
        answers(daemon)
    assert json.loads(slow.makefile().readline())["ok"] is True
    for client in [*clients, slow]:
        client.close()


def test_thousands_of_connections(daemon):
    before = descriptors(daemon)
    told = 0
    for _ in range(40):
        crowd = [connect(daemon) for _ in range(50)]
        waiting = list(crowd)
        while len(crowd) - len(waiting) < 18:  # all that are too many
            ready = select.select(waiting, [], [], PATIENCE)[0]
            assert ready, "nobody is told that there are too many"
            told += sum(b"too many connections" in client.recv(4096) for client in ready)
            waiting = [client for client in waiting if client not in ready]
        for client in crowd:
            client.close()
    assert told >= 40 * 18
    wait_until(lambda: descriptors(daemon) <= before, PATIENCE,
               lambda: f"{descriptors(daemon)} descriptors, {before} at first")
    answers(daemon)


@pytest.mark.parametrize("bytes_", [
    b"x" * (3 << 20),                                  # a line without end
    b"[" * 500000 + b"\n",                             # deep
    b'{"verb":"status","args":{' + b'"a":1,' * 100000 + b'"b":1}}\n',  # wide
    b"\x00" * 5000 + b"\n",
    b"\xff\xfe" * 300000 + b"\n",
    b'{"verb":"' + b"\\u0000" * 1000 + b'"}\n',
    b"\n" * 100000,                                    # many lines of nothing
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
], ids=["endless", "deep", "wide", "nul", "broken-utf8", "nul-escape", "empty-lines", "http"])
def test_huge_and_broken_requests(daemon, bytes_):
    client = connect(daemon)

    def send():
        with contextlib.suppress(OSError):
            client.sendall(bytes_)
            client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(3):
        answers(daemon)
    for line in ends(client).splitlines():
        assert json.loads(line)["ok"] is False, line
    sender.join()


def test_who_asks_and_never_reads(daemon):
    """Is cut off before it takes much memory; the others are served meanwhile."""
    before = daemon.status()
    deaf = connect(daemon)
    deaf.settimeout(0.2)
    sent = 0
    with contextlib.suppress(OSError):
        for _ in range(20000):
            sent += deaf.send(b'{"verb":"status"}\n' * 20)
    assert sent < 64 << 20, "the daemon takes what nobody will read the answers of"
    answers(daemon)
    deaf.close()
    assert daemon.status()["pid"] == before["pid"]


def test_random_conversations(daemon):
    """The same hostile mixture each time, over real sockets: bytes, requests, hang-ups."""
    chance = random.Random(20261127)
    verbs = ["status", "job list", "job create", "device add", "audit", "job watch", "package add"]
    for _ in range(60):
        client = connect(daemon)
        with contextlib.suppress(OSError):
            for _ in range(chance.randrange(6)):
                if chance.random() < 0.4:
                    client.sendall(chance.randbytes(chance.randrange(3000)))
                args = {chance.choice("abid"): chance.choice([1, "x", None, [], {}, True])
                        for _ in range(chance.randrange(3))}
                client.sendall(json.dumps({"verb": chance.choice(verbs),
                                           "args": args}).encode() + b"\n")
        client.close()
    answers(daemon)


def test_wrong_users(daemon):
    """Who is not in the group cannot even connect."""
    nobody = Nobody()
    os.chmod(daemon.directory.parent, 0o755)
    os.chmod(daemon.directory, 0o755)
    program = [*nobody.prefix, daemon.program("southbridgectl"), "--socket", daemon.socket]
    done = run([*program, "status"])
    assert done.returncode == 3 and "permission denied" in done.stderr, done


# ---- a hostile broker ----

class HostileBroker:
    """Takes connections and does to each what the script says; counts them."""

    def __init__(self, script):
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            client.settimeout(2)
            with client, contextlib.suppress(OSError):
                self._script(client, self.connections)
            self.connections += 1

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


CONNACK = b"\x20\x02\x00\x00"


def publish(topic, payload, flags=0x30):
    body = struct.pack(">H", len(topic)) + topic + payload
    return bytes([flags]) + length(len(body)) + body


def length(n):
    out = b""
    while True:
        n, digit = divmod(n, 128)
        out += bytes([digit | (0x80 if n else 0)])
        if not n:
            return out


TOPIC = b"iotdm-1/type/gw/id/gw1/mgmt/initiate/device/reboot"
ATTACKS = [
    b"",
    b"\x20",
    b"\x20\x00",
    b"\x20\x02\x00\x63",
    b"\x20\xff\xff\xff\xff\xff",                        # a length that does not end
    CONNACK + b"\x30\xff\xff\xff\x7f",                  # 256 MiB are announced
    CONNACK + b"\x30\x02\xff\xff",                      # a topic longer than its packet
    CONNACK + b"\x30\x00",
    CONNACK + b"\x90\x03\x00\x01\x80",                  # refused before it was asked
    CONNACK + b"\x90\x03\x00\x01\x01",                  # one code for however many topics
    CONNACK + b"\x90\x02\x00\x01",                      # none
    CONNACK + b"\x90\x0b\x00\x01" + b"\x01" * 9,         # too many
    CONNACK + b"\x40\x02\x12\x34" * 500,                # acknowledges what nobody sent
    CONNACK + b"\x62\x02\x00\x07" * 500 + b"\x70\x02\x00\x07" * 500,
    CONNACK + b"\xf0\x00" * 50,                         # no such packet
    CONNACK + publish(b"", b"x") * 20,
    CONNACK + publish(b"\xff\xfe/\x00", b"x") * 20,     # no text
    CONNACK + publish(b"a/#/+", b"x") * 20,
    CONNACK + publish(TOPIC, b"{" * 70000),
    CONNACK + publish(TOPIC, b'{"reqId":"' + b"x" * 200000 + b'"}'),
    CONNACK + publish(TOPIC, b"\x00\x07", 0x34) * 300,  # QoS 2, never released
    CONNACK + publish(TOPIC, b"x" * (1 << 20)) * 3,
    CONNACK + b"\xe0\x00",
]


def attack(stream):
    """A script: says that to each connection, and listens for a while."""
    def script(client, _number):
        client.recv(4096)
        client.sendall(stream)
        client.settimeout(0.3)
        while client.recv(4096):
            pass
    return script


def noise(seed):
    """Valid beginnings and random ends, the same each time."""
    chance = random.Random(seed)

    def script(client, _number):
        client.recv(4096)
        pieces = [CONNACK, *(publish(TOPIC, chance.randbytes(chance.randrange(200)))
                             for _ in range(5)), b"\x90\x03\x00\x01\x01", b"\xd0\x00"]
        stream = bytearray(b"".join(chance.sample(pieces, len(pieces))))
        for _ in range(chance.randrange(1, 6)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        client.sendall(CONNACK + stream if chance.random() < 0.5 else stream)
    return script


def test_hostile_brokers(make_southbridge, workspace):
    """Each attack on a link of its own, on two connections at least. Then the daemon is still up,
    answers, has not grown by what was announced to it, and tries again."""
    scripts = [*map(attack, ATTACKS), *map(noise, range(5))]
    token = workspace / "token"
    token.write_text("secret", encoding="ascii")
    token.chmod(0o600)
    with contextlib.ExitStack() as stack:
        brokers = [HostileBroker(script) for script in scripts]
        for broker in brokers:
            stack.callback(broker.close)
        daemon = make_southbridge({}, [], top={"links": {
            f"l{number}": {"dialect": "ibm", "uri": f"mqtt://127.0.0.1:{broker.port}",
                           "org": "abc123", "type": "gw", "id": f"gw{number}",
                           "token": f"file:{token}"}
            for number, broker in enumerate(brokers)}}).start()
        wait_until(lambda: all(broker.connections >= 2 for broker in brokers), 60,
                   lambda: [broker.connections for broker in brokers], 0.05)
        answers(daemon)
        links = daemon.links()
        assert len(links) == len(brokers) and all(link["text"] for link in links)
        status = (process_of(daemon) / "status").read_text(encoding="ascii")
        resident = int(status.split("VmRSS:")[1].split()[0])
        assert resident < 400 << 10, f"{resident} KiB"


# ---- a cloud that sends anything ----

@pytest.fixture
def board(workspace, make_southbridge, platform):
    device = SmpDevice(workspace).start(*QUICK_BOOT, *SETTINGS)
    daemon = make_southbridge({"uart1": device.link}, [device_spec(kind="board")],
                              mappings=quick_mappings(workspace)).start()
    platform.wait_managed(GATEWAY, 30)
    platform.wait_managed(DEVICE, 30)
    yield daemon
    device.stop()


def hostile_messages(chance, device):
    kind, name = device.split("/")
    base = f"iotdm-1/type/{kind}/id/{name}"
    suffixes = ["response", "device/update", "observe", "cancel", "mgmt/initiate/device/reboot",
                "mgmt/initiate/firmware/download", "mgmt/initiate/firmware/update",
                "mgmt/custom/southbridge/read", "x", "mgmt/initiate/device/" + "y" * 5000]
    payloads = [b"", b"null", b"[]", b"{}", b"{" * 3000, b'"x"', b'{"reqId":null}',
                b'{"reqId":{"a":1},"d":7}', b'{"reqId":"r","d":{"fields":[null,7,{"field":[]}]}}',
                b'{"d":{"fields":' + b"[" * 40 + b"]" * 40 + b"}}", b"\xff\xfe\x00\x01",
                b'{"reqId":"' + b"q" * 70000 + b'"}',
                b'{"reqId":"r2","d":{"fields":[' + b'{"field":"mgmt.firmware","value":{}},' * 3000
                + b'{"field":"x"}]}}', b'{"rc":"200","reqId":"zzz"}', b'{"rc":-1e999}']
    for _ in range(120):
        yield f"{base}/{chance.choice(suffixes)}", chance.choice(payloads)


def test_a_cloud_that_sends_anything(board, broker, platform):
    """Afterwards a proper request is answered as ever."""
    chance = random.Random(42)
    sender = mqtt.Client(client_id="hostile")
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    for device in (DEVICE, GATEWAY, "pump/none"):
        for topic, payload in hostile_messages(chance, device):
            sender.publish(topic, payload, qos=1)
    last = sender.publish("iotdm-1/type/gw/id/gw1/x", b"end", qos=1)
    last.wait_for_publish(30)
    sender.loop_stop()
    sender.disconnect()
    answers(board)
    request = platform.send(DEVICE, "observe", {"fields": [{"field": "mgmt.firmware"}]})
    assert platform.await_answer(request, 60)["rc"] == 200
    answers(board)
