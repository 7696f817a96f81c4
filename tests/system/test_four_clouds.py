# SPDX-License-Identifier: Apache-2.0
"""Four clouds at once above eight devices on three lines, with the real daemon and a broker each.

Each test also fails on any breach of a protocol that one of the clouds notices: a report that
nobody asked for, a second answer, a success that is not true.
"""
import contextlib
import errno

import pytest
from disk import STORE, Disk
from four_clouds import VALVES, FourClouds
from harness import Broker, wait_until
from quick import plain

CLOUDS = ("ibm", "azure", "huawei", "alibaba")
# Each cloud has a valve of its own; valve-5 only the operator commands. The rest is everybody's.
OWN = {name: VALVES[n] for n, name in enumerate(CLOUDS)}
COMMANDERS = {**{valve: [name, "native"] for name, valve in OWN.items()}, "valve-5": ["native"]}
# How each one is told that the image does not match its digest, and that it may not command.
BAD_DIGEST = {"ibm": ("failure", (0, 4)), "azure": ("error", "verify_failed"),
              "huawei": ("fail", 7), "alibaba": ("FAILED", -3)}
REFUSED = {"ibm": 500, "azure": 403, "huawei": ("fail", 255), "alibaba": ("FAILED", -1)}


@pytest.fixture
def plant(workspace, broker, artifacts, make_southbridge):
    with contextlib.ExitStack() as stack:
        brokers = [broker]
        for name in CLOUDS[1:]:
            brokers.append(Broker(workspace / f"broker-{name}").start())
            stack.callback(brokers[-1].stop)
        world = FourClouds(workspace, artifacts, brokers, make_southbridge)
        stack.callback(world.close)
        yield world
        world.check()


@pytest.fixture
def world(plant):
    return plant.start(COMMANDERS)


def all_hear(world, device, version):
    for cloud in world.clouds:
        cloud.hears(device, version)
    assert world.runs(device) == version


def in_each_tongue(words, ibm, azure, huawei, alibaba):
    """The cells of `job show`, by the members that tell; of alibaba one of these has to fit."""
    cell = words["ibm"]
    assert (cell.get("state"), cell.get("updateStatus")) == ibm, words
    assert words["azure"]["fwUpdateStatus"] == azure, words
    assert words["huawei"]["result_code"] == huawei, words
    assert alibaba.items() & words["alibaba"].items(), words


def test_each_cloud_updates_on_each_line_and_the_others_hear(world):
    """Twelve updates: each cloud's own valve and the pump, and the panel by the next one."""
    for n, cloud in enumerate(world.clouds):
        version, other = f"2.{n}.0", world.clouds[(n + 1) % 4]
        world.slow(OWN[cloud.name])
        asked = [(who, device, who.begin(device, world.image(device, version))) for who, device in
                 ((cloud, OWN[cloud.name]), (cloud, "pump-1"), (other, "panel-1"))]
        words = world.wait_under_way(OWN[cloud.name])["words"]
        if cloud.name == "ibm":  # an install, which is no upgrade for alibaba, but a job
            in_each_tongue(words, (2, 1), "applying", 0, {"status": "IN_PROGRESS"})
        else:
            in_each_tongue(words, (1, 0), "downloading", 0, {"percent": True})
        world.slow(OWN[cloud.name], False)
        for who, device, request in asked:
            assert who.ended(request) == who.well, (who.name, device)
            all_hear(world, device, version)
            words = world.wait_task(device, state="succeeded")["words"]
            in_each_tongue(words, (0, 0), "current", 0, {"step": 100, "status": "SUCCEEDED"})
    for device in (*OWN.values(), "pump-1", "panel-1"):
        for job in world.jobs(device):
            assert job["outcome"] == "succeeded", job
    assert [job["origin"] for job in world.jobs("pump-1")] == ["ibm", *CLOUDS]  # ibm: two steps

    # What no cloud asked for is told to all of them as well.
    image = world.image("valve-5", "3.0.0")
    world.southbridge.ctl("job", "create", "firmware-update", "valve-5", "--uri", image.uri,
                          "--version", "3.0.0", "--sha256", image.sha256)
    world.wait_task("valve-5", state="succeeded")
    all_hear(world, "valve-5", "3.0.0")
    shown = plain(world.southbridge, "job", "show", str(world.jobs("valve-5")[0]["id"])).stdout
    table = shown[shown.index("In each dialect"):]
    for dialect, says in (("ibm", "updateStatus=0"), ("azure", "fwUpdateStatus=current"),
                          ("huawei", "result_code=0"), ("alibaba", "step=100")):
        assert any(dialect in line and says in line for line in table.splitlines()), shown


def test_who_only_hears_is_refused_and_failures_have_each_ones_code(world):
    begun = {cloud: cloud.begin(OWN[cloud.name], world.image(OWN[cloud.name], "2.0.0", good=False))
             for cloud in world.clouds}
    for cloud, request in begun.items():
        assert cloud.ended(request) == BAD_DIGEST[cloud.name], cloud.name
        words = world.wait_task(OWN[cloud.name], state="failed")["words"]
        in_each_tongue(words, (0, 4), "error", 7, {"step": -3})
        assert words["azure"]["dm"] == "Download image failed"
    jobs = len(world.southbridge.jobs())
    for cloud in world.clouds:
        image = world.image("valve-5", f"3.0.{CLOUDS.index(cloud.name)}")
        told = cloud.refused("valve-5", image)
        if cloud.name in ("ibm", "azure"):  # with its text
            assert "refused" in told[1] or "may not" in told[1], told
            told = told[0]
        assert told == REFUSED[cloud.name], (cloud.name, told)
    assert len(world.southbridge.jobs()) == jobs
    for device in (*OWN.values(), "valve-5"):
        assert world.runs(device) == "1.0.0"
        for cloud in world.clouds:
            assert cloud.knows(device) == "1.0.0"


def test_a_full_disk_is_told_and_all_four_recover(plant, workspace):
    """Who asked is refused in its own way; with room again each one updates, without a restart."""
    disk = Disk(workspace)
    southbridge = plant.start(COMMANDERS, disk).southbridge
    disk.fault(("write", errno.ENOSPC, STORE))
    plain(southbridge, "device", "add", "other", "--type", "pump")  # something to write
    wait_until(lambda: not southbridge.status()["store"]["ready"], 30)
    wait_until(lambda: all(link["up"] for link in southbridge.links()), 30)
    ibm, azure, huawei = plant.clouds[:3]
    code, text = ibm.refused(OWN["ibm"], None)
    assert code == 500 and "No space left on device" in text, text
    assert azure.refused(OWN["azure"], plant.image(OWN["azure"], "2.0.0")) == (503, "busy")
    request = huawei.begin(OWN["huawei"], plant.image(OWN["huawei"], "2.0.0"))
    assert huawei.ended(request) == ("fail", 1)
    assert not southbridge.jobs()
    disk.heal()
    wait_until(lambda: southbridge.status()["store"]["ready"], 60)
    asked = {cloud: cloud.begin(OWN[cloud.name], plant.image(OWN[cloud.name], "2.0.0"))
             for cloud in plant.clouds}
    for cloud, request in asked.items():
        assert cloud.ended(request) == cloud.well, cloud.name
        all_hear(plant, OWN[cloud.name], "2.0.0")
    assert southbridge.ctl("audit", "--verify")[1]["whole"] is True


def test_a_cloud_that_is_away_harms_no_other_and_hears_the_end(world):
    """Each cloud's broker dies in the middle of that cloud's update, and comes back after it."""
    for n, cloud in enumerate(world.clouds):
        version = f"2.{n}.0"
        others = [other for other in world.clouds if other is not cloud]
        world.slow("pump-1")
        asked = cloud.begin("pump-1", world.image("pump-1", version, long=True))
        world.wait_under_way("pump-1")
        world.cut(cloud)
        world.slow("pump-1", False)
        # The others go on, and hear what became of it.
        assert others[0].reboot("panel-1") and others[1].reboot(OWN[others[1].name])
        for other in others:
            other.hears("pump-1", version)
        assert cloud.knows("pump-1") != version
        world.heal(cloud)
        assert cloud.ended(asked) == cloud.well, cloud.name
        all_hear(world, "pump-1", version)


def test_kill_while_each_cloud_updates(world):
    """One is being fetched, two transferred on lines of their own, one waits for its line."""
    ibm, azure, huawei, alibaba = world.clouds
    valves = OWN["huawei"], OWN["alibaba"]
    for device in ("pump-1", valves[0]):
        world.slow(device)
    asked = {huawei: huawei.begin(valves[0], world.image(valves[0], "2.0.0", long=True))}
    world.wait_under_way(valves[0])
    asked[alibaba] = alibaba.begin(valves[1], world.image(valves[1], "2.0.0"))
    world.wait_task(valves[1], state="downloading")
    panel = world.image("panel-1", "2.0.0")
    world.artifacts.fault("/panel-1-2.0.0.bin", hold_after=1000)
    asked[azure] = azure.begin("panel-1", panel)
    world.artifacts.wait_sent("/panel-1-2.0.0.bin", 1000)
    asked[ibm] = ibm.begin("pump-1", world.image("pump-1", "2.0.0", long=True))
    world.wait_under_way("pump-1")
    world.southbridge.kill9()
    for device in ("pump-1", valves[0]):
        world.slow(device, False)
    world.artifacts.heal("/panel-1-2.0.0.bin")
    world.southbridge.start()
    for cloud, request in asked.items():
        assert cloud.ended(request) == cloud.well, cloud.name
    for device, jobs in (("pump-1", 2), ("panel-1", 1), (valves[0], 1), (valves[1], 1)):
        all_hear(world, device, "2.0.0")
        world.wait_task(device, state="succeeded")
        assert len(world.jobs(device)) == jobs


def test_clouds_that_want_the_same_device(world):
    """One at a time: each of the others is told in its way, and who cannot be told waits."""
    ibm, azure, huawei, alibaba = world.clouds
    huawei.platform.truth = None  # what comes next begins before it could look
    world.slow("pump-1")
    first = huawei.begin("pump-1", world.image("pump-1", "2.0.0", long=True))
    world.wait_under_way("pump-1")
    image = world.image("pump-1", "2.1.0")
    assert azure.refused("pump-1", image) == (409, "conflict")
    outcome = ibm.begin("pump-1", image).result(60)
    assert (outcome.status, outcome.step, outcome.rc) == ("failure", "device/update", 409)
    ibm.tolerated.append("rc-value")  # which is not among the documented answers
    pushed = alibaba.begin("pump-1", image)  # nobody can stop a push
    world.slow("pump-1", False)
    assert huawei.ended(first) == huawei.well
    assert alibaba.ended(pushed) == alibaba.well
    all_hear(world, "pump-1", "2.1.0")

    # What one has staged another installs.
    image = world.image("pump-1", "2.2.0")
    assert ibm.platform.download(ibm.called("pump-1"), image.uri, "2.2.0", "firmware",
                                 image.sha256).ok
    assert azure.platform.call("pump-1", "firmwareInstall")[0] == 202
    all_hear(world, "pump-1", "2.2.0")

    # A wish acts once: it does not take back what another cloud did.
    image = world.image("panel-1", "3.0.0")
    azure.platform.desire("panel-1", {"firmware": {
        "fwVersion": "3.0.0", "fwPackageURI": image.uri, "fwPackageCheckValue": image.sha256}})
    all_hear(world, "panel-1", "3.0.0")
    asked = huawei.begin("panel-1", world.image("panel-1", "3.1.0"))
    assert huawei.ended(asked) == huawei.well
    reads = azure.platform.twins["panel-1"].reads
    azure.platform.front.drop("panel-1")
    azure.platform.wait(lambda: azure.platform.twins["panel-1"].reads > reads, 60, "read")
    assert azure.reboot("panel-1")  # all that was before has been dealt with
    all_hear(world, "panel-1", "3.1.0")
    assert [job["operation"] for job in world.jobs("panel-1")] == [
        "firmware_update", "firmware_update", "reboot"]
