# SPDX-License-Identifier: Apache-2.0
"""Our scripted IoT hub against Microsoft's unmodified device package, by TLS.

What the hub demands of a login, and what it sends and takes, is so shown to be what that package
does; the system tests then use the hub as the judge of our daemon.
"""
import base64
import json
import os
import ssl

import pytest
from harness import DEADLINE, SOURCE, Process, wait_until

from azure_platform import AzureHub, NoAnswer, NotOnline

DEVICE = "pump-7"
KEY = base64.b64encode(b"a key of this test").decode()


class AzureDevice:
    """The package in its own Node process."""

    def __init__(self, name, directory, modules, authority, connection):
        self.process = Process(f"node-{name}", [
            os.environ.get("SB_NODE", "node"), SOURCE / "tests" / "interop" / "azure_device.js",
            connection, authority.ca], directory, {"SB_NODE_MODULES": str(modules)}, talk=True)

    def say(self, *words):
        self.process.say(json.dumps(words))

    def events(self, kind=None):
        lines = self.process.stdout.split("\n")[:-1]
        return [event for event in map(json.loads, lines) if kind in (None, event["event"])]

    def wait(self, kind, count=1, timeout=DEADLINE):
        def find():
            found = self.events(kind)
            return found[count - 1] if len(found) >= count else None
        return wait_until(find, timeout, lambda: f"{kind} of the package; it told "
                          f"{self.events()[-12:]}\n{self.process.stderr}")

    def quit(self):
        if self.process.running:
            self.say("quit")
            self.process.wait()


@pytest.fixture
def hub(broker, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("hub"))
    with AzureHub(broker.port, {DEVICE: KEY, "other": KEY}, context=context) as hub:
        yield hub
        assert hub.breaches() == []


@pytest.fixture
def start(workspace, node_modules, authority, hub):
    """start(key=...): the package as a device; HostName has the hub's port, as devices may."""
    made = []

    def make(key=KEY, name=DEVICE):
        hub.front._hub = hub.hub = f"localhost:{hub.front.port}"
        connection = f"HostName={hub.hub};DeviceId={name};SharedAccessKey={key}"
        made.append(AzureDevice(f"{name}-{len(made)}", workspace, node_modules, authority,
                                connection))
        return made[-1]

    yield make
    for device in made:
        device.quit()


def test_login_and_twin(hub, start):
    hub.desire(DEVICE, {"firmware": {"fwVersion": "2.0.0"}})
    device = start()
    twin = device.wait("twin")
    assert twin["desired"] == {"firmware": {"fwVersion": "2.0.0"}, "$version": 2}
    assert twin["reported"] == {"$version": 1}
    name, user, expiry, websocket = hub.front.logins[0]
    assert name == DEVICE and "api-version=2021-04-12" in user and expiry and not websocket


def test_reported_properties(hub, start):
    device = start()
    device.wait("twin")
    device.say("report", {"firmware": {"currentFwVersion": "1.0.0", "gone": 1}})
    assert device.wait("reported")["error"] is None
    device.say("report", {"firmware": {"gone": None}})
    assert device.wait("reported", 2)["error"] is None
    assert hub.twins[DEVICE].reported == {"firmware": {"currentFwVersion": "1.0.0"}}
    hub.mood(400)
    device.say("report", {"x": 1})
    assert device.wait("reported", 3)["error"]


def test_desired_properties(hub, start):
    device = start()
    device.wait("twin")
    wait_until(lambda: (DEVICE, "$iothub/twin/PATCH/properties/desired/#") in hub.front.filters,
               what="the subscription of changes")
    version = hub.desire(DEVICE, {"configuration": {"mode": "eco"}})
    delta = wait_until(lambda: [e["delta"] for e in device.events("desired")
                                if "configuration" in e["delta"]], what="the change")[-1]
    assert delta["configuration"] == {"mode": "eco"} and delta["$version"] == version


def test_direct_methods(hub, start):
    device = start()
    device.wait("twin")
    with pytest.raises(NoAnswer):  # it has not subscribed to methods yet
        hub.call(DEVICE, "reboot", timeout=1)
    device.say("method", "reboot", 200, {"said": "yes"})
    wait_until(lambda: (DEVICE, "$iothub/methods/POST/#") in hub.front.filters,
               what="the subscription of methods")
    assert hub.call(DEVICE, "reboot", {"delay": 5}) == (200, {"said": "yes"})
    assert device.events("method")[-1]["payload"] == {"delay": 5}
    assert hub.call(DEVICE, "reboot") == (200, {"said": "yes"})
    device.quit()
    hub.wait(lambda: not hub.twins[DEVICE].online, DEADLINE, "end of the connection")
    with pytest.raises(NotOnline):
        hub.call(DEVICE, "reboot")


def test_who_may_not_log_in(hub, start):
    hub.tolerated = ["wrong signature", "no device"]
    refused = start(base64.b64encode(b"another key").decode()).wait("refused")
    assert "Unauthorized" in refused["name"] or "authorized" in refused["message"].lower()
    assert (None, "wrong signature") in hub.violations
    start(name="nobody").wait("refused")


def test_new_connection_ends_the_old_one(hub, start):
    start().wait("twin")
    start()
    # Who was put out comes back by itself, and so on: there is never more than one.
    hub.wait(lambda: len(hub.front.logins) >= 3, DEADLINE, "third login")
