# SPDX-License-Identifier: Apache-2.0
"""The figures as tables of at most 80 columns."""

AIMS = {1: 0.4, 64: 0.5}
_NAMES = {"paho": "echo on Paho, does nothing else", "mosquitto": "echo on libmosquitto, the same",
          "disk": "southbridge, store on disk", "memory": "southbridge, store in memory"}


def _verdict(good):
    return "met" if good else "MISSED"


def _speed(found):
    yield "request: device/update, parsed, stored, committed, then answered 204, QoS 1"
    for n, subjects in found.items():
        yield ""
        yield (f"{f'{n} outstanding':32}{'req/s':>8}{'p50 us':>8}{'p99 us':>8}{'CPU us':>7}"
               f"{'of Paho':>8}{'of Mosq':>8}")
        for name, row in subjects.items():
            yield (f"  {_NAMES[name]:30}{row['rate']:8.0f}{row['p50']:8.0f}{row['p99']:8.0f}"
                   f"{row['cpu']:7.0f}{row['of']['paho']:8.2f}{row['of']['mosquitto']:8.2f}")
        told = ", ".join(f"{where} {_verdict(subjects[name]['of']['paho'] >= AIMS[n])}"
                         for name, where in (("disk", "on disk"), ("memory", "in memory")))
        yield f"  aim: {AIMS[n]:.2f} of the echo on Paho: {told}"


def _costs(found):
    yield (f"{'what one costs, store on disk':32}{'CPU us':>7}{'syncs':>7}{'sync us':>8}"
           f"{'written':>9}{'allocs':>8}")
    words = {"update": "device/update", "job": "download job"}
    for kind, rows in found.items():
        for n, row in rows.items():
            yield (f"  {f'{words[kind]}, {n} at a time':30}{row['cpu']:7.0f}{row['syncs']:7.2f}"
                   f"{row['sync_us']:8.0f}{row['written']:9.0f}{row['allocs']:8.0f}")
    syncs = {n: row["syncs"] for n, row in found["update"].items()}
    yield (f"  aim: at most 2 syncs for one request: {_verdict(syncs[1] <= 2)}, far fewer under "
           f"load: {_verdict(syncs[64] <= 0.5)}")


def _room(found):
    yield (f"{'memory (10^6 bytes) and start':34}{'RSS':>6}{'PSS':>6}{'own':>6}{'store':>7}"
           f"{'ready ms':>10}{'its CPU':>9}")
    for row in found.values():
        what = f"1 link, {row['devices']} devices, {row['jobs']} jobs"
        yield (f"  {what:32}{row['rss']:6.1f}{row['pss']:6.1f}{row['anonymous']:6.1f}"
               f"{row['store'] / 1e6:7.1f}{row['ready_ms']:10.0f}{row['start_cpu_ms']:9.0f}")
    few, many = found["few"], found["many"]
    yield (f"  aims: under 12 RSS with one link: {_verdict(few['rss'] < 12)}; ready in under 100 "
           f"ms: {_verdict(max(few['ready_ms'], many['ready_ms']) < 100)}")


def _clouds(found):
    yield (f"four clouds, {found['devices'] // 4} devices of each: {found['connections']} "
           f"connections after {found['connected_ms'] / 1000:.1f} s,")
    yield (f"  all {found['devices']} there after {found['there_ms'] / 1000:.1f} s; RSS "
           f"{found['rss']:.1f}, PSS {found['pss']:.1f}, own {found['anonymous']:.1f} MB")
    yield f"{'  requests of all four':32}{'req/s':>8}{'p50 us':>8}{'p99 us':>8}{'CPU us':>7}"
    for n, row in found["asked"].items():
        yield (f"  {f'{n} outstanding':30}{row['rate']:8.0f}{row['p50']:8.0f}{row['p99']:8.0f}"
               f"{row['cpu']:7.0f}")
    if found["tls_kb"] is not None:
        yield (f"  a further link by TLS: {found['tls_kb']:.0f} kB; aim: at most 70: "
               f"{_verdict(found['tls_kb'] <= 70)}")


def _image(found):
    yield (f"{'an image over a serial line':36}{'bytes':>9}{'s':>7}{'bytes/s':>9}"
           f"{'of line':>9}{'busy':>7}")
    for driver, rows in found.items():
        for baud, row in rows.items():
            yield (f"  {f'{driver}, {baud} baud':34}{row['bytes']:9}{row['seconds']:7.2f}"
                   f"{row['rate']:9.0f}{row['of_line']:9.2f}{row['of_frames']:7.2f}")
    yield "  of line: image bytes to what fits; busy: the line's time with frames both ways"


_STAGES = {"speed": _speed, "costs": _costs, "room": _room, "clouds": _clouds, "image": _image}


def lines(found):
    yield found["machine"]
    for name, show in _STAGES.items():
        if found.get(name):
            yield ""
            yield from show(found[name])
