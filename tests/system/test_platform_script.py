# SPDX-License-Identifier: Apache-2.0
"""The scripted IBM platform itself: what it notices, waits for, and does as a program.

The peer is a few lines of MQTT that misbehave on purpose.
"""
import json
import socket
import sys
import threading

import paho.mqtt.client as mqtt
import pytest
from harness import SIMULATORS, Process, free_port, run, wait_until

from ibm_platform import IbmPlatform

DEVICE = "pump/pump-1"
GOOD_MANAGE = {"supports": {"deviceActions": True, "firmwareActions": True, "b": True},
               "lifetime": 3600, "deviceInfo": {"fwVersion": "1.0"}}


class Peer:
    """A gateway whose answers are a table: suffix -> function(peer, body)."""

    def __init__(self, port, name=DEVICE, answers=None):
        self.prefix = "iotdevice-1/type/{}/id/{}".format(*name.split("/"))
        self._inbound = "iotdm-1/type/{}/id/{}/".format(*name.split("/"))
        self.answers = answers or {}
        self.heard = []  # (suffix, body)
        self._subscribed = threading.Event()
        self._client = mqtt.Client(f"peer-{name}")
        self._client.reconnect_delay_set(0.1, 1)
        self._client.on_connect = lambda c, *_: c.subscribe("iotdm-1/#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client, _userdata, message):
        if not message.topic.startswith(self._inbound):
            return
        suffix, body = message.topic[len(self._inbound):], json.loads(message.payload)
        self.heard.append((suffix, body))
        answer = self.answers.get(suffix)
        if answer:
            answer(self, body)

    def raw(self, topic, payload, **options):
        self._client.publish(topic, payload, options.pop("qos", 1), **options)

    def say(self, suffix, d=None, req_id=None):
        body = {} if d is None else {"d": d}
        if req_id:
            body["reqId"] = req_id
        self.raw(f"{self.prefix}/{suffix}", json.dumps(body))

    def notify(self, *values):
        for value in values:
            self.say("notify", {"fields": [{"field": "mgmt.firmware", "value": value}]})

    def answer(self, body, rc, **more):
        self.raw(f"{self.prefix}/response", json.dumps(dict(rc=rc, reqId=body["reqId"], **more)))

    def manage(self, req_id="m", **more):
        self.say("mgmt/manage", dict(GOOD_MANAGE, **more), req_id)

    def replies(self, req_id):
        return [body["rc"] for suffix, body in self.heard
                if suffix == "response" and body["reqId"] == req_id]


def rc(code, *values):
    """Answers with the code, then notifies the values."""
    def act(peer, body):
        peer.answer(body, code)
        peer.notify(*values)
    return act


def both(state, status):
    return {"state": state, "updateStatus": status}


GOOD = {
    "device/update": rc(204), "observe": rc(200), "cancel": rc(200),
    "mgmt/initiate/firmware/download": rc(202, both(1, 0), both(2, 0)),
    "mgmt/initiate/firmware/update": rc(202, both(2, 1), both(0, 0)),
    "mgmt/initiate/device/reboot": lambda p, b: (p.answer(b, 202), p.manage(b["reqId"] + "-")),
    "mgmt/custom/b/a": rc(200),
}


@pytest.fixture
def peer(broker, platform):
    peer = Peer(broker.port, answers=dict(GOOD))
    peer.manage()
    platform.wait_managed(DEVICE, 10)
    yield peer
    peer.close()


def codes(platform):
    return [v.code for v in platform.violations]


def heard(platform, count):
    """Until so many messages of the device came."""
    platform.wait(lambda: len(platform.since(direction="in")) >= count, 10, f"{count} messages")


def test_a_good_gateway_breaches_nothing(peer, platform):
    assert platform.download(DEVICE, "http://h/a", "2.0", "n", "v").ok
    assert platform.update(DEVICE).ok
    assert platform.reboot(DEVICE).ok
    assert platform.custom(DEVICE, "b", "a", {"x": "y"}).ok
    assert platform.observe(DEVICE).ok and platform.cancel(DEVICE).ok
    assert platform.violations == []
    assert peer.replies("m") == [200]
    kinds = [suffix for suffix, _ in peer.heard if suffix != "response"]
    assert kinds[:7] == ["device/update", "observe", "mgmt/initiate/firmware/download", "cancel",
                         "observe", "mgmt/initiate/firmware/update", "cancel"]


@pytest.mark.parametrize("suffix, d, rc_wanted, code", [
    ("mgmt/manage", {"lifetime": 3599}, 400, "lifetime"),
    ("mgmt/manage", {"lifetime": "3600"}, 400, "lifetime"),
    ("mgmt/manage", {"lifetime": True}, 400, "lifetime"),
    ("mgmt/manage", {"deviceInfo": {}}, 200, "empty-object"),
    ("mgmt/manage", {"metadata": {}}, 200, "empty-object"),
    ("mgmt/manage", {"deviceInfo": {"fwversion": "1"}}, 200, "unknown-field"),
    ("mgmt/manage", {"deviceInfo": {"fwVersion": 1}}, 400, "bad-value"),
    ("mgmt/manage", {"supports": {"deviceActions": 1}}, 200, "supports-type"),
    ("mgmt/manage", {"supports": {"deviceActions": "yes"}}, 400, "supports-type"),
    ("mgmt/manage", {"supports": []}, 400, "bad-value"),
    ("mgmt/manage", {"fwVersion": "1"}, 200, "unknown-field"),
    ("mgmt/manage", [], 400, "bad-value"),
    ("device/update/location", {"latitude": 91, "longitude": 0}, 400, "bad-value"),
    ("device/update/location", {"latitude": 1}, 400, "bad-value"),
    ("device/update/location", {"latitude": 1, "longitude": 2, "measuredDateTime": "now"}, 400,
     "bad-value"),
    ("add/diag/errorCodes", {"errorCode": "7"}, 400, "bad-value"),
    ("add/diag/log", {"message": "m", "timestamp": "2026-01-01T00:00:00Z", "severity": 3}, 400,
     "bad-value"),
    ("add/diag/log", {"message": "m", "timestamp": "yesterday"}, 400, "bad-value"),
    ("add/diag/log", {"message": "m", "timestamp": "2026-01-01T00:00:00Z", "data": "%"}, 400,
     "bad-value"),
    ("clear/diag/log", {"all": True}, 200, "unknown-field"),
    ("notify", {"fields": [{"field": "location", "value": {}}]}, 404, "unknown-field"),
    ("notify", {"fields": []}, 400, "bad-value"),
])
def test_bad_requests_are_answered_and_noted(peer, platform, suffix, d, rc_wanted, code):
    peer.say(suffix, d, "bad")
    wait_until(lambda: peer.replies("bad"), what="reply")
    assert peer.replies("bad") == [rc_wanted]
    assert set(codes(platform)) - {"notify-unobserved"} == {code}


@pytest.mark.parametrize("value, wanted", [
    ({"state": 1}, {"partial-notify"}),
    ({"state": 3, "updateStatus": 0}, {"bad-value"}),
    ({"state": "1", "updateStatus": 0}, {"bad-value"}),
    ({"state": [], "updateStatus": 0}, {"bad-value"}),
    ({"state": True, "updateStatus": 0}, {"bad-value"}),
    ({"state": 0, "updateStatus": 7}, {"bad-value"}),
    ({"state": 0, "updateStatus": 0, "percent": 5}, {"unknown-field"}),
    ({"state": 0, "updateStatus": 0, "uri": None}, {"bad-value"}),
    ({"state": 0, "updateStatus": 0}, set()),
])
def test_values_of_a_notify(peer, platform, value, wanted):
    assert platform.observe(DEVICE).ok
    peer.notify(value)
    heard(platform, 3)
    assert set(codes(platform)) == wanted


def test_notify_is_answered_only_with_a_reqid(peer, platform):
    platform.observe(DEVICE)
    value = {"fields": [{"field": "mgmt.firmware", "value": both(1, 0)}]}
    peer.say("notify", value)
    peer.say("notify", value, "n1")
    wait_until(lambda: peer.replies("n1"), what="reply")
    replies = [body for suffix, body in peer.heard if suffix == "response"]
    assert [body["reqId"] for body in replies] == ["m", "n1"]
    assert platform.violations == []


def test_notify_while_unobserved(peer, platform):
    peer.notify(both(1, 0))
    heard(platform, 2)
    assert codes(platform) == ["notify-unobserved"]


@pytest.mark.parametrize("topic, payload, wanted", [
    ("iotdevice-1/mgmt/manage", "{}", "topic-form"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/managed", "{}", "bad-topic"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/manage/x", "{}", "bad-topic"),
    ("iotdevice-1/type//id/pump-1/mgmt/manage", "{}", "bad-topic"),
    ("iotdevice-1/type/pump/id/pump 1/mgmt/manage", "{}", "bad-topic"),
    ("iotdevice-1/type/pump/pump-1/mgmt/manage", "{}", "bad-topic"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/manage", "{", "bad-json"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/manage", "[]", "bad-json"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/manage", "[" * 99999, "bad-json"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/manage", "{}", "bad-reqid"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/manage", '{"reqId":7}', "bad-reqid"),
    ("iotdevice-1/type/pump/id/pump-1/notify", '{"d":{"field":"mgmt.firmware","value":'
     '{"state":0,"updateStatus":0}}}', "old-shape"),
    ("iotdevice-1/type/pump/id/pump-1/mgmt/unmanage", '{"reqId":"u","x":1}', "unknown-field"),
    ("iotdevice-1/type/pump/id/pump-1/response", '{"rc":200,"reqId":"none"}',
     "unasked-response"),
    ("iotdevice-1/type/pump/id/pump-1/response", '{"rc":200}', "unasked-response"),
])
def test_malformed_messages_are_noted(peer, platform, topic, payload, wanted):
    peer.raw(topic, payload)
    heard(platform, 2)
    assert wanted in codes(platform)
    assert set(codes(platform)) <= {wanted, "notify-unobserved"}
    assert not platform.failures


def test_a_retained_message_is_noted(broker, platform):
    platform.close()
    peer = Peer(broker.port)
    peer.raw(f"{peer.prefix}/mgmt/manage", json.dumps({"reqId": "r"}), retain=True)
    broker.wait_log("Received PUBLISH from peer")
    with IbmPlatform(broker.port, client_id="another") as later:
        later.wait(lambda: later.violations, 10, "a breach")
        assert codes(later) == ["retained"]
    peer.close()


def test_one_reply_per_reqid_and_reuse(peer, platform):
    peer.manage()
    peer.say("mgmt/manage", {"lifetime": 7200}, "m")
    peer.manage("m2")
    wait_until(lambda: peer.replies("m2"), what="reply")
    assert peer.replies("m") == [200]
    assert codes(platform) == ["reqid-reused"]
    assert len(platform.device(DEVICE).repeats) == 2
    platform.repeats_policy = "again"
    peer.manage()
    wait_until(lambda: len(peer.replies("m")) == 2, what="second reply")


def test_a_repeat_after_a_lost_connection_is_answered(peer, platform, broker):
    """The first reply may have died with the broker."""
    broker.kill9()
    platform.wait(lambda: not platform.hearing, 10, "loss")
    broker.start()
    platform.wait(lambda: platform.hearing, 10, "return")
    before = len(peer.replies("m"))
    peer.manage()
    wait_until(lambda: len(peer.replies("m")) > before, what="reply")
    assert platform.violations == []


@pytest.mark.parametrize("answer, wanted", [
    (lambda p, b: p.raw(f"{p.prefix}/response", json.dumps({"rc": "200", "reqId": b["reqId"]})),
     ["rc-type"]),
    (lambda p, b: p.answer(b, 202), ["rc-value"]),
    (lambda p, b: p.answer(b, 200, message=5), ["bad-value"]),
    (lambda p, b: p.answer(b, 200, code=5), ["unknown-field"]),
    (lambda p, b: p.answer(b, 200, d={"fields": [{"field": "mgmt.firmware", "value": {"x": 1}}]}),
     ["unknown-field"]),
    (lambda p, b: (p.answer(b, 200), p.answer(b, 500)), ["second-response"]),
    (lambda p, b: (p.answer(b, 200), p.answer(b, 200)), []),
])
def test_answers_are_checked(peer, platform, answer, wanted):
    peer.answers["observe"] = answer
    platform.observe(DEVICE)
    peer.manage("last")
    wait_until(lambda: peer.replies("last"), what="reply")
    assert codes(platform) == wanted


def test_an_answer_for_another_device(peer, platform, broker):
    other = Peer(broker.port, "pump/pump-2")
    peer.answers["observe"] = lambda _peer, body: other.answer(body, 200)
    assert platform.send(DEVICE, "observe", {"fields": [{"field": "mgmt.firmware"}]})
    platform.wait(lambda: platform.violations, 10, "a breach")
    assert codes(platform) == ["unasked-response"]
    assert "it was asked of pump/pump-1" in platform.violations[0].text
    other.close()


def initiate(*values, rc_first=True, code=202):
    def act(peer, body):
        if rc_first:
            peer.answer(body, code)
        peer.notify(*values)
        if not rc_first:
            peer.answer(body, code)
    return act


@pytest.mark.parametrize("action, reply, status, state, wanted", [
    ("download", initiate(both(1, 0), both(0, 4)), "failure", both(0, 4), []),
    ("download", initiate(both(2, 0)), "success", both(2, 0), []),
    ("download", initiate(both(1, 3)), "failure", both(1, 3), ["firmware-state"]),
    ("download", initiate(both(1, 1), both(2, 0)), "success", both(2, 0), ["firmware-state"]),
    ("download", initiate(both(0, 0), both(2, 0)), "success", both(2, 0), ["firmware-state"]),
    ("download", initiate(both(1, 0), rc_first=False), "timeout", both(1, 0), ["early-notify"]),
    ("download", initiate(both(2, 0), both(2, 0)), "success", both(2, 0), ["second-final"]),
    ("download", initiate(both(2, 0), both(1, 0)), "success", both(1, 0), ["after-final"]),
    ("download", initiate(both(2, 0), both(0, 6)), "success", both(0, 6), ["second-final"]),
    ("update", initiate(both(2, 1), both(0, 5)), "failure", both(0, 5), []),
    ("update", initiate(both(0, 0)), "success", both(0, 0), []),
    ("update", initiate(both(1, 1), both(0, 0)), "success", both(0, 0), ["firmware-state"]),
    ("update", initiate({"updateStatus": 1}, {"updateStatus": 0}, {"state": 0}), "success",
     both(0, 0), ["partial-notify"] * 3),
    ("update", initiate({"updateStatus": 1}, {"updateStatus": 0}), "success", both(2, 0),
     ["partial-notify"] * 2),
    ("update", initiate({"updateStatus": 1}, {"updateStatus": 0}, {"updateStatus": 1}),
     "success", both(2, 1), ["partial-notify"] * 3 + ["backward"]),
    ("update", initiate(both(2, 1)), "timeout", both(2, 1), []),
])
def test_courses_of_firmware_actions(peer, platform, action, reply, status, state, wanted):
    if action == "update":
        assert platform.download(DEVICE, "http://h/a", "2").ok
        peer.answers["mgmt/initiate/firmware/update"] = reply
        outcome = platform.update(DEVICE, run_timeout=1)
    else:
        peer.answers["mgmt/initiate/firmware/download"] = reply
        outcome = platform.download(DEVICE, "http://h/a", "2", run_timeout=1)
    assert outcome.status == status, outcome
    assert both(outcome.state, outcome.update_status) == state
    assert sorted(codes(platform)) == sorted(wanted)
    assert [suffix for suffix, _ in peer.heard][-1] == "cancel"


@pytest.mark.parametrize("suffix, step", [
    ("device/update", "device/update"), ("observe", "observe"),
    ("mgmt/initiate/firmware/download", "download"), ("cancel", "cancel")])
def test_silence_in_a_step_is_a_timeout(peer, platform, suffix, step):
    del peer.answers[suffix]
    outcome = platform.download(DEVICE, "http://h/a", "2", step_timeout=0.3, run_timeout=0.3)
    assert (outcome.status, outcome.step) == ("timeout", step)


@pytest.mark.parametrize("suffix, step, code", [
    ("device/update", "device/update", 500), ("observe", "observe", 404),
    ("mgmt/initiate/firmware/download", "download", 400), ("cancel", "cancel", 500)])
def test_a_refused_step_is_a_failure(peer, platform, suffix, step, code):
    peer.answers[suffix] = lambda p, b: p.answer(b, code, message="no")
    outcome = platform.download(DEVICE, "http://h/a", "2", run_timeout=0.3)
    wanted = ("failure", step, code, "no")
    if step == "download":
        assert [s for s, _ in peer.heard][-1] == "cancel"
    assert (outcome.status, outcome.step, outcome.rc, outcome.message) == wanted


def test_a_late_answer_is_no_breach(peer, platform):
    held = []
    peer.answers["observe"] = lambda _p, body: held.append(body)
    request = platform.send(DEVICE, "observe", {"fields": [{"field": "mgmt.firmware"}]})
    assert platform.await_answer(request, 0.2) is None
    peer.answer(held[0], 200)
    platform.wait(lambda: request.answers, 10, "the late answer")
    assert request.given_up and platform.violations == []


def test_reboot_needs_a_manage_after_the_202(peer, platform):
    def early(p, body):
        p.manage("before")
        p.answer(body, 202)
    peer.answers["mgmt/initiate/device/reboot"] = early
    assert platform.reboot(DEVICE, run_timeout=0.5).status == "timeout"
    assert platform.reboot(DEVICE, run_timeout=0.5).status == "timeout"
    peer.answers["mgmt/initiate/device/reboot"] = GOOD["mgmt/initiate/device/reboot"]
    assert platform.reboot(DEVICE).ok


def test_bare_requests_after_a_run_belong_to_no_run(peer, platform):
    assert platform.download(DEVICE, "http://h/a", "2").ok
    assert platform.observe(DEVICE).ok
    platform.ask(DEVICE, "mgmt/initiate/firmware/update")
    platform.wait(lambda: platform.device(DEVICE).notifies[-1] == both(0, 0), 10, "notifies")
    assert platform.violations == []


def test_what_the_platform_refuses_to_start(broker, platform):
    peer = Peer(broker.port, answers=dict(GOOD))
    assert (platform.reboot(DEVICE).status, platform.reboot(DEVICE).rc) == ("refused", 403)
    peer.say("mgmt/manage", {"supports": {"firmwareActions": True}}, "a")
    platform.wait_managed(DEVICE, 10)
    assert platform.reboot(DEVICE).message == "the device does not support deviceActions"
    peer.answers["mgmt/initiate/firmware/download"] = rc(202, both(1, 0))
    first = platform.start("download", DEVICE, "http://h/a", "2")
    platform.wait(lambda: platform.device(DEVICE).notifies, 10, "notify")
    blocked = platform.download(DEVICE, "http://h/b", "3")
    assert (blocked.status, blocked.rc) == ("refused", 409)
    peer.answers.update(GOOD)
    assert platform.download(DEVICE, "http://h/b", "3", override=True).ok
    assert first.result(10).status == "cancelled"
    peer.close()


def test_lifetime_and_dormancy(broker):
    now = [1000.0]
    with IbmPlatform(broker.port, clock=lambda: now[0]) as platform:
        peer = Peer(broker.port, answers=dict(GOOD))
        peer.manage()
        platform.wait_managed(DEVICE, 10)
        now[0] += 3599
        assert not platform.dormant(DEVICE) and platform.reboot(DEVICE).ok
        now[0] += 3601
        assert platform.dormant(DEVICE)
        assert (platform.reboot(DEVICE).status, platform.device(DEVICE).managed) == ("refused",
                                                                                     False)
        peer.manage("again")
        platform.wait_managed(DEVICE, 10)
        assert platform.reboot(DEVICE).ok
        peer.close()


def test_unknown_devices_and_scripted_codes(broker):
    with IbmPlatform(broker.port, known={"pump/other"}) as platform:
        peer = Peer(broker.port)
        peer.manage()
        wait_until(lambda: peer.replies("m") == [404], what="404")
        assert not platform.device(DEVICE).managed
        platform.known.add(DEVICE)
        platform.script(DEVICE, "mgmt/manage", 409, None)
        for req_id in ("a", "b", "c"):
            peer.manage(req_id)
        wait_until(lambda: peer.replies("c"), what="the third reply")
        assert [peer.replies(r) for r in "abc"] == [[409], [], [200]]
        assert len(platform.device(DEVICE).manages) == 1
        peer.close()


def test_told_success_is_compared_with_the_truth(peer, platform):
    platform.truth = lambda device, run: f"{device.name} still runs 1.0, not {run.target}"
    assert platform.download(DEVICE, "http://h/a", "2").ok
    platform.violations.clear()
    assert platform.update(DEVICE).ok
    assert codes(platform) == ["untrue-success"]
    assert platform.violations[0].text == "pump/pump-1 still runs 1.0, not 2"
    assert platform.breaches("untrue-success") == []


def test_a_failure_of_the_script_is_not_swallowed(peer, platform):
    platform.truth = lambda *_: 1 / 0
    with pytest.raises(RuntimeError, match="the script of the cloud failed"):
        platform.download(DEVICE, "http://h/a", "2", run_timeout=5)


# ---- as a program ----

def program(port, *words, device=DEVICE):
    return [sys.executable, SIMULATORS / "ibm_platform.py", "--port", port, "--device", device,
            *words]


def start_program(workspace, broker, *words):
    """The program, once it can hear."""
    before = len(broker.log())
    process = Process("program", program(broker.port, *words), workspace)
    broker.wait_log("Sending SUBACK to platform-abc123", after=before)
    return process


def play(workspace, broker, *words):
    """The program to its end, with a peer that manages once it can hear."""
    process = start_program(workspace, broker, *words)
    peer = Peer(broker.port, answers=dict(GOOD))
    peer.manage()
    status = process.wait()
    peer.close()
    return status, process.stdout, process.stderr


def test_program_plays_a_script(workspace, broker):
    status, out, err = play(
        workspace, broker, "--json", "--watch", "--strict", "download", "--uri", "http://h/a",
        "--version=2", "--name", "update", "--verifier", "v", "update", "reboot", "custom", "b/a",
        "p=1", "q=2", "observe")
    outcomes = [json.loads(line) for line in out.splitlines()]
    assert status == 0, err
    assert [o["action"] for o in outcomes] == ["firmware/download", "firmware/update",
                                               "device/reboot", "b/a", "observe"]
    assert all(o["ok"] for o in outcomes)
    assert outcomes[0]["notifies"] == [both(1, 0), both(2, 0)]
    lines = err.splitlines()
    assert any("cloud --> pump/pump-1" in line and "device/update" in line for line in lines)
    assert any("cloud <-- pump/pump-1" in line and "mgmt/manage" in line for line in lines)
    assert '"name":"update"' in err and "\033[" not in err


def test_program_tells_failure_breach_and_missing_device(workspace, broker):
    status, out, _ = play(workspace, broker, "--timeout", "0.3", "factory-reset", "reboot")
    assert status == 1
    assert out.startswith("device/factory_reset of pump/pump-1: timeout, in step 'factory_reset'")
    assert len(out.splitlines()) == 1  # the script ends with the first failure
    done = run(program(broker.port, "--wait", "0.2", "reboot"))
    assert done.returncode == 1 and "manage request number 1 of pump/pump-1" in done.stderr
    done = run(program(broker.port, "--assume-managed", "--timeout", "0.2", "reboot"))
    assert done.returncode == 1 and "timeout" in done.stdout


def test_program_is_strict_on_demand(workspace, broker):
    for words, wanted in (((), 0), (("--strict",), 4)):
        process = start_program(workspace, broker, *words, "listen", "--seconds", "1")
        peer = Peer(broker.port)
        peer.raw("iotdevice-1/mgmt/manage", "{}")
        assert process.wait() == wanted
        peer.close()


def test_program_listens_until_sigterm_and_knows_wait_version(workspace, broker):
    process = start_program(workspace, broker, "--watch", "listen", "observe")
    peer = Peer(broker.port, answers=dict(GOOD))
    peer.manage()
    wait_until(lambda: peer.replies("m"), what="reply")
    process.signal(15)
    assert process.wait() == 0 and "observe of pump/pump-1: success" in process.stdout
    peer.close()
    status, out, _ = play(workspace, broker, "wait-version", "1.0")
    assert status == 0 and out.splitlines()[-1].startswith("fwVersion 1.0")
    status, out, _ = play(workspace, broker, "--run-timeout", "0.2", "wait-version", "9")
    assert status == 1 and out.splitlines()[-1].startswith("fwVersion 9 of pump/pump-1: timeout")


@pytest.mark.parametrize("words, text", [
    ((), "no command"), (("jump",), "no such command: jump"),
    (("custom",), "custom needs BUNDLE/ACTION"), (("custom", "x"), "not x"),
    (("download", "--size", "1"), "download has no option --size"),
    (("download", "--uri"), "--uri needs a value"),
    (("set-location", "north", "1"), "could not convert"), (("reboot", "now"), "no such command"),
])
def test_program_usage(words, text):
    done = run(program(1, *words))
    assert done.returncode == 2 and text in done.stderr


def test_program_without_a_broker():
    port = free_port()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", port))
        done = run(program(port, "--connect-timeout", "0.5", "reboot"))
    assert done.returncode == 3 and f"no broker at 127.0.0.1:{port}" in done.stderr
