# SPDX-License-Identifier: Apache-2.0
"""IBM actions that cannot be done: the documented code for each reason, and nothing done.

Requests are refused by rc 400, 404, 500, 501; what fails later is told by state and updateStatus.
"""
import pytest
from daemon import GATEWAY, device_spec, write_devices
from harness import SOURCE, free_port, wait_until
from ibm_world import DEVICE, DOWNLOAD, FIRMWARE_FIELD, REBOOT, RESET, UPDATE, both


def refused(outcome, step, *codes):
    assert (outcome.status, outcome.step) == ("failure", step), outcome
    assert outcome.rc in codes, outcome
    assert outcome.message, "a refusal says why"


def failed(world, outcome, *codes):
    """Failed while it ran; idle; told in one notify, and so is the next observe answer."""
    assert (outcome.status, outcome.step) == ("failure", "run"), outcome
    assert outcome.state == 0 and outcome.update_status in codes, outcome
    assert len([v for v in outcome.notifies if v["updateStatus"] in codes]) == 1
    assert world.observed() == both(0, outcome.update_status)
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200


# ---- refused at once: 400 ----

def test_download_while_not_idle_is_400(world):
    """Downloaded is not idle; only device/update makes it so again."""
    world.downloaded()
    outcome = world.platform.download(DEVICE, version="2.0.0", send_update=False)
    refused(outcome, "download", 400)
    assert world.observed() == both(2, 0)
    assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    assert world.update().ok


def test_download_while_downloading_is_400(world):
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", hold_after=8192)
    running = world.platform.start("download", DEVICE, uri, "2.0.0", "n", digest)
    world.artifacts.wait_sent("/2.0.0.bin", 8192)
    world.platform.wait(lambda: world.record.run.accepted, 20, "the 202")
    request = world.ask(DOWNLOAD)
    assert request.rc == 400, request.answer
    world.artifacts.heal("/2.0.0.bin")
    assert running.result(60).ok


def test_download_from_no_or_a_bad_uri_is_400(world):
    for uri in ("", "not a uri", "firmware.bin", "http://", "http:///x.bin",
                "http://user name@127.0.0.1/x"):
        outcome = world.platform.download(DEVICE, uri, "2.0.0")
        assert (outcome.step, outcome.rc) == ("download", 400), (uri, outcome)
        assert outcome.message and world.observed()["state"] == 0, uri
        assert world.ask("cancel", FIRMWARE_FIELD).rc == 200
    world.downloaded()  # a good one after them is taken


def test_schemes_that_are_not_allowed(world):
    """Refused at once, or told as an invalid URI; never fetched."""
    for uri in ("ftp://127.0.0.1/x.bin", "file:///etc/hostname", "javascript:alert(1)"):
        outcome = world.platform.download(DEVICE, uri, "2.0.0")
        if outcome.step == "download":
            assert outcome.rc == 400, (uri, outcome)
        else:
            failed(world, outcome, 6)


def test_download_before_any_device_update_is_400(world):
    outcome = world.platform.download(DEVICE, send_update=False)
    refused(outcome, "download", 400)


def test_update_without_a_download_is_400(world):
    refused(world.update(), "update", 400)
    assert world.uploads() == 0


def test_update_after_a_failed_download_is_400(world):
    uri, _ = world.image("2.0.0")
    assert not world.platform.download(DEVICE, uri, "2.0.0", "n", "0" * 64).ok
    refused(world.update(), "update", 400)


def test_update_after_it_was_done_is_400(world):
    world.downloaded()
    assert world.update().ok
    refused(world.update(), "update", 400)
    assert world.uploads() == 1


def test_update_while_downloading_is_400(world):
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", hold_after=8192)
    running = world.platform.start("download", DEVICE, uri, "2.0.0", "n", digest)
    world.artifacts.wait_sent("/2.0.0.bin", 8192)
    assert world.ask(UPDATE).rc == 400
    world.artifacts.heal("/2.0.0.bin")
    assert running.result(60).ok


# ---- 404 and 501 ----

def test_requests_for_an_unknown_device_are_404(world):
    place = {"fields": [{"field": "location", "value": {"latitude": 1, "longitude": 2}}]}
    for name in ("pump/nobody", "other/pump-1"):
        for suffix, d in ((REBOOT, None), (RESET, None), (DOWNLOAD, None), (UPDATE, None),
                          ("observe", FIRMWARE_FIELD), ("cancel", FIRMWARE_FIELD),
                          ("device/update", place), ("mgmt/custom/b/a", {"fields": []})):
            request = world.ask(suffix, d, name)
            assert request.rc == 404, (name, suffix, request.answer)
    world.still_alive()
    assert world.jobs() == []


def test_unknown_attributes_are_404(world):
    request = world.ask("observe", {"fields": [{"field": "mgmt.other"}]})
    assert request.rc == 404, request.answer
    request = world.ask("device/update", {"fields": [{"field": "mgmt.other", "value": {}}]})
    assert request.rc == 404, request.answer


def test_an_action_of_no_bundle_is_501(world):
    request = world.ask("mgmt/custom/nobundle/noaction", {"fields": []})
    assert request.rc == 501, request.answer


BASIC = """# SPDX-License-Identifier: Apache-2.0
name: pump-basic
driver: smp
operations: [{}]
"""


@pytest.mark.parametrize("operations, suffix", [
    ("firmware_update, firmware_download, firmware_install", REBOOT),
    ("firmware_update, firmware_download, firmware_install", RESET),
    ("reboot", DOWNLOAD), ("reboot", UPDATE)])
def test_what_the_type_does_not_support_is_501(empty_world, workspace, operations, suffix):
    folder = workspace / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "pump-basic.yaml").write_text(BASIC.format(operations))
    world = empty_world.start(devices=[device_spec(kind="pump-basic")],
                              mappings=[SOURCE / "mappings", workspace / "mappings"])
    if suffix in (DOWNLOAD, UPDATE):
        assert not world.record.supports.get("firmwareActions")
        uri, _ = world.image("2.0.0")
        world.set_firmware(uri)
    request = world.ask(suffix)
    assert request.rc == 501, request.answer
    assert world.device.boots == 1


# ---- failed while it ran: updateStatus ----

def test_2_image_larger_than_the_gateway_keeps(empty_world):
    world = empty_world.start(top={"artifacts": {"file_limit": "20K"}})
    uri, digest = world.image("2.0.0", 40000)
    failed(world, world.platform.download(DEVICE, uri, "2.0.0", "n", digest), 2)


def test_2_image_larger_than_the_device_holds(small_world):
    """Told by the download where the device is asked then, else by the update."""
    outcome = small_world.download()
    if outcome.ok:
        outcome = small_world.update()
    failed(small_world, outcome, 2)
    assert small_world.device.version == "1.0.0"


def test_3_connection_lost_for_good(world):
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", cut_after=1000, no_range=True)
    failed(world, world.platform.download(DEVICE, uri, "2.0.0", "n", digest), 3)


def test_a_connection_lost_once_is_resumed(world):
    """By itself or when the cloud asks again: only the rest is fetched."""
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", cut_after=16384, times=1)
    outcome = world.platform.download(DEVICE, uri, "2.0.0", "n", digest)
    if not outcome.ok:
        failed(world, outcome, 3)
        assert world.platform.download(DEVICE, uri, "2.0.0", "n", digest).ok
    hits = world.artifacts.requests("/2.0.0.bin")
    assert [hit.status for hit in hits] == [200, 206], hits
    assert hits[1].if_range and not hits[1].range.startswith("bytes=0-")


def test_4_wrong_verifier(world):
    uri, _ = world.image("2.0.0")
    outcome = world.platform.download(DEVICE, uri, "2.0.0", "n", "0" * 64)
    failed(world, outcome, 4)
    assert world.uploads() == 0
    world.downloaded()  # and the right one after it


def test_4_verifier_that_is_no_digest(world):
    uri, _ = world.image("2.0.0")
    outcome = world.platform.download(DEVICE, uri, "2.0.0", "n", "no digest at all")
    if outcome.step == "download":
        refused(outcome, "download", 400)
    else:
        failed(world, outcome, 4)


def test_5_not_an_image_of_this_device(world):
    uri, digest = world.serve("/noise.bin", bytes(range(256)) * 100)
    outcome = world.platform.download(DEVICE, uri, "2.0.0", "n", digest)
    if outcome.ok:
        outcome = world.update()
    failed(world, outcome, 5)
    assert world.device.version == "1.0.0" and world.uploads() == 0


def test_image_with_a_bad_signature(world):
    uri, digest = world.image("2.0.0", bad_signature=True)
    assert world.platform.download(DEVICE, uri, "2.0.0", "n", digest).ok
    failed(world, world.update(), 4, 5)
    assert world.device.version == "1.0.0"


def test_an_image_that_is_another_version_than_told(world):
    """What is told afterwards is what runs, whatever the cloud called it."""
    world.real["9.9.9"] = "2.0.0"
    uri, digest = world.image("2.0.0")
    outcome = world.platform.download(DEVICE, uri, "9.9.9", "n", digest)
    if outcome.ok:
        outcome = world.update()
    if not outcome.ok:
        assert outcome.status == "failure" and outcome.update_status in (4, 5), outcome
    world.wait_version(world.device.version)
    assert not any(d.get("deviceInfo", {}).get("fwVersion") == "9.9.9"
                   for d in world.record.manages)


def test_6_nothing_at_the_uri(world):
    uri, digest = world.image("2.0.0")
    for status in (404, 403, 410):
        world.artifacts.fault("/2.0.0.bin", status=status)
        failed(world, world.platform.download(DEVICE, uri, "2.0.0", "n", digest), 6)


def test_nobody_at_the_uri(world):
    uri = f"http://127.0.0.1:{free_port()}/x.bin"
    failed(world, world.platform.download(DEVICE, uri, "2.0.0"), 3, 6)


def test_a_private_address_that_is_not_allowed(empty_world):
    """Refused at once or told as 6; the server never hears of it."""
    world = empty_world.start(link={"uri_rules": {"schemes": ["http"]}})
    uri, digest = world.image("2.0.0")
    outcome = world.platform.download(DEVICE, uri, "2.0.0", "n", digest)
    if outcome.step == "download":
        refused(outcome, "download", 400)
    else:
        failed(world, outcome, 6)
    assert world.artifacts.requests() == []


def test_a_redirect_to_what_is_not_allowed(world):
    world.artifacts.fault("/2.0.0.bin", location="file:///etc/passwd")
    uri, digest = world.image("2.0.0")
    failed(world, world.platform.download(DEVICE, uri, "2.0.0", "n", digest), 3, 6)


def test_rollback_is_a_failure(world):
    """The new image does not survive its first start: the old one runs, and is told."""
    world.downloaded()
    world.device.fault("revert_on_boot")
    outcome = world.update()
    assert outcome.status == "failure" and outcome.update_status in (2, 4, 5), outcome
    assert world.device.version == "1.0.0"
    world.wait_quiet()
    assert world.record.device_info["fwVersion"] == "1.0.0"


def test_a_device_that_stays_silent(world):
    world.downloaded()
    world.device.fault("hang")
    outcome = world.update()
    assert outcome.status == "failure" and outcome.update_status >= 2, outcome
    world.device.fault("hang", False)
    assert world.device.version == "1.0.0"


def test_cancelled_by_an_operator(world):
    """Never told as 0/0, which would be success."""
    uri, digest = world.image("2.0.0")
    world.artifacts.fault("/2.0.0.bin", hold_after=8192)
    running = world.platform.start("download", DEVICE, uri, "2.0.0", "n", digest)
    world.artifacts.wait_sent("/2.0.0.bin", 8192)
    job = world.southbridge.ctl("job", "list").json[0]["id"]
    world.southbridge.ctl("job", "cancel", str(job))
    outcome = running.result(60)
    assert outcome.status == "failure" and outcome.update_status >= 2, outcome
    world.artifacts.heal("/2.0.0.bin")
    world.wait_quiet()
    assert world.tasks()[-1] == ("firmware_download", "cancelled")
    world.downloaded()


# ---- attributes, diagnostics, removal ----

def test_attributes_set_by_the_cloud_are_kept(world):
    given = {
        "location": {"latitude": 48.5, "longitude": 9.1, "elevation": 300.0, "accuracy": 5.0,
                     "measuredDateTime": "2026-01-01T00:00:00Z",
                     "updatedDateTime": "2026-01-01T00:00:00Z"},
        "metadata": {"line": "4", "shift": {"a": 1}},
        "deviceInfo": {"serialNumber": "4711", "descriptiveLocation": "hall 2"}}
    for field, value in given.items():
        assert world.platform.set_attributes(DEVICE, {field: value}).rc == 204
    world.southbridge.restart()
    facts = world.southbridge.device("pump-1")["facts"]
    assert {field: facts[field] for field in given} == given


def test_several_attributes_all_or_none(world):
    good = {"latitude": 1.0, "longitude": 2.0}
    outcome = world.platform.set_attributes(DEVICE, {"location": good, "mgmt.other": {}})
    assert outcome.rc == 404, outcome
    facts = world.southbridge.device("pump-1").get("facts") or {}
    assert "location" not in facts


def test_a_failure_leaves_a_trace_in_the_clouds_diagnostics(world):
    uri, _ = world.image("2.0.0")
    assert not world.platform.download(DEVICE, uri, "2.0.0", "n", "0" * 64).ok
    world.platform.wait(lambda: world.record.logs or world.record.error_codes, 20,
                        "diagnostics of the device")
    for entry in world.record.logs:
        assert entry["message"] and entry["severity"] in (1, 2)


def test_a_removed_device_is_unmanaged_and_comes_back(world):
    write_devices(world.southbridge.directory, [])
    world.southbridge.ctl("reload")
    world.platform.wait(lambda: not world.record.managed, 20, "unmanage")
    assert world.platform.device(GATEWAY).managed
    assert world.ask(REBOOT).rc == 404
    before = len(world.record.manages)
    write_devices(world.southbridge.directory, [device_spec()])
    world.southbridge.ctl("reload")
    world.platform.wait_managed(DEVICE, 30, before + 1)
    assert world.platform.reboot(DEVICE).ok


def test_the_gateway_itself_answers(world):
    """It has no driver: what it cannot do is 501, and observing it is no error of the device."""
    before = world.device.boots
    request = world.ask(REBOOT, name=GATEWAY)
    assert request.rc in (202, 501), request.answer
    assert world.ask("observe", FIRMWARE_FIELD, GATEWAY).rc in (200, 404)
    assert world.device.boots == before


def test_a_refused_manage_is_tried_again(empty_world):
    world = empty_world
    world.platform.script(DEVICE, "mgmt/manage", 409, None)
    world.start()
    wait_until(lambda: world.record.managed, 90, "a manage after 409 and silence")
    ids = [m.req_id for m in world.platform.since(device=DEVICE, suffix="mgmt/manage")]
    assert len(ids) >= 3
