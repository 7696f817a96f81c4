# SPDX-License-Identifier: Apache-2.0
"""That the benchmark works: a run of a few requests. What it measures is judged by nobody here."""
import json
import os
import pathlib
import struct
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import rig  # noqa: E402
import show  # noqa: E402
import stages  # noqa: E402
from harness import MARK_NAME, build_dir, leftovers  # noqa: E402


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The figures of a tiny run, made in an empty directory."""
    where = tmp_path_factory.mktemp("bench")
    done = subprocess.run([rig.PYTHON, HERE / "bench.py", "--tiny", "--json"], cwd=where,
                          capture_output=True, text=True, timeout=100, check=False,
                          env=dict(os.environ, **{MARK_NAME: rig.MARK}))
    assert done.returncode == 0, done.stderr
    assert leftovers() == [], "it leaves processes behind"
    assert list(where.iterdir()) == [], "it leaves files behind"
    found = json.loads(done.stdout)
    return {**found, "speed": {int(n): row for n, row in found["speed"].items()}}


def test_every_subject_answers(found):
    assert set(found["speed"]) == {1, 64}
    for subjects in found["speed"].values():
        assert set(subjects) == {"paho", "mosquitto", "disk", "memory"}
        for row in subjects.values():
            assert row["rate"] > 0 and 0 < row["p50"] <= row["p99"] and row["bad"] == 0, row
            assert row["of"]["paho"] > 0 and row["cpu"] > 0
        assert subjects["paho"]["of"]["paho"] == 1


def test_memory_start_and_image(found):
    few, many = found["room"]["few"], found["room"]["many"]
    assert few["jobs"] == 0 and many["jobs"] >= 8
    for row in (few, many):
        assert 1 < row["anonymous"] < row["rss"] and row["pss"] <= row["rss"]
        assert row["ready_ms"] > 1 and row["start_cpu_ms"] > 1
    assert many["store"] > few["store"]
    assert set(found["image"]) == {"smp", "modbus", "dialog"}
    for row in (row for rows in found["image"].values() for row in rows.values()):
        assert 0 < row["of_line"] < row["of_frames"] <= 1.01, row


def test_four_clouds(found):
    clouds = found["clouds"]
    assert clouds["devices"] == 8 and clouds["connections"] >= 5, "three gateways, two devices"
    assert 0 < clouds["connected_ms"] <= clouds["there_ms"]
    assert 1 < clouds["anonymous"] < clouds["rss"]
    assert set(clouds["asked"]) == {"1", "64"}
    for row in clouds["asked"].values():
        assert row["rate"] > 0 and 0 < row["p50"] <= row["p99"] and row["bad"] == 0, row


def test_the_table_fits(found):
    costs = {kind: {n: {key: 99999 for key in ("cpu", "syncs", "sync_us", "written", "allocs")}
                    for n in stages.OUTSTANDING} for kind in ("update", "job")}
    clouds = {**found["clouds"], "tls_kb": 99}
    lines = list(show.lines({**found, "costs": costs, "clouds": clouds}))
    assert [line for line in lines if len(line) > 80] == []
    for word in ("of the echo on Paho", "syncs", "RSS", "four clouds", "by TLS", "921600 baud"):
        assert any(word in line for line in lines)


def test_the_counters_count(tmp_path):
    """Of a program that is known: two syncs, 3000 bytes written, some memory."""
    counters = tmp_path / "counters"
    counters.write_bytes(bytes(4096))
    script = ("import os; f = os.open('x', os.O_RDWR | os.O_CREAT); os.pwrite(f, b'.' * 3000, 0);"
              "os.fsync(f); os.fdatasync(f)")
    subprocess.run(["env", f"LD_PRELOAD={rig.program('libbench_count.so')}", rig.PYTHON, "-c",
                    script], cwd=tmp_path, check=True, timeout=60,
                   env=dict(os.environ, SB_BENCH_COUNTERS=str(counters)))
    syncs, sync_ns, written, allocs = struct.unpack("4Q", counters.read_bytes()[:32])
    assert (syncs, written) == (2, 3000)
    assert sync_ns > 0 and allocs > 100


def test_costs_are_those_of_the_daemon(monkeypatch):
    """Without sanitizers: an update syncs and writes, a job more."""
    if rig.sanitized():
        pytest.skip("a build with sanitizers cannot be counted")
    monkeypatch.setattr(stages, "WARM_UP", 50)
    bench = rig.Bench()
    try:
        found = stages.costs(bench, 300, lambda _: None)
    finally:
        bench.close()
    update, job = found["update"][1], found["job"][1]
    assert update["bad"] == job["bad"] == 0
    assert 0.5 < update["syncs"] < 4 and update["written"] > 4096 and update["allocs"] > 10
    assert job["written"] > update["written"]
    assert build_dir().is_dir()
