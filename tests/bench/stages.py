# SPDX-License-Identifier: Apache-2.0
"""What is measured, stage by stage; each gives a dict of plain figures."""
import statistics

from rig import (ECHOES, ConsoleTarget, Echo, Line, ModbusTarget, Peer, SmpTarget, device_spec,
                 program, run_good, sanitized, wait_until)

OUTSTANDING = (1, 64)
DEVICES = 64
WARM_UP = 300  # ms
BLOCK = 120  # bytes down at once: a block of an image, not a question
TARGETS = (SmpTarget, ModbusTarget, ConsoleTarget)


def median_of(results, key):
    return statistics.median(result[key] for result in results)


def _bad(results):
    return sum(result["bad"] for result in results)


# ---- speed ----

def _subjects(bench):
    yield from ((name, lambda name=name: Echo(bench, name)) for name in ECHOES)
    yield "disk", lambda: bench.gateway(DEVICES)
    yield "memory", lambda: bench.gateway(DEVICES, in_memory=True)


def speed(bench, rounds, milliseconds, say):
    """{outstanding: {subject: figures}}; the subjects take turns, so that what else the machine
    does meets them all; ratios are medians of the rounds' own."""
    subjects = [(name, make()) for name, make in _subjects(bench)]
    found = {n: {name: [] for name, _ in subjects} for n in OUTSTANDING}
    for number in range(rounds):
        for name, subject in subjects:
            say(f"speed: round {number + 1} of {rounds}, {name}")
            with bench.loaded(subject, DEVICES) as load:
                for n in OUTSTANDING:
                    load.order("update", n, min(WARM_UP, milliseconds))
                    found[n][name].append(load.order("update", n, milliseconds))
                    found[n][name][-1]["rss"] = subject.memory()["rss"]
    return {n: {name: _summary(found[n], name) for name in found[n]} for n in OUTSTANDING}


def _summary(rounds_of, name):
    mine = rounds_of[name]
    ratios = {echo: statistics.median(a["rate"] / b["rate"] for a, b in
                                      zip(mine, rounds_of[echo], strict=True))
              for echo in ECHOES}
    return {**{key: median_of(mine, key) for key in ("rate", "p50", "p99", "cpu", "rss")},
            "bad": _bad(mine), "of": ratios}


# ---- what a request costs ----

def costs(bench, milliseconds, say):
    """{kind: {outstanding: figures}} of a daemon whose calls are counted, its store on disk."""
    if sanitized():
        return {}
    gateway = bench.gateway(DEVICES, counted=True)
    found = {}
    with bench.loaded(gateway, DEVICES) as load:
        gateway.wait_devices()
        for kind in ("update", "job"):
            for n in OUTSTANDING:
                say(f"costs: {kind}, {n} outstanding")
                load.order(kind, n, min(WARM_UP, milliseconds), 0)
                found.setdefault(kind, {})[n] = load.order(kind, n, milliseconds, 0)
    return found


# ---- memory and start ----

def _settled(bench, gateway, devices):
    """Memory of a daemon that has just started, managed its devices and has nothing to do."""
    with bench.loaded(gateway, devices):
        gateway.wait_devices()
        gateway.wait_quiet()
        return gateway.memory()


def room(bench, few, many, jobs, starts, say):
    """{"few", "many"}: memory and start with few devices, and with many and stored jobs."""
    found = {}
    for name, devices, count in (("few", few, 0), ("many", many, jobs)):
        gateway = bench.gateway(devices)
        if count:
            say(f"room: {count} jobs are done and stored")
            with bench.loaded(gateway, devices) as load:
                gateway.wait_devices(min(devices, DEVICES))
                load.order("job", min(devices, DEVICES), 0, count)
        say(f"room: {devices} devices are connected")
        memory = _settled(bench, gateway, devices)
        say("room: starts")
        ready, worked = zip(*(gateway.start_ms() for _ in range(starts)), strict=True)
        found[name] = {**memory, "devices": devices, "jobs": gateway.stored_jobs(),
                       "ready_ms": statistics.median(ready),
                       "start_cpu_ms": statistics.median(worked), "store": gateway.store_size()}
    return found


# ---- four clouds ----

def _told_bytes(text):
    """KiB of one further connection, as bench_tls_links says it, in kB."""
    return float(text.split("by TLS: ")[1].split()[0]) * 1.024


def clouds(bench, each, outstanding, milliseconds, tls, say):
    """One gateway under four clouds, so many devices of each; and what a link by TLS takes."""
    say(f"clouds: {4 * each} devices come")
    peer = Peer("bench_clouds", each)
    gateway = bench.clouds(peer.first, each)
    try:
        peer.begin("await")
        gateway.start(ready=False)
        found = peer.end()
        gateway.wait_quiet()
        found.update(gateway.memory(), devices=4 * each)
        peer.order("watch", gateway.process.pid)
        for n in outstanding:
            say(f"clouds: requests of all, {n} outstanding")
            peer.order("ask", n, min(WARM_UP, milliseconds))
            found.setdefault("asked", {})[n] = peer.order("ask", n, milliseconds)
    finally:
        gateway.stop()
        peer.close()
    say("clouds: links by TLS")
    done = run_good([program("bench_tls_links"), tls])
    return {**found, "tls_kb": None if sanitized() else _told_bytes(done.stdout)}


# ---- an image over a line ----

def image(bench, bauds, size, say):
    """{driver: {baud: figures}} of an update whose line has that speed."""
    found = {}
    for kind in TARGETS:
        target = kind(bench)
        try:
            for number, baud in enumerate(bauds):
                say(f"image: {size} bytes by {target.name} at {baud} baud")
                told, count = _update(bench, target, f"3.0.{number}", size, baud)
                found.setdefault(target.name, {})[baud] = _transfer(told, count, baud)
        finally:
            target.close()
    return found


def _update(bench, target, version, size, baud):
    """What passed over the line, and the bytes of the image."""
    line = Line(bench, target.device, baud)
    spec = device_spec("d0", target.kind, "line", None, **(
        {"address": target.address} if target.address else {}))
    gateway = bench.gateway(1, port=line.link, specs=[spec], baud=baud)
    try:
        gateway.start()
        gateway.wait_devices()
        path = target.image(version, size)
        package = gateway.ctl("package", "add", path, "--version", version).json["id"]
        job = gateway.ctl("job", "create", "firmware-update", "d0", "--package",
                          package).json["id"]
        wait_until(lambda: gateway.ended(job), 60 + size * 100 / baud, f"job {job}", 0.1)
        return line.told(), path.stat().st_size
    finally:
        gateway.stop()
        line.close()


def _transfer(told, size, baud):
    """From the first block until the last one is answered."""
    blocks = [index for index, (_, way, count) in enumerate(told) if way == "down"
              and count >= BLOCK]
    last = next(index for index in range(blocks[-1], len(told)) if told[index][1] == "up")
    at, _, count = told[blocks[0]]
    passed = told[blocks[0]:last + 1]
    seconds = told[last][0] - (at - count * 10 / baud)
    carried = sum(count for _, _, count in passed) * 10 / baud
    return {"bytes": size, "seconds": seconds, "rate": size / seconds,
            "of_line": size * 10 / baud / seconds, "of_frames": carried / seconds}
