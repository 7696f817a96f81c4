# SPDX-License-Identifier: Apache-2.0
"""The daemon as a program: what it checks, how it starts, reloads and ends, and two masters."""
import os
import re
import shutil
import signal
import sqlite3

import pytest
from daemon import GATEWAY, SmpDevice, Southbridge, device_spec, write_config, write_devices
from harness import SOURCE, Broker, build_dir, run, wait_until
from ibm_world import DEVICE, FIRMWARE_FIELD, World, both
from quick import QUICK_BOOT, SETTINGS, Nobody, plain, quick_mappings


def southbridge_program():
    return build_dir() / "bridge" / "programs" / "southbridge"


@pytest.fixture
def make_world(workspace, platform, artifacts, make_southbridge):
    """make(**spec): cloud, daemon and one device that lose no time."""
    device = SmpDevice(workspace).start(*QUICK_BOOT, *SETTINGS)
    world = World(workspace, platform, artifacts, device, make_southbridge)

    def make(**spec):
        return world.start(devices=[device_spec(kind="board", **spec)],
                           mappings=quick_mappings(workspace))

    yield make
    device.stop()
    world.check()


@pytest.fixture
def quick_world(make_world):
    return make_world()


# ---- --check, and a configuration that is wrong ----

CONFIG = """\
state: {dir}/state
mappings: [ {source}/mappings, {dir}/mappings ]
devices: {dir}/devices.d
control:
  socket: {dir}/control
log: {{ level: info }}
artifacts:
  limit: 64M
buses:
  uart1:
    port: /dev/serial/by-path/none
    baud: 115200
links:
  factory:
    dialect: ibm
    uri: mqtt://127.0.0.1:1
    org: abc123
    type: gw
    id: gw1
    token: file:{dir}/token
"""
DEVICES = """\
devices:
  - id: pump-1
    type: zephyr-smp
    bus: uart1
    names: {{ ibm: pump/pump-1 }}
"""
TYPE = """\
name: pump
driver: smp
title: Pump
smp:
  health: 5s
"""
FILES = {"southbridge.yaml": CONFIG, "devices.d/pumps.yaml": DEVICES,
         "mappings/devices/pump.yaml": TYPE}


@pytest.fixture
def files(workspace):
    """write(name, old, new): a good installation with one change; the configuration's path."""
    def write(name=None, old="", new=""):
        for path, text in FILES.items():
            if path == name:
                assert old in text, old
                text = text.replace(old, new)
            (workspace / path).parent.mkdir(parents=True, exist_ok=True)
            (workspace / path).write_text(text.format(dir=workspace, source=SOURCE),
                                          encoding="utf-8")
        (workspace / "token").write_text("secret-token", encoding="ascii")
        (workspace / "token").chmod(0o600)
        return workspace / "southbridge.yaml"
    return write


def check(config, *words):
    return run([southbridge_program(), "--config", config, *words])


def test_check_of_what_is_in_order(files, workspace):
    done = check(files(), "--check")
    assert done.returncode == 0 and "in order" in done.stdout and done.stderr == "", done
    assert not (workspace / "state").exists() and not (workspace / "control").exists()


KEYS = ["buses: ", "job_age: duration, 1h to 3650d; default 90d", "further keys of a bus with transport: serial",
        "parity: one of none, even, odd; default none", "further keys of a link with dialect: azure",
        "token: file:PATH or credential:NAME; required", "uri_rules of a link", "networks: ",
        "commanders: ", "address of a device with driver: modbus", "image_magic: ", "section: dialog"]


def test_every_key_is_told(files):
    """What the tables have that check the files; nothing else is looked at."""
    done = run([southbridge_program(), "--keys"])
    assert done.returncode == 0 and done.stderr == "", done
    for text in KEYS:
        assert text in done.stdout, text
    told = set(re.findall(r"^ *(\w+): ", done.stdout, re.MULTILINE))
    used = set(re.findall(r"(\w+):", re.sub(r"#.*|file:\S+|mqtt:\S+", "", CONFIG + DEVICES + TYPE)))
    assert used - told == {"uart1", "factory", "ibm", "smp"}, used - told
    assert run([southbridge_program(), "--keys", "x"]).returncode == 2
    done = run(["sh", "-c", '"$0" --keys >/dev/full', southbridge_program()])
    assert done.returncode == 1 and "No space left" in done.stderr, done


@pytest.mark.parametrize("manual, heading", [
    ("adapters/dialects/ibm", "dialect: ibm"), ("adapters/dialects/azure", "dialect: azure"),
    ("adapters/dialects/huawei", "dialect: huawei"),
    ("adapters/dialects/alibaba", "dialect: alibaba"), ("adapters/devices/smp", "section: smp"),
    ("adapters/devices/modbus", "section: modbus"), ("adapters/devices/dialog", "section: dialog")])
def test_manuals_have_every_key(manual, heading):
    """What a dialect's or driver's table has stands in its README."""
    text = run([southbridge_program(), "--keys"]).stdout
    part = text.split(heading + "\n")[1].split("\n# ")[0]
    named = (SOURCE / manual / "README.md").read_text(encoding="utf-8")
    keys = re.findall(r"^(\w+): ", part, re.MULTILINE)
    missing = [key for key in keys if not re.search(rf"[`.]{key}\b", named)]
    assert keys and not missing, missing


ALIBABA = ("  {}: {{{{ dialect: alibaba, uri: 'mqtt://127.0.0.1:1', product_key: pk0, "
           "device_name: pump-1, secret: 'file:{{dir}}/token', device_product: pk0 }}}}\n")
AZURE = ("  {}: {{{{ dialect: azure, uri: 'mqtt://127.0.0.1:1', mode: gateway, id: pump-1, "
         "key: 'file:{{dir}}/token' }}}}\n")
HUAWEI = ("  {}: {{{{ dialect: huawei, uri: 'mqtt://127.0.0.1:1', id: pump-1, "
          "secret: 'file:{{dir}}/token' }}}}\n")

FINDINGS = [
    ("southbridge.yaml", "  socket: {dir}/control", "  sockt: {dir}/control", 5, "'socket'"),
    ("southbridge.yaml", "state: {dir}/state", "state: var/state", 1, "absolute path"),
    ("southbridge.yaml", "    port: /dev/serial/by-path/none\n", "", 11, "'port'"),
    ("southbridge.yaml", "baud: 115200", "baud: 115201", 12, "allowed: 50,"),
    ("southbridge.yaml", "baud: 115200", "buad: 115200", 12, "'baud'"),
    ("southbridge.yaml", "baud: 115200", "transport: seriell", 12, "serial"),
    ("southbridge.yaml", "limit: 64M", "limit: 64Q", 8, "64Q"),
    ("southbridge.yaml", "dialect: ibm", "dialect: imb", 15, "ibm"),
    ("southbridge.yaml", "uri: mqtt://127.0.0.1:1", "uri: http://127.0.0.1:1", 16, "mqtts://"),
    ("southbridge.yaml", "127.0.0.1:1", "127.0.0.1:99999", 16, "port must be 1 to 65535"),
    ("southbridge.yaml", "127.0.0.1:1", "me:my-very-secret-token@hub", 16, "keys of their own"),
    ("southbridge.yaml", "/dev/serial/by-path/none", "dev/ttyS0", 11, "absolute path"),
    ("southbridge.yaml", "org: abc123", "org: abc/123", 17, "org"),
    ("southbridge.yaml", "    type: gw\n", "", 15, "'type'"),
    ("southbridge.yaml", "    id: gw1", "    ids: gw1", 19, "'id'"),
    ("southbridge.yaml", "token: file:{dir}/token", "token: my-very-secret-token", 20,
     "file:/path"),
    ("southbridge.yaml", "log: {{ level: info }}", "log: {{ level: infos }}", 6, "'info'"),
    ("southbridge.yaml", "links:\n", "links:\n  native: {{ dialect: ibm }}\n", 14, "native"),
    ("southbridge.yaml", "buses:\n", "buses: [\n", 11, "flow sequence"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart2", 2, "'uart1'"),
    ("devices.d/pumps.yaml", "    type: zephyr-smp", "    type: zephyr-smb", 2, "'zephyr-smp'"),
    ("devices.d/pumps.yaml", "    type: zephyr-smp", "    tipe: zephyr-smp", 3, "'type'"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n  - id: pump-1\n    type: pump",
     5, "declared already"),
    ("southbridge.yaml", "links:\n", "  uart2:\n    port: /dev/serial/by-path/none\nlinks:\n", 14,
     "'port' of bus 'uart1' (line 11) again"),
    ("southbridge.yaml", "links:\n", "links:\n  other: {{ dialect: ibm, uri: 'mqtt://127.0.0.1:1', "
     "org: abc123, type: gw, id: gw1, token: 'file:{dir}/token' }}\n", 16,
     "'uri', 'org', 'type', 'id' of link 'other' (line 14) again"),
    ("southbridge.yaml", "links:\n", "links:\n" + ALIBABA.format("a") + ALIBABA.format("b"), 15,
     "'uri', 'product_key', 'device_name' of link 'a' (line 14) again"),
    ("southbridge.yaml", "links:\n", "links:\n" + AZURE.format("a") + AZURE.format("b"), 15,
     "'uri', 'id' of link 'a' (line 14) again"),
    ("southbridge.yaml", "links:\n", "links:\n" + HUAWEI.format("a") + HUAWEI.format("b"), 15,
     "'uri', 'id' of link 'a' (line 14) again"),
    ("southbridge.yaml", "token: file:{dir}/token", "token: file:{dir}/tokn", 20, "cannot open"),
    ("southbridge.yaml", "    id: gw1", "    id: gw1\n    ca_file: {dir}/none.pem", 20,
     "none.pem' cannot be read"),
    ("southbridge.yaml", "links:\n", "links:\n" + AZURE.format("a").replace(
        " }}", ", ca_file: {dir}/none.pem }}"), 14, "none.pem' cannot be read"),
    ("southbridge.yaml", "links:\n", "links:\n  hub: {{ dialect: azure, uri: 'mqtt://127.0.0.1:1', "
     "hub: h, key: 'file:{dir}/keys/{{name}}.key' }}\n", 14, "keys' cannot be read"),
    ("devices.d/pumps.yaml", "    bus: uart1\n", "", 2, "'bus' does not say on which"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n    commanders: [ factry ]", 2,
     "did you mean 'factory'"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n    parent: pump-9", 2, "parent"),
    ("devices.d/pumps.yaml", "ibm: pump/pump-1", "ibm: pump", 2, "type/id"),
    ("devices.d/pumps.yaml", "ibm: pump/pump-1", "ibm: gw/gw1", 2,
     "its ibm name 'gw/gw1' is the gateway's own on link 'factory'"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n    names: {{ ibm: pump/pump-1 }}\n"
     "  - id: pump-2\n    type: zephyr-smp\n    bus: uart1", 2, "is taken by"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n  - id: pump-2\n"
     "    type: zephyr-smp\n    bus: uart1", 5, "`point_to_point: true` at the bus"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n    address: {{ unit: 1 }}", 2,
     "unknown key 'unit' (allowed: none)"),
    ("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n    commanders:", 5, "no value"),
    ("devices.d/pumps.yaml", "names: {{ ibm: pump", "names: {{ imb: pump", 2,
     "there is no dialect 'imb' (did you mean 'ibm'?)"),
    ("mappings/devices/pump.yaml", "  health: 5s", "  helth: 5s", 5, "'health'"),
    ("mappings/devices/pump.yaml", "driver: smp", "driver: spm", 2, "smp"),
    ("mappings/devices/pump.yaml", "title: Pump", "operations: [reboot, rebot]", 3, "'reboot'"),
]


@pytest.mark.parametrize("file, old, new, line, said", FINDINGS)
def test_check_names_the_place_and_the_remedy(files, workspace, file, old, new, line, said):
    config = files(file, old, new)
    done = check(config, "--check")
    assert done.returncode == 2 and done.stdout == "", done
    assert f"{workspace / file}:{line}:" in done.stderr, done.stderr
    assert said in done.stderr, done.stderr
    assert "my-very-secret-token" not in done.stderr


@pytest.mark.parametrize("dialect, link", [("alibaba", ALIBABA), ("azure", AZURE),
                                           ("huawei", HUAWEI)])
def test_no_device_has_the_gateways_own_name(files, workspace, dialect, link):
    config = files("southbridge.yaml", "links:\n", "links:\n" + link.format("cloud"))
    done = check(config, "--check")
    assert done.returncode == 2, done
    assert f"{workspace / 'devices.d/pumps.yaml'}:2:" in done.stderr, done.stderr
    assert f"its {dialect} name 'pump-1' is the gateway's own on link 'cloud'" in done.stderr


def test_a_file_for_each_device_is_not_missed_before_it_is_needed(files):
    """Of `{name}` only the folder can be looked at: which devices come is not known."""
    done = check(files("southbridge.yaml", "links:\n", "links:\n  hub: {{ dialect: azure, uri: "
                       "'mqtt://127.0.0.1:1', hub: h, key: 'file:{dir}/{{name}}.key' }}\n"),
                 "--check")
    assert done.returncode == 0, done


def test_two_devices_may_share_a_line_that_says_so(files):
    """`point_to_point: true`: what devices.d calls two is one device at the line's other end."""
    config = files("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n  - id: pump-2\n"
                   "    type: zephyr-smp\n    bus: uart1")
    assert check(config, "--check").returncode == 2
    text = config.read_text("utf-8")
    config.write_text(text.replace("  uart1:\n", "  uart1:\n    point_to_point: true\n"), "utf-8")
    done = check(config, "--check")
    assert done.returncode == 0, done


def test_more_devices_than_the_limit(files):
    config = files("devices.d/pumps.yaml", "    bus: uart1", "    bus: uart1\n  - id: pump-2\n"
                   "    type: zephyr-smp\n    bus: uart2")
    config.write_text(config.read_text("utf-8") + "limits: { devices: 1 }\n", "utf-8")
    assert "more than 1 devices (limits: devices)" in check(config, "--check").stderr


def test_a_bad_configuration_starts_nothing(files, workspace):
    done = check(files("southbridge.yaml", "baud: 115200", "buad: 115200"), "--check")
    started = check(files("southbridge.yaml", "  socket:", "  sockt:"))
    assert done.returncode == started.returncode == 2
    assert "sockt" in started.stderr and not (workspace / "state").exists()
    missing = check(workspace / "none.yaml")
    assert missing.returncode == 2 and "none.yaml" in missing.stderr, missing
    for words, wrong in ((("--chekc",), "'--chekc'"),
                         (("--check", "surplus"), "'surplus' is one word too many"),
                         (("--check-mapping",), "--check-mapping wants files"),
                         (("--check", "--known"), "--known is for --doctor")):
        done = run([southbridge_program(), *words])
        assert done.returncode == 2 and "usage:" in done.stderr, done
        assert wrong in done.stderr.splitlines()[0], done
    assert run([southbridge_program(), "--version"]).stdout.startswith("southbridge ")


def test_all_findings_at_once(files, workspace):
    files("southbridge.yaml", "baud: 115200", "buad: 115200")
    text = (workspace / "southbridge.yaml").read_text(encoding="ascii")
    (workspace / "southbridge.yaml").write_text(text.replace("org: abc123", "orgg: abc123"),
                                                encoding="ascii")
    done = check(workspace / "southbridge.yaml", "--check")
    assert "'baud'" in done.stderr and "'org'" in done.stderr, done.stderr
    lines = [int(match[1]) for match in re.finditer(r"southbridge\.yaml:(\d+):", done.stderr)]
    assert lines == sorted(lines), "in the order of the file"


# ---- what is bad only in part: contained ----

def test_a_bad_device_file_or_mapping_stops_no_others(bench, workspace):
    """At the start the rest works; the log names the place."""
    bench.device("pump-1")
    mappings = quick_mappings(workspace)
    (workspace / "mappings/devices/broken.yaml").write_text("name: broken\ndriver: none\n",
                                                            encoding="ascii")
    southbridge = bench.start(mappings=mappings)
    assert re.search(r"broken\.yaml:2", southbridge.log()), southbridge.log()
    bench.succeeded(bench.job("read", "pump-1", "--name", "name"))


def test_a_bad_bus_stops_no_others(bench):
    """What is on it stays offline and says why."""
    device = bench.device("pump-1")
    bench.start([device_spec(name, "board", name, None) for name in ("pump-1", "pump-2")],
                wait=False, top={"buses": {"pump-1": {"port": str(device.link)},
                                           "pump-2": {"port": "/dev/null", "baud": 12345}}})
    bench.wait_presence("pump-1")
    bench.wait_log("no line has 12345 bits per second")
    bench.wait_presence("pump-2", "offline")
    assert "has no port" in bench.shown("device", "show", "pump-2")
    bench.succeeded(bench.job("read", "pump-1", "--name", "name"))


# ---- two of them, no rights, broken stores ----

@pytest.fixture
def broker(request):
    """Only tests with a cloud need one."""
    return request.getfixturevalue("real_broker" if "platform" in request.fixturenames
                                   else "no_broker")


@pytest.fixture
def real_broker(workspace):
    broker = Broker(workspace / "broker").start()
    yield broker
    broker.stop()


def other_daemon(workspace, state, socket):
    """Another configuration, with a state directory and socket of our choice."""
    directory = workspace / "other"
    directory.mkdir()
    config = write_config(directory, uri="mqtt://127.0.0.1:1", token="t", ports={}, devices=[],
                          top={"links": {}, "state": str(state), "control": {
                              "socket": str(socket)}})
    return Southbridge(directory, config)


def test_started_without_standard_streams(bench):
    """As by a careless parent: what it opens does not take their numbers, and its log's place."""
    bench.device("pump-1")
    southbridge = bench.start(
        wait=False, closed=("bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash"))
    bench.wait_presence("pump-1")
    for fd in range(3):
        assert os.readlink(f"/proc/{southbridge.process.pid}/fd/{fd}") == "/dev/null"


def test_a_second_daemon_is_refused(bench, workspace):
    first = bench.start([])
    for state, socket, said in (
            (first.directory / "state", workspace / "free", "in use by another southbridge"),
            (workspace / "free-state", first.socket, "another")):
        second = other_daemon(workspace, state, socket)
        done = run([second.daemon, "--config", second.config])
        assert done.returncode == 1 and said in done.stderr, done
        assert str(state if said.startswith("in use") else socket) in done.stderr, done
        shutil.rmtree(second.directory)
    assert bench.ctl("status")["running"] is True, "the first one is not disturbed"
    assert first.socket.exists()


def test_a_socket_that_was_left_behind(bench):
    southbridge = bench.start([])
    southbridge.kill9()
    assert southbridge.socket.exists()
    southbridge.start()
    southbridge.stop()
    assert not southbridge.socket.exists()


def test_something_else_in_the_sockets_place(workspace, no_broker):
    del no_broker
    precious = workspace / "precious"
    precious.write_text("not a socket", encoding="ascii")
    second = other_daemon(workspace, workspace / "state", precious)
    done = run([second.daemon, "--config", second.config])
    assert done.returncode == 1 and str(precious) in done.stderr, done
    assert precious.read_text(encoding="ascii") == "not a socket"


def test_a_state_directory_that_cannot_be_used(workspace):
    (workspace / "file").write_text("", encoding="ascii")
    second = other_daemon(workspace, workspace / "file" / "state", workspace / "control")
    done = run([second.daemon, "--config", second.config])
    assert done.returncode == 1 and str(workspace / "file" / "state") in done.stderr, done
    shutil.rmtree(second.directory)
    second = other_daemon(workspace, workspace / "no" / "such" / "state", workspace / "control")
    done = run([second.daemon, "--config", second.config])
    assert done.returncode == 1 and "no/such/state" in done.stderr, done
    assert "No such file or directory" in done.stderr


def test_a_state_directory_without_rights(workspace):
    nobody = Nobody()
    state = workspace / "state"
    state.mkdir(mode=0o755)
    second = other_daemon(workspace, state, workspace / "other" / "control")
    nobody.take(workspace, second.directory)
    done = run([*nobody.prefix, second.daemon, "--config", second.config])
    assert done.returncode == 1 and str(state) in done.stderr, done
    assert "Permission denied" in done.stderr and "writable" in done.stderr


def damaged_text(path):
    path.write_text("this is no database, and it is long enough to be one" * 200,
                    encoding="ascii")


def damaged_middle(path):
    with open(path, "r+b") as file:
        file.seek(0)
        file.write(os.urandom(100))


def of_another_program(path):
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 4711")
        db.execute("CREATE TABLE theirs (x)")
    db.close()


def of_the_future(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 4711")
    db.close()


@pytest.mark.parametrize("damage, said", [
    (damaged_text, "not a database"), (damaged_middle, "not a database"),
    (of_another_program, "southbridge"), (of_the_future, "install the version that wrote it")])
def test_a_store_that_cannot_be_read(bench, damage, said):
    """Nothing is overwritten; the file and the remedy are named; the old one works again."""
    southbridge = bench.start([])
    bench.ctl("device", "add", "one", "--type", "board")
    southbridge.stop()
    store = southbridge.directory / "state" / "southbridge.db"
    good = store.read_bytes()
    damage(store)
    bad = store.read_bytes()
    done = run([southbridge.daemon, "--config", southbridge.config])
    assert done.returncode == 1, done
    assert str(store) in done.stderr and said in done.stderr, done.stderr
    assert store.read_bytes() == bad
    store.write_bytes(good)
    southbridge.start()
    assert [device["id"] for device in bench.ctl("device", "list")] == ["one"]


def test_without_the_download_helper(bench, workspace):
    """A job says so; what needs no download works."""
    device = bench.device()
    southbridge = bench.start()
    southbridge.stop()
    southbridge.daemon = workspace / "southbridge-alone"
    shutil.copy2(southbridge_program(), southbridge.daemon)
    southbridge.start()
    bench.wait_presence()
    assert "southbridge-fetch" in southbridge.log(), southbridge.log()
    task = bench.ended(bench.update())
    assert task["state"] == "failed" and "southbridge-fetch" in task["text"], task
    bench.succeeded(bench.job("read", "pump-1", "--name", "name"))
    assert device.version == "1.0.0"


# ---- signals ----

def test_sighup_reads_mappings_and_devices_again(bench):
    device = bench.device()
    southbridge = bench.start()
    spec = device_spec("pump-1", "board", "pump-1", None)
    write_devices(southbridge.directory, [{**spec, "tpye": 1}])
    southbridge.process.signal(signal.SIGHUP)
    bench.wait_log("nothing was reloaded")
    bench.wait_log("did you mean 'type'")
    assert [d["id"] for d in bench.ctl("device", "list")] == ["pump-1"]
    write_devices(southbridge.directory, [spec, device_spec("late", "board", None, None)])
    southbridge.process.signal(signal.SIGHUP)
    wait_until(lambda: len(bench.ctl("device", "list")) == 2, what="the new device")
    reloads = [record for record in bench.ctl("audit") if record["verb"] == "reload"]
    assert [record["actor"] for record in reloads] == ["signal SIGHUP"]
    assert device.boots == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_in_the_middle_of_an_upload(bench, number):
    """At once and well; the next start takes the job up where it was."""
    device = bench.device()
    southbridge = bench.start()
    device.fault("slow", 0.05)
    job = bench.update()
    device.wait_event("upload", lambda e: e["off"] > 4000)
    southbridge.process.signal(number)
    assert southbridge.process.wait(10) == 0
    assert "stopping" in southbridge.log() and not southbridge.socket.exists()
    assert not device.events("uploaded")
    device.fault("slow", 0.0)
    southbridge.start()
    bench.wait_log("takes up firmware_update again")
    bench.succeeded(job)
    assert (device.version, device.confirmed) == ("2.0.0", True)
    assert len(device.events("erase")) == 1, "it went on where it was"
    assert bench.task(job)["attempt"] == 1


def test_it_ends_in_the_middle_of_a_download(quick_world):
    world = quick_world
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", hold_after=16384, times=1)
    running = world.platform.start("download", DEVICE, uri, "2.0.0", "n", digest)
    state = world.southbridge.directory / "state"
    wait_until(lambda: any(part.stat().st_size >= 16384 for part in state.rglob("*.part")),
               what="the first part on disk")
    world.southbridge.process.signal(signal.SIGTERM)
    assert world.southbridge.process.wait(10) == 0
    world.artifacts.heal("/2.0.0.bin")
    world.southbridge.start()
    outcome = running.result(60)
    assert outcome.ok, outcome
    assert [hit.status for hit in world.artifacts.requests("/2.0.0.bin")] == [200, 206]


def test_it_ends_while_a_device_restarts(bench):
    device = bench.device("pump-1", "--boot-time", "2")
    southbridge = bench.start()
    job = bench.update()
    device.wait_event("down", timeout=60)
    southbridge.process.signal(signal.SIGTERM)
    assert southbridge.process.wait(10) == 0
    southbridge.start()
    bench.succeeded(job)
    assert (device.version, device.confirmed, device.boots) == ("2.0.0", True, 2)


# ---- success is read back as the type says ----

@pytest.mark.parametrize("verify", ["hash", "version"])
def test_what_success_is_read_from(bench, workspace, verify):
    device = bench.device()
    bench.start(mappings=quick_mappings(workspace, verify=verify))
    package = bench.package()
    bench.succeeded(bench.update(package=package))
    assert device.version == "2.0.0"
    bench.succeeded(bench.job("reboot", "pump-1"))
    assert bench.succeeded(bench.job("read", "pump-1", "--name", "name"))["result"]
    wrong = bench.ctl("package", "add", bench.image("3.0.0"), "--version", "9.9.9")["id"]
    task = bench.ended(bench.update(package=wrong))
    if verify == "version":
        assert (task["state"], task["cause"]) == ("failed", "version_mismatch"), task
    assert bench.ctl("device", "show", "pump-1")["versions"] == {"": device.version}


# ---- a cloud's own actions ----

def custom(world, action, **fields):
    """The answer's rc and values {field: value}."""
    request = world.ask(f"mgmt/custom/southbridge/{action}", {
        "fields": [{"field": key, "value": value} for key, value in fields.items()]})
    told = request.answer.get("d", {}).get("fields", [])
    return request.rc, {entry["field"]: entry["value"] for entry in told}, request.answer


def test_custom_actions_bring_values(quick_world):
    """read, write, configure and the type's own, each answered when it is done."""
    world = quick_world
    assert world.record.supports["southbridge"] is True
    assert custom(world, "read", name="interval, name")[:2] == (200, {"interval": 60,
                                                                      "name": "pump"})
    assert custom(world, "write", name="interval", value="90")[:2] == (200, {"interval": 90})
    assert custom(world, "configure", interval=120)[0] == 200
    assert world.device.events("save")
    assert custom(world, "read", name="interval")[:2] == (200, {"interval": 120})
    rc, values, _ = custom(world, "sum", a=3, b=4)
    assert (rc, values["sum"]) == (200, 7)
    assert custom(world, "count")[:2][0] == 200
    assert [e["count"] for e in world.device.events("counted")] == [1]
    properties = world.southbridge.ctl("device", "show", "pump-1").json["properties"]
    assert properties["interval"]["value"] == 120
    world.wait_quiet()
    assert {state for _, state in world.tasks()} == {"succeeded"}


def test_custom_actions_that_are_refused(quick_world):
    world = quick_world
    for action, fields, code in (
            ("dance", {}, 501), ("read", {}, 400), ("write", {"name": "", "value": 1}, 400),
            ("read", {"name": "colour"}, 400), ("write", {"name": "serial", "value": "1"}, 501),
            ("write", {"name": "interval", "value": "many"}, 400)):
        rc, values, answer = custom(world, action, **fields)
        assert (rc, values) == (code, {}) and answer["message"], (action, fields, answer)
    assert world.jobs() == []
    rc, _, answer = custom(world, "fail")
    assert rc == 500 and "77" in answer["message"], answer
    rc, _, answer = custom(world, "write", name="clamped", value=9)
    assert rc == 500 and answer["message"], answer
    request = world.ask("mgmt/custom/other/read", {"fields": []})
    assert request.rc == 501
    world.still_alive()


def test_diagnostics_are_cleared_by_the_next_success(quick_world):
    world = quick_world
    uri, _ = world.image("2.0.0")
    assert not world.platform.download(DEVICE, uri, "2.0.0", "n", "0" * 64).ok
    world.platform.wait(lambda: world.record.error_codes and world.record.logs, 20, "diagnostics")
    assert "SHA-256" in world.record.logs[-1]["message"], world.record.logs
    world.downloaded()
    world.platform.wait(lambda: not world.record.error_codes, 20, "cleared error codes")
    assert world.update().ok
    world.wait_quiet()
    assert world.record.error_codes == []


# ---- two masters ----

def test_an_operators_update_while_the_clouds_runs(quick_world):
    """Refused, and told whose is at work; the cloud's goes on."""
    world = quick_world
    image = world.directory / "other.img"
    image.write_bytes(b"")
    world.downloaded()
    world.device.fault("slow", 0.03)
    running = world.platform.start("update", DEVICE)
    world.device.wait_event("upload", lambda e: e["off"] > 2000)
    ctl = world.southbridge.ctl
    package = ctl("package", "add", world.artifacts.uri("/2.0.0.bin"), "--version", "2.0.0").json
    done = ctl("job", "create", "firmware-update", "pump-1", "--package", package["id"],
               check=False)
    assert done.status == 5 and "from factory" in done.json["text"], done
    reboot = ctl("job", "create", "reboot", "pump-1").json["id"]
    shown = ctl("job", "show", str(reboot)).json["tasks"][0]
    assert shown["state"] == "queued", shown
    world.device.fault("slow", 0.0)
    outcome = running.result(60)
    assert outcome.ok, outcome
    world.wait_quiet()
    assert ctl("job", "show", str(reboot)).json["outcome"] == "succeeded"
    assert world.device.version == "2.0.0" and world.uploads() == 1


def test_the_clouds_update_while_an_operators_runs(quick_world):
    """The cloud gets its refusal, hears nothing of what it did not ask, and the new version."""
    world = quick_world
    world.downloaded("2.0.0")
    ctl = world.southbridge.ctl
    uri, _ = world.image("3.0.0")
    world.device.fault("slow", 0.03)
    job = ctl("job", "create", "firmware-update", "pump-1", "--uri", uri, "--version",
              "3.0.0").json["id"]
    world.device.wait_event("upload", lambda e: e["off"] > 2000)
    mark = world.platform.mark()
    request = world.ask("mgmt/initiate/firmware/update")
    assert request.rc >= 400 and request.answer["message"], request.answer
    world.device.fault("slow", 0.0)
    world.wait_version("3.0.0")
    assert ctl("job", "show", str(job)).json["outcome"] == "succeeded"
    assert world.notifies(mark) == []
    assert world.device.version == "3.0.0"


def test_an_operator_cancels_the_clouds_update(quick_world):
    """The cloud is told, and never success; it may begin anew."""
    world = quick_world
    world.downloaded()
    world.device.fault("slow", 0.03)
    running = world.platform.start("update", DEVICE)
    world.device.wait_event("upload", lambda e: e["off"] > 2000)
    job = world.southbridge.ctl("job", "list").json[0]
    assert job["origin"] == "factory"
    done = plain(world.southbridge, "job", "cancel", str(job["id"]))
    assert done.returncode == 0, done
    outcome = running.result(60)
    assert outcome.status == "failure" and outcome.update_status >= 2, outcome
    assert world.device.version == "1.0.0"
    told = [both(v["state"], v["updateStatus"]) for v in outcome.notifies]
    assert both(0, 0) not in told
    world.platform.wait(lambda: world.record.logs, 20, "a diagnostic log entry")
    assert "cancelled by request" in world.record.logs[-1]["message"], world.record.logs
    actors = [record["actor"] for record in world.southbridge.ctl(
        "audit", "--limit", "1000").json if record.get("detail", {}).get("state")
        == "cancelling"]
    assert actors and actors[0].startswith("uid "), actors
    world.device.fault("slow", 0.0)
    world.downloaded()
    assert world.update().ok


def test_a_device_that_a_cloud_may_not_command(make_world):
    """It sees the device, and its requests are refused."""
    world = make_world(commanders=["native"])
    request = world.ask("mgmt/initiate/device/reboot")
    assert request.rc >= 400 and "may not command" in request.answer["message"], request.answer
    assert world.ask("observe", FIRMWARE_FIELD).rc == 200
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    job = world.southbridge.ctl("job", "create", "reboot", "pump-1").json["id"]
    world.wait_quiet()
    assert world.southbridge.ctl("job", "show", str(job)).json["outcome"] == "succeeded"
    assert world.device.boots == 2 and world.platform.device(GATEWAY).managed
