# SPDX-License-Identifier: Apache-2.0
"""Modbus on a line that several devices share: peers by other people, updates among polls, faults.

The simulated devices are judged first: by mbpoll and by pymodbus's client.
"""
import pathlib

import pytest
from daemon import PYTHON, device_spec, write_devices
from harness import SOURCE, Process, run, wait_until
from modbus_line import ModbusBench, ModbusLine, PtyPair, start_peer
from pymodbus.client import ModbusSerialClient
from pymodbus.mei_message import ReadDeviceInformationRequest
from pymodbus.other_message import ReportSlaveIdRequest

HOLDER = pathlib.Path(__file__).with_name("holder.py")
OBJECTS = {"objects": {"0": "Acme", "1": "VFD7", "2": "$version"}}


@pytest.fixture
def broker(no_broker):
    return no_broker


@pytest.fixture
def bench(workspace, make_southbridge):
    bench = ModbusBench(workspace, make_southbridge)
    yield bench
    bench.close()


@pytest.fixture
def peer(request, workspace):
    """(its kind, the near end of its line)"""
    pair = PtyPair(workspace)
    process = start_peer(request.param, pair.links[1], workspace)
    yield request.param, pair.links[0]
    if process.running:
        process.kill9()
    pair.close()


# ---- the simulator, judged by others ----

def mbpoll(line, *words):
    done = run(["mbpoll", "-m", "rtu", "-b", "115200", "-P", "none", "-0", "-1", "-o", "1",
                *words[:-1], line.link, *([words[-1]] if words[-1] else [])])
    assert done.returncode == 0, done.stdout + done.stderr
    return [row.split(":", 1)[1].split()[0] for row in done.stdout.splitlines()
            if row.startswith("[")]


def test_the_simulator_by_mbpoll(workspace):
    line = ModbusLine(workspace, {1: {}, 9: {}}).start()
    try:
        assert mbpoll(line, "-a", "1", "-t", "3", "-r", "1", "-c", "3", None) == ["257", "514",
                                                                               "771"]
        assert mbpoll(line, "-a", "9", "-t", "4", "-r", "1", "-c", "1", None) == ["60"]
        mbpoll(line, "-a", "9", "-t", "4", "-r", "1", "77")
        mbpoll(line, "-a", "1", "-t", "0", "-r", "4", "1")
        assert mbpoll(line, "-a", "9", "-t", "4", "-r", "1", "-c", "1", None) == ["77"]
        assert mbpoll(line, "-a", "1", "-t", "0", "-r", "4", "-c", "1", None) == ["1"]
        assert not line.events("damaged") and not line.events("refused")
    finally:
        line.stop()


def test_the_simulator_by_pymodbus(workspace):
    line = ModbusLine(workspace, {1: {"server_id": "Pump 9", **OBJECTS}}).start()
    client = ModbusSerialClient(port=str(line.link), baudrate=115200, parity="N", timeout=2)
    try:
        assert client.connect()
        assert client.read_input_registers(1, 2, slave=1).registers == [257, 514]
        assert client.read_discrete_inputs(0, 4, slave=1).bits[:4] == [True, False, False, True]
        assert not client.write_registers(6, [5, 6], slave=1).isError()
        assert client.read_holding_registers(6, 2, slave=1).registers == [5, 6]
        assert client.read_input_registers(100, 1, slave=1).exception_code == 2
        told = client.execute(ReportSlaveIdRequest(unit=1))
        assert told.identifier.startswith(b"Pump 9") and told.status
        told = client.execute(ReadDeviceInformationRequest(0x01, 0, unit=1))
        assert told.information == {0: b"Acme", 1: b"VFD7"} and told.more_follows == 0xFF
        told = client.execute(ReadDeviceInformationRequest(0x01, 2, unit=1))
        assert told.information == {2: b"1.0.0"} and told.more_follows == 0
        assert not line.events("damaged")
    finally:
        client.close()
        line.stop()


# ---- the driver, against servers by others ----

_PEER_TYPE = """# SPDX-License-Identifier: Apache-2.0
name: peer
driver: modbus
verify: none
modbus:
  timeout: 1s
  identify: [{identify}]
  identity: {{ serial: serial }}
properties:
  serial: {{ table: input, address: 3, access: read, poll: true }}
  first: {{ table: input, address: 0, group: all }}
  last: {{ table: input, address: 99, group: all }}
  level: {{ address: 7, scale: 0.1 }}
  pair: {{ address: 20, type: i32, order: CDAB }}
  text: {{ address: 30, type: string, length: 10 }}
  coil: {{ table: coil, address: 5 }}
  input: {{ table: discrete, address: 6 }}
"""


@pytest.mark.parametrize("peer", ["libmodbus", "pymodbus"], indirect=True)
def test_servers_by_other_people(peer, workspace, make_southbridge):
    kind, near = peer
    folder = workspace / "mappings" / "devices"
    folder.mkdir(parents=True)
    identify = "device_id, registers" if kind == "pymodbus" else "server_id, registers"
    (folder / "peer.yaml").write_text(_PEER_TYPE.format(identify=identify), encoding="ascii")
    bench = ModbusBench(workspace, make_southbridge)
    bench.start([device_spec("it", "peer", "line", None, address={"unit": 1})], wait=False,
                mappings=[SOURCE / "mappings", folder.parents[0]], top={
                    "buses": {"line": {"port": str(near)}}})
    bench.wait_presence("it")
    shown = bench.southbridge.device("it")
    assert shown["identity"]["serial"] == "2003", shown
    if kind == "pymodbus":
        assert shown["versions"] == {"": "2.4.1"} and shown["identity"]["model"] == "VFD7", shown
    assert shown["properties"]["serial"]["value"] == 2003
    words = [word for name in ("first", "last", "level", "coil", "input") for word in
             ("--name", name)]
    told = bench.succeeded(bench.job("read", "it", *words))["result"]
    assert told["first"] == 2000 and told["last"] == 2099 and told["level"] == 100.7, told
    bench.succeeded(bench.job("write", "it", "--value", "level=12.5", "--value", "pair=-70000",
                              "--value", 'text="pumps"', "--value", "coil=false"))
    told = bench.succeeded(bench.job("read", "it", "--name", "pair", "--name", "text", "--name",
                                     "level"))["result"]
    assert told == {"level": 12.5, "pair": -70000, "text": "pumps"}


# ---- an update among others ----

def test_others_are_served_while_one_is_updated(bench):
    """Polls, reads and writes of two devices go in between the blocks of a third."""
    line = bench.line({1: {}, 2: {}, 3: {}}, "--fault", "slow=0.002")
    bench.begin((1, 2, 3), identify_every="150ms")
    job = bench.update(package=bench.package(size=16000))
    first = line.wait_event("block", lambda e: e["offset"] > 0)["at"]
    reads = 0
    while not line.events("verified"):
        bench.succeeded(bench.job("read", "pump-2", "--name", "interval"))
        bench.succeeded(bench.job("write", "pump-3", "--value", f"interval={61 + reads % 9}"))
        reads += 1
    bench.succeeded(job)
    assert line.version_of(1) == "2.0.0" and not line.of(1, "damaged")
    last = line.of(1, "block")[-1]["at"]
    polls = {unit: len([e for e in line.of(unit, "read")
                        if e["address"] == 1020 and first < e["at"] < last]) for unit in (2, 3)}
    blocks = len(line.of(1, "block"))
    alone = _alone(bench, line)
    print(f"\n{blocks} blocks in {last - first:.2f} s, alone {alone:.2f} s "
          f"(x{(last - first) / alone:.2f}); polls served {polls} "
          f"({sum(polls.values()) / (last - first):.1f}/s), reads and writes {2 * reads} "
          f"({2 * reads / (last - first):.1f}/s)")
    assert blocks == 125, "none was sent twice"
    assert reads >= 2, "jobs went in between"
    assert min(polls.values()) >= 2, "nobody is starved, neither by the update nor by the jobs"


def _alone(bench, line):
    """The same update again, with nobody else asking: seconds for its blocks."""
    bench.begin_again(identify_every="1h")
    before = len(line.of(1, "block"))
    bench.succeeded(bench.update("pump-1", package=bench.package("3.0.0", 16000)))
    blocks = line.of(1, "block")[before:]
    return blocks[-1]["at"] - blocks[1]["at"]


def test_a_queue_of_jobs_starves_no_look(bench):
    """Thirty writes to one device are waiting for the line; another is polled in between."""
    line = bench.line({1: {}, 2: {}}, "--fault", "slow=0.01")
    bench.begin((1, 2), identify_every="150ms")
    bench.ctl("job", "pause", "--all")
    jobs = [bench.job("write", "pump-1", "--value", f"interval={i + 1}") for i in range(30)]
    bench.ctl("job", "resume", "--all")
    for job in jobs:
        bench.succeeded(job)
    writes = [e["at"] for e in line.of(1, "write") if e["address"] == 1]
    assert len(writes) == 30
    polls = [e for e in line.of(2, "read")
             if e["address"] == 1020 and writes[0] < e["at"] < writes[-1]]
    assert len(polls) >= 2, "it had its turn while jobs were waiting"


def test_two_updates_on_one_line(bench):
    """One after the other; reads of the third go on."""
    line = bench.line({1: {}, 2: {}, 3: {}}, "--fault", "slow=0.005")
    bench.begin((1, 2, 3))
    package = bench.package(size=3000)
    jobs = [bench.update(name, package=package) for name in ("pump-1", "pump-2")]
    bench.succeeded(bench.job("read", "pump-3", "--name", "interval"))
    for job in jobs:
        bench.succeeded(job)
    assert [line.version_of(unit) for unit in (1, 2)] == ["2.0.0", "2.0.0"]
    ends = [line.of(unit, "verified")[0]["at"] for unit in (1, 2)]
    assert min(ends) < max(line.of(unit, "order")[0]["at"] for unit in (1, 2))


# ---- faults in the middle ----

RETRY = ("--retries", "6", "--retry-interval", "200ms")


def in_the_middle(bench, line, *words, size=4000):
    job = bench.update("pump-1", *words, package=bench.package(size=size))
    line.wait_event("block", lambda e: e["offset"] >= 1024)
    return job


@pytest.mark.parametrize("fault,value", [("noise", 40), ("wrong_unit", 40), ("drop", 0.0005),
                                         ("duplicate", 0.0005), ("silent_answers", 3)])
def test_a_bad_line(bench, fault, value):
    line = bench.line({1: {}, 2: {}}, "--fault", "slow=0.002")
    bench.begin((1, 2))
    job = in_the_middle(bench, line, *RETRY)
    line.fault(fault, value)
    bench.succeeded(job, 90)
    assert line.version_of(1) == "2.0.0"


def test_silence_and_a_restart_in_the_middle(bench):
    """The job says so, and its retry goes on at the device's own block."""
    line = bench.line({1: {}, 2: {}}, "--fault", "slow=0.003", "--fault", "die_at_block=20")
    bench.begin((1, 2))
    job = in_the_middle(bench, line, *RETRY)
    bench.succeeded(job, 90)
    assert line.version_of(1) == "2.0.0"
    assert len([e for e in line.of(1, "order") if e["order"] == 1]) == 1, "erased once"


def test_the_line_vanishes_and_returns(bench):
    line = bench.line({1: {}, 2: {}}, "--fault", "slow=0.003")
    bench.begin((1, 2))
    job = in_the_middle(bench, line, *RETRY)
    line.unplug()
    task = bench.wait_task(job, lambda task: task["state"] == "queued")
    assert task["cause"] == "link_lost", task
    line.plug()
    bench.succeeded(job, 90)
    assert len([e for e in line.of(1, "order") if e["order"] == 1]) == 1, "it went on"


def test_another_process_has_the_line(bench, workspace):
    line = bench.line({1: {}})
    locks = workspace / "lock"
    locks.mkdir()
    holder = Process("holder", [PYTHON, HOLDER, line.link, "flock"], workspace, talk=True)
    wait_until(lambda: "held" in holder.stdout, what=lambda: holder.stderr)
    bench.begin(wait=False, more={"buses": {"line": {"lock_directory": str(locks)}}})
    bench.wait_presence("pump-1", "offline")
    assert f"held by process {holder.pid}" in bench.shown("device", "show", "pump-1")
    holder.stop()
    bench.wait_presence("pump-1")


def test_kill_of_the_daemon_in_the_middle(bench):
    line = bench.line({1: {}, 2: {}}, "--fault", "slow=0.003")
    southbridge = bench.begin((1, 2))
    job = in_the_middle(bench, line)
    southbridge.kill9()
    sent = len(line.of(1, "block"))
    southbridge.start()
    bench.succeeded(job, 90)
    assert line.version_of(1) == "2.0.0"
    assert len(line.of(1, "block")) == 32, f"the device's {sent} blocks were not sent again"


def test_cancelled_in_the_middle(bench):
    line = bench.line({1: {}}, "--fault", "slow=0.003")
    bench.begin()
    job = in_the_middle(bench, line, size=60000)  # it is never at its end before the order
    bench.ctl("job", "cancel", job)
    task = bench.ended(job)
    assert task["state"] == "cancelled", task
    line.wait_event("given_up")
    # Its bootloader alone answers: it is ready, and takes the next one.
    bench.wait_presence("pump-1")
    bench.succeeded(bench.update("pump-1", package=bench.package("2.1.0", 2000)))
    assert line.version_of(1) == "2.1.0"


# ---- values ----

def test_polled_values_are_known_without_a_job(bench):
    bench.line({1: {}})
    bench.begin()
    shown = bench.southbridge.device("pump-1")
    assert shown["properties"]["door"]["value"] is True, shown
    assert shown["properties"]["starts"]["value"] == 1
    assert shown["versions"] == {"": "1.0.0"} and shown["identity"]["serial"] == "4711"


def test_what_is_not_pushed_is_asked_for(bench):
    """A property by which the device asks, as a look finds it."""
    line = bench.line({1: {}})
    bench.begin(asks="relay", relay="{ table: coil, address: 4, poll: true }")
    pulled = bench.job("reboot", "pump-1", "--pull")
    bench.ctl("device", "identify", "pump-1", "--wait", "10s")
    assert bench.task(pulled).get("reason") == "pull" and len(line.of(1, "up")) == 1
    bench.succeeded(bench.job("write", "pump-1", "--value", "relay=true"))
    bench.ctl("device", "identify", "pump-1", "--wait", "10s")
    bench.succeeded(pulled)
    assert len(line.of(1, "up")) == 2


def test_reboot_reset_configure(bench):
    line = bench.line({1: {}})
    bench.begin()
    bench.succeeded(bench.job("configure", "pump-1", "--value", "interval=5"))
    bench.succeeded(bench.job("reboot", "pump-1"))
    assert bench.succeeded(bench.job("read", "pump-1", "--name", "interval"))["result"] == {
        "interval": 5}
    bench.succeeded(bench.job("factory-reset", "pump-1"))
    assert bench.succeeded(bench.job("read", "pump-1", "--name", "interval"))["result"] == {
        "interval": 60}
    assert len(line.of(1, "up")) == 3


@pytest.mark.parametrize("address,finding", [({"unit": 300}, "unit"), (None, "unit"),
                                             ({"unti": 3}, "did you mean 'unit'")])
def test_a_wrong_address_is_found_by_check(bench, address, finding):
    bench.line({1: {}})
    southbridge = bench.begin()
    specs = [device_spec("pump-1", "board", "line", None, address=address)]
    write_devices(southbridge.directory, specs)
    done = run([southbridge.daemon, "--config", southbridge.config, "--check"])
    assert done.returncode != 0 and finding in done.stdout + done.stderr, done


def test_two_devices_at_one_address_are_found_by_check(bench):
    """Mostly an entry that was copied."""
    bench.line({1: {}})
    southbridge = bench.begin()
    write_devices(southbridge.directory, [
        device_spec(name, "board", "line", None, address={"unit": 1}) for name in ("a", "b")])
    done = run([southbridge.daemon, "--config", southbridge.config, "--check"])
    assert done.returncode != 0, done
    assert "device 'b': device 'a' has the same address on bus 'line'" in done.stderr, done


def test_a_device_that_is_registered_at_run_time(bench):
    line = bench.line({1: {}, 2: {}})
    southbridge = bench.begin()
    words = ("device", "add", "pump-2", "--type", "board", "--bus", "line", "--address")
    for wrong in ("unit=300", "unti=2"):
        done = southbridge.ctl(*words, wrong, check=False)
        assert done.status != 0 and "unit" in done.text + done.error, done
    bench.ctl(*words, "unit=2")
    done = southbridge.ctl("device", "add", "pump-3", *words[3:], "unit=2", check=False)
    assert done.status != 0 and "device 'pump-2' has the same address" in done.error, done
    write_devices(southbridge.directory,
                  [device_spec("pump-3", "board", "line", None, address={"unit": 2})])
    done = southbridge.ctl("reload", check=False)
    assert done.status != 0 and "device 'pump-3': device 'pump-2' has the same" in done.error, done
    bench.wait_presence("pump-2")
    assert line.of(2, "read") and not line.events("damaged")
