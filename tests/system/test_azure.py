# SPDX-License-Identifier: Apache-2.0
"""Azure jobs on a serial device behind the gateway, by a scripted hub and the real daemon.

Each test also fails on any breach of the protocol that the hub notices: a second answer, a patch
that a hub refuses, a topic that is not allowed.
"""
import pytest
from azure_world import (GHOST, PUMP, RUN, azure, board, hub,  # noqa: F401
                         server_context)
from daemon import device_spec
from harness import wait_until
from modbus_line import STATUSES
from words import fast_words

from azure_platform import AzureHub, NotOnline


@pytest.fixture
def world(azure):  # noqa: F811
    return azure.start().online()


# ---- being there ----

def test_device_is_there(world):
    assert world.hub.reported(PUMP, "device/presence") == "ready"
    assert world.hub.reported(PUMP, "firmware/fwUpdateStatus") == "current"
    assert world.uplink()["up"] is True
    login = world.hub.front.logins[0]
    assert login[:2] == (PUMP, f"hub.example/{PUMP}/?api-version=2021-04-12&DeviceClientType="
                               "southbridge")


def test_device_without_key_is_said_to_be_so(azure):  # noqa: F811
    azure.start(devices=[device_spec(ibm=None), device_spec("nokey", bus="uart2", ibm=None)],
                top={"buses": {"uart1": {"port": str(azure.device.link)},
                               "uart2": {"port": "/dev/null"}}})
    azure.online()
    wait_until(lambda: "1 of 2 devices connected" in azure.uplink()["text"]
               and "nokey.key" in azure.uplink()["text"], what=lambda: str(azure.uplink()))


# ---- the six jobs ----

def test_the_whole_course(world):
    status, body = world.call("firmwareUpdate", world.package("2.0.0"))
    assert (status, body["status"]) == (202, "accepted")
    world.wait("firmware/currentFwVersion", "2.0.0")
    world.wait("firmware/fwUpdateStatus", "current")
    assert (world.device.version, world.device.confirmed) == ("2.0.0", True)
    seen = world.statuses()
    assert [s for s in ("downloading", "applying", "rebooting") if s in seen][-1] == "rebooting"
    dm = world.hub.reported(PUMP, "iothubDM/firmwareUpdate")
    assert dm["status"] == "apply firmware image complete" and dm["lastFirmwareUpdate"]

    boots = world.device.boots
    assert world.call("reboot")[0] == 200
    world.wait("iothubDM/reboot/status", "complete")
    assert world.device.boots == boots + 1

    assert world.call("factoryReset")[0] == 200
    world.wait("iothubDM/factoryReset/status", "complete")
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded"), ("reboot", "succeeded"),
                             ("factory_reset", "succeeded")]


def test_properties_of_a_board(board):  # noqa: F811
    """Read, written and configured by method, configured by wish, and an action of its type."""
    assert board.call("readProperties", {"names": ["interval"]}) == (200, {"interval": 60})
    assert board.call("writeProperties", {"values": {"interval": 61, "gain": 2.5}})[0] == 200
    assert board.call("readProperties", {"names": ["interval", "gain"]}) == (
        200, {"interval": 61, "gain": 2.5})
    board.wait("deviceProperties/interval/value", 61)
    assert board.call("updateConfiguration", {"values": {"interval": 62}})[0] == 200
    version = board.hub.desire(PUMP, {"configuration": {"interval": 63}})
    board.wait("configuration/interval/ac", 200)
    assert board.hub.reported(PUMP, "configuration/interval/av") == version
    assert board.call("readProperties", {"names": ["interval"]}) == (200, {"interval": 63})
    assert board.call("writeProperties", {"values": {"interval": 0}})[0] == 400  # out of its range
    assert board.call("set-mark", {"mark": 7})[0] == 200
    assert [e["value"] for e in board.device.of(1, "write") if e["address"] == 8] == [7]
    board.wait_quiet()


def test_what_cannot_be_is_answered(world):
    for method, payload in (("readProperties", {"names": ["none-such"]}),
                            ("writeProperties", {"none-such": 1}),
                            ("updateConfiguration", {"values": {"none-such": 1}})):
        status, body = world.call(method, payload)
        assert status in (400, 403, 404, 501), (method, status, body)
        assert body["error"]["code"]
    assert world.call("explode")[0] == 501
    assert world.call("reboot", raw="{nonsense")[0] == 400
    assert world.call("firmwareUpdate", {})[0] == 400


# ---- failures ----

@pytest.mark.parametrize("fault, code, dm", [
    ({"status": 404}, "invalid_uri", "Download image failed"),
    ({"status": 500}, "download_failed", "Download image failed"),
])
def test_download_fails(world, fault, code, dm):
    package = world.package("2.0.0")
    world.artifacts.fault("/2.0.0.bin", **fault)
    assert world.call("firmwareUpdate", package)[0] == 202
    world.wait("firmware/fwUpdateStatus", "error")
    assert world.hub.reported(PUMP, "firmware/error/code") == code
    assert world.hub.reported(PUMP, "iothubDM/firmwareUpdate/status") == dm
    assert world.device.version == "1.0.0"
    world.artifacts.heal("/2.0.0.bin")  # and the next one ends well
    assert world.call("firmwareUpdate", package)[0] == 202
    world.wait("firmware/currentFwVersion", "2.0.0")
    world.wait("firmware/error", None)


def test_wrong_digest(world):
    package = {**world.package("2.0.0"), "fwPackageCheckValue": "0" * 64}
    assert world.call("firmwareUpdate", package)[0] == 202
    world.wait("firmware/error/code", "verify_failed")


def test_forbidden_uri(world):
    package = {**world.package("2.0.0"), "fwPackageUri": "ftp://127.0.0.1/x"}
    status, body = world.call("firmwareUpdate", package)
    assert (status, body["error"]["code"]) == (400, "invalid_uri")


def test_image_that_is_not_for_the_device(world):
    package = world.package("2.0.0", bad_signature=True)
    assert world.call("firmwareUpdate", package)[0] == 202
    world.wait("firmware/fwUpdateStatus", "error")
    assert world.device.version == "1.0.0"


def test_what_a_board_fails_with(board):  # noqa: F811
    for number, (status, cause) in enumerate(STATUSES.items()):
        board.device.fault("1.status", status)
        assert board.call("firmwareUpdate", board.board_package(f"2.{number}.0"))[0] == 202
        board.wait("firmware/error/code", cause)
        assert board.hub.reported(PUMP, "firmware/fwUpdateStatus") == "error"
    board.device.fault("1.status", 0)
    assert board.call("firmwareUpdate", board.board_package("3.0.0"))[0] == 202
    board.wait("firmware/currentFwVersion", "3.0.0")
    board.wait("firmware/error", None)


def test_image_that_does_not_survive_and_an_older_one(world):
    world.device.fault("revert_on_boot")
    assert world.call("firmwareUpdate", world.package("2.0.0"))[0] == 202
    world.wait("firmware/fwUpdateStatus", "rolledback")
    assert world.hub.reported(PUMP, "firmware/error/code") == "rolled_back"
    assert world.device.version == "1.0.0"
    assert world.call("firmwareUpdate", world.package("0.9.0"))[0] == 202
    world.wait("firmware/error/code", "downgrade_refused")


def test_second_update_is_in_conflict_then_cancelled(world):
    package = world.package("2.0.0")
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    assert world.call("firmwareUpdate", package)[0] == 202
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    same, body = world.call("firmwareUpdate", package)
    assert same == 202 and body["task"] == 1  # equal and open: the same
    assert world.call("firmwareUpdate", world.package("2.1.0"))[0] == 409
    assert world.call("cancelFirmwareUpdate")[0] == 200
    world.wait("firmware/error/code", "operator")
    fault.gate.set()
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "cancelled")]
    assert world.call("cancelFirmwareUpdate")[0] == 404


def test_offline_device_is_queued_for(azure):  # noqa: F811
    azure.device.stop()
    azure.start()
    azure.hub.wait_online(PUMP)
    assert azure.call("reboot")[0] == 200
    status, body = azure.call("readProperties", {"names": ["x"]})
    assert status in (400, 403, 501, 504), (status, body)
    azure.device.start()
    azure.wait("iothubDM/reboot/status", "complete")


def test_device_that_stays_offline(azure, workspace):  # noqa: F811
    azure.device.stop()
    azure.start(mappings=fast_words(workspace, "azure", online_within="2s"))
    azure.hub.wait_online(PUMP)
    assert azure.call("firmwareUpdate", azure.package("2.0.0"))[0] == 202
    azure.wait("firmware/error/code", "offline")


def test_method_whose_result_takes_too_long(azure, workspace):  # noqa: F811
    """What has begun goes on, and is seen in the twin; what has not is taken back."""
    azure.start(mappings=fast_words(workspace, "azure", final_within="1s")).online()
    azure.device.fault("hang")
    begun = azure.call("readProperties", {"names": ["interval"]})
    waiting = azure.call("readProperties", {"names": ["name"]})
    azure.device.fault("hang", False)
    assert (begun[0], waiting[0]) == (202, 504), (begun, waiting)
    azure.wait_quiet()


def test_repeated_method_is_done_once(world):
    boots = world.device.boots
    rid = world.hub.begin_call(PUMP, "reboot")
    assert world.hub.wait_answer(PUMP, rid)[0] == 200
    world.hub.repeat_call(PUMP, "reboot", None, rid)
    world.wait("iothubDM/reboot/status", "complete")
    world.hub.repeat_call(PUMP, "reboot", None, rid)
    assert world.call("cancelFirmwareUpdate")[0] == 404  # all that was before has been dealt with
    world.wait_quiet()
    assert world.tasks() == [("reboot", "succeeded")] and world.device.boots == boots + 1


# ---- wishes ----

def wish(world, version, **more):
    package = world.package(version)
    return {"firmware": {"fwVersion": version, "fwPackageURI": package["fwPackageUri"],
                         "fwPackageCheckValue": package["fwPackageCheckValue"], **more}}


def test_wish_acts_once(world):
    wanted = wish(world, "2.0.0")
    version = world.hub.desire(PUMP, wanted)
    world.wait("firmware/ac", 200)
    assert world.hub.reported(PUMP, "firmware/av") == version
    assert world.device.version == "2.0.0"
    world.hub.tell_again(PUMP, wanted, version)  # redelivered
    world.hub.front.drop(PUMP)
    world.hub.wait_online(PUMP, comes=2)
    world.hub.wait(lambda: world.hub.twins[PUMP].reads >= 2, 20, "read")
    world.southbridge.restart()
    world.hub.wait_online(PUMP, comes=3)
    world.hub.wait(lambda: world.hub.twins[PUMP].reads >= 3, 20, "read")
    assert world.call("reboot")[0] == 200  # all that was before has been dealt with
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded"), ("reboot", "succeeded")]


def test_wish_from_before_the_daemon(azure):  # noqa: F811
    azure.hub.desire(PUMP, wish(azure, "2.0.0"))
    azure.start()
    azure.wait("firmware/currentFwVersion", "2.0.0")


def test_missed_wish_is_found_at_the_next_change(world):
    world.hub.desire(PUMP, wish(world, "2.0.0"), tell=False)
    world.hub.desire(PUMP, {"other": 1})
    world.wait("firmware/currentFwVersion", "2.0.0")


def test_wish_that_fails_is_not_tried_again(world):
    wanted = wish(world, "2.0.0", fwPackageCheckValue="0" * 64)
    world.hub.desire(PUMP, wanted)
    world.wait("firmware/ac", 500)
    world.hub.front.drop(PUMP)
    world.hub.wait_online(PUMP, comes=2)
    world.hub.wait(lambda: world.hub.twins[PUMP].reads >= 2, 20, "read")
    assert world.call("reboot")[0] == 200
    world.wait_quiet()
    assert [state for _, state in world.tasks()] == ["failed", "succeeded"]


# ---- when things break in the middle ----

def test_reconnect_in_the_middle(world):
    package = world.package("2.0.0")
    fault = world.artifacts.fault("/2.0.0.bin", hold_after=4096)
    assert world.call("firmwareUpdate", package)[0] == 202
    world.artifacts.wait_sent("/2.0.0.bin", 4096)
    world.hub.front.refuse(True)
    world.hub.wait(lambda: not world.hub.twins[PUMP].online, 20, "end of the connection")
    with pytest.raises(NotOnline):
        world.call("reboot")
    fault.gate.set()
    wait_until(lambda: world.device.version == "2.0.0", RUN, "the new version")
    world.hub.front.refuse(False)
    world.wait("firmware/currentFwVersion", "2.0.0")
    world.wait("firmware/fwUpdateStatus", "current")


def test_kill_in_the_middle(world):
    world.device.fault("slow", 0.2)  # half a minute, if it is not let go
    package = world.package("2.0.0", size=60000)
    assert world.call("firmwareUpdate", package)[0] == 202
    world.wait("firmware/fwUpdateStatus", "applying")
    world.southbridge.kill9()
    world.device.fault("slow", 0.0)
    world.southbridge.start()
    world.wait("firmware/currentFwVersion", "2.0.0")
    world.wait("firmware/fwUpdateStatus", "current")
    world.wait_quiet()
    assert world.tasks() == [("firmware_update", "succeeded")]
    assert world.device.version == "2.0.0"


def test_throttled_hub_hears_it_all_in_the_end(azure, workspace):  # noqa: F811
    azure.hub.mood(429, 503, 200, 429, None, 429)
    azure.start(mappings=fast_words(workspace, "azure", throttled_retry="1s",
                                    reply_timeout="1s"))
    azure.online()
    azure.hub.mood(429)
    assert azure.call("reboot")[0] == 200
    azure.wait("iothubDM/reboot/status", "complete")


# ---- logging in ----

def test_token_is_renewed_without_losing_a_report(azure, workspace):  # noqa: F811
    azure.start(mappings=fast_words(workspace, "azure", token_lifetime="12s",
                                    renew_before="6s"))
    azure.online()
    assert azure.call("firmwareUpdate", azure.package("2.0.0"))[0] == 202
    azure.wait("firmware/currentFwVersion", "2.0.0")
    azure.hub.wait(lambda: azure.hub.twins[PUMP].comes >= 3, RUN, "renewals")
    ends = [login[2] for login in azure.hub.front.logins]
    assert ends == sorted(ends) and ends[-1] > ends[0]
    assert azure.uplink()["up"] is True


def test_websocket_with_tls(azure, authority, broker):  # noqa: F811
    with AzureHub(broker.port, {PUMP: azure.hub.twins[PUMP].key},
                  context=server_context(authority)) as other:
        azure.hub.close()
        azure.hub = other
        azure.start({"ca_file": str(authority.ca)}, uri=f"wss://localhost:{other.front.port}"
                    "/$iothub/websocket?iothub-no-client-cert=true")
        azure.online()
        assert other.front.logins[0][3] is True
        assert azure.call("reboot")[0] == 200
        azure.wait("iothubDM/reboot/status", "complete")


def test_certificate_in_place_of_a_key(azure, authority, broker):  # noqa: F811
    authority.issue(PUMP)
    with AzureHub(broker.port, {PUMP: "x509"},
                  context=server_context(authority, client_certificates=True)) as other:
        azure.hub.close()
        azure.hub = other
        azure.start({"key": None, "cert_file": f"{authority.directory}/{{name}}.pem",
                     "key_file": f"{authority.directory}/{{name}}.key",
                     "ca_file": str(authority.ca)}, uri=f"mqtts://localhost:{other.front.port}")
        azure.online()


# ---- one identity for all ----

def test_gateway_carries_its_devices(azure):  # noqa: F811
    gw = "gw-1"
    azure.start({"mode": "gateway", "id": gw})
    azure.hub.wait_reported(gw, f"children/{PUMP}/firmware/currentFwVersion", "1.0.0", RUN)
    status, body = azure.hub.call(gw, "reboot", {"target": GHOST})
    assert (status, body["error"]["code"]) == (404, "device_gone")
    assert azure.hub.call(gw, "firmwareUpdate",
                          {"target": PUMP, **azure.package("2.0.0")})[0] == 202
    azure.hub.wait_reported(gw, f"children/{PUMP}/firmware/currentFwVersion", "2.0.0", RUN)
    azure.hub.desire(gw, {"children": {PUMP: wish(azure, "2.1.0")}})
    azure.hub.wait_reported(gw, f"children/{PUMP}/firmware/ac", 200, RUN)
    assert azure.device.version == "2.1.0"


def test_gateway_twin_that_is_full(azure):  # noqa: F811
    """More devices than 32 KB hold: the hub refuses nothing, whoever is at work is told of."""
    gw, meters = "gw-1", [f"meter-{n}" for n in range(350)]
    azure.start({"mode": "gateway", "id": gw}, devices=[device_spec(ibm=None)] + [
        device_spec(name, bus="far", ibm=None) for name in meters],
        top={"buses": {"uart1": {"port": str(azure.device.link)},
                       "far": {"port": str(azure.directory / "far")}}})  # nobody answers there
    azure.hub.wait_reported(gw, f"children/{PUMP}/firmware/currentFwVersion", "1.0.0", RUN)
    wait_until(lambda: "devices that are at nothing" in azure.southbridge.log(), RUN, "word of it")

    def absent():
        children = azure.hub.reported(gw, "children")
        return [name for name in meters if name not in children]
    one, other = absent()[:2]
    assert azure.hub.call(gw, "firmwareUpdate", {"target": PUMP, **azure.package("2.0.0")})[0] == 202
    assert azure.hub.call(gw, "firmwareUpdate", {"target": one, **azure.package("3.0.0")})[0] == 202
    azure.hub.desire(gw, {"children": {other: {"firmware": {
        "fwVersion": "4", "fwPackageURI": "nonsense"}}}})
    azure.hub.wait_reported(gw, f"children/{one}/firmware/pendingFwVersion", "3.0.0", RUN)
    azure.hub.wait_reported(gw, f"children/{other}/firmware/ac", 400, RUN)
    azure.hub.wait_reported(gw, f"children/{PUMP}/firmware/currentFwVersion", "2.0.0", RUN)
    seen = azure.hub.seen(gw, f"children/{PUMP}/firmware/fwUpdateStatus")
    assert "applying" in seen and "rebooting" in seen
    assert azure.southbridge.log().count("the twin is full") < 10
