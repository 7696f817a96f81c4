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
DEVICES = {"pump-1": ("1.1.0", "ibm"), "valve-1": ("2.0.0", "azure"),
           "valve-2": ("2.0.0", "huawei"), "panel-1": ("3.1.0", "alibaba")}
ENDS = {"ibm": "state 0, updateStatus 0", "azure": "202, then current", "huawei": "result_code 0",
        "alibaba": "SUCCEEDED"}
# What passes, in both directions: what each cloud asks for, is answered, and is told by itself.
PASSED = (
    r"ibm      --> pump-1   device/update  version 1\.1\.0, uri http://",
    r"ibm      --> pump-1   observe$", r"ibm      --> pump-1   cancel$",
    r"ibm      --> pump-1   mgmt/initiate/firmware/download$",
    r"ibm      --> pump-1   mgmt/initiate/firmware/update$",
    r"ibm      --> pump-1   mgmt/initiate/device/reboot$",
    r"ibm      --> pump-1   mgmt/initiate/device/factory_reset$",
    r"ibm      <-- pump-1   response  rc 202$",
    r"ibm      <-- pump-1   notify  state 1, updateStatus 0$",
    r"ibm      <-- pump-1   notify  state 2, updateStatus 0$",
    r"ibm      <-- pump-1   notify  state 2, updateStatus 1$",
    r"ibm      <-- pump-1   notify  state 0, updateStatus 0$",
    r"ibm      <-- panel-1  mgmt/manage  fwVersion 3\.1\.0$",
    r"azure    --> valve-1  method firmwareUpdate  fwVersion 2\.0\.0, fwPackageUri http://",
    r"azure    <-- valve-1  answer 202  status accepted$",
    r"azure    <-- valve-1  reported  fwUpdateStatus rebooting",
    r"azure    <-- pump-1   reported  fwUpdateStatus current, currentFwVersion 1\.1\.0",
    r"huawei   --> valve-2  firmware_upgrade  version 2\.0\.0, url http://",
    r"huawei   <-- valve-2  upgrade_progress_report  result_code 0, progress 100, version 2\.0\.0",
    r"huawei   <-- valve-1  version_report  fw_version 2\.0\.0",
    r"alibaba  --> panel-1  upgrade  version 3\.1\.0, url http://",
    r"alibaba  <-- panel-1  progress  step 100$",
    r"alibaba  <-- valve-2  inform  version 2\.0\.0$",
)
WORK = re.compile(r"/tmp/southbridge-quickstart\.\w+")


class Quickstart:
    """One run; its processes carry this session's mark, as all that tests start."""

    def __init__(self, directory, *words):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # so that Ctrl-C counts
        self.process = Process("quickstart", ["nice", "-n", "5", SCRIPT, *words], directory,
                               {"SB_QUICKSTART_BUILD": build_dir() / "quickstart",
                                "CMAKE_BUILD_TYPE": "None"})  # it is built in half of the time
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
    titles = re.findall(r"^== (\w+) (updates|reboots|resets) (\S+)", text, re.MULTILINE)
    assert titles == [("ibm", "updates", "pump-1"), ("ibm", "reboots", "pump-1"),
                      ("ibm", "resets", "pump-1"), ("azure", "updates", "valve-1"),
                      ("huawei", "updates", "valve-2"), ("alibaba", "updates", "panel-1")]
    for device, (version, _) in DEVICES.items():
        assert f"         all four were told: {device} runs {version}\n" in text
    for line in PASSED:
        assert re.search(rf"^\d\d:\d\d:\d\d {line}", text, re.MULTILINE), line
    assert "!!" not in text
    # Progress is live: it stands between the messages, not behind them.
    lines = text.splitlines()
    progress = [i for i, line in enumerate(lines) if " gateway  ... " in line]
    messages = [i for i, line in enumerate(lines) if " <-- " in line]
    assert any("restarting" in lines[i] for i in progress)
    assert progress[0] < messages[-1]
    assert len(lines) < 220, "a flood"
    # And a summary: who was told what,
    for device, (version, commander) in DEVICES.items():
        row = next(line for line in lines if re.match(rf"{device} .*(manage|\*)", line))
        assert row.count(version) == 3 and row.count("*") == 1, row
        assert f"* {ENDS[commander]}" in row, row
        assert re.search(rf"^{device} .* ready .* {re.escape(version)} ", text, re.MULTILINE)
    # the jobs, and one of them in each tongue.
    for device, jobs in (("pump-1", 4), ("valve-1", 1), ("valve-2", 1), ("panel-1", 1)):
        assert len(re.findall(rf"^ +\d+ +\w+ +{device} +succeeded +100 ", text,
                              re.MULTILINE)) == jobs, device
    for dialect in ENDS:
        assert re.search(rf"^panel-1 +{dialect} +\w+=", text, re.MULTILINE), dialect
    assert "the chain is whole" in text
    assert re.search(r"^== Done in \d+ s$", text, re.MULTILINE)
    assert lines[-1] == ("Four clouds updated devices that have only a serial line, and each was "
                         "told in its own tongue.")


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
    # The order it names for the clouds' side works as it stands there; a wrong one is told.
    order = re.search(r"^ +(echo azure reboot valve-1 >\S+)", running.process.stdout, re.MULTILINE)
    assert run(["bash", "-c", order[1]], 10).returncode == 0
    running.wait_text("azure    <-- valve-1  answer 200", 30)
    assert run(["bash", "-c", order[1].replace("reboot", "explode")], 10).returncode == 0
    running.wait_text("!! no such order: azure explode valve-1", 30)

    running.process.signal(signal.SIGINT)
    assert running.process.wait(30) == 130
    assert not work.exists() and leftovers() == []


def test_an_unknown_option_is_refused(workspace):
    done = run([SCRIPT, "--kepp"], env={"SB_QUICKSTART_BUILD": workspace / "build"})
    assert done.returncode == 2
    assert "usage: packaging/quickstart.sh [--keep]" in done.stderr
    assert not (workspace / "build").exists()


def test_a_failure_is_told_with_the_logs(quickstart):
    """The clouds die: an error, the ends of the logs, and still nothing is left."""
    running = quickstart()
    work = running.work()
    running.wait_text(" <-- ", 120)
    pid = next(pid for pid, command in leftovers() if "cloud_show.py" in command)
    assert run(["kill", "-9", pid]).returncode == 0
    assert running.process.wait(300) == 1
    assert "quickstart: the clouds saw a failure" in running.process.stderr
    assert "-- the end of southbridge.log" in running.process.stdout
    assert not work.exists() and leftovers() == []
