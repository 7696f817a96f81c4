# SPDX-License-Identifier: Apache-2.0
"""Every command of southbridgectl against the real daemon, for people and for programs."""
import json
import re
import signal
import sqlite3

import pytest
from daemon import device_spec, write_devices
from harness import SOURCE, Process, build_dir, run, wait_until
from quick import plain
from terminal import Terminal

LONG = 60000  # an image whose upload outlasts several commands when the device is slow


@pytest.fixture
def broker(no_broker):
    return no_broker


@pytest.fixture
def pump(bench):
    """A daemon with one device that is ready."""
    device = bench.device()
    bench.start()
    return device


def one_link(bench):
    """A link whose broker is not there."""
    return {"factory": {"dialect": "ibm", "uri": "mqtt://127.0.0.1:1", "org": "abc123",
                        "type": "gw", "id": "gw1",
                        "token": f"file:{bench.directory}/southbridge/token"}}


def rows(table):
    """[{title: cell}] of a table; two blanks stand between its columns."""
    titles, *lines = [re.split(r"  +", line.strip()) for line in table.splitlines()]
    return [dict(zip(titles, line)) for line in lines]


def refused(bench, *words, status=5, error="refused"):
    """The text of a refusal, which is the same for people and for programs."""
    told = bench.southbridge.ctl(*map(str, words), check=False)
    assert (told.status, told.json["error"]) == (status, error), (words, told)
    shown = plain(bench.southbridge, *map(str, words))
    assert shown.returncode == status and shown.stdout == "", (words, shown)
    for line in told.json["text"].splitlines():
        assert line in shown.stderr.splitlines()[0] or f"  {line}" in shown.stderr, (told, shown)
    return told.json["text"]


# ---- nothing there ----

def test_an_empty_gateway(bench):
    bench.start([])
    for words, empty, text in (
            (("device", "list"), [], "no devices"), (("job", "list"), [], "no open jobs"),
            (("job", "list", "--all"), [], "no jobs"), (("package", "list"), [], "no packages"),
            (("link", "list"), [], "no links are configured")):
        assert bench.ctl(*words) == empty, words
        assert text in bench.shown(*words), words
    assert bench.ctl("audit", "--verify")["whole"] is True
    for words in (("--help",), ("job", "--help"), ("job", "create", "--help"), ("--version",)):
        assert bench.shown(*words).strip(), words


def test_output_that_cannot_be_written(bench):
    """Is a failure, and is told, whatever was asked."""
    southbridge = bench.start([])
    for words in ("device list", "device list --json", "status --json", "audit", "--help"):
        command = f'exec "$0" --socket "$1" {words} >/dev/full'
        done = run(["bash", "-c", command, southbridge.program("southbridgectl"),
                    southbridge.socket], env=southbridge.environment())
        assert done.returncode == 1 and "could not be written" in done.stderr, (words, done)


def test_a_daemon_that_cannot_be_reached(bench):
    """Exit status 3, whatever is asked, and what to look at."""
    southbridge = bench.start([])
    southbridge.kill9()  # its socket stays
    assert "nobody listens" in refused(bench, "status", status=3, error="unreachable")
    southbridge.socket.unlink()
    for words in (("status",), ("device", "list"), ("job", "create", "reboot", "x"), ("audit",),
                  ("job", "watch", "1"), ("reload",), ("device", "identify", "x")):
        text = refused(bench, *words, status=3, error="unreachable")
        assert "is the daemon running" in text and str(southbridge.socket) in text
    for words in (("mapping", "check", SOURCE / "mappings/devices/zephyr-smp.yaml"), ("--help",)):
        assert plain(southbridge, *words).returncode == 0, words
    done = run([southbridge.program("southbridgectl"), "status"],
               env={"SOUTHBRIDGE_SOCKET": "/nowhere/else"})
    assert done.returncode == 3 and "/nowhere/else" in done.stderr


@pytest.mark.parametrize("words, said", [
    (("stauts",), "status"), (("job",), "job --help"), (("job", "crate"), "create"),
    (("job", "create"), "OPERATION"), (("job", "create", "firmware-updte", "x"), "firmware_update"),
    (("job", "create", "read", "x"), "--name"), (("job", "create", "write", "x"), "--value"),
    (("job", "create", "invoke", "x"), "--action"),
    (("job", "create", "firmware-update", "x"), "--package"),
    (("job", "create", "reboot", "x", "--uri", "http://a/b"), "--uri goes with"),
    (("job", "create", "reboot", "x", "--retires", "2"), "retries"),
    (("job", "create", "reboot", "x", "--timeout", "soon"), "soon"),
    (("job", "create", "reboot", "x", "--window", "25:00-26:00"), "--window"),
    (("device", "add", "x"), "it wants --type TYPE"), (("audit", "--limit", "0"), "at least 1"),
    (("job", "show", "one"), "one"), (("job", "show"), "JOB"), (("job", "pause"), "--all"),
    (("audit", "--verify", "--limit", "3"), "--limit"),
    (("package", "add", "/no/such"), "/no/such"), (("package", "add", "/"), "not a file"),
    (("status", "again"), "again")])
def test_a_wrong_command_line(workspace, words, said):
    """Exit status 2 and the nearest right thing, without asking the daemon."""
    done = run([build_dir() / "bridge/programs/southbridgectl", "--socket", workspace / "none",
                *words])
    assert done.returncode == 2 and done.stdout == "", done
    assert said in done.stderr, done.stderr


# ---- status, devices ----

def test_status(bench, pump):
    status = bench.ctl("status")
    assert status["running"] is True and status["paused"] is False and pump.boots == 1
    assert status["store"]["ready"] is True and status["devices"]["ready"] == 1
    assert status["pid"] == bench.southbridge.process.pid
    assert "driver smp is for lines with one device, but 'pump-1' is on bus" in refused(
        bench, "device", "add", "spare", "--type", "board", "--bus", "pump-1")
    shown = bench.shown("status")
    for piece in ("running", f"process {status['pid']}", "ready,", "0 open", "1 ready"):
        assert piece in shown, shown


def test_devices(bench):
    """list, show, add, identify, remove."""
    pump = bench.device()
    bench.start(buses={"pump-1": {"point_to_point": True}})
    device = bench.ctl("device", "list")[0]
    assert (device["id"], device["type"], device["bus"]) == ("pump-1", "board", "pump-1")
    assert device["presence"] == "ready" and device["versions"] == {"": "1.0.0"}
    row, = rows(bench.shown("device", "list"))
    assert [row[key] for key in ("DEVICE", "TYPE", "BUS", "PRESENCE", "VERSION")] == [
        "pump-1", "board", "pump-1", "ready", "1.0.0"]

    bench.ctl("device", "add", "spare", "--type", "board", "--bus", "pump-1", "--name",
              "ibm=pump/spare", "--commander", "native")
    bench.wait_presence("spare")
    assert bench.shown("device", "add", "other", "--type", "board") == \
        "device 'other' is registered\n"
    for words, text in ((("--type", "bord"), "no device type 'bord' (did you mean 'board'?)"),
                        (("--type", "board", "--bus", "pump-2"), "no bus 'pump-2'"),
                        (("--type", "board", "--commander", "factory"), "no link 'factory'"),
                        (("--type", "board", "--name", "hauwei=x"), "did you mean 'huawei'")):
        assert text in refused(bench, "device", "add", "wrong", *words)
    assert {d["id"] for d in bench.ctl("device", "list")} == {"pump-1", "spare", "other"}
    assert {d["id"] for d in bench.ctl("device", "list", "--type", "board")} == \
        {"pump-1", "spare", "other"}
    assert bench.ctl("device", "list", "--type", "other") == []
    assert [d["id"] for d in bench.ctl("device", "list", "--presence", "unknown")] == ["other"]
    assert bench.ctl("device", "list", "--bus", "none") == []

    shown = bench.shown("device", "show", "spare")
    for piece in ("registered at run time", "pump/spare", "native", "1.0.0", "frdm_k64f",
                  "board: Board of the tests", "sum"):
        assert piece in shown, shown
    assert bench.ctl("device", "show", "spare")["operations"].count("reboot") == 1
    assert bench.ctl("device", "show", "spare")["actions"] == ["sum", "count", "fail"]
    assert "no device 'spaer' (did you mean 'spare'?)" in refused(
        bench, "device", "show", "spaer", status=4, error="not_found")

    pump.fault("silent_answers", 1)  # it is asked again
    assert bench.ctl("device", "identify", "spare", "--wait", "10s")["presence"] == "ready"
    assert "being asked" in bench.shown("device", "identify", "spare")
    assert "ready" in bench.shown("device", "identify", "spare", "--wait", "10s")

    assert "'spare'" in refused(bench, "device", "add", "spare", "--type", "board")
    assert refused(bench, "device", "add", "no/slash", "--type", "board")
    assert "devices.d" in refused(bench, "device", "remove", "pump-1")
    assert "no driver or no bus" in refused(bench, "device", "identify", "other")
    assert "ready, offline or unknown" in refused(bench, "device", "list", "--presence", "gone",
                                                  status=2, error="usage")
    for words in (("show",), ("remove",), ("identify",)):
        refused(bench, "device", *words, "nobody", status=4, error="not_found")

    assert bench.shown("device", "remove", "spare") == "device 'spare' is forgotten\n"
    bench.southbridge.restart()
    assert {d["id"] for d in bench.ctl("device", "list")} == {"pump-1", "other"}
    bench.ctl("device", "remove", "other")


# ---- jobs ----

def test_each_operation(bench, pump):
    """From the request to the result that was read back, on the device and in words."""
    package = bench.package()

    def result(*words):
        return bench.succeeded(bench.job(*words)).get("result")

    assert result("read", "pump-1", "--name", "interval", "--name", "name", "--name", "serial") \
        == {"interval": 60, "name": "pump", "serial": "4711"}
    assert result("write", "pump-1", "--value", "interval=90", "--value", "name=north") \
        == {"interval": 90, "name": "north"}
    assert result("configure", "pump-1", "--value", "interval=120") == {"interval": 120}
    assert pump.events("commit") and pump.events("save")
    values = bench.directory / "values.json"
    values.write_text('{"interval": 150, "name": "south"}')
    assert result("configure", "pump-1", "--uri", f"file://{values}") \
        == {"interval": 150, "name": "south"}
    assert len(pump.events("save")) == 2
    assert result("invoke", "pump-1", "--action", "sum", "--arg", "a=3", "--arg", "b=4")["sum"] == 7
    assert result("invoke", "pump-1", "--action", "count")["count"] == 1
    result("reboot", "pump-1")
    assert pump.boots == 2
    result("firmware-download", "pump-1", "--package", package)
    assert bench.ctl("device", "show", "pump-1")["staged"]["package"] == package
    assert "package " + package in bench.shown("device", "show", "pump-1")
    assert pump.events("erase") == [], "it is staged in the gateway"
    result("firmware-install", "pump-1")
    assert (pump.version, pump.confirmed) == ("2.0.0", True)
    result("firmware-update", "pump-1", "--package", bench.package("3.0.0"), "--retries", "1")
    assert (pump.version, pump.confirmed) == ("3.0.0", True)
    result("factory-reset", "pump-1")
    assert len(pump.events("erase-storage")) == 1
    assert result("read", "pump-1", "--name", "interval") == {"interval": 60}

    jobs = bench.ctl("job", "list", "--all")
    assert len(jobs) == 12 and all(job["outcome"] == "succeeded" for job in jobs)
    table = rows(bench.shown("job", "list", "--all"))
    assert [row["JOB"] for row in table] == [str(job["id"]) for job in jobs], "newest first"
    assert {row["STATE"] for row in table} == {"succeeded"}
    assert {row["%"] for row in table} == {"100"}
    assert [job["id"] for job in bench.ctl("job", "list", "--all", "--limit", "2", "--before",
                                           jobs[0]["id"])] == [job["id"] for job in jobs[1:3]]
    assert len(bench.ctl("job", "list", "--all", "--device", "pump-1")) == 12
    assert bench.ctl("job", "list", "--all", "--device", "nobody") == []
    assert bench.ctl("job", "list") == []
    shown = bench.shown("job", "show", str(jobs[-1]["id"]))
    for piece in ("Operation     read", "native, uid", "succeeded", "pump", "4711"):
        assert piece in shown, shown


def test_what_cannot_be_done(bench, pump):
    """Refused before anything is done, with the reason; and what the device refuses."""
    for words, said in (
            (("read", "nobody", "--name", "x"), "no device 'nobody'"),
            (("read", "pump-1", "--name", "colour"), "colour"),
            (("write", "pump-1", "--value", "serial=1"), "serial"),
            (("write", "pump-1", "--value", "interval=many"), "interval"),
            (("invoke", "pump-1", "--action", "dance"), "dance"),
            (("firmware-install", "pump-1"), "nothing is staged"),
            (("firmware-update", "pump-1", "--package", "p-none"), "no package 'p-none'"),
            (("firmware-update", "pump-1", "--uri", "http:///x"), "no host"),
            (("firmware-update", "pump-1", "--uri", "gopher://a/x"), "https, http and file")):
        text = refused(bench, "job", "create", *words)
        assert said in text, (words, text)
    assert bench.ctl("job", "list", "--all") == []
    task = bench.ended(bench.job("invoke", "pump-1", "--action", "fail"))
    assert task["state"] == "failed" and task["native_code"], task
    assert task["native_code"] in bench.shown("job", "show", "1")
    task = bench.ended(bench.job("write", "pump-1", "--value", "clamped=9"))
    assert task["state"] == "failed", "what is read back differs from what was written"
    for words in (("show",), ("watch",), ("cancel",), ("confirm",), ("retry",)):
        refused(bench, "job", *words, "4711", status=4, error="not_found")
    assert pump.boots == 1


def test_hold_confirm_cancel_retry(bench, pump):
    held = bench.job("reboot", "pump-1", "--hold")
    assert bench.task(held)["state"] == "held"
    assert rows(bench.shown("job", "list"))[0]["TASKS"] == "1 held"
    bench.ctl("job", "confirm", held)
    bench.succeeded(held)
    assert "ended already" in refused(bench, "job", "confirm", held, error="too_late")
    assert "ended already" in refused(bench, "job", "cancel", held, error="too_late")
    assert "nothing of job" in refused(bench, "job", "retry", held)

    held = bench.job("reboot", "pump-1", "--hold")
    assert "on 1 device" in bench.shown("job", "cancel", str(held))
    assert bench.task(held)["state"] == "cancelled" and bench.task(held)["cause"] == "operator"
    running = bench.job("reboot", "pump-1", "--hold")
    assert "still open" in refused(bench, "job", "retry", running)
    refused(bench, "job", "cancel", running, "--device", "other", status=4, error="not_found")
    bench.ctl("job", "cancel", running, "--device", "pump-1")
    bench.ctl("job", "retry", held)
    bench.wait_task(held, lambda task: task["state"] == "succeeded", index=1)
    assert [task["round"] for task in bench.ctl("job", "show", held)["tasks"]] == [1, 2]
    assert pump.boots == 3


def test_what_is_fetched_edited_and_ruled(bench, pump):
    """Jobs that push nothing, that change while they are open, and that keep matching."""
    pulled = bench.job("reboot", "pump-1", "--pull", "--tag", "why=recall")
    bench.wait_task(pulled, lambda task: task.get("reason") == "pull")
    bench.ctl("job", "edit", pulled, "--timeout", "2h", "--untag", "why")
    job = bench.ctl("job", "show", pulled)
    assert job["policy"]["whole_timeout"] == 7200000 and "tags" not in job
    assert "let go on 1 device" in bench.shown("job", "fetch", str(pulled))
    bench.succeeded(pulled)

    kind = bench.ctl("device", "show", "pump-1")["type"]
    rule = bench.job("reboot", "--type", kind, "--rule")
    bench.succeeded(rule)
    assert bench.ctl("job", "show", rule)["state"] == "active"
    assert "rule is on" in bench.shown("job", "show", str(rule))
    assert "rule is off" in bench.shown("job", "rule", str(rule), "off")
    assert bench.ctl("job", "show", rule)["state"] == "done"

    ended = bench.ctl("job", "create", "reboot", "pump-1", "--answer", "final")
    assert ended["job"]["outcome"] == "succeeded"
    assert pump.boots == 4  # the first was its start


def test_cancel_under_way_and_too_late(bench):
    """Until the commit point a job stops; past it that is refused, and it goes on to its end."""
    pump = bench.device("pump-1", "--boot-time", "6")
    bench.start()
    package = bench.package(size=LONG)
    pump.fault("slow", 0.2)
    job = bench.update(package=package)
    pump.wait_event("upload", lambda e: e["off"] > 2000)
    bench.ctl("job", "cancel", job)
    task = bench.ended(job)
    assert (task["state"], task["cause"]) == ("cancelled", "operator"), task
    assert not pump.events("uploaded") and pump.version == "1.0.0"
    pump.fault("slow", 0.0)
    bench.ctl("job", "retry", job)
    pump.wait_event("reset", timeout=60)
    assert "cannot be stopped any more" in refused(bench, "job", "cancel", job, error="too_late")
    bench.wait_task(job, lambda task: task["state"] == "succeeded", index=1)
    assert pump.version == "2.0.0"


def test_the_same_request_again(bench, pump):
    words = ("reboot", "pump-1", "--id", "mine", "--hold")
    job = bench.job(*words)
    assert bench.ctl("job", "create", *words) == {"id": job, "existing": True}
    assert "open already" in bench.shown("job", "create", *words)
    assert "'mine'" in refused(bench, "job", "create", "factory-reset", "pump-1", "--id",
                                         "mine")
    bench.ctl("job", "cancel", job)
    bench.ended(job)
    assert pump.boots == 1


def test_conflicts_between_updates(bench, pump):
    """One firmware activity per device: the others are refused, wait, or take its place."""
    first, second = bench.package("2.0.0", LONG), bench.package("3.0.0", LONG)
    pump.fault("slow", 0.2)
    job = bench.update(package=first)
    pump.wait_event("upload", lambda e: e["off"] > 1000)
    text = refused(bench, "job", "create", "firmware-update", "pump-1", "--package", second)
    assert f"job {job}" in text and "native" in text, text
    assert "still at work" in refused(bench, "job", "create", "firmware-update", "pump-1",
                                      "--package", second, "--conflict", "replace-unstarted")
    replacing = bench.update("pump-1", "--conflict", "replace-uncommitted", package=second)
    task = bench.ended(job)
    assert (task["state"], task["cause"]) == ("cancelled", "overridden"), task
    waiting = bench.update("pump-1", "--conflict", "queue", package=bench.package("4.0.0"))
    assert bench.wait_task(waiting, lambda task: task.get("reason"))["reason"] == "busy"
    pump.fault("slow", 0.0)
    bench.succeeded(replacing)
    bench.succeeded(waiting)
    assert pump.version == "4.0.0"


def test_downgrades(bench, pump):
    old = bench.package("0.9.0")
    task = bench.ended(bench.update(package=old))
    assert (task["state"], task["cause"]) == ("failed", "downgrade_refused"), task
    bench.succeeded(bench.update("pump-1", "--allow-downgrade", package=old))
    assert pump.version == "0.9.0"


def test_times(bench, pump):
    """Planned jobs, windows and what expires."""
    planned = bench.job("reboot", "pump-1", "--at", "+2h")
    task = bench.wait_task(planned, lambda task: task.get("reason"))
    assert task["reason"] == "scheduled"
    assert bench.ctl("job", "show", planned)["state"] == "planned"
    assert "start_at" in bench.shown("job", "show", str(planned))
    bench.ctl("job", "cancel", planned)
    held = bench.job("reboot", "pump-1", "--hold", "--timeout", "500ms")
    task = bench.ended(held)
    assert (task["state"], task["cause"]) == ("failed", "timeout"), task
    assert "zone" in refused(bench, "job", "create", "reboot", "pump-1", "--window", "01:00-02:00",
                             "--zone", "Mars/Olympus")
    done = bench.job("reboot", "pump-1", "--window", "00:00-23:59", "--zone", "UTC")
    assert "00:00-23:59 UTC" in bench.shown("job", "show", str(done))
    bench.succeeded(done)
    assert pump.boots == 2


def test_the_emergency_stop(bench, pump):
    """What is under way goes on, nothing new is handed over, also over a restart."""
    pump.fault("slow", 0.2)
    running = bench.update()
    pump.wait_event("upload", lambda e: e["off"] > 1000)
    assert bench.ctl("job", "pause", "--all") == {"paused": True}
    assert "paused" in bench.shown("job", "pause", "--all")
    pump.fault("slow", 0.0)
    bench.succeeded(running)
    waiting = bench.job("reboot", "pump-1")
    assert bench.wait_task(waiting, lambda task: task.get("reason"))["reason"] == "paused"
    assert bench.ctl("status")["paused"] is True
    assert "resume --all" in bench.shown("status")
    bench.southbridge.restart()
    bench.wait_presence()
    task = bench.task(waiting)
    assert (task["state"], task["reason"]) == ("queued", "paused") and pump.boots == 2
    assert bench.ctl("job", "resume", "--all") == {"paused": False}
    bench.succeeded(waiting)
    verbs = [record["verb"] for record in bench.ctl("audit", "--subject", "all jobs")]
    assert verbs == ["pause", "pause", "resume"]


# ---- watching ----

def watched(bench, *words):
    """The lines of --json, and the exit status."""
    done = plain(bench.southbridge, *map(str, words), "--json")
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def test_watch_tells_each_change_and_the_end(bench, pump):
    events, status = watched(bench, "job", "create", "firmware-update", "pump-1", "--package",
                             bench.package(), "--watch")
    assert status == 0
    assert set(events[0]) == {"id", "existing"}
    assert events[1]["job"]["state"] in ("planned", "active")
    states = [event["task"]["state"] for event in events if "task" in event]
    for state in ("downloading", "installing", "restarting", "succeeded"):
        assert state in states, states
    percents = [event["task"]["percent"] for event in events if "task" in event]
    assert percents == sorted(percents), "forward only"
    assert events[-1]["job"]["outcome"] == "succeeded"
    lines = bench.shown("job", "watch", "1").splitlines()
    assert lines[0].endswith("pump-1  succeeded"), lines
    assert lines[1].startswith("job 1: pump-1 succeeded, version 2.0.0"), lines
    assert pump.version == "2.0.0"


def test_the_exit_status_of_a_watched_job(bench, pump):
    del pump
    fails = bench.job("invoke", "pump-1", "--action", "fail")
    assert bench.shown("job", "watch", str(fails), status=1) == ""
    assert watched(bench, "job", "watch", fails)[1] == 1
    cancelled = bench.job("reboot", "pump-1", "--hold")
    bench.ctl("job", "cancel", cancelled)
    assert watched(bench, "job", "watch", cancelled)[1] == 6
    shown = plain(bench.southbridge, "job", "watch", str(fails))
    assert "failed" in shown.stdout and "job 1: pump-1 failed" in shown.stdout, shown


def test_watching_ends_and_the_job_goes_on(bench, pump, workspace):
    pump.fault("slow", 0.2)
    job = bench.update(package=bench.package(size=LONG))
    watch = Process("watch", [bench.southbridge.program("southbridgectl"), "--socket",
                              bench.southbridge.socket, "job", "watch", str(job)], workspace)
    wait_until(lambda: "downloading" in watch.stdout, what="progress")
    watch.signal(signal.SIGINT)
    assert watch.wait() == 130
    assert f"job {job} goes on" in watch.stderr
    again = Process("again", watch.argv, workspace)
    wait_until(lambda: "downloading" in again.stdout, what="progress")
    bench.southbridge.kill9()
    assert again.wait() == 3 and "hung up" in again.stderr
    bench.southbridge.start()
    pump.fault("slow", 0.0)
    bench.succeeded(job)


# ---- packages ----

def test_packages(bench, pump, workspace):
    odd = workspace / "Gerät 1 (100 %) #2?.img"
    odd.write_bytes(bench.image("2.0.0").read_bytes())
    package = bench.ctl("package", "add", odd, "--version", "2.0.0", "--name", "pump firmware",
                        "--fits", "type=board,other")
    assert package["fits"] == {"type": ["board", "other"]} and len(package["sha256"]) == 64
    again = bench.shown("package", "add", str(odd), "--version", "2.0.0", "--name",
                        "pump firmware", "--fits", "type=board,other")
    assert again == f"package {package['id']}\n"
    other = bench.ctl("package", "add", "https://fw.example.com/a.img?sig=secret", "--version",
                      "9", "--md5", "0" * 32)
    assert {p["id"] for p in bench.ctl("package", "list")} == {package["id"], other["id"]}
    row, = [row for row in rows(bench.shown("package", "list")) if row["PACKAGE"] == package["id"]]
    assert (row["NAME"], row["VERSION"], row["FETCHED"], row["FROM"]) == (
        "pump firmware", "2.0.0", "no", "operator")
    shown = bench.shown("package", "show", other["id"])
    assert "https://fw.example.com/a.img?***" in shown and "secret" not in shown

    bench.succeeded(bench.job("firmware-download", "pump-1", "--package", package["id"]))
    assert bench.ctl("package", "show", package["id"])["artifact"] == package["sha256"]
    assert "device 'pump-1' needs it" in refused(bench, "package", "remove", package["id"])
    bench.succeeded(bench.job("firmware-install", "pump-1"))
    assert pump.version == "2.0.0"
    bench.shown("package", "remove", package["id"])
    bench.ctl("package", "remove", other["id"])
    for words in (("show",), ("remove",)):
        refused(bench, "package", *words, package["id"], status=4, error="not_found")
    assert bench.ctl("package", "list") == []
    for words in (("https://",), ("http://a b/c",), ("ftp://a/b",)):
        refused(bench, "package", "add", *words)
    refused(bench, "package", "add", "https://a.example/x", "--sha256", "abc")
    assert "did you mean 'model'?" in refused(bench, "package", "add", "https://a.example/x",
                                              "--fits", "modle=x", status=2, error="usage")


def test_an_image_that_is_made_for_others(bench, pump):
    package = bench.ctl("package", "add", bench.image(), "--version", "2.0.0", "--fits",
                        "type=meter")["id"]
    text = refused(bench, "job", "create", "firmware-update", "pump-1", "--package", package)
    assert "not made for" in text and pump.version == "1.0.0"


# ---- links, mappings, reload ----

DIALECTS = {"alibaba", "azure", "huawei", "ibm"}


def test_links_and_their_words(bench):
    bench.device()
    bench.start(top={"links": one_link(bench)})
    link = bench.ctl("link", "list")[0]
    assert (link["name"], link["dialect"], link["role"], link["up"]) == (
        "factory", "ibm", "uplink", False)
    wait_until(lambda: "text" in bench.ctl("link", "list")[0], what="a reason")
    row, = rows(bench.shown("link", "list"))
    assert (row["LINK"], row["DIALECT"], row["STATE"]) == ("factory", "ibm", "down")
    assert "127.0.0.1:1" in row["TEXT"]
    told = bench.ctl("mapping", "explain", "pump-1")
    assert told["links"][0]["link"] == "factory" and told["links"][0]["may_command"] is True
    assert {link["dialect"] for link in told["links"]} == DIALECTS
    assert [link["dialect"] for link in told["links"] if "link" in link] == ["ibm"]
    job = str(bench.ctl("job", "create", "reboot", "pump-1", "--hold")["id"])
    task, = bench.ctl("job", "show", job)["tasks"]
    assert set(task["words"]) == DIALECTS and all(task["words"].values())
    shown = bench.shown("job", "show", job)
    assert "In each dialect" in shown and all(dialect in shown for dialect in DIALECTS)
    causes = {cause["cause"] for cause in told["links"][0]["causes"]}
    assert {"offline", "no_space", "verify_failed", "internal"} <= causes
    shown = bench.shown("mapping", "explain", "pump-1", "--link", "factory")
    for piece in ("firmware_download", "updateStatus", "verify_failed", "While it is under way"):
        assert piece in shown, shown
    refused(bench, "mapping", "explain", "pump-1", "--link", "other", status=4, error="not_found")
    refused(bench, "mapping", "explain", "nobody", status=4, error="not_found")


def test_mapping_check(bench, workspace):
    southbridge = bench.start([])
    good = sorted((SOURCE / "mappings").rglob("*.yaml"))
    assert plain(southbridge, "mapping", "check", *good).returncode == 0
    bad = workspace / "bad.yaml"
    bad.write_text("name: bad\ndriver: smp\nverfy: hash\n", encoding="ascii")
    done = plain(southbridge, "mapping", "check", good[0], bad)
    assert done.returncode == 1, done
    assert f"{bad}:3" in done.stderr and "'verify'" in done.stderr, done.stderr
    words = workspace / "words.yaml"
    text = (SOURCE / "mappings/dialects/ibm.yaml").read_text(encoding="utf-8")
    text, count = re.subn(r"(?m)^ +verify_failed:\n( +\{[^}]*\}\n)", "", text)
    assert count == 1
    words.write_text(text, encoding="utf-8")
    done = plain(southbridge, "mapping", "check", words)
    assert done.returncode == 1 and "verify_failed" in done.stderr, done


def test_reload(bench, pump, workspace):
    """Good files come into force; with one finding nothing changes, and it says where."""
    southbridge = bench.southbridge
    spec = device_spec("pump-1", "board", "pump-1", None)
    before = bench.ctl("device", "list")
    for device, said in (({**spec, "tpye": "board"}, "type"), ({**spec, "bus": "no bus"}, "bus"),
                         ({"id": "pump-1"}, "type")):
        write_devices(southbridge.directory, [device, device_spec("late", "board", None, None)])
        text = refused(bench, "reload")
        assert "nothing was changed" in text and re.search(r"devices\.d/\S+:\d+", text), text
        assert said in text, text
        assert bench.ctl("device", "list") == before
    write_devices(southbridge.directory, [spec, device_spec("late", "board", None, None)])
    mapping = workspace / "mappings/devices/board.yaml"
    good = mapping.read_text(encoding="ascii")
    mapping.write_text(good.replace("health: 200ms", "helth: 200ms"), encoding="ascii")
    text = refused(bench, "reload")
    assert re.search(r"board\.yaml:\d+", text) and "'health'" in text, text
    assert bench.ctl("device", "list") == before
    bench.succeeded(bench.job("read", "pump-1", "--name", "name"))
    mapping.write_text(good.replace("  name: { setting: app/name", "  title: { setting: app/name"),
                       encoding="ascii")
    assert "read again" in bench.shown("reload")
    assert {d["id"] for d in bench.ctl("device", "list")} == {"pump-1", "late"}
    assert bench.succeeded(bench.job("read", "pump-1", "--name", "title"))["result"] == {
        "title": "pump"}
    refused(bench, "job", "create", "read", "pump-1", "--name", "name")
    assert pump.boots == 1


# ---- the audit ----

def test_audit(bench, pump):
    """Who asked what, each step, in order, hash after hash."""
    bench.succeeded(bench.job("reboot", "pump-1"))
    bench.ctl("device", "add", "spare", "--type", "board")
    records = bench.ctl("audit", "--limit", "1000")
    assert [record["id"] for record in records] == list(range(1, len(records) + 1))
    assert all(after["previous"] == before["hash"]
               for before, after in zip(records, records[1:]))
    asked = next(record for record in records if record["subject"] == "job 1")
    assert re.fullmatch(r"uid \d+ \(\S+\)", asked["actor"]), asked
    of_task = bench.ctl("audit", "--subject", "task 1")
    assert of_task[-1]["detail"]["state"] == "succeeded" and len(of_task) >= 3
    assert bench.ctl("audit", "--actor", asked["actor"])[-1]["verb"] == "device add"
    assert bench.ctl("audit", "--limit", "2") == records[-2:]
    assert bench.ctl("audit", "--since", records[1]["id"], "--limit", "2") == records[2:4]
    assert bench.ctl("audit", "--since", records[-1]["id"]) == []
    table = rows(bench.shown("audit"))
    assert [row["ID"] for row in table] == [str(record["id"]) for record in records]
    told = bench.ctl("audit", "--verify")
    assert told == {"whole": True, "records": len(records), "first": 1, "last": len(records),
                    "hash": records[-1]["hash"]}
    assert records[-1]["hash"] in bench.shown("audit", "--verify")
    assert pump.boots == 2


def test_audit_follow(bench, workspace):
    bench.start([])
    follow = Process("follow", [bench.southbridge.program("southbridgectl"), "--socket",
                                bench.southbridge.socket, "audit", "--follow"], workspace)
    bench.ctl("device", "add", "one", "--type", "board")
    wait_until(lambda: "device one" in follow.stdout, what=lambda: follow.stdout)
    bench.ctl("device", "remove", "one")
    wait_until(lambda: "device remove" in follow.stdout, what=lambda: follow.stdout)
    follow.signal(signal.SIGINT)
    assert follow.wait() == 130


def tamper(southbridge, *statements):
    """As somebody with root's rights and a tool would."""
    with sqlite3.connect(southbridge.directory / "state" / "southbridge.db") as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.mark.parametrize("statement, broken", [
    ("UPDATE audit SET body = replace(body, 'device add', 'device xxx') WHERE id = 2", 2),
    ("UPDATE audit SET body = json_set(body, '$.actor', 'nobody') WHERE id = 3", 3),
    ("DELETE FROM audit WHERE id = 2", 3),
    ("DELETE FROM audit WHERE id = 1", 2)])
def test_a_trail_that_was_changed(bench, statement, broken):
    southbridge = bench.start([])
    for name in ("one", "two", "three"):
        bench.ctl("device", "add", name, "--type", "board")
    southbridge.stop()
    tamper(southbridge, statement)
    southbridge.start()
    told = southbridge.ctl("audit", "--verify", check=False)
    assert told.status == 1 and told.json["whole"] is False and told.json["broken"] == broken, told
    shown = plain(southbridge, "audit", "--verify")
    assert shown.returncode == 1 and f"breaks at record {broken}" in shown.stdout, shown
    bench.ctl("device", "add", "four", "--type", "board")  # it goes on all the same


# ---- on a terminal ----

def on_terminal(bench, *words, columns=80, **environment):
    southbridge = bench.southbridge
    return Terminal([southbridge.program("southbridgectl"), "--socket", southbridge.socket,
                     *map(str, words)], columns, **{**southbridge.environment(), **environment})


@pytest.mark.parametrize("columns", [80, 132])
def test_tables_fit_the_terminal(bench, columns):
    bench.start([], top={"links": one_link(bench)})
    long = "a-device-with-a-name-that-is-quite-long-indeed-4711"
    bench.ctl("device", "add", long, "--type", "board")
    bench.ctl("package", "add", "https://fw.example.com/a/quite/long/path/to/an/image.bin")
    for words in (("device", "list"), ("link", "list"), ("audit",), ("package", "list")):
        status, screen = on_terminal(bench, *words, columns=columns).finish()
        assert status == 0 and screen.widest <= columns, (words, screen.text())
    status, screen = on_terminal(bench, "device", "list", columns=columns).finish()
    assert ("4711" in screen.text()) == (columns > 80), screen.text()


def bars(terminal, since=0):
    """The widths of all lines with a bar that were drawn."""
    plain_lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", terminal.output[since:]).splitlines()
    return [len(line) for line in plain_lines if re.search(r"\] +\d+%", line)]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_progress_on_a_terminal(bench, pump, columns):
    """A bar that grows in its place, within the width, and one line that says how it ended."""
    pump.fault("slow", 0.01)
    terminal = on_terminal(bench, "job", "create", "firmware-update", "pump-1", "--package",
                           bench.package(), "--watch", columns=columns)
    terminal.wait_for("downloading", 30)
    pump.fault("slow", 0.0)
    status, screen = terminal.finish()
    assert status == 0, screen.text()
    lines = screen.text().splitlines()
    assert lines[0] == "job 1 created" and lines[3:5] == ["", "Results"], screen.text()
    assert all(width < columns for width in bars(terminal)), bars(terminal)
    bar = re.fullmatch(r"pump-1\s+succeeded\s+\[(█+)\] 100%.*", lines[1])
    assert bar and len(bar[1]) >= 4, lines
    assert lines[2].startswith("job 1: pump-1 succeeded, version 2.0.0"), lines
    percents = [int(text) for text in re.findall(r"(\d+)%", terminal.output)]
    assert percents == sorted(percents) and len(set(percents)) > 3, "live, and only forward"
    assert "\x1b[" in terminal.output, "colours"


def test_a_terminal_without_colours_and_letters(bench, pump):
    del pump
    terminal = on_terminal(bench, "job", "create", "reboot", "pump-1", "--watch",
                           NO_COLOR="1", LANG="C", LC_ALL="C")
    status, screen = terminal.finish()
    assert status == 0 and not re.search(r"\x1b\[[0-9;]*m", terminal.output)
    assert terminal.output.isascii() and "[####" in screen.text()
    terminal = on_terminal(bench, "job", "create", "reboot", "pump-1", "--watch", TERM="dumb")
    status, screen = terminal.finish()
    assert status == 0 and "\x1b" not in terminal.output and "succeeded" in screen.text()


def test_a_terminal_that_shrinks_while_one_watches(bench, pump):
    pump.fault("slow", 0.2)
    job = bench.update(package=bench.package(size=LONG))
    terminal = on_terminal(bench, "job", "watch", job, columns=120)
    terminal.wait_for("transferring", 30)
    assert max(bars(terminal)) > 50
    terminal.resize(50)
    resized = len(terminal.output)
    pump.wait_event("upload", lambda e: e["off"] > 5000)
    pump.fault("slow", 0.0)
    status, _ = terminal.finish()
    widths = bars(terminal, resized)
    assert status == 0 and widths[-1] < 50, widths


def test_several_devices_on_a_terminal(bench):
    devices = [bench.device(f"pump-{i}") for i in (1, 2, 3)]
    bench.start()
    terminal = on_terminal(bench, "job", "create", "reboot", *bench.devices, "--watch")
    status, screen = terminal.finish()
    assert status == 0 and screen.widest < 80
    lines = screen.text().splitlines()
    assert len(lines) == 6, screen.text()
    assert re.match(r"job 1\s+\S+\s+\[█+\] 100%", lines[1]), lines
    assert [line.split()[0] for line in lines[2:5]] == ["pump-1", "pump-2", "pump-3"]
    assert lines[5].startswith("job 1: 3 of 3 succeeded")
    assert [device.boots for device in devices] == [2, 2, 2]


def test_ctrl_c_on_a_terminal(bench, pump):
    pump.fault("slow", 0.2)
    job = bench.update(package=bench.package(size=LONG))
    terminal = on_terminal(bench, "job", "watch", job)
    terminal.wait_for("downloading", 30)
    terminal.signal(signal.SIGINT)
    status, screen = terminal.finish()
    assert status == 130 and f"job {job} goes on" in screen.text()
    pump.fault("slow", 0.0)
    bench.succeeded(job)
