# SPDX-License-Identifier: Apache-2.0
"""One gateway between a scripted IBM cloud and a serial device, as the IBM tests see it."""
import hashlib

import pytest
from daemon import GATEWAY, SmpDevice, Watched, device_spec, make_image

DEVICE = "pump/pump-1"
DOWNLOAD, UPDATE = "mgmt/initiate/firmware/download", "mgmt/initiate/firmware/update"
REBOOT, RESET = "mgmt/initiate/device/reboot", "mgmt/initiate/device/factory_reset"
RUN = 120.0  # s, for an update over a slow line under sanitizers
RUN_LONG = 180.0  # s, with an interruption
FIRMWARE_FIELD = {"fields": [{"field": "mgmt.firmware"}]}


def both(state, status):
    return {"state": state, "updateStatus": status}


class World(Watched):
    """cloud, daemon, serial device and image server; breaches of the protocol fail the test."""

    def __init__(self, directory, platform, artifacts, device, make_southbridge):
        self.directory, self.artifacts, self.device = directory, artifacts, device
        self.platform, self._make = platform, make_southbridge
        self.southbridge = None
        self.tolerated = []  # codes of breaches that this test provokes
        self.real = {}  # version as the cloud calls it -> as the image says, where they differ
        platform.step_timeout, platform.run_timeout = 20.0, RUN
        platform.truth = self._truth

    def start(self, disk=None, **settings):
        settings.setdefault("devices", [device_spec()])
        self.southbridge = self._make({"uart1": self.device.link}, **settings)
        if disk:
            disk.prepare(self.southbridge)
        self.southbridge.start()
        self.platform.wait_managed(GATEWAY, 30)
        if settings["devices"]:
            self.platform.wait_managed(DEVICE, 30)
        return self

    def _truth(self, record, run):
        """Why a success that is being told is not true; None when it is."""
        if record.name != DEVICE or run.action != "firmware/update":
            return None
        wanted = self.real.get(run.target, run.target)
        if self.device.version != wanted or not self.device.confirmed:
            return (f"the device runs {self.device.version}, confirmed "
                    f"{self.device.confirmed}; told was {run.target}")
        return None

    def check(self):
        breaches = self.platform.breaches(*self.tolerated)
        assert not breaches, "\n".join(map(str, breaches))

    # ---- images ----

    def image(self, version, size=40000, path=None, **options):
        """(uri, sha256) of an image that the server offers from now on."""
        content = make_image(self.directory, version, size, **options)
        return self.serve(path or f"/{version}.bin", content)

    def serve(self, path, content):
        return self.artifacts.add(path, content), hashlib.sha256(content).hexdigest()

    # ---- the cloud's actions ----

    def download(self, version="2.0.0", **options):
        """A good image of this version, with its verifier; a downloaded one."""
        uri, digest = self.image(version)
        outcome = self.platform.download(DEVICE, uri, version, "pump-firmware", digest, **options)
        return outcome

    def downloaded(self, version="2.0.0"):
        outcome = self.download(version)
        assert outcome.ok and both(outcome.state, outcome.update_status) == both(2, 0), outcome
        return outcome

    def update(self, **options):
        return self.platform.update(DEVICE, **options)

    def set_firmware(self, uri="", version="2.0.0", verifier="", name="pump-firmware"):
        """device/update of mgmt.firmware alone."""
        value = dict(version=version, name=name, uri=uri, verifier=verifier, state=0,
                     updateStatus=0, updatedDateTime="")
        return self.platform.set_attributes(DEVICE, {"mgmt.firmware": value})

    def ask(self, suffix, d=None, name=DEVICE, req_id=None):
        """One bare request; its Request with the answer."""
        return self.platform.ask(name, suffix, d, timeout=20, req_id=req_id)

    def observed(self):
        """state and updateStatus as the device tells them now."""
        request = self.ask("observe", FIRMWARE_FIELD)
        assert request.rc == 200, request.answer
        value = request.answer["d"]["fields"][0]["value"]
        return both(value["state"], value["updateStatus"])

    # ---- looking ----

    @property
    def record(self):
        return self.platform.device(DEVICE)

    def notifies(self, mark=0):
        return [m.firmware for m in self.platform.since(mark, DEVICE, "notify", "in")]

    def wait_version(self, version, timeout=30):
        self.platform.wait_version(DEVICE, version, timeout)

    def still_alive(self):
        """The daemon goes on: a request after all that is answered."""
        assert self.ask("observe", FIRMWARE_FIELD).rc == 200
        assert self.ask("cancel", FIRMWARE_FIELD).rc == 200

    def uploads(self):
        """How many times an upload to the device was begun."""
        return len(self.device.events("erase"))


@pytest.fixture
def empty_world(workspace, platform, artifacts, smp_device, make_southbridge):
    """Everything but the daemon: start() makes it."""
    world = World(workspace, platform, artifacts, smp_device, make_southbridge)
    yield world
    world.check()


@pytest.fixture
def world(empty_world):
    return empty_world.start()


@pytest.fixture
def small_world(workspace, platform, artifacts, make_southbridge):
    """The device's slots are too small for an ordinary image."""
    device = SmpDevice(workspace).start("--slot-size", "30000")
    world = World(workspace, platform, artifacts, device, make_southbridge)
    yield world.start()
    device.stop()
    world.check()
