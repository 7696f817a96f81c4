# SPDX-License-Identifier: Apache-2.0
"""One gateway between a scripted Alibaba platform and a serial device, as the tests see it."""
import hashlib
import json

import pytest
from daemon import SmpDevice, Watched, device_spec, make_image
from harness import SOURCE
from modbus_line import ModbusLine, modbus_image, moody_type
from words import fast_words

from alibaba_platform import AlibabaPlatform, Device

GATEWAY, PUMP, VALVE = ("pk0", "gw-1"), ("pk1", "pump-1"), ("pk1", "valve-1")
RUN = 120.0  # s, for an update over a slow line under sanitizers
SECRETS = {GATEWAY: "secret-of-the-gateway", PUMP: "secret-of-the-pump"}


class AlibabaWorld(Watched):
    """platform, daemon, serial device and image server; breaches of the protocol fail the test."""

    def __init__(self, directory, platform, artifacts, device, make_southbridge):
        self.directory, self.platform, self.artifacts = directory, platform, artifacts
        self.device, self._make, self.southbridge = device, make_southbridge, None
        self.valve = None

    def second(self):
        """Another device on a line of its own; before start()."""
        self.valve = SmpDevice(self.directory, name="valve").start()
        self.platform.devices[VALVE] = Device("secret-of-the-valve")
        return self.valve

    def link(self, **more):
        return {"dialect": "alibaba", "product_key": GATEWAY[0], "device_name": GATEWAY[1],
                "secret": self.secret("gateway", SECRETS[GATEWAY]), "device_product": PUMP[0],
                "org": None, "type": None, "id": None, "token": None, **more}

    def secret(self, name, text):
        path = self.directory / f"{name}.secret"
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)
        return f"file:{path}"

    def start(self, link=None, disk=None, words=None, **settings):
        """words: limits of the dialect's mapping."""
        devices, ports = [device_spec(ibm=None)], {"uart1": self.device.link}
        if self.valve:
            devices.append(device_spec(VALVE[1], bus="uart2", ibm=None))
            ports["uart2"] = self.valve.link
        settings.setdefault("devices", devices)
        if "mappings" not in settings:
            settings["mappings"] = fast_words(self.directory, "alibaba", **(words or {}))
        settings.setdefault("uri", f"mqtt://127.0.0.1:{self.platform.front.port}")
        self.southbridge = self._make(ports, link=self.link(**(link or {})), **settings)
        if disk:
            disk.prepare(self.southbridge)
        self.southbridge.start()
        return self

    def online(self):
        self.platform.wait_online(PUMP)
        self.informed("1.0.0")
        return self

    def informed(self, version, timeout=RUN):
        pump = self.platform.devices[PUMP]
        self.platform.wait(lambda: pump.versions.get("default") == version, timeout,
                           lambda: f"version {version}; informed {pump.informs}")

    # ---- the cloud ----

    def image(self, version, size=12000, **options):
        return self.offer(version, make_image(self.directory, version, size, **options))

    def board_image(self, version):
        """Of the board on the Modbus line."""
        path = modbus_image(self.directory / f"{version}.bin", version, 3000)
        return self.offer(version, path.read_bytes())

    def offer(self, version, content):
        md5 = hashlib.md5(content).hexdigest()
        return {"size": len(content), "sign": md5, "version": version,
                "url": self.artifacts.add(f"/{version}.bin", content) + "?Expires=1",
                "signMethod": "Md5", "md5": md5}

    def config(self, number, values):
        """Data of a configuration file with these values."""
        content = json.dumps(values).encode()
        return {"configId": f"config-{number}", "configSize": len(content), "getType": "file",
                "sign": hashlib.sha256(content).hexdigest(), "signMethod": "Sha256",
                "url": self.artifacts.add(f"/config-{number}.json", content) + "?Expires=1"}

    def streamed(self, version, size=12000, **options):
        """The same over MQTT: its content, and what is pushed."""
        content = make_image(self.directory, version, size, **options)
        md5 = hashlib.md5(content).hexdigest()
        return content, self.stream(content, {"sign": md5, "version": version,
                                              "signMethod": "Md5", "md5": md5})

    def stream(self, content, data):
        stream, file = self.platform.files.add(content)
        return {"size": len(content), **data, "dProtocol": "mqtt", "streamId": stream,
                "streamFileId": file}

    def upgrade(self, version, retries=0, **changes):
        return self.platform.upgrade(PUMP, {**self.image(version), **changes}, retries)

    def ends(self, task, status):
        self.platform.wait_task(task, status, RUN)

    def check(self):
        if self.valve:
            self.valve.stop()
        assert not self.platform.violations, self.platform.violations


@pytest.fixture
def platform(broker):
    with AlibabaPlatform(broker.port, SECRETS) as platform:
        yield platform


@pytest.fixture
def board(workspace, platform, artifacts, make_southbridge):
    """A world whose device is a board on a Modbus line."""
    folder = workspace / "types" / "devices"
    folder.mkdir(parents=True)
    (folder / "board.yaml").write_text(moody_type(), encoding="utf-8")
    line = ModbusLine(workspace, {1: {"version": "1.0.0"}}).start()
    world = AlibabaWorld(workspace, platform, artifacts, line, make_southbridge)
    world.start(mappings=[SOURCE / "mappings", folder.parent], devices=[
        device_spec(PUMP[1], "board", ibm=None, address={"unit": 1})])
    yield world.online()
    line.stop()
    world.check()


@pytest.fixture
def alibaba(workspace, platform, artifacts, smp_device, make_southbridge):
    """Everything but the daemon: start() makes it."""
    world = AlibabaWorld(workspace, platform, artifacts, smp_device, make_southbridge)
    yield world
    world.check()
