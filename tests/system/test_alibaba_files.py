# SPDX-License-Identifier: Apache-2.0
"""Files over MQTT: firmware that a scripted Alibaba platform gives a block at a time, the real
daemon, and a serial device."""
import hashlib

import pytest
from alibaba_world import PUMP, VALVE, alibaba, platform  # noqa: F401
from daemon import make_image
from harness import wait_until

SIZE, BLOCK = 40000, 5120
FAST = {"block_timeout": "500ms"}


@pytest.fixture
def world(alibaba):  # noqa: F811
    return alibaba.start(words=FAST).online()


def push(world, version, size=SIZE):
    content, data = world.streamed(version, size)
    return content, world.platform.upgrade(PUMP, data)


def test_the_whole_course(world):
    content, task = push(world, "2.0.0")
    world.ends(task, "SUCCEEDED")
    assert world.device.version == "2.0.0"
    assert task.steps == sorted(task.steps) and task.steps[-1] == 100
    files = world.platform.files
    assert files.offsets() == list(range(0, len(content), BLOCK))
    assert {size for _, _, size in files.requests} == {BLOCK}
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]
    package = world.southbridge.ctl("package", "list").json[0]
    assert package["uri"].startswith("stream:")


def test_faults_are_gone_over(world):
    world.platform.files.faults = ["crc", "", "bits", "", "short", "offset", "", "twice", "cut", "",
                                   "silent", "code"]
    content, task = push(world, "2.0.0")
    world.ends(task, "SUCCEEDED")
    assert world.platform.files.faults == []
    assert world.platform.files.wishes >= -(-len(content) // BLOCK)


@pytest.mark.parametrize("fault", ["crc", "silent", "code", "cut"])
def test_a_fault_that_stays_is_a_failed_download(world, fault):
    world.platform.files.faults = ["", ""] + [fault] * 3
    content, task = push(world, "1.1.0")
    world.ends(task, "FAILED")
    assert task.steps[-1] == -2 and task.desc
    assert len(world.platform.files.requests) == 5
    # What came is kept: another try, of the same file, goes on with it.
    again = world.platform.upgrade(PUMP, world.stream(content, dict(task.data)))
    world.ends(again, "SUCCEEDED")
    assert world.platform.files.offsets()[5:] == list(range(2 * BLOCK, len(content), BLOCK))


def test_another_file_than_was_pushed(world):
    for number, change in enumerate((lambda c: c[:-1] + bytes((c[-1] ^ 1,)), lambda c: c + b"x",
                                     lambda c: c[:30000])):
        content, task = world.streamed(f"1.1.{number}", SIZE)
        world.platform.files.change((task["streamId"], task["streamFileId"]), change(content))
        task = world.platform.upgrade(PUMP, task)
        world.ends(task, "FAILED")
        assert task.steps[-1] == -3 and task.desc, (number, task.steps)
    assert world.device.version == "1.0.0"


def test_a_file_that_changes_under_way(world):
    world.platform.files.hold_at = 3 * BLOCK
    content, task = push(world, "1.1.0")
    world.platform.wait_asked(3 * BLOCK)
    world.platform.files.change((task.data["streamId"], 1), bytes(len(content) + 1))
    world.platform.released()
    world.ends(task, "FAILED")
    assert task.steps[-1] == -3


def test_it_goes_on_after_the_connection_was_lost(alibaba):  # noqa: F811
    """By the stream that is pushed then: the one before has ended."""
    world = alibaba.start(words={"block_timeout": "2s"}).online()
    files = world.platform.files
    files.hold_at = 4 * BLOCK
    content, task = push(world, "2.0.0")
    world.platform.wait_asked(4 * BLOCK)
    world.platform.front.refusing = True
    world.platform.front.cut()
    world.platform.wait_online(PUMP, False)
    files.hold_at = None
    files.end(task.data)
    task.data.update(world.stream(content, dict(task.data)))
    world.platform.front.refusing = False
    world.ends(task, "SUCCEEDED")
    offsets = files.offsets()
    assert sorted(set(offsets)) == list(range(0, len(content), BLOCK))
    assert all(offsets.count(offset) == 1 for offset in offsets if offset != 4 * BLOCK)
    assert files.refused >= 1 and len(world.tasks()) == 1


def test_it_goes_on_after_the_daemon_was_killed(alibaba):  # noqa: F811
    world = alibaba.start(words={"block_timeout": "2s"}).online()
    world.platform.files.hold_at = 4 * BLOCK
    content, task = push(world, "2.0.0")
    world.platform.wait_asked(4 * BLOCK)
    world.southbridge.kill9()
    world.platform.files.hold_at = None
    # The platform pushes anew after the login, by another stream of the same file.
    world.platform.files.end(task.data)
    task.data.update(world.stream(content, dict(task.data)))
    world.southbridge.start()
    world.ends(task, "SUCCEEDED")
    streams = {stream for stream, offset, _ in world.platform.files.requests if
               offset > 4 * BLOCK}
    assert world.platform.files.offsets().count(0) == 1
    assert len(streams) == 1
    assert len(world.tasks()) == 1


def test_a_download_that_is_taken_back(world):
    world.platform.files.hold_at = 2 * BLOCK
    _, task = push(world, "2.0.0")
    world.platform.wait_asked(2 * BLOCK)
    job = world.southbridge.ctl("job", "list").json[0]["id"]
    world.southbridge.ctl("job", "cancel", str(job))
    world.ends(task, "FAILED")
    asked = len(world.platform.files.requests)
    world.platform.released()
    world.wait_quiet()
    assert len(world.platform.files.requests) == asked
    assert world.tasks() == [("firmware_update", "cancelled")]


def test_two_devices_share_one_download(alibaba):  # noqa: F811
    """Each has a stream of its own. The first one's update is taken back in the middle; when it is
    offered again, nothing is left to be downloaded."""
    valve = alibaba.second()
    world = alibaba.start(words={"block_timeout": "5s"}).online()
    world.platform.wait_online(VALVE)
    files = world.platform.files
    files.hold_at = 2 * BLOCK
    content, first = push(world, "2.0.0", 16000)
    world.platform.wait_asked(2 * BLOCK)
    second = world.platform.upgrade(VALVE, world.stream(content, dict(first.data)))
    jobs = wait_until(lambda: found if len(found := world.southbridge.ctl("job", "list").json) == 2
                      else None, 30, "a second job")
    world.southbridge.ctl("job", "cancel", str(min(job["id"] for job in jobs)))
    world.ends(first, "FAILED")
    world.platform.released()
    world.ends(second, "SUCCEEDED")
    assert (world.device.version, valve.version) == ("1.0.0", "2.0.0")
    assert sorted(set(files.offsets())) == list(range(0, len(content), BLOCK))
    asked = len(files.offsets())
    assert asked <= len(content) // BLOCK + 3  # the one that was kept back, perhaps some times
    again = world.platform.upgrade(PUMP, world.stream(content, dict(first.data)))
    world.ends(again, "SUCCEEDED")
    assert world.device.version == "2.0.0" and len(files.offsets()) == asked


def test_a_file_that_is_too_large(alibaba):  # noqa: F811
    world = alibaba.start(words=FAST,
                          top={"artifacts": {"file_limit": "20K"}}).online()
    _, task = push(world, "2.0.0")
    world.ends(task, "FAILED")
    assert task.steps[-1] == -2 and len(world.platform.files.requests) <= 1


def test_a_stream_is_its_own_clouds(world):
    refused = world.southbridge.ctl("job", "create", "firmware-update", "pump-1", "--uri",
                                    "stream:?id=1&file=1", "--version", "2", check=False)
    assert refused.status != 0 and world.platform.files.requests == []
    image = make_image(world.directory, "2.0.0", 12000)
    digest = hashlib.sha256(image).hexdigest()
    refused = world.southbridge.ctl("job", "create", "firmware-update", "pump-1", "--uri",
                                    "stream:?id=1&file=1", "--sha256", digest, check=False)
    assert refused.status != 0
