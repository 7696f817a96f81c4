#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A scripted IoT hub for tests: the cloud's side of device twins and direct methods.

Behind the door (azure_front.py) it keeps a twin per device on a plain MQTT broker, answers reads
and reports, tells changes of desired properties, calls methods, and notes every breach of the
protocol. As a program: --help.

Documented behaviour only (Microsoft, "Understand and use device twins", "Understand and invoke
direct methods"). What it does not do: REST, jobs, messages.

Threads: Paho's loop thread hears; every public method may be called from any thread and waits, with
a deadline, on one condition.
"""
import argparse
import copy
import json
import re
import sys

from azure_front import Front
from cloud_life import CloudLife

TWIN_BYTES = 32 * 1024
TEXT_BYTES = 4096
DEPTH = 10
KEY = re.compile(r"[^.$ \x00-\x1f\x7f-\x9f]+")
UP = re.compile(r"hub/([^/]+)/up/(.*)", re.S)
RESULT = re.compile(r"methods/res/(-?\d+)/\?\$rid=([^&]+)")
GET = re.compile(r"twin/GET/\?\$rid=([^&]+)")
PATCH = re.compile(r"twin/PATCH/properties/reported/\?\$rid=([^&]+)")


class NotOnline(Exception):
    """The device is not connected, or has not subscribed (404103)."""


class NoAnswer(Exception):
    """The method timed out (504101)."""


def merge(target, patch):
    """RFC 7396, in place."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


def _illegal(value, depth=1):
    """Why a hub refuses a patch; None when it takes it."""
    if depth > DEPTH:
        return "deeper than ten levels"
    if isinstance(value, dict):
        for key, member in value.items():
            if not KEY.fullmatch(key):
                return f"the name {key!r}"
            found = _illegal(member, depth + 1)
            if found:
                return found
    if isinstance(value, str) and len(value.encode()) > TEXT_BYTES:
        return "a text of more than 4 KB"
    return None


class Twin:
    def __init__(self, key):
        self.key = key
        self.desired, self.desired_version = {}, 1
        self.reported, self.reported_version = {}, 1
        self.online = False
        self.comes = self.reads = 0
        self.patches = []  # as they came
        self.history = []  # reported after each patch


class AzureHub(CloudLife):
    """keys: {device id: base64 key or "x509"}; context: of ssl, for TLS.

    watcher: called with (direction "in" or "out", device, topic below $iothub/, payload) of each
    message as it passes.
    """

    def __init__(self, broker_port, keys, *, hub="hub.example", context=None, watcher=None):
        super().__init__(broker_port, "the-hub", [("hub/+/up/#", 1)])
        self.hub, self.watcher = hub, watcher
        self.twins = {name: Twin(key) for name, key in keys.items()}
        self._mood = []  # statuses of the next twin requests; None: no answer
        self._calls = {}  # (device, rid) -> answer or None
        self._rids = 0
        self.front = Front(self, broker_port, hub, context)

    def connection_string(self, name):
        return (f"HostName={self.hub};DeviceId={name};SharedAccessKey={self.twins[name].key};"
                "GatewayHostName=localhost")

    # ---- what the door tells ----

    def known(self, name):
        twin = self.twins.get(name)
        return twin.key if twin else None

    def logged_in(self):
        with self._changed:
            self._changed.notify_all()

    def came(self, name):
        with self._changed:
            twin = self.twins[name]
            twin.comes += 1
            twin.online = True
            self._changed.notify_all()

    def went(self, name):
        with self._changed:
            self.twins[name].online = False
            self._changed.notify_all()

    # ---- waiting ----

    def _known(self):
        return f"twins: { {n: t.reported for n, t in self.twins.items()} }"

    def wait_online(self, *names, timeout=20.0, comes=1):
        for name in names:
            self.wait(lambda n=name: self.twins[n].online and self.twins[n].comes >= comes,
                      timeout, f"connection of {name}")

    def reported(self, name, path):
        """The value at a/b/c of the reported properties; None: nothing is there."""
        with self._lock:
            value = self.twins[name].reported
            for part in path.split("/"):
                value = value.get(part) if isinstance(value, dict) else None
            return copy.deepcopy(value)

    def wait_reported(self, name, path, value, timeout=20.0):
        self.wait(lambda: self.reported(name, path) == value, timeout,
                  f"{path} = {value!r} of {name}")

    def seen(self, name, path):
        """The values that a reported property has had, without repetitions."""
        values = []
        with self._lock:
            for state in self.twins[name].history:
                value = state
                for part in path.split("/"):
                    value = value.get(part) if isinstance(value, dict) else None
                if not values or values[-1] != value:
                    values.append(value)
        return values

    # ---- what the back end does ----

    def mood(self, *statuses):
        """How the next twin requests are answered; None: not at all."""
        with self._lock:
            self._mood = list(statuses)

    def desire(self, name, patch, tell=True):
        """Changes desired properties; the new $version. tell False: the device is not told."""
        with self._lock:
            twin = self.twins[name]
            merge(twin.desired, patch)
            twin.desired_version += 1
            version = twin.desired_version
            online = twin.online
        if online and tell:
            self._publish(name, f"twin/PATCH/properties/desired/?$version={version}",
                          {**patch, "$version": version})
        return version

    def tell_again(self, name, patch, version):
        """A change of desired properties comes once more."""
        self._publish(name, f"twin/PATCH/properties/desired/?$version={version}",
                      {**patch, "$version": version})

    def call(self, name, method, payload=None, timeout=30.0, raw=None):
        """A direct method: (status, payload) of its answer."""
        return self.wait_answer(name, self.begin_call(name, method, payload, raw), timeout)

    def begin_call(self, name, method, payload=None, raw=None):
        with self._lock:
            if not self.twins[name].online:
                raise NotOnline(name)
            self._rids += 1
            rid = str(self._rids)
            self._calls[name, rid] = None
        # No payload is null: the SDKs do not take an empty one.
        self._publish(name, f"methods/POST/{method}/?$rid={rid}", payload,
                      "null" if payload is None and raw is None else raw)
        return rid

    def repeat_call(self, name, method, payload, rid):
        self._publish(name, f"methods/POST/{method}/?$rid={rid}", payload)

    def wait_answer(self, name, rid, timeout=30.0):
        try:
            return self.wait(lambda: self._calls[name, rid], timeout, "answer")
        except TimeoutError as error:
            raise NoAnswer(str(error)) from None

    def answered(self, name, rid):
        with self._lock:
            return self._calls[name, rid] is not None

    # ---- messages ----

    def _publish(self, name, topic, body=None, raw=None):
        text = raw if raw is not None else "" if body is None else json.dumps(body)
        if self.watcher:
            self.watcher("out", name, topic, text.encode())
        self._client.publish(f"hub/{name}/down/{topic}", text, qos=0)

    def _receive(self, message):
        fits = UP.fullmatch(message.topic)
        name, rest = fits[1], fits[2]
        result, get, patch = RESULT.fullmatch(rest), GET.fullmatch(rest), PATCH.fullmatch(rest)
        with self._changed:
            if self.watcher:
                self.watcher("in", name, rest, message.payload)
            if result:
                self._on_result(name, int(result[1]), result[2], message.payload)
            elif get:
                self._on_get(name, get[1])
            elif patch:
                self._on_patch(name, patch[1], message.payload)
            elif not rest.startswith("devices/"):
                self.breach(name, f"unknown topic {rest!r}")
            self._changed.notify_all()

    def _on_result(self, name, status, rid, payload):
        try:
            body = json.loads(payload) if payload.strip() else None
        except ValueError:
            self.breach(name, f"an answer that is no JSON: {payload[:80]!r}")
            body = None
        if (name, rid) not in self._calls:
            self.breach(name, f"an answer to a method that was not called: {rid}")
        elif self._calls[name, rid] is not None:
            self.breach(name, f"a second answer to {rid}")
        else:
            self._calls[name, rid] = (status, body)

    def _next_mood(self, usual):
        return self._mood.pop(0) if self._mood else usual

    def _on_get(self, name, rid):
        twin = self.twins[name]
        twin.reads += 1
        status = self._next_mood(200)
        if status is None:
            return
        body = {"desired": {**twin.desired, "$version": twin.desired_version},
                "reported": {**twin.reported, "$version": twin.reported_version}}
        self._publish(name, f"twin/res/{status}/?$rid={rid}",
                      body if status == 200 else {"errorCode": status * 1000 + 1})

    def _on_patch(self, name, rid, payload):
        twin = self.twins[name]
        try:
            patch = json.loads(payload)
        except ValueError:
            patch = None
        wrong = _illegal(patch) if isinstance(patch, dict) else "not a JSON object"
        if wrong:
            self.breach(name, f"a patch that a hub refuses: {wrong}")
        status = self._next_mood(400 if wrong else 204)
        if status is None:
            return
        if status != 204:
            self._publish(name, f"twin/res/{status}/?$rid={rid}", {"errorCode": status * 1000 + 1})
            return
        merge(twin.reported, patch)
        if len(json.dumps(twin.reported, separators=(",", ":"))) > TWIN_BYTES:
            self.breach(name, "reported properties of more than 32 KB")
        twin.reported_version += 1
        twin.patches.append(patch)
        twin.history.append(copy.deepcopy(twin.reported))
        self._publish(name, f"twin/res/204/?$rid={rid}&$version={twin.reported_version}")


def main():
    parser = argparse.ArgumentParser(description="A scripted IoT hub on a plain MQTT broker.")
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument("--hub", default="hub.example", help="its host name in logins")
    parser.add_argument("devices", nargs="+", metavar="ID=KEY", help="key in base64")
    options = parser.parse_args()
    keys = dict(pair.split("=", 1) for pair in options.devices)
    with AzureHub(options.broker_port, keys, hub=options.hub) as hub:
        print(f"listening on port {hub.front.port}; lines: DEVICE METHOD [JSON], or "
              "DEVICE = JSON to desire", flush=True)
        for line in sys.stdin:
            name, word, *rest = line.split(None, 2)
            value = json.loads(rest[0]) if rest else None
            try:
                told = (hub.desire(name, value) if word == "="
                        else hub.call(name, word, value))
            except (NotOnline, NoAnswer, KeyError) as error:
                told = f"{type(error).__name__}: {error}"
            print(told, json.dumps(hub.twins[name].reported) if name in hub.twins else "",
                  flush=True)


if __name__ == "__main__":
    main()
