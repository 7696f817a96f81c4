# SPDX-License-Identifier: Apache-2.0
"""Alibaba OTA, requests and jobs for a serial device behind the gateway, by a scripted platform and
the real daemon.

Each test also fails on any breach of the protocol that the platform notices: a message of a
sub-device without a session, a step that falls, a second answer.
"""
import json

import pytest
from alibaba_platform import Device
from alibaba_world import GATEWAY, PUMP, RUN, SECRETS, alibaba, board, platform  # noqa: F401
from daemon import write_devices
from disk import STORE, Disk, kept, percent_kept
from harness import wait_until
from quick import SETTINGS
from modbus_line import STATUSES


@pytest.fixture
def world(alibaba):  # noqa: F811
    return alibaba.start().online()


# ---- being there ----

def test_device_registers_joins_and_logs_in(world):
    pump = world.platform.devices[PUMP]
    assert pump.gateway == GATEWAY and pump.informs == [("default", "1.0.0")]
    done = [name for name, _ in world.platform.requests]
    assert done.index("register") < done.index("add") < len(done) - done[::-1].index("login")
    product, name, client, method = world.platform.front.logins[0]
    assert (product, name, method) == ("pk0", "gw-1", "hmacsha256")
    assert client.startswith("pk0.gw-1|securemode=3,")
    assert SECRETS[PUMP] not in world.southbridge.log()


def test_device_with_a_secret_of_its_own(alibaba):  # noqa: F811
    alibaba.platform.devices[PUMP].gateway = GATEWAY
    alibaba.secret("pump-1", SECRETS[PUMP])
    alibaba.start({"device_secret": f"file:{alibaba.directory}/{{name}}.secret"}).online()
    assert [name for name, _ in alibaba.platform.requests] == ["get", "login"]


def test_session_is_lost_and_device_is_disabled(world):
    world.platform.lose_session(PUMP)
    world.platform.wait_online(PUMP)
    reply = world.platform.ask(PUMP, "thing/disable", {})
    assert (reply["code"], reply["data"]) == (200, {})
    world.platform.devices[PUMP].online = False
    assert world.platform.ask(GATEWAY, "thing/enable",
                              {"productKey": PUMP[0], "deviceName": PUMP[1]})["code"] == 200
    world.platform.wait_online(PUMP)
    world.informed("1.0.0")


PAIR = {"productKey": PUMP[0], "deviceName": PUMP[1]}


def test_who_is_put_out_on_either_side(alibaba):  # noqa: F811
    """Of the topology in the middle of an update, which goes on; then deleted and made anew; at last
    the gateway itself loses it. Nobody joins against the platform's will, nor speaks without a
    session."""
    world = alibaba.start().online()
    cloud, pump = world.platform, world.platform.devices[PUMP]

    def comes_back():
        asked = sum(name == "get" for name, _ in cloud.requests)
        cloud.front.cut()
        cloud.wait(lambda: sum(name == "get" for name, _ in cloud.requests) > asked, RUN, "return")

    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    task = world.upgrade("2.0.0")
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    change = {"status": 1, "subList": [PAIR]}
    assert cloud.ask(GATEWAY, "thing/topo/change", change)["code"] == 200
    pump.gateway, pump.online = None, False
    adds = cloud.requests.count(("add", 1))
    fault.gate.set()
    wait_until(lambda: world.device.version == "2.0.0", RUN, "the new version")
    comes_back()
    assert cloud.ask(GATEWAY, "thing/service/none", {})["code"] != 200  # what was before is done
    world.wait_quiet()
    assert (cloud.requests.count(("add", 1)), pump.online) == (adds, False)
    assert task.status in ("NOTIFIED", "IN_PROGRESS")
    assert cloud.ask(GATEWAY, "thing/topo/add/notify", [PAIR])["code"] == 200
    world.ends(task, "SUCCEEDED")

    assert cloud.ask(PUMP, "thing/delete", {})["code"] == 200
    del cloud.devices[PUMP]
    comes_back()
    cloud.wait(lambda: cloud.requests[-1] == ("register", 1), RUN, "a question for its secret")
    cloud.devices[PUMP] = Device("another secret")
    assert cloud.ask(GATEWAY, "thing/topo/add/notify", [PAIR])["code"] == 200
    world.informed("2.0.0")

    write_devices(world.southbridge.directory, [])
    world.southbridge.ctl("reload")
    cloud.wait(lambda: not cloud.devices[PUMP].gateway, RUN, "topo/delete")
    assert cloud.requests[-2:] == [("logout", 1), ("delete", 1)]


# ---- OTA ----

def test_the_whole_course(alibaba, workspace):  # noqa: F811
    """On a disk with slow syncs: nothing is told that is not on it."""
    disk, told = Disk(workspace), []
    world = alibaba.start(disk=disk).online()
    disk.fault(("sync", 0, STORE, {"ms": 100}))

    def watch(direction, topic, payload):
        if direction == "in" and topic.split("/")[3] in ("progress", "inform"):
            told.append((json.loads(payload)["params"], *kept(world.southbridge, "pump-1")))
    world.platform.watcher = watch
    task = world.upgrade("2.0.0")
    world.ends(task, "SUCCEEDED")
    for params, kept_task, device in told:
        step, version = int(params.get("step", 0)), params.get("version")
        assert step == 100 or percent_kept(kept_task) >= step, (params, kept_task)
        assert step < 100 or kept_task["state"] in ("restarting", "succeeded"), kept_task
        assert not version or device["versions"] == {"": version}, (params, device)
    assert len(told) >= 3 and told[-1][0].get("version") == "2.0.0"
    disk.heal()
    assert (world.device.version, world.device.confirmed) == ("2.0.0", True)
    assert task.steps[0] >= 0 and task.steps == sorted(task.steps) and task.steps[-1] == 100
    assert world.platform.devices[PUMP].informs[-1] == ("default", "2.0.0")
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]
    again = world.upgrade("2.0.0")  # there already: the version is the answer
    world.ends(again, "SUCCEEDED")
    assert world.tasks() == [("firmware_update", "succeeded")]


FAILURES = [
    ({"status": 404}, {}, -2),
    ({}, {"md5": "0" * 32, "sign": "0" * 32}, -3),
    ({}, {"url": "ftp://127.0.0.1/x"}, -2),
    ({}, {"dProtocol": "mqtt", "url": None}, -2),
    ({}, {"isDiff": 1}, -1),
]


def test_failures_then_a_good_one(world):
    for number, (fault, changes, step) in enumerate(FAILURES):
        version = f"1.1.{number}"
        world.artifacts.fault(f"/{version}.bin", **fault)
        task = world.upgrade(version, **changes)
        world.ends(task, "FAILED")
        assert task.steps[-1] == step and task.desc, (version, task.steps)
    task = world.platform.upgrade(PUMP, world.image("1.2.0", bad_signature=True))
    world.ends(task, "FAILED")
    assert task.steps[-1] < 0 and world.device.version == "1.0.0"
    world.ends(world.upgrade("2.0.0"), "SUCCEEDED")


STEPS = {"timeout": -1, "write_failed": -4, "no_space": -2, "low_battery": -1, "no_memory": -2}


def test_what_a_board_fails_with(board):  # noqa: F811
    for number, (status, cause) in enumerate(STATUSES.items()):
        board.device.fault("1.status", status)
        task = board.platform.upgrade(PUMP, board.board_image(f"2.{number}.0"))
        board.ends(task, "FAILED")
        assert task.steps[-1] == STEPS[cause] and task.desc, (cause, task.steps)
    board.device.fault("1.status", 0)
    board.ends(board.platform.upgrade(PUMP, board.board_image("3.0.0")), "SUCCEEDED")


def test_older_version_and_an_operator_who_ends_it(world):
    task = world.upgrade("0.9.0")
    world.ends(task, "FAILED")
    assert task.steps[-1] == -1
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    task = world.upgrade("2.0.0")
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    job = max(job["id"] for job in world.southbridge.ctl("job", "list").json)
    world.southbridge.ctl("job", "cancel", str(job))
    world.ends(task, "FAILED")
    assert task.steps[-1] == -1
    fault.gate.set()
    assert world.device.version == "1.0.0"


def test_retry_of_the_platform(world):
    world.artifacts.fault("/2.0.0.bin", status=404, times=1)
    task = world.upgrade("2.0.0", retries=1)
    world.ends(task, "SUCCEEDED")
    assert task.pushes == 2


def test_offline_device_is_offline_there(alibaba):  # noqa: F811
    alibaba.start().online()
    alibaba.device.stop()
    alibaba.southbridge.ctl("device", "identify", "pump-1", check=False)
    alibaba.platform.wait_online(PUMP, False)
    task = alibaba.upgrade("2.0.0")
    assert task.status == "QUEUED"
    alibaba.device.start()
    alibaba.ends(task, "SUCCEEDED")


# ---- when things break in the middle ----

def test_redelivery_and_reconnect_in_the_middle(world):
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    task = world.upgrade("2.0.0")
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    world.platform.push_again(task, url=task.data["url"].replace("Expires=1", "Expires=2"))
    world.platform.push_again(task)
    world.platform.front.refusing = True
    world.platform.front.cut()
    world.platform.wait_online(PUMP, False)
    fault.gate.set()
    wait_until(lambda: world.device.version == "2.0.0", RUN, "the new version")
    world.platform.front.refusing = False
    world.ends(task, "SUCCEEDED")
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]


def test_failure_while_the_cloud_is_away(world):
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    task = world.upgrade("2.0.0", md5="0" * 32, sign="0" * 32)
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    world.platform.front.refusing = True
    world.platform.front.cut()
    world.platform.wait_online(PUMP, False)
    fault.gate.set()
    world.wait_quiet()
    # The platform pushes at the login, before it hears of the failure: that is no new wish.
    world.platform.front.refusing = False
    world.ends(task, "FAILED")
    assert task.steps[-1] == -3
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "failed")]


def test_offered_before_the_daemon_and_killed_in_the_middle(alibaba):  # noqa: F811
    world, task = alibaba, alibaba.upgrade("2.0.0")
    world.start()
    world.platform.wait(lambda: task.steps and task.steps[-1] >= 30, RUN, "some progress")
    world.southbridge.kill9()
    world.southbridge.start()
    world.ends(task, "SUCCEEDED")
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]


# ---- requests and jobs ----

def test_requests(world):
    boots = world.device.boots
    assert world.platform.ask(PUMP, "thing/service/reboot", {}, RUN)["code"] == 200
    assert world.device.boots == boots + 1
    for rest, params in (("thing/service/property/set", {"none-such": 1}),
                         ("thing/service/property/get", ["none-such"]),
                         ("thing/service/explode", {}), ("thing/config/push", {"configId": "c"})):
        reply = world.platform.ask(PUMP, rest, params)
        assert reply["code"] != 200 and reply["message"], reply


def test_requests_of_a_board(board):  # noqa: F811
    """Read, written and configured, an action of its type, and a job that writes."""
    def ask(rest, params):
        return board.platform.ask(PUMP, f"thing/service/{rest}", params)

    assert ask("property/get", ["interval"])["data"] == {"interval": 60}
    assert ask("property/set", {"interval": 61, "gain": 2.5})["code"] == 200
    values = board.platform.devices[PUMP].properties
    board.platform.wait(lambda: values.get("interval") == 61, RUN, "post")
    assert ask("property/get", ["gain"])["data"] == {"gain": 2.5}
    assert ask("configure", {"interval": 62})["code"] == 200
    assert ask("set-mark", {"mark": 7})["code"] == 200
    assert [e["value"] for e in board.device.of(1, "write") if e["address"] == 8] == [7]
    assert ask("property/set", {"interval": 0})["code"] == 460  # out of its range
    board.platform.job(PUMP, "job-1", {"params": {"interval": 63}})
    board.platform.wait_job(PUMP, "job-1", "SUCCEEDED", RUN)
    assert ask("property/get", ["interval"])["data"] == {"interval": 63}
    board.wait_quiet()


def test_job_that_reboots(world):
    boots = world.device.boots
    world.platform.job(PUMP, "job-1", {"serviceIdentifier": "reboot", "params": {}})
    world.platform.wait_job(PUMP, "job-1", "SUCCEEDED", RUN)
    assert world.device.boots == boots + 1
    world.platform.job(PUMP, "job-2", {"serviceIdentifier": "explode"})
    world.platform.wait_job(PUMP, "job-2", "REJECTED")
    world.wait_quiet()
    assert world.tasks() == [("reboot", "succeeded")]


# ---- configuration files ----

@pytest.fixture
def configurable(alibaba):  # noqa: F811
    """The device has settings."""
    alibaba.device.stop()
    alibaba.device.start(*SETTINGS)
    return alibaba


def test_configuration_file_is_pushed(configurable):
    world = configurable.start().online()
    good = world.config(1, {"interval": 150, "name": "south"})
    reply = world.platform.ask(PUMP, "thing/config/push", good, RUN)
    assert reply["code"] == 200, reply
    assert len(world.device.events("save")) == 1
    for changes, code in (({"sign": "0" * 64}, 100006), ({"sign": "none"}, 460),
                          ({"url": "ftp://127.0.0.1/x"}, 460), ({"getType": "content"}, 460)):
        reply = world.platform.ask(PUMP, "thing/config/push", {**good, **changes}, RUN)
        assert reply["code"] == code and reply["message"], (changes, reply)
    world.artifacts.fault("/config-2.json", status=404)
    reply = world.platform.ask(PUMP, "thing/config/push", world.config(2, {"interval": 1}), RUN)
    assert reply["code"] != 200
    assert len(world.device.events("save")) == 1


def test_job_with_a_configuration_file(configurable):
    world = configurable.start().online()
    config = world.config(1, {"interval": 150})
    file = {"fileUrl": config["url"], "sign": config["sign"], "signMethod": "Sha256"}
    world.platform.job(PUMP, "job-1", {"serviceIdentifier": "configure"}, file)
    world.platform.wait_job(PUMP, "job-1", "SUCCEEDED", RUN)
    assert len(world.device.events("save")) == 1
    world.platform.job(PUMP, "job-2", {"serviceIdentifier": "reboot"}, file)
    world.platform.wait_job(PUMP, "job-2", "REJECTED")
    bad = {**file, "sign": "0" * 64}
    world.platform.job(PUMP, "job-3", {"serviceIdentifier": "configure"}, bad)
    world.platform.wait_job(PUMP, "job-3", "FAILED", RUN)


def test_configuration_file_is_asked_for_at_each_login(configurable):
    world = configurable
    world.platform.config = world.config(1, {"interval": 150})
    world.start({"remote_config": True}).online()
    wait_until(lambda: len(world.device.events("save")) == 1, RUN, "the configuration")
    world.wait_quiet()
    world.southbridge.kill9()
    world.southbridge.start()
    world.platform.wait(lambda: world.platform.config_gets == 2, RUN, "a second question")
    world.wait_quiet()
    assert world.tasks() == [("configure", "succeeded")]  # it is the same: once
    world.platform.config = world.config(2, {"interval": 160})
    world.platform.lose_session(PUMP)
    wait_until(lambda: len(world.device.events("save")) == 2, RUN, "the next configuration")


# ---- a platform that delivers nothing unasked ----

def test_topics_that_are_subscribed(alibaba):  # noqa: F811
    alibaba.platform.front.unasked = False
    alibaba.start({"subscribe": ["/sys/+/+/thing/#", "/ext/session/+/+/combine/#",
                                 "/ext/error/+/+", "/ota/device/upgrade/+/+"]}).online()
    task = alibaba.upgrade("2.0.0")
    alibaba.ends(task, "SUCCEEDED")
    assert alibaba.platform.ask(PUMP, "thing/service/reboot", {}, RUN)["code"] == 200
