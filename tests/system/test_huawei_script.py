# SPDX-License-Identifier: Apache-2.0
"""That the scripted IoTDA would notice: the login, shapes of messages, and their place.

There is no device package of the vendor to prove it against, so each of its checks is shown to fail.
"""
import json
import types

import pytest

from huawei_checks import check, decode
from huawei_front import read_connect, sign
from huawei_platform import HuaweiPlatform

GATEWAY, PUMP = "prod_gw1", "prod_pump1"
REPORT = {"result_code": 0, "progress": 50, "version": "1", "description": "x"}


def event(kind, paras, service="$ota", **more):
    return {"object_device_id": PUMP, "services": [
        {"service_id": service, "event_type": kind, "event_time": "20261121T235900Z",
         "paras": paras, **more}]}


def family(kind, paras, event_id="e"):
    return event(kind, paras, "$sub_device_manager", event_id=event_id)


STATUS = {"device_id": PUMP, "status": "ONLINE"}
GOOD = [
    ("events/up", event("version_report", {"sw_version": "1"})),
    ("events/up", event("upgrade_progress_report", REPORT)),
    ("events/up", family("sub_device_update_status", {"device_statuses": [STATUS]})),
    ("events/up", event("sub_device_sync_request", {"version": 0}, "$sub_device_manager")),
    ("events/up", family("add_sub_device_request",
                         {"devices": [{"node_id": "n", "product_id": "p"}]})),
    ("events/up", family("delete_sub_device_request", {"devices": [PUMP]})),
    ("commands/response/request_id=1", {"result_code": 0, "response_name": "x", "paras": {}}),
    ("properties/set/response/request_id=1", {"result_code": 0, "result_desc": "ok"}),
    ("properties/get/response/request_id=1", {"services": [{"service_id": "s",
                                                            "properties": {"a": 1}}]}),
    ("gateway/sub_devices/properties/report",
     {"devices": [{"device_id": PUMP, "services": [{"service_id": "s", "properties": {}}]}]}),
]
BAD = [
    ("events/down", {}),
    ("messages/up", {}),
    ("events/up", {}),
    ("events/up", {"services": []}),
    ("events/up", {**GOOD[0][1], "more": 1}),
    ("events/up", {**GOOD[0][1], "object_device_id": ""}),
    ("events/up", event("version_report", {})),
    ("events/up", event("version_report", {"fw_version": 1})),
    ("events/up", event("version_report", {"fw_version": ""})),
    ("events/up", event("version_report", {"version": "1"})),
    ("events/up", event("version_reports", {"fw_version": "1"})),
    ("events/up", event("version_report", {"fw_version": "1"}, "$otb")),
    ("events/up", event("version_report", {"fw_version": "1"}, event_time="2026-11-21T23:59:00Z")),
    ("events/up", event("upgrade_progress_report", {**REPORT, "result_code": 11})),
    ("events/up", event("upgrade_progress_report", {**REPORT, "result_code": "0"})),
    ("events/up", event("upgrade_progress_report", {**REPORT, "result_code": True})),
    ("events/up", event("upgrade_progress_report", {**REPORT, "progress": 101})),
    ("events/up", event("upgrade_progress_report", {**REPORT, "progress": 5.5})),
    ("events/up", event("upgrade_progress_report", {"result_code": 0, "progress": 5})),
    ("events/up", event("sub_device_update_status", {"device_statuses": [STATUS]},
                        "$sub_device_manager")),
    ("events/up", family("sub_device_update_status", {"device_statuses": []})),
    ("events/up", family("sub_device_update_status", {"device_statuses": [STATUS] * 101})),
    ("events/up", family("sub_device_update_status",
                         {"device_statuses": [{**STATUS, "status": "online"}]})),
    ("events/up", family("sub_device_sync_request", {"version": "0"})),
    ("events/up", family("add_sub_device_request", {"devices": [{"node_id": "n"}]})),
    ("events/up", family("delete_sub_device_request", {"devices": [{"device_id": PUMP}]})),
    ("commands/response/request_id=1", {"response_name": "x"}),
    ("commands/response/request_id=1", {"result_code": 0, "paras": []}),
    ("commands/response/request_id=", {"result_code": 0}),
    ("properties/set/response/request_id=1", {"result_code": None}),
    ("properties/get/response/request_id=1", {"services": [{"service_id": "s"}]}),
    ("gateway/sub_devices/properties/report", {"devices": []}),
    ("gateway/sub_devices/properties/report", {"devices": [{"device_id": PUMP, "services": []}]}),
]


@pytest.mark.parametrize("topic, body", GOOD)
def test_good_shapes_pass(topic, body):
    assert not list(check(topic, body))


@pytest.mark.parametrize("topic, body", BAD)
def test_bad_shapes_are_noticed(topic, body):
    assert list(check(topic, body))


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b"\xff{}", b'{"a":1,"a":2}'])
def test_payloads_that_are_no_object(payload):
    with pytest.raises(ValueError):
        decode(payload)


def test_the_login():
    assert sign("s3cret", "2026112123") == ("4b458bf610526de5abffc0ed91af9470"
                                            "f97a16f6e9f88003d8ef4637e46ece47")
    head = b"\x00\x04MQTT\x04\xc2\x00\x3c"
    body = head + b"\x00\x02id" + b"\x00\x04user" + b"\x00\x02pw"

    def read(packet):
        rest = bytearray(packet)

        def take(count):
            part, rest[:count] = bytes(rest[:count]), b""
            return part
        return read_connect(take)

    packet = b"\x10" + bytes((len(body),)) + body
    assert read(packet) == (packet, "id", "user", "pw")
    for wrong in (b"\x30" + packet[1:], packet.replace(b"MQTT\x04", b"MQTT\x05"),
                  packet.replace(b"\xc2", b"\xc0"), b"\x10\xff\xff\xff\xff\xff"):
        with pytest.raises(ValueError):
            read(wrong)


class Script:
    """The platform without a broker: messages are given to it, what it sends is kept."""

    def __init__(self):
        self.platform = HuaweiPlatform(1, GATEWAY, "s", (PUMP,))
        self.platform.front._listener.close()
        self.sent = []
        self.platform.publish = lambda suffix, payload: self.sent.append((suffix, payload))

    def hears(self, body, topic="events/up", qos=1, sender=GATEWAY):
        message = types.SimpleNamespace(qos=qos, retain=False, payload=json.dumps(body).encode())
        self.platform._take(sender, topic, message)
        return self.platform.breaches()

    def online(self):
        self.hears(family("sub_device_update_status", {"device_statuses": [STATUS]}))
        return self


@pytest.fixture
def script():
    return Script()


def test_statuses_are_answered(script):
    script.online()
    other = {"device_id": "prod_other", "status": "ONLINE"}
    assert not script.hears(family("sub_device_update_status", {"device_statuses": [other]}))
    answers = [payload["services"][0] for _, payload in script.sent]
    assert [a["event_type"] for a in answers] == ["sub_device_update_status_response"] * 2
    assert answers[0]["paras"]["successful_devices"] == [STATUS]
    assert answers[1]["paras"]["failed_devices"][0]["device_id"] == "prod_other"
    script.platform.left(GATEWAY)
    assert script.platform.devices[PUMP].status == "OFFLINE"


def test_the_list_is_replayed(script):
    script.platform.delete(PUMP)
    script.platform.add(PUMP)
    script.sent.clear()
    script.hears(event("sub_device_sync_request", {"version": 1}, "$sub_device_manager"))
    assert [p["services"][0]["event_type"] for _, p in script.sent] == ["add_sub_device_notify"]


@pytest.mark.parametrize("body, options, part", [
    (event("version_report", {"fw_version": "1"}), {}, "not online"),
    (event("upgrade_progress_report", REPORT), {}, "nobody asked for"),
    (event("sub_device_sync_request", {"version": 0}, "$sub_device_manager"), {"qos": 0}, "qos 0"),
    (event("sub_device_sync_request", {"version": 0}, "$sub_device_manager"),
     {"sender": PUMP}, "somebody else"),
    ({"result_code": 0}, {"topic": "commands/response/request_id=1"}, "nobody asked for"),
    (GOOD[-1][1], {"topic": GOOD[-1][0]}, "not online"),
])
def test_what_is_out_of_place_is_noticed(script, body, options, part):
    assert part in "".join(script.hears(body, **options))


def test_second_answers_are_noticed(script):
    script.platform._asked[("commands", "1")] = {}
    answer = ({"result_code": 0}, "commands/response/request_id=1")
    assert not script.hears(*answer)
    assert "second answer" in script.hears(*answer)[0]


@pytest.mark.parametrize("reports, result, breach", [
    ([{"result_code": 0, "progress": 100, "version": "2"}], ("success", 0), None),
    ([{"result_code": 0, "version": "2"}], ("success", 0), None),
    ([{"result_code": 0, "progress": 100, "version": "1"}], ("success", 0), "success with 1"),
    ([{"result_code": 5, "version": "1"}], ("fail", 5), None),
    ([{"result_code": 0, "progress": 99, "version": "1"}], None, None),
    ([{"result_code": 0, "progress": n, "version": "1"} for n in (40, 30)], None, "fell"),
    ([{"result_code": 5, "version": "1"}] * 2, ("fail", 5), None),  # told again
    ([{"result_code": n, "version": "1"} for n in (5, 6)], ("fail", 6), "after the end"),
])
def test_how_an_upgrade_ends(script, reports, result, breach):
    upgrade = script.online().platform.upgrade(PUMP, "2", "http://h/x")
    found = []
    for paras in reports:
        found = script.hears(event("upgrade_progress_report", paras))
    assert (upgrade.result and upgrade.result[:2]) == result
    assert breach in found[0] if breach else not found


def test_a_success_that_is_not_true(script):
    script.platform.truth = lambda name, version: f"{name} does not run {version}"
    script.online().platform.upgrade(PUMP, "2", "http://h/x")
    found = script.hears(event("upgrade_progress_report",
                               {"result_code": 0, "progress": 100, "version": "2"}))
    assert "not true" in found[0]
