# SPDX-License-Identifier: Apache-2.0
"""Serial lines that are held, unplugged, noisy or shared: who is blamed, who goes on."""
import os
import pathlib

import pytest
from daemon import PYTHON, device_spec
from harness import Process, wait_until
from quick import Nobody, plain, quick_mappings

HOLDER = pathlib.Path(__file__).with_name("holder.py")


@pytest.fixture
def broker(no_broker):
    return no_broker


@pytest.fixture
def hold(workspace):
    """hold(device, *how): a process of somebody else that has the device's line."""
    holders = []

    def take(device, *how, prefix=()):
        holder = Process(f"holder{len(holders)}", [*prefix, PYTHON, HOLDER, device.link, *how],
                         workspace, talk=True)
        holders.append(holder)
        wait_until(lambda: "held" in holder.stdout, what=lambda: holder.stderr)
        return holder

    yield take
    for holder in holders:
        if holder.running:
            holder.stop()


def lock_directory(workspace):
    directory = workspace / "lock"
    directory.mkdir(exist_ok=True)
    return {"lock_directory": str(directory)}


# ---- held by somebody else ----

@pytest.mark.parametrize("how", ["flock", "file"])
def test_a_port_that_another_process_holds(bench, hold, workspace, how):
    """Reported with its id wherever one looks; used as soon as it is free."""
    device = bench.device()
    locks = lock_directory(workspace)
    holder = hold(device, how if how == "flock" else f"file:{locks['lock_directory']}")
    bench.start(buses={"pump-1": locks}, wait=False)
    bench.wait_presence(presence="offline")
    reason = f"held by process {holder.pid} (python3)"
    bench.wait_log(reason)
    assert reason in bench.southbridge.device("pump-1")["trouble"]
    assert reason in bench.shown("device", "show", "pump-1")
    job = bench.job("read", "pump-1", "--name", "interval")
    task = bench.wait_task(job, lambda task: task.get("reason") == "offline")
    assert task["state"] == "queued" and reason in bench.shown("job", "show", str(job)), task
    holder.stop()
    assert bench.succeeded(job)["result"] == {"interval": 60}
    assert "trouble" not in bench.southbridge.device("pump-1")


def test_a_port_that_is_taken_while_a_job_wants_it(bench, hold, workspace):
    """Between two jobs somebody else takes the line: the job says who, and a retry succeeds."""
    device = bench.device()
    locks = lock_directory(workspace)
    southbridge = bench.start(buses={"pump-1": locks})
    southbridge.stop()
    assert list((workspace / "lock").iterdir()) == [], "no lock file is left"
    holder = hold(device, "flock", f"file:{locks['lock_directory']}")
    southbridge.start()
    job = bench.job("reboot", "pump-1", "--online-timeout", "1s")
    task = bench.ended(job)
    assert (task["state"], task["cause"]) == ("failed", "offline"), task
    assert f"process {holder.pid}" in bench.shown("job", "show", str(job))
    holder.kill9()  # its lock file stays
    bench.ctl("job", "retry", job)
    bench.wait_task(job, lambda task: task["state"] == "succeeded", index=1)


def test_a_lock_file_of_a_dead_process_is_no_lock(bench, hold, workspace):
    device = bench.device()
    locks = lock_directory(workspace)
    hold(device, f"file:{locks['lock_directory']}").kill9()
    bench.start(buses={"pump-1": locks})
    lock, = (workspace / "lock").iterdir()
    assert int(lock.read_text()) == bench.southbridge.process.pid


def test_a_port_that_is_open_exclusively(bench, hold):
    """TIOCEXCL keeps all but root out: so the daemon is somebody else, and so is the holder."""
    nobody = Nobody()
    device = bench.device()
    os.chmod(bench.directory, 0o755)
    os.chown(device.link.resolve(), nobody.ID, nobody.ID)
    holder = hold(device, "exclusive", prefix=nobody.prefix)
    bench.start(user=nobody, wait=False, top={"control": {
        "socket": str(bench.directory / "southbridge" / "control"), "group": nobody.group}})
    bench.wait_presence(presence="offline")
    assert f"held by process {holder.pid} (python3)" in bench.shown("device", "show", "pump-1")
    holder.stop()
    assert bench.ctl("device", "identify", "pump-1", "--wait", "10s")["presence"] == "ready"


# ---- unplugged ----

def test_unplugged_while_idle_and_back(bench):
    device = bench.device()
    bench.start()
    device.unplug()
    job = bench.job("read", "pump-1", "--name", "name", "--retries", "3", "--retry-interval",
                    "500ms")
    task = bench.wait_task(job, lambda task: task["state"] == "queued" and task["attempt"] > 0)
    assert "is not there: is it plugged in?" in bench.shown("device", "show", "pump-1"), task
    bench.wait_presence(presence="offline")
    device.plug()
    assert bench.succeeded(job)["result"] == {"name": "pump"}
    assert bench.presence() == "ready"


def test_a_look_finds_out_that_it_is_unplugged_and_back(bench):
    device = bench.device()
    southbridge = bench.start()
    device.unplug()
    done = southbridge.ctl("device", "identify", "pump-1", "--wait", "1s", check=False)
    assert done.status == 1 and done.json["error"] == "offline", done
    bench.wait_presence(presence="offline")
    bench.wait_log("is not there: is it plugged in?")
    device.plug()
    assert bench.ctl("device", "identify", "pump-1", "--wait", "10s")["presence"] == "ready"


def test_unplugged_in_the_middle_of_an_upload(bench):
    """The job says so; plugged in again it goes on where it was."""
    device = bench.device()
    bench.start()
    device.fault("slow", 0.05)
    job = bench.update("pump-1", "--retries", "5", "--retry-interval", "500ms")
    device.wait_event("upload", lambda e: e["off"] > 6000)
    device.unplug()
    task = bench.wait_task(job, lambda task: task["state"] == "queued")
    assert task["cause"] == "link_lost", task
    bench.wait_log("is not there: is it plugged in?")
    device.fault("slow", 0.0)
    device.plug()
    bench.succeeded(job)
    assert (device.version, device.confirmed) == ("2.0.0", True)
    assert len(device.events("erase")) == 1, "it went on"


def test_unplugged_for_good_in_the_middle_of_an_upload(bench):
    device = bench.device()
    bench.start()
    device.fault("slow", 0.05)
    job = bench.update()
    device.wait_event("upload", lambda e: e["off"] > 4000)
    device.unplug()
    task = bench.ended(job)
    assert (task["state"], task["cause"]) == ("failed", "link_lost") and task["text"], task
    bench.wait_presence(presence="offline")
    device.plug()
    bench.ctl("job", "retry", job)
    device.fault("slow", 0.0)
    bench.wait_task(job, lambda task: task["state"] == "succeeded", 60, index=1)
    assert device.version == "2.0.0"


def test_unplugged_at_its_restart(bench):
    """USB devices vanish when they restart, and come back as another terminal."""
    device = bench.device("pump-1", "--boot-time", "1")
    bench.start()
    job = bench.update()
    device.wait_event("down", timeout=60)
    device.unplug()
    bench.wait_task(job, lambda task: task["state"] == "restarting")
    device.plug()
    bench.succeeded(job)
    assert (device.version, device.confirmed) == ("2.0.0", True)


# ---- bad lines and strange devices ----

def test_a_bad_cable(bench, workspace):
    """Bytes lost, doubled and changed, each way: slower, and right all the same."""
    device = bench.device("pump-1", "--buf-size", "256")
    bench.start(mappings=quick_mappings(workspace, timeout="250ms"))
    package = bench.package(size=5000)
    for fault in ("drop", "duplicate", "corrupt"):
        device.fault(fault, 0.00015)
    job = bench.update("pump-1", "--retries", "3", "--retry-interval", "100ms", package=package)
    bench.succeeded(job, 120)
    assert (device.version, device.confirmed) == ("2.0.0", True)


def test_a_talkative_device(bench):
    """Log lines between frames, answers to older requests, lost answers and requests."""
    device = bench.device()
    bench.start()
    for fault, value in (("log", 2), ("wrong_seq", True), ("silent_answers", 1),
                         ("lost_requests", 1), ("back", 3)):
        device.fault(fault, value)
    bench.succeeded(bench.update())
    assert (device.version, device.confirmed) == ("2.0.0", True)


@pytest.mark.parametrize("fault", ["garbage", "huge", "hang"])
def test_a_device_that_loses_its_mind_in_an_upload(bench, fault):
    device = bench.device()
    bench.start()
    device.fault("slow", 0.03)
    job = bench.update()
    device.wait_event("upload", lambda e: e["off"] > 4000)
    device.fault(fault)
    task = bench.ended(job)
    assert (task["state"], task["cause"]) == ("failed", "link_lost"), task
    assert "does not answer" in task["text"]
    assert ("no SMP answer" in task["text"]) == (fault != "hang"), task
    assert device.version == "1.0.0"
    device.fault(fault, False)
    device.fault("slow", 0.0)
    bench.ctl("job", "retry", job)
    bench.wait_task(job, lambda task: task["state"] == "succeeded", 60, index=1)
    assert device.version == "2.0.0"


@pytest.mark.parametrize("fault", ["garbage", "chatter", "hang"])
def test_nobody_there_who_can_be_understood(bench, fault):
    """A job waits for the device, and ends when its time is over."""
    device = bench.device("pump-1", "--fault", fault)
    bench.start(wait=False)
    bench.wait_presence(presence="offline" if fault != "chatter" else "ready")
    job = bench.job("reboot", "pump-1", "--online-timeout", "1s")
    task = bench.ended(job)
    if fault == "chatter":  # noise between good answers is no harm
        assert task["state"] == "succeeded", task
    else:
        assert (task["state"], task["cause"]) == ("failed", "offline"), task
        assert device.boots == 1


# ---- several devices and lines ----

def pair(bench):
    """Two devices on a line each."""
    return bench.device("pump-1"), bench.device("pump-2")


def driving(bench):
    return bench.southbridge.status()["jobs"]["driving"]


def test_jobs_on_two_lines_run_in_parallel(bench):
    devices = pair(bench)
    bench.start()
    package = bench.package(size=120000)
    for device in devices:
        device.fault("slow", 0.2)  # half a minute, if it is not let go
    jobs = [bench.update(name, package=package) for name in ("pump-1", "pump-2")]
    wait_until(lambda: driving(bench) == 2, what="both under way")
    for device in devices:
        device.wait_event("upload", lambda e: e["off"] > 2000)
    assert not any(device.events("uploaded") for device in devices), "side by side"
    for device in devices:
        device.fault("slow", 0.0)
    for job in jobs:
        bench.succeeded(job)
    assert [device.version for device in devices] == ["2.0.0", "2.0.0"]


def test_one_job_on_two_lines(bench):
    pair(bench)
    bench.start()
    job = bench.update("pump-1", "pump-2")
    wait_until(lambda: bench.southbridge.job(job)["state"] == "done", 60, "the job")
    shown = bench.southbridge.job(job)
    assert shown["counts"] == {"succeeded": 2} and shown["outcome"] == "succeeded"


@pytest.mark.parametrize("fault", ["unplug", "garbage", "hang", "chatter"])
def test_a_broken_device_disturbs_no_other_line(bench, fault):
    broken, sound = pair(bench)
    bench.start()
    package = bench.package()
    broken.fault("slow", 0.2)
    first = bench.update("pump-1", package=package)
    broken.wait_event("upload", lambda e: e["off"] > 2000)
    if fault == "unplug":
        broken.unplug()
    else:
        broken.fault(fault)
    bench.succeeded(bench.update("pump-2", package=package))
    assert bench.succeeded(bench.job("read", "pump-2", "--name", "name"))["result"]
    assert sound.version == "2.0.0" and len(sound.events("erase")) == 1
    if fault == "chatter":
        broken.fault("slow", 0.0)
        broken.fault("chatter", False)
        bench.succeeded(first)
    else:
        task = bench.ended(first)
        assert (task["state"], task["cause"]) == ("failed", "link_lost"), task
    assert bench.presence("pump-2") == "ready"


def test_two_devices_on_one_line_one_after_the_other(bench):
    """One exclusive session per line: the second waits, and is told why."""
    device = bench.device("line")
    bench.start([device_spec(name, "board", "line", None) for name in ("a", "b")],
                buses={"line": {"point_to_point": True}})
    device.fault("slow", 0.2)
    first = bench.update("a", package=bench.package(size=120000))  # slow: for half a minute
    device.wait_event("upload", lambda e: e["off"] > 2000)
    waiting = [bench.job("reboot", "b"), bench.job("read", "b", "--name", "interval")]
    for job in waiting:
        assert bench.wait_task(job, lambda task: task.get("reason"))["reason"] == "busy"
        assert "waits: busy" in bench.shown("job", "show", str(job))
    assert driving(bench) == 1
    assert bench.task(first)["state"] == "downloading"
    device.fault("slow", 0.0)
    bench.succeeded(first)
    for job in waiting:
        bench.succeeded(job)
    assert device.boots == 3, "the start, the update, the reboot"
    assert len(device.events("erase")) == 1


def test_a_line_that_does_not_exist(bench):
    """A port that never was: other lines work, and the remedy is named."""
    bench.device("pump-1")
    bench.start([device_spec(name, "board", name, None) for name in ("pump-1", "ghost")],
                wait=False, top={"buses": {
                    "pump-1": {"port": str(bench.devices["pump-1"].link)},
                    "ghost": {"port": "/dev/serial/by-path/no-such-port"}}})
    bench.wait_presence("pump-1")
    bench.wait_presence("ghost", "offline")
    done = plain(bench.southbridge, "device", "show", "ghost")
    assert "/dev/serial/by-path/no-such-port is not there" in done.stdout
    bench.succeeded(bench.job("read", "pump-1", "--name", "name"))
