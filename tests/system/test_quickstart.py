# SPDX-License-Identifier: Apache-2.0
"""packaging/quickstart.sh as a stranger runs it: it shows what it promises, ends by itself and
leaves nothing behind. Its build is its own and is kept, so that a second run is quick."""
import pathlib
import re
import signal

import pytest
from harness import SOURCE, Process, build_dir, leftovers, run, wait_until

BUILD_TIME = 600.0  # s, with everything else running beside it
SCRIPT = SOURCE / "packaging" / "quickstart.sh"
ACTIONS = (("firmware/download", "pump/pump-1"), ("firmware/update", "pump/pump-1"),
           ("device/reboot", "pump/pump-1"), ("device/factory_reset", "pump/pump-1"),
           ("firmware/download", "valve/valve-1"), ("firmware/update", "valve/valve-1"),
           ("firmware/download", "panel/panel-1"), ("firmware/update", "panel/panel-1"))
WORK = re.compile(r"/tmp/southbridge-quickstart\.\w+")


class Quickstart:
    """One run; its processes carry this session's mark, as all that tests start."""

    def __init__(self, directory, *words):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # so that Ctrl-C counts
        self.process = Process("quickstart", ["nice", "-n", "5", SCRIPT, *words], directory,
                               {"SB_QUICKSTART_BUILD": build_dir() / "quickstart"})
        signal.signal(signal.SIGINT, before)

    def work(self):
        """Its directory, as soon as its broker runs there."""
        def find():
            found = [WORK.search(command) for _, command in leftovers() if "mosquitto" in command]
            return pathlib.Path(found[0][0]) if found and found[0] else not self.process.running
        work = wait_until(find, BUILD_TIME, "the broker")
        assert work is not True, self.said()
        return work

    def wait_text(self, text, timeout):
        wait_until(lambda: text in self.process.stdout or not self.process.running, timeout, text)
        assert text in self.process.stdout, self.said()

    def said(self):
        return self.process.stdout + self.process.stderr


@pytest.fixture
def quickstart(workspace):
    made = []

    def make(*words):
        made.append(Quickstart(workspace, *words))
        return made[-1]

    yield make
    for each in made:
        if each.process.running:
            each.process.stop()


def programs(work):
    """What runs there, by name."""
    return {pathlib.Path(command.split()[0]).name for _, command in leftovers()
            if str(work) in command}


def test_it_shows_everything_and_leaves_nothing(quickstart):
    running = quickstart()
    work = running.work()
    wait_until(lambda: {"mosquitto", "southbridge"} <= programs(work), 60, "broker and daemon")
    status = running.process.wait(300)
    assert status == 0, running.said()
    assert not work.exists() and leftovers() == []

    text = running.process.stdout
    assert "\x1b" not in text, "colours, but no terminal"
    done = re.findall(r"^(\S+) of (\S+): success", text, re.MULTILINE)
    assert tuple(done) == ACTIONS, running.said()
    # Each message as it passes, in both directions, by its topic and with its body.
    for suffix in ("device/update", "observe", "mgmt/initiate/firmware/download",
                   "mgmt/initiate/firmware/update", "cancel", "mgmt/initiate/device/reboot",
                   "mgmt/initiate/device/factory_reset"):
        assert re.search(rf"^[\d:.]+ cloud --> pump/pump-1 +{suffix}  {{", text, re.MULTILINE), suffix
    for suffix, body in (("mgmt/manage", '"fwVersion":"1.1.0"'), ("response", '"rc":202'),
                         ("notify", '"state":1,"updateStatus":0'),
                         ("notify", '"state":2,"updateStatus":0'),
                         ("notify", '"state":2,"updateStatus":1'),
                         ("notify", '"state":0,"updateStatus":0')):
        assert re.search(rf"cloud <-- pump/pump-1 +{suffix}  .*{re.escape(body)}", text), body
    # Progress is live: it stands between the messages, not behind them.
    lines = text.splitlines()
    progress = [i for i, line in enumerate(lines) if line.startswith("progress ")]
    messages = [i for i, line in enumerate(lines) if " cloud " in line]
    assert any("restarting" in lines[i] for i in progress)
    assert progress[0] < messages[-1]
    # And a summary.
    for device, version in (("pump-1", "1.1.0"), ("valve-1", "2.0.0"), ("valve-2", "1.0.0"),
                            ("panel-1", "3.1.0")):
        assert re.search(rf"^{device} .* {re.escape(version)} ", text, re.MULTILINE), device
    for device, jobs in (("pump-1", 4), ("valve-1", 2), ("panel-1", 2)):
        assert len(re.findall(rf"^ +\d+ +\w+ +{device} +succeeded +100 ", text,
                              re.MULTILINE)) == jobs, device
    assert "the chain is whole" in text
    assert re.search(r"^== Done in \d+ s$", text, re.MULTILINE)
    assert lines[-1] == ("One IBM-dialect cloud updated devices that have only a serial line, each "
                         "in its own tongue.")


def test_kept_up_to_play_with(quickstart):
    running = quickstart("--keep")
    work = running.work()
    running.wait_text("Ctrl-C ends it.", 300)
    socket = re.search(r"export SOUTHBRIDGE_SOCKET=(\S+)", running.process.stdout)[1]
    ctl = re.search(r"^ +(\S+/southbridgectl) device list$", running.process.stdout,
                    re.MULTILINE)[1]
    assert {"mosquitto", "southbridge"} <= programs(work)
    done = run([ctl, "job", "create", "reboot", "pump-1", "--watch"], 60,
               env={"SOUTHBRIDGE_SOCKET": socket})
    assert done.returncode == 0 and "pump-1 succeeded" in done.stdout, done
    # The command it names for the cloud's side works as it stands there.
    words = re.search(r"^ +(/usr/bin/python3 tests/simulators/ibm_platform.py .*?) \\\n +(.*)$",
                      running.process.stdout, re.MULTILINE)
    done = run(["bash", "-c", f"{words[1]} {words[2]}"], 60, cwd=SOURCE)
    assert done.returncode == 0 and "device/reboot of pump/pump-1: success" in done.stdout, done

    running.process.signal(signal.SIGINT)
    assert running.process.wait(30) == 130
    assert not work.exists() and leftovers() == []


def test_an_unknown_option_is_refused(workspace):
    done = run([SCRIPT, "--kepp"], env={"SB_QUICKSTART_BUILD": workspace / "build"})
    assert done.returncode == 2
    assert "usage: packaging/quickstart.sh [--keep]" in done.stderr
    assert not (workspace / "build").exists()


def test_a_failure_is_told_with_the_logs(quickstart):
    """The cloud dies: an error, the ends of the logs, and still nothing is left."""
    running = quickstart()
    work = running.work()
    running.wait_text(" cloud <-- ", 120)
    pid = next(pid for pid, command in leftovers() if "ibm_platform.py" in command)
    assert run(["kill", "-9", pid]).returncode == 0
    assert running.process.wait(300) == 1
    assert "quickstart: the cloud saw a failure" in running.process.stderr
    assert "-- the end of southbridge.log" in running.process.stdout
    assert not work.exists() and leftovers() == []
