# SPDX-License-Identifier: Apache-2.0
"""One job as a cloud drives it while something is killed, and the judge of how it went.

A course is download and update to a version of its own, or a reboot. What ends in an honest failure
is asked for once more, as an operator would. The judge compares three witnesses by their clocks:
what the cloud heard, what the device did, and what the daemon has left open.
"""
import itertools
import time
from dataclasses import dataclass

import smp_device
from harness import wait_until
from ibm_world import DEVICE, DOWNLOAD, REBOOT, UPDATE, both

IMAGE_SIZE = 60000
STEP = 10.0  # s, the platform waits for an answer
RUN = 60.0  # s, it waits for the end of a firmware action
RUN_REBOOT = 20.0
IN_FLIGHT = 2.0  # s, a message older than that when something was killed was not in flight


@dataclass
class Kill:
    victim: str
    at: float  # monotonic
    where: str  # what had happened last


@dataclass
class Rules:
    """What the end of one process may cost."""
    may_fail: bool = False  # an action may end as a failure that is told
    may_be_unknown: bool = False  # whether the device restarted: then no manage may claim it
    may_upload_again: bool = False
    may_revert: bool = False
    may_boot: bool = False  # the kill itself is a start of the device


RULES = {
    "daemon": Rules(may_be_unknown=True),
    "broker": Rules(),
    "device": Rules(may_fail=True, may_be_unknown=True, may_upload_again=True, may_revert=True,
                    may_boot=True),
}


def state_of_device(events):
    """(version, confirmed) after these events."""
    version = confirmed = None
    for event in events:
        if event["event"] == "boot":
            version, confirmed = event["version"], event["confirmed"]
        elif event["event"] == "state":
            confirmed = event["confirmed"]
    return version, confirmed


class Course:
    """run() drives; check() judges, once the test has killed what it wanted to (`kills`).

    version: to install; None: a reboot.
    """

    def __init__(self, world, version=None, kills_planned=0):
        self.world, self.version = world, version
        self.tries = 1 + kills_planned
        self.kills, self.outcomes = [], []
        self.old_events = world.device.events()
        self.target = (version or state_of_device(self.old_events)[0], True)
        if version:
            self.content = smp_device.make_image(version, IMAGE_SIZE)
            self.path = f"/{version}.bin"
            self.uri, self.digest = world.serve(self.path, self.content)
            world.artifacts.fault(self.path, pace=0.02)
        self.mark = world.platform.mark()
        self.started = time.monotonic()
        self.seconds = None

    # ---- driving ----

    def run(self):
        for _ in range(self.tries):
            if (self._firmware() if self.version else self._reboot()).ok:
                self.seconds = time.monotonic() - self.started
                return
            self.settle()
        raise AssertionError("a retry did not succeed")

    def _firmware(self):
        platform = self.world.platform
        outcome = self._note(platform.download(DEVICE, self.uri, self.version, "pump-firmware",
                                               self.digest, run_timeout=RUN, step_timeout=STEP))
        if outcome.ok:
            outcome = self._note(platform.update(DEVICE, run_timeout=RUN, step_timeout=STEP))
        return outcome

    def _reboot(self):
        return self._note(self.world.platform.reboot(DEVICE, run_timeout=RUN_REBOOT,
                                                     step_timeout=STEP))

    def _note(self, outcome):
        self.outcomes.append(outcome)
        return outcome

    def settle(self):
        """Until all processes are there, nothing is open and nothing is left to tell."""
        def settled():
            if not self.world.platform.hearing:
                return False
            try:
                status = self.world.southbridge.status()
            except OSError:
                return False
            links = status["links"]
            return (status["jobs"]["open"] == 0 and all(link["up"] for link in links)
                    and all(link["waiting"] == 0 for link in links))
        wait_until(settled, 60, lambda: f"nothing open: {self.world.southbridge.status()}", 0.1)

    # ---- looking ----

    def messages(self, *suffixes, direction="in"):
        return [m for m in self.world.platform.since(self.mark, DEVICE, direction=direction)
                if m.suffix in suffixes]

    def events(self, *kinds):
        news = self.world.device.events()[len(self.old_events):]
        return [e for e in news if not kinds or e["event"] in kinds]

    def requests(self, suffix):
        """The platform's requests of one kind in this course."""
        ids = [m.req_id for m in self.messages(suffix, direction="out")]
        return [self.world.record.requests[req_id] for req_id in ids]

    def where(self):
        """What happened last, as a word for the summary."""
        messages = self.world.platform.since(self.mark, DEVICE)
        events = [e for e in self.events() if e["event"] != "request"]
        last = messages[-1] if messages else None
        if events and (not last or events[-1]["at"] > last.at):
            return events[-1]["event"]
        return f"{last.direction} {last.suffix.rsplit('/', 1)[-1]}" if last else "nothing"

    def story(self):
        """Everything in order of time, for a failure's text."""
        lines = [(m.at, f"cloud {m.direction:3} {m.suffix} {m.payload[:200]!r}")
                 for m in self.world.platform.since(self.mark)]
        lines += [(e["at"], f"device   {e}") for e in self.events()
                  if e["event"] not in ("request", "upload")]
        offset = time.time() - time.monotonic()
        lines += [(k.at + offset, f"KILL     {k.victim}, after {k.where}") for k in self.kills]
        begin = self.started + offset
        return "\n".join(f"{at - begin:8.3f} {text}" for at, text in sorted(lines))

    # ---- judging ----

    def check(self, failure=None):
        """failure: what run() ended with."""
        try:
            if failure:
                raise failure
            self.settle()
            self.world.wait_version(self.target[0])
            self._check_outcomes()
            self._check_lost_requests()
            self._check_starts()
            self._check_images()
            self._check_finals()
            self._check_truth()
            self._check_reboots()
            self.world.check()
        except Exception as error:
            raise AssertionError(f"{self.version or 'reboot'}: {error}\n"
                                 f"{[str(o) for o in self.outcomes]}\n{self.story()}") from error

    def _rules(self):
        merged = Rules()
        for kill in self.kills:
            for name, value in vars(RULES[kill.victim]).items():
                setattr(merged, name, getattr(merged, name) or value)
        return merged

    def _check_outcomes(self):
        """An action ends well, or its request was lost, or it failed and that was told."""
        rules = self._rules()
        assert len([o for o in self.outcomes if not o.ok]) <= len(self.kills)
        for outcome in self.outcomes:
            lost = outcome.status == "timeout" and outcome.step != "run"
            told = outcome.status == "failure" and rules.may_fail
            unknown = (outcome.action == "device/reboot" and outcome.status == "timeout"
                       and outcome.rc == 202 and rules.may_be_unknown)
            assert outcome.ok or lost or told or unknown, f"this end may not be: {outcome}"

    def _check_lost_requests(self):
        """Only what was in flight at a kill may be without an answer."""
        requests = [r for suffix in ("device/update", "observe", "cancel", DOWNLOAD, UPDATE, REBOOT)
                    for r in self.requests(suffix)]
        for request in requests:
            assert request.answers or any(
                kill.at - IN_FLIGHT < request.sent < kill.at for kill in self.kills), (
                f"{request.suffix} {request.req_id} was never answered")

    def _counted(self, name):
        """How often the device did it in this course, by the count in its flash."""
        boots = [e for e in self.old_events + self.events() if e["event"] == "boot"]
        before = [e for e in self.old_events if e["event"] == "boot"]
        return boots[-1][name] - before[-1][name]

    def _check_starts(self):
        """As many as were asked for: one for an update, one for each reboot that was completed."""
        asked, update = self.requests(REBOOT), 1 if self.version else 0
        most = update + len(asked) + (2 * len(self.kills) if self._rules().may_boot else 0)
        least = update + len([o for o in self.outcomes if o.ok and o.action == "device/reboot"])
        starts = self._counted("count")
        assert least <= starts <= most, f"{starts} starts, not {least} to {most}"

    def _check_images(self):
        """The device runs what was told; an image was sent and tried once."""
        rules, swaps, reverts = self._rules(), self._counted("swaps"), self._counted("reverts")
        assert state_of_device(self.old_events + self.events()) == self.target
        uploads = [e["event"] for e in self.events("erase", "uploaded")]
        if not self.version:
            assert (swaps, reverts, uploads) == (0, 0, [])
            return
        assert swaps - reverts == 1 and reverts <= (len(self.kills) if rules.may_revert else 0)
        assert uploads.count("uploaded") == 1 and uploads[-1] == "uploaded", uploads
        assert len(uploads) == 2 or rules.may_upload_again, uploads
        if not rules.may_revert:
            confirms = [e for e in self.events("state") if e["confirmed"] and not e["pending"]]
            assert len(confirms) == 1, confirms

    def _check_finals(self):
        """Each request that was accepted has one outcome, told under one reqId."""
        told = {m.req_id: m.firmware for m in self.messages("notify")}
        values = [both(v["state"], v["updateStatus"]) for v in told.values()]
        for suffix, value in ((DOWNLOAD, both(2, 0)), (UPDATE, both(0, 0))):
            asked = self.requests(suffix)
            assert bool(self.version) <= values.count(value) <= len(asked), f"{value} in {values}"
        failures = [value for value in values if value["updateStatus"] > 1]
        assert len(failures) <= len([o for o in self.outcomes if not o.ok]), values

    def _check_truth(self):
        """What was told had happened before."""
        events = self.old_events + self.events()
        for message in self.messages("notify", "mgmt/manage"):
            past = [e for e in events if e["at"] <= message.at]
            if message.suffix == "mgmt/manage":
                version = (message.body["d"].get("deviceInfo") or {}).get("fwVersion")
                ran = {e["version"] for e in past if e["event"] == "boot"}
                assert version in ran, f"fwVersion {version} was told, the device ran {ran}"
            elif both(0, 0).items() <= message.firmware.items():
                now = state_of_device(past)
                assert now == self.target, f"success was told while it ran {now}"
            elif both(2, 0).items() <= message.firmware.items():
                sent = sum(hit.sent for hit in self.world.artifacts.requests(self.path))
                assert sent >= len(self.content), f"downloaded was told after {sent} bytes"

    def _check_reboots(self):
        """The manage that completes a reboot comes after a start of the device."""
        inward = self.messages("response", "mgmt/manage")
        for message in self.messages(REBOOT, direction="out"):
            answers = itertools.dropwhile(lambda m, r=message.req_id: m.req_id != r, inward)
            after = list(answers)
            if not after or after[0].rc != 202:
                continue
            manage = next((m for m in after if m.suffix == "mgmt/manage"), None)
            assert manage, "a reboot was accepted and never completed"
            starts = [e for e in self.events("boot") if message.at <= e["at"] <= manage.at]
            assert starts, f"a reboot was completed {manage.at - message.at:.3f} s after it was " \
                           "asked for, without a start of the device"
