#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Four scripted clouds over one gateway, for packaging/quickstart.sh: plays a plan, shows what
passes between each cloud and the gateway in one short line a message, and sums up who was told what.

The plan has one order a line:
    CLOUD update DEVICE VERSION FILE
    CLOUD reboot DEVICE
    CLOUD reset DEVICE        (ibm)
The file of the plan is removed when it has been played; then the same orders are taken from stdin.
"""
import argparse
import hashlib
import os
import pathlib
import signal
import sys

from cloud_watch import Screen, alibaba_words, azure_words, huawei_words, short
from clouds import Alibaba, Azure, Huawei, Ibm, Image

MEET = 60.0  # s, until everybody knows everybody
TITLES = {"update": "updates {} to {}", "reboot": "reboots {}", "reset": "resets {}"}


class Failure(Exception):
    """What a newcomer is told."""


class Show:
    def __init__(self, options, secret):
        self.screen, self.options = Screen(), options
        self.devices = dict(word.split("=") for word in options.devices)
        screen, port = self.screen, options.broker
        self.clouds = {cloud.name: cloud for cloud in (
            Ibm(options.ibm_broker, self.devices, secret, "platform", screen.watch_ibm),
            Azure(port, self.devices, secret, watcher=screen.watch("azure", azure_words)),
            Huawei(port, self.devices, secret, watcher=screen.watch("huawei", huawei_words)),
            Alibaba(port, self.devices, secret, screen.watch("alibaba", alibaba_words)))}
        self.ends = {}  # (cloud, device) -> how its update ended

    def meet(self):
        """Until each cloud knows each device; what passes meanwhile is not shown."""
        for cloud in self.clouds.values():
            for device in self.devices:
                cloud.hears(device, timeout=MEET)
        count = len(self.devices)
        for name, text in (
                ("ibm", f"the gateway and its {count} devices are managed"),
                ("azure", f"{count} devices, each with a connection and a twin of its own"),
                ("huawei", f"a gateway with {count} sub-devices, online"),
                ("alibaba", f"a gateway with {count} sub-devices in its topology, logged in")):
            self.screen.say(f"{name:8} {text}")
        self.screen.shows = True

    def obey(self, line):
        """One order."""
        words = line.split()
        name, verb, device, *rest = words + [""] * max(0, 3 - len(words))
        cloud = self.clouds.get(name)
        act = getattr(self, f"_{verb}", None) if verb in TITLES else None
        if not cloud or not act or device not in self.devices or \
                len(rest) != (2 if verb == "update" else 0):
            raise Failure(f"no such order: {short(line.strip())} (there are: CLOUD update DEVICE "
                          "VERSION FILE, CLOUD reboot DEVICE, ibm reset DEVICE)")
        self.screen.title(f"{name} {TITLES[verb].format(device, *rest)}")
        act(cloud, device, *rest)

    def _update(self, cloud, device, version, file):
        content = (self.options.images / file).read_bytes()
        image = Image(version, f"{self.options.url}/{file}", len(content),
                      hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest())
        end = cloud.ended(cloud.begin(device, image))
        self.ends[cloud.name, device] = end
        if end != cloud.well:
            raise Failure(f"{cloud.name}: the update of {device} ended as {end}")
        for other in self.clouds.values():
            other.hears(device, version, MEET)
        self.screen.say(f"         all four were told: {device} runs {version}")

    def _reboot(self, cloud, device):
        if not cloud.reboot(device):
            raise Failure(f"{cloud.name}: the reboot of {device} failed")
        self.screen.say("         done")

    def _reset(self, cloud, device):
        if cloud.name != "ibm" or not cloud.reset(device):
            raise Failure(f"{cloud.name}: the factory reset of {device} failed")
        self.screen.say("         done")

    # ---- the summary ----

    TOLD = {"ibm": "manage", "azure": "reported", "huawei": "version_report", "alibaba": "inform"}
    ENDED = {"ibm": lambda end: f"state {end[1][0]}, updateStatus {end[1][1]}",
             "azure": lambda end: f"202, then {end[0]}",
             "huawei": lambda end: f"result_code {end[1]}", "alibaba": lambda end: end[0]}

    def _cell(self, name, device):
        end = self.ends.get((name, device))
        return f"* {self.ENDED[name](end)}" if end else \
            f"{self.TOLD[name]} {short(self.clouds[name].knows(device) or '-')}"

    def table(self):
        rows = [["DEVICE", *(name.upper() for name in self.clouds)]]
        rows += [[device, *(self._cell(name, device) for name in self.clouds)]
                 for device in self.devices]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        self.screen.title("What each cloud was told of each device")
        for row in rows:
            self.screen.say("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths))
                            .rstrip())
        self.screen.say("* asked for the update, and was told how it ended; the others were told "
                        "the version")

    def breaches(self):
        return [f"{name}: {text}" for name, cloud in self.clouds.items()
                for text in cloud.breaches()]


def play(show, options):
    options.doors.write_text("".join(f"{name}={cloud.uri}\n" for name, cloud in
                                     show.clouds.items()), encoding="ascii")
    show.meet()
    for line in options.plan.read_text(encoding="ascii").splitlines():
        show.obey(line)
    show.table()
    if show.breaches():
        raise Failure("breaches of a protocol: " + "; ".join(show.breaches()))
    options.plan.unlink()
    for line in sys.stdin:
        try:
            show.obey(line)
        except (Failure, OSError, TimeoutError) as error:
            show.screen.say(f"!! {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--ibm-broker", type=int, required=True, help="port of ibm's broker, where "
                        "the gateway logs in")
    parser.add_argument("--broker", type=int, required=True, help="port of a broker that takes "
                        "everybody, behind the doors of the others")
    parser.add_argument("--secret-file", type=pathlib.Path, required=True)
    parser.add_argument("--doors", type=pathlib.Path, required=True, help="written: CLOUD=URI")
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--url", required=True, help="where the images are served")
    parser.add_argument("plan", type=pathlib.Path)
    parser.add_argument("devices", nargs="+", metavar="DEVICE=KIND")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    show = Show(options, options.secret_file.read_text(encoding="ascii").strip())
    try:
        play(show, options)
    except (Failure, OSError, TimeoutError, AssertionError) as error:
        show.screen.say(f"!! {error}")
        return 1
    finally:
        for cloud in show.clouds.values():
            cloud.close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # an order that still waits for its end does not matter any more
