#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A scripted IBM Watson IoT Platform for tests: the platform's side of device management.

Connects to an MQTT broker as a privileged client and plays the platform toward gateways (topics
with type and id) or one device (topics without). It answers what devices send, remembers what
they told, starts actions, and notes every breach of the protocol. As a program: --help.

Documented behaviour only (IBM documentation, "Device management protocol" and "requests"). What
it does not do: check credentials or rights of topics (the broker's part), REST.

Threads: as in cloud_life.py; actions run in the caller's thread. Every public method may be called
from any thread.
"""
import collections
import concurrent.futures
import contextlib
import json
import sys
import time
import uuid

from cloud_life import CloudLife
from ibm_actions import Actions
from ibm_device import Device, Message, Request, Violation
from ibm_protocol import (FIRMWARE, BadTopic, Finding, check_request, check_response, decode,
                          firmware_in, platform_topic, split_topic)


class IbmPlatform(CloudLife, Actions):
    """The platform's side of one organisation on one broker.

    form: "gateway" (all topics carry type and id) or "device" (one device, `device`).
    known: set of "type/id"; others are answered with 404. None: every device is registered by
    its first message, as behind a privileged gateway.
    repeats: "once" answers a reqId once per connection of the platform (some device libraries die
    of a second answer); "again" answers a repeated request again.
    truth: called with (device, run) when success is told, in Paho's thread; a text it returns says
    why that is not true.
    """

    def __init__(self, port, org="abc123", *, host="127.0.0.1", form="gateway", device=None,
                 known=None, repeats="once", truth=None, clock=time.time, username=None,
                 password=None, cafile=None, client_id=None, clean_session=False,
                 step_timeout=10.0, run_timeout=60.0, watcher=None):
        if form == "device" and not device:
            raise ValueError("the device form needs the device's name: device='type/id'")
        # 2: see the QoS that was published
        super().__init__(port, client_id or f"platform-{org}", [("iotdevice-1/#", 2)], host=host,
                         clean_session=clean_session)
        self.form, self.org, self.known, self.repeats_policy = form, org, known, repeats
        self.step_timeout, self.run_timeout = step_timeout, run_timeout
        self.truth, self.clock, self.watcher = truth, clock, watcher
        self.messages, self.devices = [], {}
        self.single = device
        self._connections = 0
        self._answered = {}  # (device, reqId) -> connection in which it was answered
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=32)
        self._client.max_inflight_messages_set(1000)
        if username:
            self._client.username_pw_set(username, password)
        if cafile:
            self._client.tls_set(cafile)

    # ---- life ----

    def close(self):
        super().close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _on_connect(self, *args):
        self._connections += 1
        super()._on_connect(*args)

    # ---- waiting and looking ----

    def _known(self):
        lines = [f"  {m.direction:3} {m.topic} {m.payload!r}" for m in self.messages[-8:]]
        return "last messages:\n" + "\n".join(lines) if lines else "no message yet"

    @contextlib.contextmanager
    def lock(self):
        """For looking at several things at once."""
        with self._lock:
            yield self

    def device(self, name):
        with self._lock:
            return self.devices.setdefault(name, Device(name))

    def mark(self):
        """A position in `messages`, for since()."""
        with self._lock:
            return len(self.messages)

    def since(self, mark=0, device=None, suffix=None, direction=None):
        """The messages after a mark that fit."""
        with self._lock:
            return [m for m in self.messages[mark:]
                    if device in (None, m.device) and suffix in (None, m.suffix)
                    and direction in (None, m.direction)]

    def wait_message(self, condition, timeout, what="fitting message", mark=0):
        return self.wait(lambda: next((m for m in self.messages[mark:] if condition(m)), None),
                         timeout, what)

    def wait_managed(self, name, timeout, count=1):
        """Until a device has sent `count` good manage requests in all; the last one's d."""
        device = self.device(name)
        self.wait(lambda: len(device.manages) >= count and device.managed, timeout,
                  f"manage request number {count} of {name}")
        return device.manages[-1]

    def wait_version(self, name, version, timeout):
        device = self.device(name)
        self.wait(lambda: device.device_info.get("fwVersion") == version, timeout,
                  f"manage of {name} with fwVersion {version}")

    def dormant(self, name):
        device = self.device(name)
        return device.dormant_at is not None and self.clock() >= device.dormant_at

    def breaches(self, *tolerated):
        """The violations, without those of tolerated codes."""
        with self._lock:
            return [v for v in self.violations if v.code not in tolerated]

    # ---- sending ----

    def publish(self, topic, payload, qos=1):
        """Anything at all, also malformed; recorded."""
        data = payload if isinstance(payload, bytes) else payload.encode()
        body = decode(data)
        device = suffix = None
        with contextlib.suppress(BadTopic):
            _, device, suffix = self._split_out(topic)
        with self._changed:
            self._record(Message(time.time(), "out", topic, data, qos, device=device or self.single,
                                 suffix=suffix, body=None if isinstance(body, Finding) else body))
        self._client.publish(topic, data, qos)

    @staticmethod
    def _split_out(topic):
        levels = topic.split("/")
        if levels[:2] == ["iotdm-1", "type"] and len(levels) > 5 and levels[3] == "id":
            return "gateway", f"{levels[2]}/{levels[4]}", "/".join(levels[5:])
        if levels[0] == "iotdm-1":
            return "device", None, "/".join(levels[1:])
        raise BadTopic(topic)

    def topic(self, device, suffix):
        return platform_topic(self.form, device, suffix)

    def send(self, device, suffix, d=None, req_id=None):
        """Sends a request at QoS 1; the Request, whose answer await_answer() waits for."""
        req_id = req_id or str(uuid.uuid4())
        body = {"reqId": req_id}
        if d is not None:
            body["d"] = d
        record = self.device(device)
        with self._changed:
            request = record.requests.get(req_id)  # sent again on purpose: same answer expected
            if request is None or request.suffix != suffix:
                request = Request(device, suffix, req_id, d, time.monotonic())
                record.requests[req_id] = request
            if suffix == "observe":
                record.observed = True  # before it leaves: a notify may follow at once
                if record.run and not record.run.open:
                    record.run = None  # what is told from now on is not of that run
        self.publish(self.topic(device, suffix), json.dumps(body))
        return request

    def await_answer(self, request, timeout=None, count=1):
        """The request's answer (a body), or None when none came in time."""
        try:
            self.wait(lambda: len(request.answers) >= count, timeout or self.step_timeout,
                      f"answer to {request.suffix}")
        except TimeoutError:
            with self._changed:
                request.given_up = True
            return None
        return request.answer

    def ask(self, device, suffix, d=None, timeout=None, req_id=None):
        """send() and await_answer(); TimeoutError without an answer. The Request."""
        request = self.send(device, suffix, d, req_id)
        if self.await_answer(request, timeout) is None:
            raise TimeoutError(f"{device} did not answer {suffix}; {self._known()}")
        return request

    def notify_gateway(self, gateway, topic, rc, message, request="Publish"):
        """Tells a gateway that one of its publications was refused."""
        kind, name = gateway.split("/")
        body = {"Request": request, "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "Topic": topic, "Client": f"g:{self.org}:{kind}:{name}", "RC": rc,
                "Message": message}
        self.publish(f"iot-2/type/{kind}/id/{name}/notify", json.dumps(body), qos=0)

    def script(self, device, suffix, *codes):
        """The next requests of this kind are answered with these codes; None: not at all."""
        with self._lock:
            self.device(device).script(suffix, codes)

    # ---- hearing (Paho's thread) ----

    def _receive(self, raw):
        body = decode(raw.payload)
        message = Message(time.time(), "in", raw.topic, raw.payload, raw.qos, raw.retain,
                          body=None if isinstance(body, Finding) else body)
        with self._changed:
            self._record(message)
            try:
                form, device, message.suffix = split_topic(raw.topic)
            except BadTopic as error:
                self._breach(None, message, Finding("bad-topic", str(error)))
                return
            message.device = device or self.single
            if form != self.form:
                self._breach(device, message, Finding("topic-form", f"a {self.form} may not "
                             f"publish in the {form} form"))
                return
            self._show(message)
            if raw.retain:
                self._breach(device, message, Finding("retained", "device management messages "
                             "are not retained"))
            if isinstance(body, Finding):
                self._breach(message.device, message, body)
                return
            record = self.device(message.device)
            if message.suffix == "response":
                self._hear_response(record, message)
            else:
                self._hear_request(record, message)

    def _record(self, message):
        self.messages.append(message)
        self._changed.notify_all()
        if message.direction == "out":
            self._show(message)

    def _show(self, what):
        if self.watcher:
            self.watcher(what)

    def _breach(self, device, message, *findings):
        for finding in findings:
            violation = Violation(finding.code, finding.text, device or "?", message)
            self.violations.append(violation)
            self._show(violation)

    def _hear_response(self, device, message):
        body, req_id = message.body, message.req_id
        request = device.requests.get(req_id) if isinstance(req_id, str) else None
        if request is None:
            others = [d.name for d in self.devices.values()
                      if isinstance(req_id, str) and req_id in d.requests]
            hint = f"; it was asked of {others[0]}" if others else ""
            self._breach(device.name, message, Finding("unasked-response", "no request has this "
                         f"reqId{hint}"))
            return
        self._breach(device.name, message, *check_response(request.suffix, body))
        if request.answers:
            if body != request.answers[0]:
                self._breach(device.name, message, Finding("second-response", "answered before "
                             f"with {request.answers[0]}"))
            device.repeats.append(message)
        request.answers.append(body)
        if len(request.answers) == 1:
            self._take_answer(device, request)

    @staticmethod
    def _take_answer(device, request):
        """What the first answer to a request means for what the platform knows."""
        if request.suffix == "device/update" and request.rc == 204:
            device.firmware.update(firmware_in(request.d))
        elif request.suffix == "observe":
            device.observed = request.rc == 200
            if device.observed:
                device.firmware.update(firmware_in(request.answer.get("d")))
        elif request.suffix == "cancel":
            device.observed = False
        elif request.rc == 202 and device.run and request.suffix.endswith(device.run.action):
            device.run.accepted = True
            device.run.manages_before = len(device.manages)

    def _hear_request(self, device, message):
        suffix, body, req_id = message.suffix, message.body, message.req_id
        if isinstance(req_id, str) and req_id in device.heard:
            self._hear_repeat(device, message)
            return
        rc, findings = check_request(suffix, body)
        if self.known is not None and device.name not in self.known:
            rc = 404
        self._breach(device.name, message, *findings)
        rc = device.next_rc(suffix, rc)
        if isinstance(req_id, str):
            device.heard[req_id] = (suffix, body, rc)
        if rc == 200:
            d = body.get("d")
            _TAKE[suffix](self, device, d if isinstance(d, dict) else {}, message)
        self._answer(device, req_id, rc)

    def _hear_repeat(self, device, message):
        suffix, body, rc = device.heard[message.req_id]
        device.repeats.append(message)
        if (suffix, body) != (message.suffix, message.body):
            self._breach(device.name, message, Finding("reqid-reused", f"its reqId was used for "
                         f"{suffix} {body}"))
            return
        # After a lost connection the first answer may have been lost with the broker.
        if (self.repeats_policy == "again"
                or self._answered.get((device.name, message.req_id)) != self._connections):
            self._answer(device, message.req_id, rc)

    def _answer(self, device, req_id, rc):
        if not isinstance(req_id, str) or rc is None:
            return
        self._answered[device.name, req_id] = self._connections
        self.publish(self.topic(device.name, "response"), json.dumps({"rc": rc, "reqId": req_id}))

    def _take_manage(self, device, d, _message):
        device.managed = True
        device.manages.append(d)
        device.supports = d.get("supports", {})
        device.lifetime = d.get("lifetime", 0)
        device.dormant_at = self.clock() + device.lifetime if device.lifetime else None
        for attribute, key in (("device_info", "deviceInfo"), ("metadata", "metadata")):
            if key in d:
                setattr(device, attribute, d[key])

    def _take_unmanage(self, device, _d, _message):
        device.reset_management()

    def _take_location(self, device, d, _message):
        device.location = d

    def _take_error_code(self, device, d, _message):
        device.error_codes.append(d["errorCode"])

    def _take_log(self, device, d, _message):
        device.logs.append(d)

    def _clear_error_codes(self, device, _d, _message):
        device.error_codes.clear()

    def _clear_logs(self, device, _d, _message):
        device.logs.clear()

    def _take_notify(self, device, d, message):
        value = firmware_in(d)
        device.notifies.append(value)
        device.firmware.update(value)
        if not device.observed:
            self._breach(device.name, message, Finding("notify-unobserved", f"{FIRMWARE} is not "
                         "observed"))
        if not device.managed:
            self._breach(device.name, message, Finding("unmanaged", "notify of a device that is "
                         "not managed"))
        run = device.run
        if run is None or run.action not in ("firmware/download", "firmware/update"):
            return
        ended = run.final
        self._breach(device.name, message, *run.hear(value, device.firmware))
        if run.final == "success" and ended is None and self.truth:
            lie = self.truth(device, run)
            if lie:
                self._breach(device.name, message, Finding("untrue-success", lie))

    def start(self, method, *args, **options):
        """Runs an action (a method's name) in a thread of its own; a concurrent Future."""
        return self._pool.submit(getattr(self, method), *args, **options)

    def counts(self):
        """How many messages passed, per (direction, suffix)."""
        with self._lock:
            return collections.Counter((m.direction, m.suffix) for m in self.messages)


_TAKE = {
    "mgmt/manage": IbmPlatform._take_manage,
    "mgmt/unmanage": IbmPlatform._take_unmanage,
    "device/update/location": IbmPlatform._take_location,
    "add/diag/errorCodes": IbmPlatform._take_error_code,
    "clear/diag/errorCodes": IbmPlatform._clear_error_codes,
    "add/diag/log": IbmPlatform._take_log,
    "clear/diag/log": IbmPlatform._clear_logs,
    "notify": IbmPlatform._take_notify,
}

if __name__ == "__main__":
    from ibm_cli import main
    sys.exit(main(sys.argv[1:]))
