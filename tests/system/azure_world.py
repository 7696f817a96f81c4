# SPDX-License-Identifier: Apache-2.0
"""One gateway between a scripted IoT hub and a serial device, as the Azure tests see it."""
import base64
import hashlib
import json
import ssl

import pytest
from daemon import Watched, device_spec, make_image
from harness import SOURCE
from modbus_line import ModbusLine, modbus_image, moody_type

from azure_platform import AzureHub

PUMP, GHOST = "pump-1", "ghost"
RUN = 120.0  # s, for an update over a slow line under sanitizers
KEYS = {name: base64.b64encode(f"the key of {name}".encode()).decode()
        for name in (PUMP, GHOST, "gw-1", "line-7")}


class AzureWorld(Watched):
    """hub, daemon, serial device and image server; breaches of the protocol fail the test."""

    def __init__(self, directory, hub, artifacts, device, make_southbridge):
        self.directory, self.hub, self.artifacts, self.device = directory, hub, artifacts, device
        self._make, self.southbridge = make_southbridge, None

    def link(self, **more):
        keys = self.directory / "keys"
        keys.mkdir(exist_ok=True)
        for name, key in KEYS.items():
            (keys / f"{name}.key").write_text(key + "\n", encoding="ascii")
            (keys / f"{name}.key").chmod(0o600)
        link = {"dialect": "azure", "hub": self.hub.hub, "key": f"file:{keys}/{{name}}.key",
                "org": None, "type": None, "id": None, "token": None}
        link.update(more)
        return link

    def start(self, link=None, **settings):
        settings.setdefault("devices", [device_spec(ibm=None)])
        settings.setdefault("uri", f"mqtt://127.0.0.1:{self.hub.front.port}")
        self.southbridge = self._make({"uart1": self.device.link}, link=self.link(**(link or {})),
                                      **settings).start()
        return self

    def online(self):
        self.hub.wait_online(PUMP)
        self.wait("firmware/currentFwVersion", "1.0.0")
        return self

    # ---- images ----

    def image(self, version, path=None, size=40000, **options):
        """(uri, sha256) of an image that the server offers from now on."""
        content = make_image(self.directory, version, size, **options)
        return (self.artifacts.add(path or f"/{version}.bin", content),
                hashlib.sha256(content).hexdigest())

    def board_package(self, version):
        """Of the board on the Modbus line."""
        content = modbus_image(self.directory / f"{version}.bin", version, 3000).read_bytes()
        return {"fwPackageUri": self.artifacts.add(f"/{version}.bin", content),
                "fwVersion": version, "fwPackageCheckValue": hashlib.sha256(content).hexdigest()}

    def package(self, version, **options):
        uri, digest = self.image(version, **options)
        return {"fwPackageUri": uri, "fwVersion": version, "fwPackageCheckValue": digest}

    # ---- the cloud ----

    def call(self, method, payload=None, **options):
        return self.hub.call(PUMP, method, payload, **options)

    def wait(self, path, value, timeout=RUN):
        self.hub.wait_reported(PUMP, path, value, timeout)

    def statuses(self):
        return self.hub.seen(PUMP, "firmware/fwUpdateStatus")

    def check(self):
        breaches = self.hub.breaches()
        assert not breaches, "\n".join(breaches)


def server_context(authority, client_certificates=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("hub"))
    if client_certificates:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(authority.ca)
    return context


@pytest.fixture
def hub(broker):
    with AzureHub(broker.port, KEYS) as hub:
        yield hub


@pytest.fixture
def board(workspace, hub, artifacts, make_southbridge):
    """A world whose device is a board on a Modbus line."""
    folder = workspace / "types" / "devices"
    folder.mkdir(parents=True)
    (folder / "board.yaml").write_text(moody_type(), encoding="utf-8")
    line = ModbusLine(workspace, {1: {"version": "1.0.0"}}).start()
    world = AzureWorld(workspace, hub, artifacts, line, make_southbridge)
    world.start(mappings=[SOURCE / "mappings", folder.parent], devices=[
        device_spec(PUMP, "board", ibm=None, address={"unit": 1})])
    yield world.online()
    line.stop()
    world.check()


@pytest.fixture
def azure(workspace, hub, artifacts, smp_device, make_southbridge):
    """Everything but the daemon: start() makes it."""
    world = AzureWorld(workspace, hub, artifacts, smp_device, make_southbridge)
    yield world
    world.check()


def show(world):
    return json.dumps(world.hub.twins[PUMP].reported)
