# SPDX-License-Identifier: Apache-2.0
"""IBM actions on a serial device behind the gateway: courses that end well, and their ways.

Each test also fails on any breach of the protocol that the scripted platform notices: a notify
without both keys, unobserved, before the 202, or a second final one; a success that is not true.
"""
import re

import pytest
from daemon import GATEWAY
from harness import wait_until
from ibm_world import DEVICE, DOWNLOAD, FIRMWARE_FIELD, RUN_LONG, UPDATE, both


def ordered(values):
    """The notifies without repetitions of what was told just before."""
    return [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]


def brief(values):
    return ordered([both(v["state"], v["updateStatus"]) for v in values])


# ---- being there ----

def test_gateway_and_device_are_managed(world):
    for name in (GATEWAY, DEVICE):
        manage = world.platform.device(name).manages[0]
        assert manage.get("lifetime", 0) == 0 or manage["lifetime"] >= 3600
    supports = world.record.supports
    assert supports["deviceActions"] is True and supports["firmwareActions"] is True
    world.wait_version("1.0.0")
    assert world.platform.violations == []
    assert {m.qos for m in world.platform.since(direction="in")} == {1}
    assert world.southbridge.links()[0]["up"] is True


def test_connection_is_a_gateways(world, broker):
    line = broker.wait_log(r"New client connected from \S+ as g:abc123:gw:gw1 \((.*)\)")[1]
    assert re.search(r"\bc0\b", line), f"clean session: {line}"
    assert "use-token-auth" in line
    assert broker.wait_log(r"g:abc123:gw:gw1 1 iotdm-1/")


def test_restart_of_the_daemon_manages_again(world):
    before = len(world.record.manages)
    world.southbridge.restart()
    world.platform.wait_managed(DEVICE, 30, before + 1)
    assert world.record.device_info["fwVersion"] == "1.0.0"


# ---- download, update, reboot, factory reset ----

def test_the_whole_course(world):
    """Download, update, reboot, factory reset: what the cloud, the device and the CLI saw."""
    outcome = world.downloaded()
    assert brief(outcome.notifies) == [both(1, 0), both(2, 0)]
    assert world.device.version == "1.0.0"

    outcome = world.update()
    assert outcome.ok, outcome
    assert brief(outcome.notifies) == [both(2, 1), both(0, 0)]
    assert (world.device.version, world.device.confirmed) == ("2.0.0", True)
    assert world.uploads() == 1
    world.wait_version("2.0.0")

    boots = world.device.boots
    outcome = world.platform.reboot(DEVICE)
    assert outcome.ok and outcome.rc == 202, outcome
    assert world.device.boots == boots + 1

    outcome = world.platform.factory_reset(DEVICE)
    assert outcome.ok and outcome.rc == 202, outcome
    assert len(world.device.events("erase-storage")) == 1

    assert len([h for h in world.artifacts.requests("/2.0.0.bin") if h.status == 200]) == 1
    world.wait_quiet()
    assert world.tasks() == [(name, "succeeded") for name in (
        "firmware_download", "firmware_install", "reboot", "factory_reset")]
    assert {m.qos for m in world.platform.since(direction="in")} == {1}
    subjects = [record["subject"] for record in world.southbridge.ctl("audit").json]
    assert len(subjects) >= 8


def test_transcript_of_download_and_update(world):
    """Topic for topic: the documented exchange, nothing between."""
    mark = world.platform.mark()
    world.downloaded()
    assert world.update().ok
    passed = [(m.direction, m.suffix, m.rc) for m in world.platform.since(mark, DEVICE)
              if m.suffix in ("device/update", "observe", "cancel", DOWNLOAD, UPDATE)
              or (m.suffix == "response" and m.direction == "in")]
    assert passed == [
        ("out", "device/update", None), ("in", "response", 204),
        ("out", "observe", None), ("in", "response", 200),
        ("out", DOWNLOAD, None), ("in", "response", 202),
        ("out", "cancel", None), ("in", "response", 200),
        ("out", "observe", None), ("in", "response", 200),
        ("out", UPDATE, None), ("in", "response", 202),
        ("out", "cancel", None), ("in", "response", 200)]


def test_download_without_parameters_given_anew(world):
    """The platform leaves device/update out when the request has no parameters."""
    uri, digest = world.image("2.0.0")
    assert world.set_firmware(uri, "2.0.0", digest).rc == 204
    outcome = world.platform.download(DEVICE, version="2.0.0", send_update=False)
    assert outcome.ok, outcome
    assert world.update().ok


def test_observe_answer_carries_the_value(world):
    assert world.observed() == both(0, 0)
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    world.downloaded()
    assert world.observed() == both(2, 0)
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200


def test_two_updates_one_after_the_other(world):
    for version in ("2.0.0", "3.0.0"):
        world.downloaded(version)
        assert world.update().ok
        world.wait_version(version)
        assert world.device.version == version
    assert world.uploads() == 2


def test_a_new_download_replaces_the_one_before(world):
    world.downloaded("2.0.0")
    world.downloaded("3.0.0")
    assert world.update().ok
    assert world.device.version == "3.0.0"
    assert world.uploads() == 1


def test_the_version_that_runs_already(world):
    """Nothing to do is a success, and nothing is done."""
    uri, digest = world.image("1.0.0")
    outcome = world.platform.download(DEVICE, uri, "1.0.0", "pump-firmware", digest)
    assert outcome.ok, outcome
    boots = world.device.boots
    outcome = world.update()
    assert outcome.ok, outcome
    assert (world.device.version, world.device.boots) == ("1.0.0", boots)


@pytest.mark.parametrize("form", [str.lower, str.upper], ids=["lower", "upper"])
def test_verifier_is_a_digest_in_either_case(world, form):
    uri, digest = world.image("2.0.0")
    assert world.platform.download(DEVICE, uri, "2.0.0", "n", form(digest)).ok


def test_without_a_verifier_nothing_is_compared(world):
    uri, _ = world.image("2.0.0")
    assert world.platform.download(DEVICE, uri, "2.0.0").ok
    assert world.update().ok


def test_reboot_is_complete_only_when_the_device_is_back(world):
    """The manage that completes it comes after the device has started."""
    boots = world.device.boots
    running = world.platform.start("reboot", DEVICE)
    world.device.wait_event("down")
    outcome = running.result(60)
    assert outcome.ok, outcome
    assert world.device.boots == boots + 1
    assert world.device.events("up"), "it manages only after it is up"


def test_reboot_of_a_device_that_does_not_come_back(world):
    """No manage may claim that it did."""
    world.device.fault("dead_after_reset")
    before = len(world.record.manages)
    outcome = world.platform.reboot(DEVICE, run_timeout=15)
    assert outcome.rc == 202 and outcome.status == "timeout", outcome
    assert len(world.record.manages) == before


def test_factory_reset_restores_settings(world):
    outcome = world.platform.factory_reset(DEVICE)
    assert outcome.ok, outcome
    events = [e["event"] for e in world.device.events()]
    assert events.index("erase-storage") < len(events) - 1 - events[::-1].index("up")
    assert world.device.version == "1.0.0"


# ---- today and next week ----

@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_download_today_update_after_a_restart(world, end):
    world.downloaded()
    getattr(world.southbridge, end)()
    world.artifacts.files.clear()  # the cloud's server has forgotten it
    before = len(world.record.manages)
    world.southbridge.start()
    world.platform.wait_managed(DEVICE, 30, before + 1)
    assert world.observed() == both(2, 0)
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    outcome = world.update()
    assert outcome.ok, outcome
    assert world.device.version == "2.0.0"
    world.wait_version("2.0.0")


def test_restart_of_the_daemon_in_a_download(world):
    """kill -9 while bytes flow: it goes on with what it has, and tells the end once."""
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", hold_after=16384, times=1)
    running = world.platform.start("download", DEVICE, uri, "2.0.0", "n", digest)
    world.artifacts.wait_sent("/2.0.0.bin", 16384)
    world.southbridge.kill9()
    world.artifacts.heal("/2.0.0.bin")
    world.southbridge.start()
    outcome = running.result(90)
    assert outcome.ok, outcome
    assert outcome.notifies[-1]["state"] == 2


def test_restart_of_the_daemon_in_an_update(world):
    """kill -9 while blocks go to the device: it finds out, goes on, and tells the end once."""
    world.downloaded()
    world.device.fault("slow", 0.05)
    running = world.platform.start("update", DEVICE)
    world.device.wait_event("upload", lambda e: e["off"] > 4000)
    world.southbridge.kill9()
    world.device.fault("slow", 0.0)
    world.southbridge.start()
    outcome = running.result(RUN_LONG)
    assert outcome.ok, outcome
    assert world.device.version == "2.0.0"
    world.wait_version("2.0.0")


def test_power_cut_of_the_device_in_an_update(world):
    """It goes on, or ends as a lost connection and the next attempt succeeds."""
    world.downloaded()
    world.device.fault("die_after", 20000)
    running = world.platform.start("update", DEVICE)
    wait_until(lambda: not world.device.process.running, 60, "the power cut")
    world.device.start()
    outcome = running.result(RUN_LONG)
    if not outcome.ok:
        assert (outcome.status, outcome.update_status) == ("failure", 3), outcome
        assert world.device.version == "1.0.0"
        world.downloaded()
        outcome = world.update()
        assert outcome.ok, outcome
    assert world.device.version == "2.0.0"
    world.wait_version("2.0.0")


def test_kill_of_the_broker_in_an_update(world, broker):
    world.downloaded()
    world.device.fault("slow", 0.05)
    running = world.platform.start("update", DEVICE)
    world.device.wait_event("upload", lambda e: e["off"] > 4000)
    broker.kill9()
    world.device.fault("slow", 0.0)
    broker.start()
    outcome = running.result(RUN_LONG)
    assert outcome.ok, outcome
    assert world.device.version == "2.0.0" and world.uploads() == 1
