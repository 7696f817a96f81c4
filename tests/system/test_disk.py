# SPDX-License-Identifier: Apache-2.0
"""Hard times for the disk under the real daemon: full, read-only, broken, slow, and well again.

Whatever it is, the loop answers, errors say what is wrong and what to do, the log says it once,
and all of it recovers without a restart.
"""
import errno
import time

import pytest
from disk import STORE, Disk
from harness import wait_until
from ibm_world import DEVICE, DOWNLOAD, FIRMWARE_FIELD, REBOOT, World
from quick import plain

WORDS = {errno.ENOSPC: "No space left on device", errno.EROFS: "Read-only file system",
         errno.EIO: "Input/output error"}
REFUSED = (5, 7)  # southbridgectl: refused, not available now
SLOW = ("--fault", "slow=0.2")


@pytest.fixture
def disk(workspace):
    return Disk(workspace)


def store(southbridge):
    """What status says of it."""
    return southbridge.status()["store"]


def wait_failing(southbridge):
    return wait_until(lambda: None if (told := store(southbridge))["ready"] else told, 30,
                      lambda: f"the store fails: {southbridge.log()}")


def wait_well(southbridge):
    wait_until(lambda: store(southbridge)["ready"], 60, southbridge.log)


def lines(southbridge, *texts):
    return [line for line in southbridge.log().splitlines() if any(t in line for t in texts)]


def refused(southbridge, *texts):
    """A new job is, with these words."""
    done = plain(southbridge, "job", "create", "reboot", "pump-1")
    assert done.returncode in REFUSED, done
    for text in texts:
        assert text in done.stderr, done


def under_way(bench):
    """An update in its transfer to the device; the image is in the depot."""
    job = bench.update(package=bench.package(size=60000))  # slow: for more than ten seconds
    bench.wait_task(job, lambda task: task.get("phase") == "transferring")
    return job


# ---- the store ----

class TestWithoutCloud:
    """Jobs by the CLI alone."""

    @pytest.fixture
    def broker(self, no_broker):
        return no_broker

    @pytest.mark.parametrize("call, number", [("write", errno.ENOSPC), ("write", errno.EROFS),
                                              ("sync", errno.EIO)])
    def test_the_store_cannot_write(self, bench, disk, call, number):
        """In the middle of an update: clear errors, answers, and the job ends right after."""
        device = bench.device("pump-1", *SLOW)
        southbridge = bench.start(disk=disk)
        pid = southbridge.process.pid
        job = under_way(bench)
        disk.fault((call, number, STORE))
        told = wait_failing(southbridge)
        assert WORDS[number] in told["why"] and "tries again by itself" in told["why"]
        refused(southbridge, "no new work can be taken", WORDS[number])
        shown = plain(southbridge, "status")
        assert "takes no changes" in shown.stdout and WORDS[number] in shown.stdout
        wait_until(lambda: len(lines(southbridge, "commit still fails")) >= 2, 30)
        told = lines(southbridge, "commit failed", "does not take changes")
        assert len(told) == 2, told  # once each, however often it is tried
        device.fault("slow", 0.0)
        disk.heal()
        wait_well(southbridge)
        bench.succeeded(job, 120)
        assert device.version == "2.0.0"
        bench.succeeded(bench.job("reboot", "pump-1"))
        assert southbridge.process.running and southbridge.process.pid == pid
        assert bench.ctl("audit", "--verify")["whole"] is True

    def test_slow_syncs(self, bench, disk):
        """200 ms each: the job takes longer, answers come, and nothing is refused."""
        device = bench.device("pump-1")
        southbridge = bench.start(disk=disk)
        disk.fault(("sync", 0, STORE, {"ms": 200}))
        before, begin = store(southbridge)["batches"], time.monotonic()
        job = bench.update()
        waits = []
        while bench.task(job)["state"] not in ("succeeded", "failed"):
            asked = time.monotonic()
            assert store(southbridge)["ready"] is True
            waits.append(time.monotonic() - asked)
        bench.succeeded(job)
        assert device.version == "2.0.0"
        seconds, syncs = time.monotonic() - begin, store(southbridge)["batches"] - before
        print(f"{syncs} syncs in {seconds:.1f} s; status within {max(waits):.2f} s")
        assert syncs * 0.2 <= seconds  # it was slow indeed
        assert max(waits) < 10 and store(southbridge)["failures"] == 0

    @pytest.mark.parametrize("call, number", [("write", errno.ENOSPC), ("open", errno.EROFS)])
    def test_a_start_that_cannot_be(self, bench, disk, call, number):
        bench.device("pump-1")
        southbridge = bench.start(disk=disk)
        southbridge.stop()
        disk.fault((call, number, STORE))
        if call == "write":
            (disk.state / STORE).unlink()  # with nothing to write it would start
        southbridge.start(ready=False)
        assert southbridge.process.wait() == 1
        assert lines(southbridge, f"store '{disk.state / STORE}'"), southbridge.log()
        disk.heal()
        southbridge.start()
        bench.wait_presence()

    # ---- the images ----

    def test_no_room_in_the_middle_of_a_download(self, bench, disk, artifacts):
        """And when the finished file cannot be moved: the job says so, and a retry works."""
        device = bench.device("pump-1")
        southbridge = bench.start(disk=disk)
        uri = artifacts.add("/2.img", bench.image("2.0.0", 60000).read_bytes())
        words = ("firmware-update", "pump-1", "--uri", uri, "--version", "2.0.0")
        disk.fault(("write", errno.ENOSPC, "artifacts/tmp", {"start": 20000}))
        job = bench.job(*words)
        task = bench.ended(job)
        assert (task["state"], task["cause"]) == ("failed", "no_space"), task
        assert "no space left" in task["text"]
        disk.fault(("move", errno.EROFS, "artifacts"))
        bench.ctl("job", "retry", job)
        task = bench.wait_task(job, lambda task: task["state"] == "failed", 60, index=1)
        assert task["cause"] == "internal" and WORDS[errno.EROFS] in task["text"], task
        assert store(southbridge)["ready"] is True
        disk.heal()
        bench.ctl("job", "retry", job)
        bench.wait_task(job, lambda task: task["state"] == "succeeded", 60, index=2)
        assert device.version == "2.0.0"

    # ---- the floor ----

    @pytest.mark.parametrize("where", ["", "artifacts"])
    def test_the_floor(self, bench, disk, where):
        """Of the store's disk and of the images', which may be two; running jobs finish."""
        device = bench.device("pump-1", *SLOW)
        southbridge = bench.start(disk=disk)
        space = southbridge.status()["space"]
        assert space["store"] == space["artifacts"] == 1 << 30 and "why" not in space
        job = under_way(bench)
        disk.fault(("space", 1 << 20, where))
        wait_until(lambda: "why" in southbridge.status()["space"], 10)
        refused(southbridge, "only 1M are free", str(disk.state / where), "floor of 8M")
        shown = plain(southbridge, "status")
        assert "new jobs are refused: only 1M are free" in shown.stdout
        device.fault("slow", 0.0)
        bench.succeeded(job, 120)
        assert device.version == "2.0.0"
        assert len(lines(southbridge, "new jobs are refused")) == 1
        disk.heal()
        wait_until(lambda: "why" not in southbridge.status()["space"], 10)
        bench.succeeded(bench.job("reboot", "pump-1"))
        assert lines(southbridge, "new jobs are taken")

    def test_a_download_ends_under_the_floor(self, bench, disk, artifacts):
        """It had begun before, and there is room for it."""
        device = bench.device("pump-1")
        southbridge = bench.start(disk=disk)
        uri = artifacts.add("/2.img", bench.image("2.0.0", 60000).read_bytes())
        fault = artifacts.fault("/2.img", hold_after=16384)
        job = bench.job("firmware-update", "pump-1", "--uri", uri, "--version", "2.0.0")
        artifacts.wait_sent("/2.img", 16384)
        disk.fault(("space", 1 << 20, "artifacts"))
        wait_until(lambda: "why" in southbridge.status()["space"], 10)
        fault.gate.set()
        bench.succeeded(job, 60)
        assert device.version == "2.0.0"
        refused(southbridge, "only 1M are free")


# ---- what the cloud hears ----

@pytest.fixture
def world(workspace, platform, artifacts, smp_device, make_southbridge, disk):
    world = World(workspace, platform, artifacts, smp_device, make_southbridge)
    yield world.start(disk=disk)
    world.check()


def refused_there(world, suffix, *texts):
    request = world.ask(suffix)
    assert request.rc == 500, request.answer
    for text in texts:
        assert text in request.answer["message"], request.answer


def test_the_cloud_is_refused_while_the_store_is_full(world, disk):
    southbridge = world.southbridge
    disk.fault(("write", errno.ENOSPC, STORE))
    plain(southbridge, "device", "add", "other", "--type", "zephyr-smp")  # something to write
    wait_failing(southbridge)
    refused_there(world, REBOOT, "cannot take requests now", WORDS[errno.ENOSPC])
    disk.heal()
    wait_well(southbridge)
    world.downloaded()
    assert world.update().ok


def test_the_request_that_finds_the_disk_full(world, disk):
    """Nobody knew before: its own batch fails, and with it the answer. It is answered all the same,
    and what comes after it is too."""
    uri, digest = world.image("2.0.0")
    disk.fault(("write", errno.ENOSPC, STORE))
    assert world.southbridge.status()["store"]["ready"] is True
    refused_there(world, REBOOT, "cannot take requests now", WORDS[errno.ENOSPC])
    refused = world.set_firmware(uri, "2.0.0", digest)
    assert refused.rc == 500, refused.answer
    assert lines(world.southbridge, "heard again, its answer was lost")
    disk.heal()
    wait_well(world.southbridge)
    world.downloaded()
    assert world.update().ok


def test_the_cloud_is_refused_under_the_floor(world, disk):
    """In the dialect's code; looking is no new job. It ends by itself."""
    uri, digest = world.image("2.0.0")
    assert world.set_firmware(uri, "2.0.0", digest).rc == 204
    disk.fault(("space", 1 << 20, ""))
    wait_until(lambda: "why" in world.southbridge.status()["space"], 10)
    refused_there(world, DOWNLOAD, "only 1M are free", "floor of 8M")
    refused_there(world, REBOOT, "only 1M are free")
    assert world.ask("observe", FIRMWARE_FIELD).rc == 200
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    disk.heal()
    wait_until(lambda: "why" not in world.southbridge.status()["space"], 10)
    world.downloaded()
    assert world.update().ok
    assert world.platform.device(DEVICE)
