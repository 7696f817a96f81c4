# SPDX-License-Identifier: Apache-2.0
"""Shows what passes between four scripted clouds and a gateway: one short line a message, for people
who see these protocols for the first time. Steps of progress that say little more are left out.
"""
import json
import os
import re
import shutil
import sys
import threading
import time

from ibm_device import Violation

COLOURS = {"ibm": "34", "azure": "36", "huawei": "35", "alibaba": "33"}
THIN = 25  # percent between two lines of progress


# ---- what passes, in few words: (device, words, percent or None); None: not shown ----

def short(value):
    """Of what others send: on one line, and nothing that steers a terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(c if c.isprintable() else "?" for c in text)[:90]


def _pairs(members, names):
    return ", ".join(f"{name} {short(members[name])}" for name in names
                     if members.get(name) not in (None, ""))


def ibm_words(message):
    body = message.body if isinstance(message.body, dict) else {}
    d = body.get("d") if isinstance(body.get("d"), dict) else {}
    fields = d.get("fields") or [{}]
    value = fields[0].get("value") if isinstance(fields[0], dict) else None
    firmware = value if isinstance(value, dict) else {}
    words = [_pairs(body, ("rc", "message")), _pairs(d.get("deviceInfo", {}), ("fwVersion",)),
             _pairs(firmware, ("version", "uri")) if message.suffix == "device/update" else
             _pairs(firmware, ("state", "updateStatus"))]
    device = (message.device or "-").partition("/")[2]
    return device, f"{message.suffix}  {', '.join(filter(None, words))}", None


def azure_words(_direction, device, topic, payload):
    body = json.loads(payload) if payload.strip() else None
    method = re.match(r"methods/POST/([^/]+)/", topic)
    answer = re.match(r"methods/res/(\d+)/", topic)
    if method:
        asked = _pairs(body or {}, ("fwVersion", "fwPackageUri"))
        return device, f"method {method[1]}  {asked}", None
    if answer:
        return device, f"answer {answer[1]}  {_pairs(body or {}, ('status', 'error'))}", None
    if topic.startswith("twin/PATCH/properties/reported/"):
        return _azure_report(device, body)
    return None


def _azure_report(device, patch):
    firmware = patch.get("firmware") or {}
    words = _pairs(firmware, ("fwUpdateStatus", "currentFwVersion", "fwUpdateSubstatus", "error"))
    dm = [f"iothubDM.{job} {short(told['status'])}"
          for job, told in (patch.get("iothubDM") or {}).items()
          if isinstance(told, dict) and "status" in told]
    percent = re.search(r"(\d+)%", str(firmware.get("fwUpdateSubstatus", "")))
    moved = {"fwUpdateStatus", "currentFwVersion"} & set(firmware)
    text = words or ", ".join(dm) or ", ".join(patch)
    return device, f"reported  {text}", int(percent[1]) if percent and not moved else None


HUAWEI = {"version_report": ("fw_version", "sw_version"), "firmware_upgrade": ("version", "url"),
          "upgrade_progress_report": ("result_code", "progress", "version", "description")}


def huawei_words(_direction, topic, payload):
    body = json.loads(payload)
    device = body.get("object_device_id", "-")
    if topic.startswith("events/"):
        service = body["services"][0]
        paras, kind = service["paras"], service["event_type"]
        if kind not in HUAWEI:
            return None  # who is there
        percent = paras.get("progress")
        moves = paras.get("result_code") == 0 and percent not in (None, 100)
        return device, f"{kind}  {_pairs(paras, HUAWEI[kind])}", percent if moves else None
    if topic.startswith("commands/"):
        words = _pairs(body, ("command_name", "result_code"))
        return device, f"{'answer' if '/response/' in topic else 'command'}  {words}", None
    return None


def alibaba_words(direction, topic, payload):
    ota = re.fullmatch(r"/ota/device/(inform|progress|upgrade)/[^/]+/([^/]+)", topic)
    service = re.fullmatch(r"/sys/[^/]+/([^/]+)/thing/service/(\w+)", topic)
    if ota and (ota[1] == "upgrade") == (direction == "out"):
        body = json.loads(payload)
        params = body.get("params") or body.get("data")
        step = str(params.get("step", ""))
        words = _pairs(params, ("version", "step", "desc", "url"))
        return ota[2], f"{ota[1]}  {words}", int(step) if step.isdigit() and step != "100" else None
    if service and (direction == "out") != service[2].endswith("_reply"):
        return service[1], f"service {service[2]}  {_pairs(json.loads(payload), ('code',))}", None
    return None


# ---- the screen ----

class Screen:
    """One line a message; from any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        self._told = {}  # (cloud, device) -> percent of the last line
        self.shows = False

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def say(self, text):
        # One write per line: others print here, too.
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def title(self, text):
        self.say("\n" + self._paint("1", f"== {text}"))

    def passed(self, cloud, direction, found):
        if not found or not self.shows:
            return
        device, words, percent = found
        with self._lock:
            last = self._told.get((cloud, device))
            if percent is not None and last is not None and last <= percent < last + THIN:
                return
            self._told[cloud, device] = percent
        arrow = "<--" if direction == "in" else "-->"
        line = f"{cloud:8} {arrow} {device:8} {words.strip()}"
        if self._width:
            line = line[:self._width - 9]
        self.say(f"{time.strftime('%H:%M:%S')} {self._paint(COLOURS[cloud], line)}")

    def watch(self, cloud, words):
        """A watcher for a cloud whose watchers begin with the direction."""
        def show(direction, *message):
            try:
                found = words(direction, *message)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                self.say(f"!! {cloud}: {error!r} in {message!r}")  # in the cloud's own thread
            else:
                self.passed(cloud, direction, found)
        return show

    def watch_ibm(self, what):
        if isinstance(what, Violation):
            self.say(f"!! ibm: {what.code}: {what.text}")
        else:
            self.passed("ibm", what.direction, ibm_words(what))
