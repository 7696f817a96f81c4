# SPDX-License-Identifier: Apache-2.0
"""Huawei upgrade tasks on serial devices behind the gateway, by a scripted IoTDA and the real daemon.

Each test also fails on any breach of the protocol that the platform notices: a shape or a topic
that is not documented, progress that falls, a success that is not true, a second answer.
"""
import json

import pytest
from daemon import device_spec, write_devices
from disk import STORE, Disk, kept, percent_kept
from harness import wait_until
from huawei_world import (GATEWAY, GHOST, PUMP, RUN, SECRET, VALVE, board,  # noqa: F401
                          huawei, iotda, server_context)
from modbus_line import STATUSES
from words import fast_words

from huawei_platform import HuaweiPlatform


@pytest.fixture
def world(huawei):  # noqa: F811
    return huawei.start().is_online()


# ---- the course of things ----

def test_the_whole_course(huawei, workspace):  # noqa: F811
    """On a disk with slow syncs: nothing is told that is not on it."""
    disk, told = Disk(workspace), []
    world = huawei.start(disk=disk).is_online()
    client, user = world.platform.front.logins[0]
    assert user == GATEWAY and client.startswith(f"{GATEWAY}_0_1_")
    assert world.uplink()["up"] is True
    assert world.platform.query_version(PUMP)["fw_version"] == "1.0.0"
    assert world.platform.query_version(GATEWAY)["sw_version"]

    def watch(direction, topic, payload):
        if direction == "in" and topic == "events/up":
            told.extend((service["event_type"], service["paras"],
                         *kept(world.southbridge, "pump1"))
                        for service in json.loads(payload)["services"])
    disk.fault(("sync", 0, STORE, {"ms": 100}))
    world.platform.watcher = watch
    upgrade = world.upgrade("2.0.0", task_id="5f1c", sub_device_count=1)
    assert world.result(upgrade) == ("success", 0)
    for kind, paras, task, device in told:
        progress = paras.get("progress", 0)
        assert percent_kept(task) >= progress or progress == 100, (paras, task)
        assert progress < 100 or task["state"] == "succeeded", (paras, task)
        assert kind != "version_report" or device["versions"][""] == paras["fw_version"], device
    disk.heal()
    assert (world.device.version, world.device.confirmed) == ("2.0.0", True)
    assert upgrade.progress == sorted(upgrade.progress) and len(upgrade.progress) > 3
    assert {hit.authorization for hit in world.artifacts.requests("/2.0.0.bin")} == {"Bearer t-1"}
    world.platform.wait_version(PUMP, "2.0.0")

    hits = len(world.artifacts.requests())
    again = world.upgrade("2.0.0", token=None, kind="software_upgrade_v2")
    assert world.result(again) == ("success", 0)  # it is there: no download
    assert len(world.artifacts.requests()) == hits

    boots = world.device.boots
    assert world.platform.command(PUMP, "reboot")["result_code"] == 0
    assert world.device.boots == boots + 1
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded"), ("reboot", "succeeded")]


def test_presigned_url_without_sign(world):
    uri, _, size = world.image("2.0.0")
    upgrade = world.platform.upgrade(PUMP, "2.0.0", f"{uri}?Expires=1&Signature=abc",
                                     kind="firmware_upgrade_v2", file_size=size)
    assert world.result(upgrade) == ("success", 0)
    assert world.artifacts.requests("/2.0.0.bin")[0].authorization is None


def test_two_devices_share_one_download(huawei):  # noqa: F811
    huawei.second()
    huawei.start().is_online()
    image = huawei.image("2.0.0")
    task = {"task_id": "77", "sub_device_count": 2}
    first, second = (huawei.upgrade("2.0.0", name, image, **task) for name in (PUMP, VALVE))
    assert huawei.result(first) == ("success", 0)
    assert huawei.result(second) == ("success", 0)
    assert len(huawei.artifacts.requests("/2.0.0.bin")) == 1


def test_properties_and_commands_of_a_board(board):  # noqa: F811
    platform = board.platform
    services = platform.get(PUMP)["services"]
    assert services[0]["properties"]["interval"] == 60, services
    answer = platform.set(PUMP, {"interval": 61, "gain": 2.5})
    assert answer == {"result_code": 0, "result_desc": "success"}
    platform.wait(lambda: platform.devices[PUMP].values.get("interval") == 61, 20, "report")
    assert platform.get(PUMP)["services"][0]["properties"]["gain"] == 2.5
    assert platform.set(PUMP, {"interval": 0})["result_code"] == 1  # out of its range
    assert platform.command(PUMP, "set-mark", mark=7)["result_code"] == 0
    assert [e["value"] for e in board.device.of(1, "write") if e["address"] == 8] == [7]
    assert platform.command(PUMP, "set-mark", other=7)["result_code"] == 1  # no such argument
    starts = len(board.device.of(1, "up"))
    assert platform.command(PUMP, "reboot")["result_code"] == 0
    assert len(board.device.of(1, "up")) == starts + 1


def test_what_cannot_be_is_answered(world):
    for answer in (world.platform.command(PUMP, "explode"), world.platform.command(GHOST, "reboot"),
                   world.platform.set(PUMP, {"none-such": 1}), world.platform.get(PUMP),
                   world.platform.raw_request("commands", "{nonsense"),
                   world.platform.raw_request("properties/set", "[]")):
        assert answer["result_code"] == 1, answer
    world.platform.publish("events/down", "{nonsense")
    world.platform.publish("events/down", {"services": [7, {"service_id": "$ota"}]})
    world.platform.upgrade(GHOST, "2.0.0", "http://127.0.0.1/x")
    world.platform.wait(lambda: any(name == GHOST and paras.get("result_code") == 255
                                    for name, _, paras in world.platform.events), 20,
                        "refusal for an unknown device")
    assert world.result(world.upgrade("2.0.0", GATEWAY)) == ("fail", 8)
    assert world.tasks() == [("read", "failed")]  # this device has none of its type's properties


# ---- failures ----

@pytest.mark.parametrize("fault, code", [({"status": 404}, 255), ({"status": 500}, 6)])
def test_download_fails(world, fault, code):
    image = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", **fault)
    assert world.result(world.upgrade("2.0.0", image=image)) == ("fail", code)
    assert world.device.version == "1.0.0"
    world.artifacts.heal("/2.0.0.bin")  # and the next one ends well
    assert world.result(world.upgrade("2.0.0", image=image)) == ("success", 0)


def test_packages_that_do_not_fit(world):
    assert world.result(world.upgrade("2.0.0", sign="0" * 64)) == ("fail", 7)
    assert world.result(world.upgrade("2.0.0", sign="nonsense")) == ("fail", 7)
    garbage = world.serve("/garbage.bin", b"no image at all" * 3000)
    assert world.result(world.upgrade("2.1.0", image=garbage)) == ("fail", 8)
    bad = world.image("2.2.0", bad_signature=True)
    assert world.result(world.upgrade("2.2.0", image=bad)) == ("fail", 7)
    other = world.image("2.4.0")  # says another version than the platform
    assert world.result(world.upgrade("2.3.0", image=other))[0] == "fail"
    forbidden = ("ftp://127.0.0.1/x", None, None)
    assert world.result(world.upgrade("2.5.0", image=forbidden)) == ("fail", 255)
    world.wait_quiet()


CODES = {"timeout": 2, "write_failed": 10, "no_space": 5, "low_battery": 4, "no_memory": 9}


def test_what_a_board_fails_with(board):
    for number, (status, cause) in enumerate(STATUSES.items()):
        board.device.fault("1.status", status)
        image = board.board_image(f"2.{number}.0")
        told = board.result(board.upgrade(f"2.{number}.0", image=image))
        assert told == ("fail", CODES[cause]), cause
    board.device.fault("1.status", 0)
    assert board.result(board.upgrade("3.0.0", image=board.board_image("3.0.0"))) == ("success", 0)


def test_older_version_and_an_operator_who_ends_it(world):
    assert world.result(world.upgrade("0.9.0")) == ("fail", 3)
    image = world.image("2.0.0")
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    upgrade = world.upgrade("2.0.0", image=image)
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    job = max(job["id"] for job in world.southbridge.ctl("job", "list").json)
    world.southbridge.ctl("job", "cancel", str(job))
    assert world.result(upgrade) == ("fail", 255)
    fault.gate.set()
    assert world.device.version == "1.0.0"


def test_image_that_does_not_survive(world):
    world.device.fault("revert_on_boot")
    assert world.result(world.upgrade("2.0.0")) == ("fail", 10)
    assert world.device.version == "1.0.0"


def test_no_space(huawei):  # noqa: F811
    huawei.device.stop()
    huawei.device.start("--slot-size", 65536)
    huawei.start().is_online()
    assert huawei.result(huawei.upgrade("2.0.0", image=huawei.image("2.0.0", 90000))) == ("fail", 5)


def test_second_upgrade_while_one_goes_on(world):
    image = world.image("2.0.0")
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    world.upgrade("2.0.0", image=image)
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    assert world.result(world.upgrade("2.1.0")) == ("fail", 1)
    fault.gate.set()
    # the first one goes on, and reports name no task
    world.platform.tolerated += ["a report after the end", "success with 2.0.0",
                                 "success that is not true"]
    world.platform.wait_version(PUMP, "2.0.0", RUN)


# ---- who is there ----

def test_offline_device_is_waited_for(huawei):  # noqa: F811
    huawei.device.stop()
    huawei.start()
    huawei.platform.wait_status(PUMP, "OFFLINE")
    huawei.platform.wait(lambda: huawei.platform.devices[PUMP].statuses, 60, "status")
    upgrade = huawei.upgrade("2.0.0")
    huawei.device.start()
    assert huawei.result(upgrade) == ("success", 0)
    huawei.platform.wait_status(PUMP, "ONLINE")
    huawei.platform.wait_version(PUMP, "2.0.0")


def test_device_that_stays_offline(huawei, workspace):  # noqa: F811
    huawei.device.stop()
    huawei.start(mappings=fast_words(workspace, "huawei", online_within="2s"))
    huawei.platform.wait(lambda: huawei.platform.devices[PUMP].statuses, 60, "status")
    assert huawei.result(huawei.upgrade("2.0.0")) == ("fail", 2)


def test_strangers_are_added_and_the_deleted_left_alone(huawei):  # noqa: F811
    del huawei.platform.devices[PUMP]
    huawei.start({"add_devices": True})
    huawei.platform.wait(lambda: PUMP in huawei.platform.devices, 60, "new sub-device")
    huawei.is_online()
    assert huawei.platform.added == [PUMP]
    huawei.platform.delete(PUMP)
    huawei.platform.front.drop(GATEWAY)
    huawei.platform.wait(lambda: huawei.platform.comes >= 2 and huawei.platform.online, 30, "return")
    assert huawei.platform.query_version(GATEWAY)  # all that was before has been dealt with
    assert huawei.platform.added == [PUMP]
    huawei.platform.add(PUMP)
    huawei.platform.wait_status(PUMP, "ONLINE")
    huawei.platform.wait_version(PUMP, "1.0.0")
    # It goes here while the platform is away, and that is told after a restart.
    huawei.platform.front.refuse(True)
    huawei.platform.wait(lambda: not huawei.platform.online, 20, "end of the connection")
    write_devices(huawei.southbridge.directory, [])
    huawei.southbridge.ctl("reload")
    huawei.southbridge.kill9()
    huawei.southbridge.start()
    huawei.platform.front.refuse(False)
    huawei.platform.wait(lambda: huawei.platform.deleted, 60, "delete_sub_device_request")
    assert huawei.platform.deleted == [PUMP] and PUMP not in huawei.platform.devices


def test_what_an_operator_installs_is_told(world):
    uri, digest, _ = world.image("2.0.0")
    world.southbridge.ctl("job", "create", "firmware-update", "pump1", "--uri", uri,
                          "--version", "2.0.0", "--sha256", digest)
    world.platform.wait_version(PUMP, "2.0.0", RUN)


# ---- when things break in the middle ----

def test_reconnect_in_the_middle_and_redelivery(world):
    image = world.image("2.0.0")
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    upgrade = world.upgrade("2.0.0", image=image)
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    world.platform.redeliver(upgrade)
    world.platform.front.refuse(True)
    world.platform.wait(lambda: not world.platform.online, 20, "end of the connection")
    fault.gate.set()
    wait_until(lambda: world.device.version == "2.0.0", RUN, "the new version")
    world.platform.front.refuse(False)
    assert world.result(upgrade) == ("success", 0)  # nothing was lost
    world.platform.wait_status(PUMP, "ONLINE", comes=2)
    reports = len(upgrade.reports)
    world.platform.redeliver(upgrade)
    world.platform.wait(lambda: len(upgrade.reports) > reports, 20, "the result again")
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]


def test_kill_in_the_middle(world):
    world.device.fault("slow", 0.2)  # half a minute, if it is not let go
    upgrade = world.upgrade("2.0.0", image=world.image("2.0.0", size=60000))
    world.platform.wait_progress(upgrade, "installing")
    world.southbridge.kill9()
    world.device.fault("slow", 0.0)
    world.southbridge.start()
    world.platform.redeliver(upgrade)
    assert world.result(upgrade) == ("success", 0)
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]
    assert world.device.version == "2.0.0"


# ---- logging in ----

def test_tls_with_a_certificate(huawei, authority, broker):  # noqa: F811
    cert, key = authority.issue(GATEWAY)
    with HuaweiPlatform(broker.port, GATEWAY, "x509", (PUMP,),
                        context=server_context(authority, client_certificates=True)) as other:
        huawei.platform.close()
        huawei.platform = other
        huawei.start({"secret": None, "cert_file": str(cert), "key_file": str(key),
                      "ca_file": str(authority.ca)}, uri=f"mqtts://localhost:{other.front.port}")
        huawei.is_online()
        assert huawei.platform.command(PUMP, "reboot")["result_code"] == 0


def test_wrong_secret_is_said_to_be_so(huawei):  # noqa: F811
    huawei.platform.secrets[GATEWAY] = SECRET + "x"
    huawei.platform.tolerated.append("login: the password")
    huawei.start(devices=[device_spec(ibm=None)])
    wait_until(lambda: huawei.platform.violations and "next try" in huawei.uplink()["text"],
               what=lambda: str(huawei.uplink()))
    assert huawei.uplink()["up"] is False
