# SPDX-License-Identifier: Apache-2.0
"""The fixtures themselves: a broker that forgets nothing, a server with faults, nothing left."""
import json
import os
import signal
import ssl
import sys
import threading
import urllib.error
import urllib.request

import paho.mqtt.client as mqtt
import pytest
from artifacts import ArtifactServer
from daemon import Southbridge, device_spec, make_image, write_config
from harness import Process, Broker, free_port, leftovers, run, wait_until


class Client:
    """A small MQTT client that remembers."""

    def __init__(self, port, client_id, clean=True, transport="tcp", user=None, cafile=None):
        self.got, self.connected, self.code = [], False, None
        self.subscribed = threading.Event()
        self.client = mqtt.Client(client_id, clean_session=clean, transport=transport)
        self.client.reconnect_delay_set(0.1, 1)
        if user:
            self.client.username_pw_set(*user)
        if cafile:
            self.client.tls_set(str(cafile), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: setattr(self, "connected", False)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _u, m: self.got.append(m.payload)
        host = "localhost" if cafile else "127.0.0.1"
        self.client.connect_async(host, port)
        self.client.loop_start()

    def _on_connect(self, _client, _userdata, _flags, code):
        self.code, self.connected = code, code == 0

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def ready(self):
        wait_until(lambda: self.connected, what="MQTT connection")
        return self

    def subscribe(self, topic):
        self.client.subscribe(topic, 1)
        assert self.subscribed.wait(10)
        return self

    def publish(self, topic, payload):
        info = self.client.publish(topic, payload, 1)
        info.wait_for_publish(10)
        assert info.is_published()


def test_broker_keeps_queued_messages_over_kill9(broker):
    away = Client(broker.port, "away", clean=False).ready().subscribe("t")
    away.close()
    sender = Client(broker.port, "sender").ready()
    for number in range(20):
        sender.publish("t", b"%d" % number)
    port = broker.port
    broker.wait_saved()
    broker.kill9()
    assert not broker.process.running
    wait_until(lambda: not sender.connected, what="loss of the connection")
    broker.start()
    assert broker.port == port
    sender.ready()
    back = Client(broker.port, "away", clean=False).ready()
    wait_until(lambda: len(back.got) >= 20, what="the queued messages")
    assert back.got == [b"%d" % number for number in range(20)]
    sender.close()
    back.close()


def test_broker_listens_on_tls_and_websocket_and_checks_passwords(tls_broker, authority):
    user = ("use-token-auth", "secret-token")
    clients = [Client(tls_broker.port, "a", user=user),
               Client(tls_broker.tls_port, "b", user=user, cafile=authority.ca),
               Client(tls_broker.websocket_port, "c", user=user, transport="websockets")]
    for client in clients:
        client.ready()
    refused = Client(tls_broker.port, "d", user=("use-token-auth", "wrong"))
    wait_until(lambda: refused.code, what="refusal")
    assert refused.code == 5 and not refused.connected
    for client in clients + [refused]:
        client.close()
    tls_broker.wait_log("not authorised")


def test_broker_takes_other_ports_when_one_is_used(workspace, monkeypatch):
    holder = Broker(workspace / "first").start()
    ports = iter([holder.port, free_port()])
    monkeypatch.setattr("harness.free_port", lambda: next(ports))
    second = Broker(workspace / "second").start()
    assert second.port != holder.port
    second.stop()
    holder.stop()


def _get(uri, **headers):
    request = urllib.request.Request(uri, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.read(), answer.headers


def test_artifacts_whole_and_in_parts(artifacts):
    content = os.urandom(50000)
    uri = artifacts.add("/a.bin", content)
    status, body, headers = _get(uri)
    assert (status, body) == (200, content)
    status, body, part = _get(uri, Range="bytes=20000-", **{"If-Range": headers["ETag"]})
    assert (status, body) == (206, content[20000:])
    assert part["Content-Range"] == "bytes 20000-49999/50000"
    assert _get(uri, Range="bytes=10-19")[1] == content[10:20]
    # A changed file is sent whole, whatever the client has of the old one.
    assert _get(uri, Range="bytes=20000-", **{"If-Range": '"other"'})[:2] == (200, content)
    with pytest.raises(urllib.error.HTTPError, match="416"):
        _get(uri, Range="bytes=50000-")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        _get(artifacts.uri("/none"))
    assert [hit.status for hit in artifacts.requests("/a.bin")] == [200, 206, 206, 200, 416]


def test_artifacts_faults(artifacts):
    uri = artifacts.add("/a.bin", bytes(50000))
    artifacts.fault("/a.bin", cut_after=12345, times=1)
    with pytest.raises((urllib.error.URLError, OSError, Exception), match="IncompleteRead|reset"):
        _get(uri)
    assert len(_get(uri)[1]) == 50000
    artifacts.fault("/a.bin", status=503, times=2)
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="503"):
            _get(uri)
    artifacts.fault("/a.bin", no_range=True)
    assert _get(uri, Range="bytes=100-")[0] == 200
    artifacts.fault("/old", location=uri)
    assert len(_get(artifacts.uri("/old"))[1]) == 50000
    artifacts.fault("/a.bin", no_length=True)
    status, body, headers = _get(uri)
    assert (status, len(body), headers["Content-Length"]) == (200, 50000, None)


def test_artifacts_hold_until_healed(artifacts):
    uri = artifacts.add("/a.bin", bytes(20000))
    artifacts.fault("/a.bin", hold_after=8192)
    got = []
    reader = threading.Thread(target=lambda: got.append(_get(uri)[1]))
    reader.start()
    artifacts.wait_sent("/a.bin", 8192)
    assert not got
    artifacts.heal("/a.bin")
    reader.join(10)
    assert len(got[0]) == 20000


def test_artifacts_over_tls(authority):
    server = ArtifactServer(authority)
    uri = server.add("/a.bin", b"image")
    context = ssl.create_default_context(cafile=str(authority.ca))
    with urllib.request.urlopen(uri, timeout=10, context=context) as answer:
        assert answer.read() == b"image"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(uri, timeout=10)
    server.close()


def test_wait_until_has_a_deadline_and_says_what_failed():
    with pytest.raises(TimeoutError, match="not within 0.1 s: the impossible"):
        wait_until(lambda: False, 0.1, "the impossible")


def test_a_process_that_escapes_is_found(workspace):
    """Also one that left its parent's process group."""
    script = ("import os, sys, time\n"
              "if os.fork() == 0:\n"
              "    os.setsid()\n"
              "    open('pid', 'w').write(str(os.getpid()))\n"
              "    time.sleep(600)\n")
    assert Process("parent", [sys.executable, "-c", script], workspace).wait() == 0
    path = workspace / "pid"
    pid = int(wait_until(lambda: path.exists() and path.read_text(), what="the child's id"))
    assert pid in [found for found, _ in leftovers()]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in [found for found, _ in leftovers()], what="its end")


def test_process_reports_status_and_output(workspace):
    process = Process("p", [sys.executable, "-c", "print('x'); raise SystemExit(3)"], workspace)
    assert process.wait() == 3
    assert process.stdout == "x\n"
    with pytest.raises(RuntimeError, match="p ended with 3"):
        process.check_running()


def test_stop_kills_what_ignores_sigterm(workspace):
    code = ("import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print('up', flush=True)\n"
            "time.sleep(600)\n")
    process = Process("deaf", [sys.executable, "-c", code], workspace)
    wait_until(lambda: process.stdout, what="its start")
    with pytest.raises(TimeoutError, match="deaf still runs"):
        process.stop(timeout=0.3)
    assert process.status == -signal.SIGKILL


def test_serial_device_survives_a_power_cut(smp_device):
    assert (smp_device.version, smp_device.confirmed, smp_device.boots) == ("1.0.0", True, 1)
    smp_device.fault("hang", True)
    smp_device.unplug()
    assert not smp_device.link.exists()
    smp_device.plug()
    assert smp_device.link.exists()
    smp_device.kill9()
    smp_device.start()
    assert (smp_device.version, smp_device.boots) == ("1.0.0", 2)


def test_images_have_their_size_and_version(workspace):
    image = make_image(workspace, "2.0.1", 5000)
    assert len(image) == 5000 and image != make_image(workspace, "2.0.2", 5000)
    assert image != make_image(workspace, "2.0.1", 5000, bad_signature=True)


def test_config_has_the_documented_shape(workspace):
    path = write_config(workspace, uri="mqtt://127.0.0.1:1", token="t", ports={"uart1": "/dev/x"},
                        devices=[device_spec()], link={"uri_rules": None}, top={"log": "debug"})
    config = json.loads(path.read_text())
    assert config["buses"] == {"uart1": {"port": "/dev/x", "baud": 115200}}
    link = config["links"]["factory"]
    assert (link["dialect"], link["role"], link["type"], link["id"]) == ("ibm", "uplink", "gw",
                                                                         "gw1")
    assert "uri_rules" not in link and config["log"] == "debug"
    devices = json.loads((workspace / "devices.d" / "devices.yaml").read_text())
    assert devices == {"devices": [{"id": "pump-1", "type": "zephyr-smp", "bus": "uart1",
                                    "names": {"ibm": "pump/pump-1"}}]}
    assert oct((workspace / "token").stat().st_mode & 0o777) == "0o600"


def test_sanitizer_reports_are_found(workspace, monkeypatch):
    programs = workspace / "bridge" / "programs"
    programs.mkdir(parents=True)
    for name in ("southbridge", "southbridgectl"):
        (programs / name).touch()
    monkeypatch.setenv("SB_BUILD", str(workspace))
    daemon = Southbridge(workspace, "none")
    assert daemon.sanitizer_reports() == []
    (workspace / "sanitizer.122").write_text("==1==Unable to get registers from thread 2.\n")
    assert daemon.sanitizer_reports() == []
    (workspace / "sanitizer.123").write_text("==1==ERROR: AddressSanitizer: heap-use-after-free")
    assert len(daemon.sanitizer_reports()) == 1


def test_a_missing_daemon_is_named(workspace, monkeypatch):
    monkeypatch.setenv("SB_BUILD", str(workspace))
    with pytest.raises(RuntimeError, match="bridge/programs/southbridge is not built"):
        Southbridge(workspace, "none")


def test_a_run_without_tests_fails(workspace):
    """Neither an empty file nor one of skipped tests passes."""
    here = os.path.dirname(__file__)
    for name in ("conftest.py", "fixtures.py"):
        (workspace / name).write_text(open(os.path.join(here, name), encoding="utf-8").read())
    (workspace / "test_none.py").write_text("")
    (workspace / "test_skip.py").write_text(
        "import pytest\n@pytest.mark.skip\ndef test_x():\n    pass\n")
    (workspace / "test_good.py").write_text("def test_x():\n    pass\n")
    status = {}
    for name in ("none", "skip", "good"):
        done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                    workspace / f"test_{name}.py"], cwd=workspace, env={"PYTHONPATH": here})
        status[name] = done.returncode
    assert status == {"none": 5, "skip": 5, "good": 0}
