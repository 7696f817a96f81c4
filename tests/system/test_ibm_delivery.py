# SPDX-License-Identifier: Apache-2.0
"""Messages that come twice, late, broken or for nobody: each answered properly, nothing twice."""
import json

import pytest
from daemon import GATEWAY
from harness import wait_until
from ibm_world import DEVICE, DOWNLOAD, FIRMWARE_FIELD, REBOOT, UPDATE, both


def again(world, request, count=2):
    """Sends a request once more with its reqId; the answers, all of them."""
    world.platform.send(DEVICE, request.suffix, request.d, request.req_id)
    assert world.platform.await_answer(request, 20, count) is not None, request
    return request.answers


# ---- twice ----

def test_a_repeated_reboot_is_done_once(world):
    boots, manages = world.device.boots, len(world.record.manages)
    first = world.platform.send(DEVICE, REBOOT)
    world.platform.send(DEVICE, REBOOT, req_id=first.req_id)
    world.platform.await_answer(first, 20)
    assert first.rc == 202
    world.platform.wait_managed(DEVICE, 60, manages + 1)
    world.wait_quiet()
    assert world.device.boots == boots + 1
    assert all(answer == first.answers[0] for answer in first.answers)


def test_a_reboot_repeated_after_its_end_is_not_done_again(world):
    manages = len(world.record.manages)
    first = world.ask(REBOOT)
    world.platform.wait_managed(DEVICE, 60, manages + 1)
    world.wait_quiet()
    boots = world.device.boots
    assert all(answer["rc"] == 202 for answer in again(world, first))
    world.wait_quiet()
    assert world.device.boots == boots
    assert [name for name, _ in world.tasks()] == ["reboot"]


def test_a_reboot_repeated_over_a_restart_is_not_done_again(world):
    manages = len(world.record.manages)
    first = world.ask(REBOOT)
    world.platform.wait_managed(DEVICE, 60, manages + 1)
    world.wait_quiet()
    world.southbridge.kill9()
    world.southbridge.start()
    world.platform.wait_managed(DEVICE, 60, manages + 2)
    boots = world.device.boots
    assert all(answer["rc"] == 202 for answer in again(world, first))
    world.wait_quiet()
    assert world.device.boots == boots


def test_repeated_steps_of_a_download(world):
    """Each step twice with its reqId: the same answers, one download, one course of notifies."""
    uri, digest = world.image("2.0.0")
    value = dict(version="2.0.0", name="n", uri=uri, verifier=digest, state=0, updateStatus=0,
                 updatedDateTime="")
    steps = [("device/update", {"fields": [{"field": "mgmt.firmware", "value": value}]}, 204),
             ("observe", FIRMWARE_FIELD, 200), (DOWNLOAD, None, 202)]
    for suffix, d, code in steps:
        request = world.ask(suffix, d)
        answers = again(world, request)
        assert [answer["rc"] for answer in answers] == [code, code], suffix
    world.platform.wait(lambda: world.record.firmware.get("state") == 2, 60, "state 2")
    world.wait_quiet()
    told = [both(v["state"], v["updateStatus"]) for v in world.notifies()]
    assert told.count(both(2, 0)) == 1
    assert len([h for h in world.artifacts.requests("/2.0.0.bin") if h.status == 200]) == 1
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    assert [name for name, _ in world.tasks()] == ["firmware_download"]


def test_a_repeated_update_installs_once(world):
    world.downloaded()
    assert world.ask("observe", FIRMWARE_FIELD).rc == 200
    request = world.ask(UPDATE)
    assert [answer["rc"] for answer in again(world, request)] == [202, 202]
    world.platform.wait(lambda: both(0, 0).items() <= world.record.firmware.items()
                        and world.device.version == "2.0.0", 120, "success")
    assert [answer["rc"] for answer in again(world, request, 3)] == [202] * 3
    world.wait_quiet()
    assert world.uploads() == 1
    assert [v for v in world.notifies() if both(0, 0).items() <= v.items()] == [
        world.notifies()[-1]]


# ---- late ----

@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_a_stale_reboot_is_answered_and_done_at_most_once(world, end):
    """Queued by the broker while the gateway was away; the cloud has given up meanwhile."""
    getattr(world.southbridge, end)()
    boots, manages = world.device.boots, len(world.record.manages)
    outcome = world.platform.reboot(DEVICE, step_timeout=0.5)
    assert outcome.status == "timeout"
    request = list(world.record.requests.values())[-1]
    world.southbridge.start()
    world.platform.wait(lambda: request.answers, 30, "answer to the stale request")
    assert request.rc in (202, 400, 409, 500), request.answer
    world.platform.wait_managed(DEVICE, 60, manages + 1)
    world.wait_quiet()
    assert world.device.boots == boots + (1 if request.rc == 202 else 0)
    assert len({json.dumps(answer) for answer in request.answers}) == 1


def test_a_stale_update_without_a_download_is_400(world):
    world.southbridge.stop()
    outcome = world.platform.update(DEVICE, step_timeout=0.5)
    assert outcome.status == "timeout"
    request = world.platform.send(DEVICE, UPDATE)
    world.southbridge.start()
    world.platform.wait(lambda: request.answers, 30, "answer")
    assert request.rc == 400


def test_what_was_not_observed_is_told_by_the_next_observe(world):
    world.downloaded()
    mark = world.platform.mark()
    assert world.ask(UPDATE).rc == 202
    world.wait_version("2.0.0", 120)
    world.wait_quiet()
    assert world.notifies(mark) == []
    assert world.observed() == both(0, 0)


def test_a_failure_that_was_not_observed_is_told_by_the_next_observe(world):
    uri, _ = world.image("2.0.0")
    assert world.set_firmware(uri, "2.0.0", "0" * 64).rc == 204
    mark = world.platform.mark()
    assert world.ask(DOWNLOAD).rc == 202
    world.wait_quiet()
    assert world.notifies(mark) == []
    assert world.observed() == both(0, 4)


def test_a_cloud_that_is_away_hears_the_end(world, broker):
    """The platform leaves in the middle of an update; what it missed waits in its session."""
    world.downloaded()
    world.device.fault("slow", 0.03)
    running = world.platform.start("update", DEVICE)
    world.device.wait_event("upload", lambda e: e["off"] > 4000)
    broker.stop()
    wait_until(lambda: not world.platform.hearing, what="loss of the connection")
    world.device.fault("slow", 0.0)
    world.device.wait_event("swap", timeout=120)
    broker.start()
    outcome = running.result(120)
    assert outcome.ok, outcome
    world.wait_version("2.0.0")


# ---- broken ----

def test_malformed_requests_do_nothing(world):
    world.tolerated.append("unasked-response")  # a reqId that could be read may be answered
    for payload in (b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe\x00", b'{"reqId":', b"{}",
                    b'{"reqId":""}', b'{"reqId":null}', b'{"d":{}}', b"[" * 100000,
                    b'{"reqId":"' + b"x" * 60000 + b'"}'):
        for suffix in (REBOOT, "device/update", "mgmt/custom/b/a"):
            world.platform.publish(world.platform.topic(DEVICE, suffix), payload)
        world.still_alive()
    assert world.device.boots == 1 and world.jobs() == []
    for message in world.platform.since(device=DEVICE, suffix="response", direction="in"):
        if message.req_id not in world.record.requests:
            assert message.rc >= 400, message


def test_requests_with_bad_data_are_400(world):
    for suffix, d in (
            ("device/update", None), ("device/update", {}), ("device/update", {"fields": {}}),
            ("device/update", {"fields": [1]}), ("device/update", {"fields": [{"value": 1}]}),
            ("device/update", {"fields": [{"field": "mgmt.firmware", "value": "2.0"}]}),
            ("device/update", {"fields": [{"field": "mgmt.firmware", "value": {"uri": 7}}]}),
            ("device/update", {"fields": [{"field": "location", "value": "north"}]}),
            ("observe", None), ("observe", {"fields": "mgmt.firmware"}),
            ("observe", {"fields": [None]}), ("cancel", {"fields": [{}]})):
        request = world.ask(suffix, d)
        assert request.rc == 400, (suffix, d, request.answer)
    world.still_alive()


def test_unknown_requests_are_refused(world):
    for suffix in ("mgmt/initiate/device/explode", "mgmt/initiate", "what"):
        request = world.ask(suffix)
        assert request.rc in (400, 404, 501), (suffix, request.answer)
    world.still_alive()


def test_a_number_as_reqid_does_nothing(world):
    world.tolerated.append("unasked-response")
    world.platform.publish(world.platform.topic(DEVICE, REBOOT), b'{"reqId":12345}')
    world.still_alive()
    assert world.jobs() == [] and world.device.boots == 1


def test_replies_to_nothing_are_ignored(world):
    for payload in (b'{"rc":200,"reqId":"never"}', b'{"rc":"200"}', b"{", b'{"rc":500}'):
        world.platform.publish(world.platform.topic(DEVICE, "response"), payload)
        world.platform.publish(world.platform.topic(GATEWAY, "response"), payload)
    world.still_alive()


def test_topics_that_are_no_devices(world):
    for topic in ("iotdm-1/type/pump/id/pump-1/", f"iotdm-1/type/pump/id//{REBOOT}",
                  "iotdm-1/type/pump", "iotdm-1/response", "iotdm-1/type//id//observe"):
        world.platform.publish(topic, b'{"reqId":"x"}')
    world.still_alive()
    assert world.jobs() == []


# ---- refused by the broker ----

def test_a_notification_that_a_publication_was_refused_is_logged(world):
    world.platform.notify_gateway(GATEWAY, "iotdevice-1/type/pump/id/pump-1/notify", 13,
                                  "limit exceeded")
    wait_until(lambda: "limit exceeded" in world.southbridge.log(), 20, "a line in the log")
    world.still_alive()
