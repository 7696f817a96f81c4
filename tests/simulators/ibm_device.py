# SPDX-License-Identifier: Apache-2.0
"""What the scripted IBM platform remembers: messages, one record per device, one run per action.

Plain records without locks; IbmPlatform guards them.
"""
import json
import time
from collections import deque
from dataclasses import dataclass, field

from ibm_protocol import FIRMWARE, Finding, firmware_in, rc_number


@dataclass
class Message:
    """One message that passed. direction: "in" from the device, "out" to it."""
    at: float  # seconds since the epoch
    direction: str
    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    device: str = None  # "type/id"
    suffix: str = None
    body: dict = None  # None: not a JSON object

    @property
    def firmware(self):
        """mgmt.firmware as this message carries it; {} without."""
        return firmware_in((self.body or {}).get("d"))

    @property
    def rc(self):
        return rc_number(self.body or {})

    @property
    def req_id(self):
        return (self.body or {}).get("reqId")

    def as_json(self):
        return {"at": self.at, "direction": self.direction, "topic": self.topic,
                "qos": self.qos, "device": self.device,
                "body": self.body if self.body is not None else repr(self.payload)}


@dataclass
class Request:
    """A request of the platform to a device."""
    device: str
    suffix: str
    req_id: str
    d: dict
    sent: float  # monotonic
    given_up: bool = False  # nobody waits any more: a later answer is stale
    answers: list = field(default_factory=list)  # bodies; the first one counts

    @property
    def answer(self):
        return self.answers[0] if self.answers else None

    @property
    def rc(self):
        return rc_number(self.answers[0]) if self.answers else None


@dataclass
class Violation:
    code: str
    text: str
    device: str
    message: Message

    def __str__(self):
        where = f" ({self.message.topic} {self.message.payload!r})" if self.message else ""
        return f"{self.code}: {self.device}: {self.text}{where}"


class Device:
    """One device as the platform knows it."""

    def __init__(self, name):
        self.name = name
        self.managed = False
        self.manages = []  # d of each accepted manage, oldest first
        self.supports = {}
        self.device_info = {}
        self.metadata = {}
        self.lifetime = 0
        self.dormant_at = None  # on the platform's clock
        self.location = {}
        self.error_codes = []
        self.logs = []
        self.firmware = {}  # mgmt.firmware, merged from device/update and notifies
        self.observed = False
        self.notifies = []  # values of mgmt.firmware, oldest first
        self.requests = {}  # reqId -> Request, ours
        self.heard = {}  # reqId -> (suffix, body, rc), the device's
        self.repeats = []  # Messages that came again with the same reqId and content
        self.scripted = {}  # suffix -> deque of rc or None (no answer)
        self.run = None

    def next_rc(self, suffix, rc):
        """The rc to answer with: scripted by the test, else as computed."""
        queue = self.scripted.get(suffix)
        return queue.popleft() if queue else rc

    def script(self, suffix, codes):
        self.scripted.setdefault(suffix, deque()).extend(codes)

    def reset_management(self):
        """Unmanaged or dormant: mgmt.* is deleted."""
        self.managed, self.lifetime, self.dormant_at = False, 0, None
        self.supports, self.firmware, self.observed = {}, {}, False


class Run:
    """One firmware action on one device, from its start to its end, and what was told of it."""

    def __init__(self, action, target=None):
        self.action = action  # "firmware/download", ...
        self.target = target  # version
        self.started = time.monotonic()
        self.accepted = False  # the 202 is in
        self.manages_before = 0  # manage requests heard when it came in
        self.open = True
        self.cancelled = False  # overridden by another request
        self.notifies = []
        self.in_progress = False  # updateStatus 1 (or state 1) was told
        self.status_done = False  # updateStatus 0 was told after 1, alone
        self.final = None  # "success" | "failure"
        self.finals = 0

    def hear(self, value, merged):
        """Takes a notify's value; findings."""
        out = []
        self.notifies.append(dict(value))
        if not self.accepted:
            out.append(Finding("early-notify", f"{self.action}: told {value} before the 202"))
        before, self_final = self.final, self._judge(value, merged, out)
        if self_final is not None:
            self.finals += 1
            if before is None:
                self.final = self_final
            else:
                out.append(Finding("second-final", f"{self.action} had ended as {before}; "
                                   f"then told {value}"))
        elif before is not None:
            out.append(Finding("after-final", f"{self.action} had ended as {before}; then told "
                               f"{value}"))
        return out

    def _judge(self, value, merged, out):
        """What this notify says of the run's end: None, success or failure."""
        state, status = value.get("state"), value.get("updateStatus")
        if status is not None and status >= 2:
            if self.action == "firmware/download" and state not in (0, None):
                out.append(Finding("firmware-state", f"a failed download is idle: {value}"))
            return "failure"
        if self.action == "firmware/download":
            return self._judge_download(state, status, out)
        if self.action == "firmware/update":
            return self._judge_update(state, status, merged, out)
        return None

    def _judge_download(self, state, status, out):
        if status == 1:
            out.append(Finding("firmware-state", "updateStatus 1 while a download runs"))
        if state == 2:
            return "success"
        if state == 1:
            self.in_progress = True
        elif state == 0:
            out.append(Finding("firmware-state", "idle without an error while a download runs"))
        return None

    def _judge_update(self, state, status, merged, out):
        if status == 1:
            if self.status_done:
                out.append(Finding("backward", "updateStatus 1 after 0"))
            if state == 1:
                out.append(Finding("firmware-state", "state 1 while an update runs"))
            self.in_progress = True
            return None
        if state == 0 and status == 0:
            return "success"
        if status == 0 and self.in_progress:
            self.status_done = True
        # A device library may tell the two keys one after the other.
        if self.status_done and merged.get("state") == 0:
            return "success"
        return None


@dataclass
class Outcome:
    """How an action ended, as the platform would show it."""
    action: str
    device: str
    status: str = "success"  # success | failure | timeout | refused | cancelled
    step: str = ""  # where it ended
    rc: int = None  # of the step's answer
    message: str = ""
    state: int = None
    update_status: int = None
    notifies: list = field(default_factory=list)
    answer: dict = None  # of the step
    seconds: float = 0.0

    @property
    def ok(self):
        return self.status == "success"

    def end(self, status, step, request=None):
        self.status, self.step = status, step
        if request is not None and request.answer is not None:
            self.answer, self.rc = request.answer, request.rc
            self.message = request.answer.get("message", "")
        return self

    def as_json(self):
        return dict(vars(self), ok=self.ok)

    def __str__(self):
        words = [f"{self.action} of {self.device}: {self.status}"]
        if not self.ok:
            words.append(f"in step '{self.step}'")
        for name in ("rc", "state", "update_status"):
            if getattr(self, name) is not None:
                words.append(f"{name.replace('_', ' ')} {getattr(self, name)}")
        if self.message:
            words.append(json.dumps(self.message))
        return ", ".join(words) + f" ({self.seconds:.1f} s)"


def firmware_fields(value):
    return {"fields": [{"field": FIRMWARE, "value": value}]}
