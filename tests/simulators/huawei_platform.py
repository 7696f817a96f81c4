#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A scripted Huawei IoTDA for tests: the platform's side of a gateway with sub-devices.

Behind the door (huawei_front.py) it hears what a gateway sends to a plain MQTT broker, knows which
sub-devices there are and who is online, runs upgrade tasks, asks commands and properties, and notes
every breach of the protocol. As a program: --help.

Documented behaviour only (IoTDA, "Device-side MQTT interface"). What it does not do: REST, the
shadow, messages, bridge mode.

Threads: Paho's loop thread hears; every public method may be called from any thread and waits, with
a deadline, on one condition.
"""
import argparse
import itertools
import json
import re
import sys
import time

from cloud_life import CloudLife
from huawei_checks import RESPONSE, check, decode
from huawei_front import Front

UP = re.compile(r"\$oc/devices/([^/]+)/sys/(.*)", re.S)


class Upgrade:
    """One sub-task, as the platform sees it."""

    def __init__(self, device, version, event):
        self.device, self.version, self.event = device, version, event
        self.reports = []  # paras
        self.result = None  # ("success" | "fail", result_code, description)

    @property
    def progress(self):
        return [report["progress"] for report in self.reports if "progress" in report]


class Device:
    def __init__(self, name):
        self.name = name
        self.status = "OFFLINE"
        self.statuses, self.versions, self.values = [], [], {}
        self.upgrade = None


class HuaweiPlatform(CloudLife):
    """gateway: its id; secret: or "x509"; devices: ids of its sub-devices; context: of ssl.

    truth: called with (device, version) when success is told; a text it returns says why that is
    not true. watcher: called with (direction "in" or "out", topic below sys/, payload) of each
    message as it passes.
    """

    def __init__(self, broker_port, gateway, secret, devices=(), *, context=None, truth=None,
                 watcher=None):
        super().__init__(broker_port, "the-iotda", [("$oc/devices/+/sys/#", 2)])
        self.gateway, self.secrets, self.truth = gateway, {gateway: secret}, truth
        self.watcher = watcher
        self.devices = {name: Device(name) for name in (gateway, *devices)}
        self.events, self.answers, self.added, self.deleted = [], {}, [], []
        self.online = False
        self.comes = 0
        self.silent = False  # it does not answer about sub-devices
        self.list_version, self._list = 0, []  # notifications of the list of sub-devices
        self._asked = {}  # (kind, request id) of requests
        self._numbers = itertools.count(1)
        self.front = Front(self, broker_port, context)

    # ---- what the door tells ----

    def came(self, _name):
        with self._changed:
            self.online = True
            self.comes += 1
            self._changed.notify_all()

    def left(self, _name):
        """The platform has all sub-devices of a gateway that went as offline."""
        with self._changed:
            self.online = False
            for device in self.devices.values():
                device.status = "OFFLINE"
            self._changed.notify_all()

    # ---- waiting ----

    def _known(self):
        return f"the last events: {self.events[-6:]}"

    def wait_status(self, name, status, timeout=30.0, comes=1):
        self.wait(lambda: self.comes >= comes and self.online
                  and self.devices[name].status == status, timeout, f"{status} of {name}")

    def wait_version(self, name, version, timeout=30.0):
        """That its last version_report says this."""
        def told():
            versions = self.devices[name].versions
            return versions and versions[-1].get("fw_version") == version
        self.wait(told, timeout, f"version {version} of {name}")

    # ---- what the gateway sends ----

    def _receive(self, message):
        match = UP.fullmatch(message.topic)
        sender, topic = match[1], match[2]
        if topic.endswith("/down") or "/request_id=" in topic and "/response/" not in topic:
            return  # our own
        with self._changed:
            if self.watcher:
                self.watcher("in", topic, message.payload)
            try:
                self._take(sender, topic, message)
            except Exception as error:  # noqa: BLE001 (a bug of ours must fail the test)
                self.violations.append((sender, f"the script failed: {error!r}"))
            self._changed.notify_all()

    def _take(self, sender, topic, message):
        if sender != self.gateway:
            self.breach(sender, f"published as somebody else: {topic}")
        if message.qos != 1 or message.retain:
            self.breach(sender, f"qos {message.qos}, retain {message.retain} of {topic}")
        try:
            body = decode(message.payload)
        except (ValueError, UnicodeDecodeError) as error:
            self.breach(sender, f"{topic}: {error}")
            return
        wrong = list(check(topic, body))
        for text in wrong:
            self.breach(sender, f"{topic}: {text} in {body}")
        if wrong:
            return
        answer = RESPONSE.fullmatch(topic)
        if answer:
            self._take_answer((answer[1], answer[2]), body)
        elif topic == "events/up":
            for service in body["services"]:
                self._take_event(body.get("object_device_id", self.gateway), service)
        else:
            for device in body["devices"]:
                self._take_values(device)

    def _take_answer(self, key, body):
        if key not in self._asked:
            self.breach(self.gateway, f"an answer that nobody asked for: {key}")
        elif key in self.answers:
            self.breach(self.gateway, f"a second answer to {key}: {body}")
        else:
            self.answers[key] = body

    def _take_values(self, entry):
        device = self.devices.get(entry["device_id"])
        if not device or device.status != "ONLINE":
            self.breach(entry["device_id"], "values of a sub-device that is not online")
            return
        for service in entry["services"]:
            device.values.update(service["properties"])

    def _take_event(self, name, service):
        kind, paras = service["event_type"], service["paras"]
        self.events.append((name, kind, paras))
        if kind == "version_report":
            self._take_version(name, paras)
        elif kind == "upgrade_progress_report":
            self._take_progress(name, paras)
        elif kind == "sub_device_sync_request":
            for notify in [n for n in self._list if n[1]["version"] > paras["version"]]:
                self._event(self.gateway, "$sub_device_manager", *notify)
        elif not self.silent:
            self._take_family(kind, service)

    def _take_version(self, name, paras):
        device = self.devices.get(name)
        if not device:
            self.breach(name, "a version of a device that is not known")
        elif name != self.gateway and device.status != "ONLINE":
            self.breach(name, "a version of a sub-device that is not online")
        else:
            device.versions.append(paras)

    def _take_progress(self, name, paras):
        device = self.devices.get(name)
        upgrade = device.upgrade if device else None
        if not upgrade:
            if device:
                self.breach(name, f"progress of an upgrade that nobody asked for: {paras}")
            return
        told = upgrade.progress
        code, progress = paras["result_code"], paras.get("progress")
        if upgrade.result and (not upgrade.reports or paras != upgrade.reports[-1]):
            self.breach(name, f"a report after the end {upgrade.result}: {paras}")
        elif told and progress is not None and progress < told[-1]:
            self.breach(name, f"progress fell from {told[-1]} to {progress}")
        upgrade.reports.append(paras)
        if code != 0:
            upgrade.result = ("fail", code, paras.get("description"))
        elif progress == 100 or progress is None:
            self._succeed(name, upgrade, paras)

    def _succeed(self, name, upgrade, paras):
        if paras["version"] != upgrade.version:
            self.breach(name, f"success with {paras['version']}, not {upgrade.version}")
        wrong = self.truth(name, upgrade.version) if self.truth else None
        if wrong:
            self.breach(name, f"success that is not true: {wrong}")
        upgrade.result = ("success", 0, paras.get("description"))

    def _take_family(self, kind, service):
        paras, good, bad = service["paras"], [], []
        if kind == "sub_device_update_status":
            for entry in paras["device_statuses"]:
                self._take_status(entry, good, bad)
        elif kind == "add_sub_device_request":
            for entry in paras["devices"]:
                name = f"{entry['product_id']}_{entry['node_id']}"
                self.devices.setdefault(name, Device(name))
                self.added.append(name)
                good.append({**entry, "device_id": name, "parent_device_id": self.gateway,
                             "status": "INACTIVE"})
        else:
            for name in paras["devices"]:
                self.devices.pop(name, None)
                self.deleted.append(name)
                good.append(name)
        answer = {"add_sub_device_request": "add_sub_device_response",
                  "delete_sub_device_request": "delete_sub_device_response"}.get(
                      kind, kind + "_response")
        self._event(self.gateway, "$sub_device_manager", answer,
                    {"successful_devices": good, "failed_devices": bad}, service["event_id"])

    def _take_status(self, entry, good, bad):
        device = self.devices.get(entry["device_id"])
        if not device or device.name == self.gateway:
            bad.append({"device_id": entry["device_id"], "error_code": "IOTDA.014000",
                        "error_msg": "The device does not exist."})
            return
        device.status = entry["status"]
        device.statuses.append(entry["status"])
        good.append(entry)

    # ---- what the platform sends ----

    def publish(self, suffix, payload):
        data = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
        if self.watcher:
            self.watcher("out", suffix, data)
        self._client.publish(f"$oc/devices/{self.gateway}/sys/{suffix}", data, 1)

    def _event(self, name, service, kind, paras, event_id=None):
        self.publish("events/down", {
            "object_device_id": name,
            "services": [{"service_id": service, "event_type": kind,
                          "event_time": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
                          "event_id": event_id or f"e-{next(self._numbers)}", "paras": paras}]})

    def query_version(self, name, timeout=30.0):
        device = self.devices[name]
        with self._lock:
            before = len(device.versions)
            self._event(name, "$ota", "version_query", {})
        self.wait(lambda: len(device.versions) > before, timeout, f"version of {name}")
        return device.versions[-1]

    def upgrade(self, name, version, uri, *, kind="firmware_upgrade", event=None, **paras):
        """Asks for an upgrade; what comes of it is seen in the result."""
        event = event or f"u-{next(self._numbers)}"
        upgrade = Upgrade(name, version, event)
        message = {"version": version, "url": uri, **paras}
        if not kind.endswith("_v2"):
            message.setdefault("expires", 86400)
        upgrade.message = (name, "$ota", kind, message, event)
        with self._lock:
            if name in self.devices:
                self.devices[name].upgrade = upgrade
            self._event(*upgrade.message)
        return upgrade

    def redeliver(self, upgrade):
        self._event(*upgrade.message)

    def wait_result(self, upgrade, timeout=120.0):
        return self.wait(lambda: upgrade.result, timeout, f"result for {upgrade.device}: "
                         f"{upgrade.reports[-3:]}")[:2]

    def wait_progress(self, upgrade, description, timeout=60.0):
        self.wait(lambda: any(report.get("description") == description
                              for report in upgrade.reports), timeout, f"{description} told")

    def _request(self, kind, body, timeout):
        key = (kind, f"r-{next(self._numbers)}")
        with self._lock:
            self._asked[key] = body
            self.publish(f"{kind}/request_id={key[1]}", body)
        return self.wait(lambda: self.answers.get(key), timeout, f"answer to {key}: {body}")

    def command(self, name, command, timeout=25.0, **paras):
        return self._request("commands", {"object_device_id": name, "service_id": "control",
                                          "command_name": command, "paras": paras}, timeout)

    def set(self, name, values, timeout=25.0):
        return self._request("properties/set", {"object_device_id": name, "services": [
            {"service_id": "properties", "properties": values}]}, timeout)

    def get(self, name, timeout=25.0):
        return self._request("properties/get", {"object_device_id": name,
                                                "service_id": "properties"}, timeout)

    def raw_request(self, kind, payload, timeout=25.0):
        return self._request(kind, payload, timeout)

    def delete(self, name):
        """An operator removes a sub-device; add() brings it back."""
        self._notify("delete_sub_device_notify", name)
        with self._lock:
            self.devices.pop(name, None)

    def add(self, name):
        with self._lock:
            self.devices.setdefault(name, Device(name))
        self._notify("add_sub_device_notify", name)

    def _notify(self, kind, name):
        with self._lock:
            self.list_version += 1
            self._list.append((kind, {"devices": [
                {"parent_device_id": self.gateway, "node_id": name.split("_", 1)[-1],
                 "device_id": name, "status": "INACTIVE"}], "version": self.list_version}))
            self._event(self.gateway, "$sub_device_manager", *self._list[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", type=int, required=True, help="port of an MQTT broker on "
                        "127.0.0.1")
    parser.add_argument("--gateway", required=True, help="its device id")
    parser.add_argument("--secret", required=True)
    parser.add_argument("devices", nargs="*", help="ids of its sub-devices")
    args = parser.parse_args()
    with HuaweiPlatform(args.broker, args.gateway, args.secret, args.devices) as platform:
        print(f"mqtt://127.0.0.1:{platform.front.port}", flush=True)
        for line in sys.stdin:  # NAME VERSION URI, until the end of the input
            words = line.split()
            if len(words) == 3:
                print(platform.wait_result(platform.upgrade(*words)), flush=True)
    for text in platform.breaches():
        print(text, file=sys.stderr)
    return 1 if platform.breaches() else 0


if __name__ == "__main__":
    sys.exit(main())
