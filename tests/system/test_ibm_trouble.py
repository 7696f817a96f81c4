# SPDX-License-Identifier: Apache-2.0
"""What befalls a gateway in its cloud: devices that vanish or change their name while it is off or
at work, a stranger under its name, everything at once."""
import os
import signal

import paho.mqtt.client as mqtt
from daemon import GATEWAY, ORG, device_spec, write_devices
from harness import run, wait_until
from ibm_world import DEVICE, DOWNLOAD, REBOOT, RESET, UPDATE, both

ENDED = 120.0  # s, for several restarts of the device


def wait_unmanaged(world):
    world.platform.wait(lambda: not world.record.managed, 20, "unmanage")


def test_removed_while_the_gateway_was_off(world):
    """And nothing of it is left when it comes back under the same name."""
    world.downloaded()
    southbridge = world.southbridge
    southbridge.stop()
    write_devices(southbridge.directory, [])
    southbridge.start()
    wait_unmanaged(world)
    managed = len(world.record.manages)
    write_devices(southbridge.directory, [device_spec()])
    southbridge.ctl("reload")
    world.platform.wait_managed(DEVICE, 30, managed + 1)
    assert world.observed() == both(0, 0)
    assert world.ask(UPDATE).rc == 400


def test_renamed_while_the_gateway_was_off(world):
    southbridge = world.southbridge
    southbridge.stop()
    write_devices(southbridge.directory, [device_spec(ibm="pump/other")])
    southbridge.start()
    world.platform.wait_managed("pump/other", 30)
    wait_unmanaged(world)


def test_removed_in_the_middle_of_an_update(world):
    """The cloud's action ends; the device that comes back is taken up where it stands."""
    world.downloaded()
    world.device.fault("slow", 0.05)
    action = world.platform.start("update", DEVICE)
    world.device.wait_event("upload", lambda event: event["off"] > 2000)
    managed = len(world.record.manages)
    write_devices(world.southbridge.directory, [])
    world.southbridge.ctl("reload")
    assert not action.result(60).ok
    wait_unmanaged(world)
    write_devices(world.southbridge.directory, [device_spec()])
    world.southbridge.ctl("reload")
    world.device.fault("slow", 0.0)
    world.platform.wait_managed(DEVICE, 30, managed + 1)
    world.downloaded("3.0.0")
    outcome = world.update()
    assert outcome.ok and world.device.version == "3.0.0", outcome


def test_everything_at_once(world):
    """Each is answered, none is done twice, and of two updates one is done: the newer one takes the
    place of one that has not begun."""
    world.downloaded()
    boots = world.device.boots
    asked = [world.platform.send(DEVICE, suffix)
             for suffix in (UPDATE, REBOOT, RESET, REBOOT, UPDATE, DOWNLOAD)]
    codes = [world.platform.await_answer(request, ENDED)["rc"] for request in asked]
    assert codes in ([500, 202, 202, 202, 202, 400], [202, 202, 202, 202, 400, 400])
    wait_until(lambda: world.southbridge.status()["jobs"]["open"] == 0, ENDED, "the ends")
    done = sorted(operation for operation, state in world.tasks() if state == "succeeded")
    assert done == ["factory_reset", "firmware_download", "firmware_install", "reboot", "reboot"]
    assert world.device.version == "2.0.0" and world.device.boots == boots + 4
    world.wait_version("2.0.0")


def helpers(southbridge):
    return [int(pid) for pid in run(["pgrep", "-P", str(southbridge.process.pid)]).stdout.split()]


def test_the_download_helper_is_killed(world, artifacts):
    """A failure of ours: not the image's, whose number 5 is. The next download works."""
    uri, digest = world.image("2.0.0", size=200000)
    artifacts.fault("/2.0.0.bin", hold_after=100000, times=1)
    action = world.platform.start("download", DEVICE, uri, "2.0.0", "pump-firmware", digest)
    for pid in wait_until(lambda: helpers(world.southbridge), 30, "the helper"):
        os.kill(pid, signal.SIGKILL)
    outcome = action.result(60)
    assert not outcome.ok and both(outcome.state, outcome.update_status) == both(0, 3), outcome
    artifacts.heal("/2.0.0.bin")
    assert world.platform.download(DEVICE, uri, "2.0.0", "pump-firmware", digest).ok


def test_another_client_under_the_gateways_name(world, broker):
    """The two put each other out; when the stranger goes the gateway works again."""
    login = f"g:{ORG}:{GATEWAY.replace('/', ':')}"
    since = len(broker.log())
    stranger = mqtt.Client(login, clean_session=False)
    stranger.username_pw_set("use-token-auth", "secret-token")
    stranger.reconnect_delay_set(1, 1)
    stranger.connect("127.0.0.1", broker.port)
    stranger.loop_start()
    try:
        for _ in range(2):
            broker.wait_log(f"Client {login} already connected", 60, since)
            since = len(broker.log())
    finally:
        stranger.loop_stop()
        stranger.disconnect()
    wait_until(lambda: world.southbridge.links()[0]["up"], 150, "the link")
    world.still_alive()
