# SPDX-License-Identifier: Apache-2.0
"""One gateway between a scripted IoTDA and serial devices, as the Huawei tests see it."""
import hashlib
import ssl

import pytest
from daemon import SmpDevice, Watched, device_spec, make_image
from harness import SOURCE
from modbus_line import ModbusLine, modbus_image, moody_type
from words import fast_words

from huawei_platform import HuaweiPlatform

GATEWAY, PUMP, VALVE, GHOST = "prod_gw1", "prod_pump1", "prod_valve1", "prod_ghost"
SECRET = "the secret of gw1"
RUN = 120.0  # s, for an update over a slow line under sanitizers


def board_words(directory):
    """The folders of mappings, the second with a Modbus board that has an action."""
    folder = directory / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "board.yaml").write_text(moody_type(), encoding="utf-8")
    return [SOURCE / "mappings", directory / "mappings"]


class HuaweiWorld(Watched):
    """platform, daemon, serial devices and image server; breaches of the protocol fail the test."""

    def __init__(self, directory, platform, artifacts, device, make_southbridge):
        self.directory, self.platform, self.artifacts = directory, platform, artifacts
        self.devices = {PUMP: device}
        self._make, self.southbridge = make_southbridge, None
        platform.truth = self._truth

    def _truth(self, name, version):
        device = self.devices.get(name)
        if not device or device.version == version and device.confirmed:
            return None
        return f"the device runs {device.version}, confirmed {device.confirmed}"

    @property
    def device(self):
        return self.devices[PUMP]

    def second(self):
        """Another device on a line of its own; before start()."""
        self.devices[VALVE] = SmpDevice(self.directory, name="valve").start()
        return self.devices[VALVE]

    def link(self, **more):
        secret = self.directory / "secret"
        secret.write_text(SECRET + "\n", encoding="ascii")
        secret.chmod(0o600)
        return {"dialect": "huawei", "id": GATEWAY, "secret": f"file:{secret}", "org": None,
                "type": None, "token": None, **more}

    def start(self, link=None, disk=None, **settings):
        ports = {f"uart{n}": device.link for n, device in enumerate(self.devices.values(), 1)}
        settings.setdefault("devices", [
            device_spec(name.split("_")[1], bus=bus, ibm=None) | {"names": {"huawei": name}}
            for name, bus in zip(self.devices, ports)])
        if "mappings" not in settings:
            settings["mappings"] = fast_words(self.directory, "huawei")
        settings.setdefault("uri", f"mqtt://127.0.0.1:{self.platform.front.port}")
        self.southbridge = self._make(ports, link=self.link(**(link or {})), **settings)
        if disk:
            disk.prepare(self.southbridge)
        self.southbridge.start()
        return self

    def is_online(self):
        for name in self.devices:
            self.platform.wait_status(name, "ONLINE", 60)
            self.platform.wait_version(name, "1.0.0", 60)
        return self

    # ---- images ----

    def image(self, version, size=12000, path=None, **options):
        """(uri, sha256, size) of an image that the server offers from now on."""
        content = make_image(self.directory, version, size, **options)
        return self.serve(path or f"/{version}.bin", content)

    def serve(self, path, content):
        return (self.artifacts.add(path, content), hashlib.sha256(content).hexdigest(),
                len(content))

    def board_image(self, version):
        """Of the board on the Modbus line."""
        path = modbus_image(self.directory / f"{version}.bin", version, 3000)
        return self.serve(f"/{version}.bin", path.read_bytes())

    def upgrade(self, version, name=PUMP, image=None, token="t-1", **more):
        uri, digest, size = image or self.image(version)
        paras = {"file_size": size, "sign": digest, "access_token": token, **more}
        return self.platform.upgrade(name, version, uri,
                                     **{k: v for k, v in paras.items() if v is not None})

    def result(self, upgrade):
        return self.platform.wait_result(upgrade, RUN)

    # ---- the gateway ----

    def stop(self):
        for name, device in self.devices.items():
            if name != PUMP:
                device.stop()

    def check(self):
        breaches = self.platform.breaches()
        assert not breaches, "\n".join(breaches)


def server_context(authority, client_certificates=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("iotda"))
    if client_certificates:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(authority.ca)
    return context


@pytest.fixture
def iotda(broker):
    with HuaweiPlatform(broker.port, GATEWAY, SECRET, (PUMP, VALVE)) as platform:
        yield platform


@pytest.fixture
def board(workspace, iotda, artifacts, make_southbridge):
    """A world whose device is a board on a Modbus line."""
    line = ModbusLine(workspace, {1: {}}).start()
    world = HuaweiWorld(workspace, iotda, artifacts, line, make_southbridge)
    iotda.truth = None
    world.start(mappings=board_words(workspace), devices=[
        device_spec("pump1", "board", "uart1", None, address={"unit": 1})
        | {"names": {"huawei": PUMP}}])
    iotda.wait_status(PUMP, "ONLINE", 60)
    yield world
    line.stop()
    world.check()


@pytest.fixture
def huawei(workspace, iotda, artifacts, smp_device, make_southbridge):
    """Everything but the daemon: start() makes it."""
    world = HuaweiWorld(workspace, iotda, artifacts, smp_device, make_southbridge)
    yield world
    world.stop()
    world.check()
