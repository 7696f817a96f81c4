# SPDX-License-Identifier: Apache-2.0
"""Hundreds of devices of one IoT hub in one daemon, each with a connection of its own."""
import base64
import pathlib

import pytest
from azure_world import PUMP, RUN, AzureWorld
from daemon import device_spec

from azure_platform import AzureHub

CROWD = [f"meter-{n}" for n in range(300)]
KEY = base64.b64encode(b"the key of each of them").decode()


@pytest.fixture
def crowd(workspace, broker, artifacts, smp_device, make_southbridge):
    """A pump that is there, and the crowd on a line where nobody answers."""
    with AzureHub(broker.port, dict.fromkeys([PUMP, *CROWD], KEY)) as hub:
        world = AzureWorld(workspace, hub, artifacts, smp_device, make_southbridge)
        for name in hub.twins:
            path = workspace / f"{name}.key"
            path.write_text(KEY + "\n", encoding="ascii")
            path.chmod(0o600)
        far = workspace / "far"  # a line that is not there
        world.start({"key": f"file:{workspace}/{{name}}.key"}, devices=[device_spec(ibm=None)] + [
            device_spec(name, bus="far", ibm=None) for name in CROWD],
            top={"buses": {"uart1": {"port": str(smp_device.link)}, "far": {"port": str(far)}}})
        yield world
        world.check()


def threads(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/task").iterdir()))


def test_hundreds_of_connections_in_one_process(crowd):
    """All log in, each answers for itself, an update goes on, and after a break all are back."""
    hub = crowd.hub
    hub.wait_online(PUMP, *CROWD, timeout=RUN)
    assert crowd.uplink()["up"] is True and len(hub.front.logins) == len(CROWD) + 1
    pid = crowd.southbridge.process.pid
    assert threads(pid) < 30, threads(pid)  # far fewer than connections

    assert crowd.call("firmwareUpdate", crowd.package("2.0.0"))[0] == 202
    asked = [(name, hub.begin_call(name, "cancelFirmwareUpdate")) for name in CROWD]
    for name, rid in asked:  # there is none
        assert hub.wait_answer(name, rid, RUN)[0] == 404, name
    crowd.wait("firmware/currentFwVersion", "2.0.0")

    hub.front.refuse(True)
    hub.wait(lambda: not any(twin.online for twin in hub.twins.values()), RUN, "the break")
    hub.front.refuse(False)
    hub.wait_online(PUMP, *CROWD, timeout=RUN, comes=2)
    assert crowd.call("reboot")[0] == 200
    crowd.wait("iothubDM/reboot/status", "complete")
