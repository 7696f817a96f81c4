# SPDX-License-Identifier: Apache-2.0
"""The scripted IBM platform against a vendor's package: npm ibmiotf 0.2.41, unmodified.

What the package saw and emitted is the witness: if the script sent what the real platform would
not, the package does not do its part.
"""
import json

import pytest
from harness import wait_until
from vendor import Vendor

from ibm_platform import IbmPlatform

ORG, DEVICE, GATEWAY = "abc123", "tt/dev1", "gt/gw1"
# The package tells state and updateStatus in separate notifies.
KNOWN = ("partial-notify",)
SEVEN = {"version", "name", "uri", "verifier", "state", "updateStatus", "updatedDateTime"}


@pytest.fixture
def cloud(tls_broker):
    """A platform toward one device, in the device form."""
    with IbmPlatform(tls_broker.port, ORG, form="device", device=DEVICE, username="platform",
                     password="platform-secret") as platform:
        yield platform


@pytest.fixture
def device(workspace, tls_broker, node_modules, authority, cloud):  # noqa: ARG001 (cloud first)
    vendor = Vendor("ibm_device", DEVICE, workspace, tls_broker, node_modules, authority)
    yield vendor.connected(subscriptions=2)
    vendor.quit()


@pytest.fixture
def managed(device, cloud):
    req_id = device.call("manage", 4000, True, True, ["bundle-1"])
    assert device.replied(req_id)["rc"] == 200
    cloud.wait_managed(DEVICE, 10)
    return device


@pytest.fixture
def gateway_cloud(tls_broker):
    with IbmPlatform(tls_broker.port, ORG, username="platform",
                     password="platform-secret") as platform:
        yield platform


@pytest.fixture
def gateway(workspace, tls_broker, node_modules, authority, gateway_cloud):  # noqa: ARG001
    vendor = Vendor("ibm_gateway", GATEWAY, workspace, tls_broker, node_modules, authority)
    yield vendor.connected(subscriptions=1)
    vendor.quit()


def received(vendor, suffix):
    return [json.loads(event["payload"]) for event in vendor.events("received")
            if event["topic"] == f"iotdm-1/{suffix}"]


def test_it_is_the_vendors_package(device, node_modules, tls_broker):
    package = json.loads((node_modules / "ibmiotf" / "package.json").read_text())
    assert (package["name"], package["version"]) == ("ibmiotf", "0.2.41")
    connecting = device.events("connecting")[0]
    assert connecting == {"event": "connecting", "url": f"ssl://localhost:{tls_broker.tls_port}",
                          "clientId": "d:abc123:tt:dev1", "username": "use-token-auth"}
    topics = [s["topic"] for e in device.events("subscribe") for s in e["subscriptions"]]
    assert topics == ["iot-2/cmd/+/fmt/+", "iotdm-1/#"]


def test_manage_and_unmanage(device, cloud):
    req_id = device.call("manage", 4000, True, True, ["bundle-1"])
    assert device.replied(req_id) == {"reqId": req_id, "rc": 200}
    record = cloud.device(DEVICE)
    assert record.managed and record.lifetime == 4000
    assert record.supports == {"deviceActions": True, "firmwareActions": True, "bundle-1": True}
    assert not cloud.dormant(DEVICE)
    req_id = device.call("unmanage")
    assert device.replied(req_id)["rc"] == 200
    assert not record.managed
    outcome = cloud.reboot(DEVICE)
    assert (outcome.status, outcome.rc) == ("refused", 403)
    assert cloud.breaches() == []


def test_a_refused_manage_reaches_the_package(device, cloud):
    cloud.script(DEVICE, "mgmt/manage", 409)
    req_id = device.call("manage", 4000, True, True)
    assert device.replied(req_id)["rc"] == 409
    assert not cloud.device(DEVICE).managed


def test_download_and_update(managed, cloud):
    outcome = cloud.download(DEVICE, "http://127.0.0.1/fw.bin", "2.0.0", "fw", "abcd")
    assert outcome.ok, outcome
    assert (outcome.state, outcome.notifies) == (2, [{"state": 1}, {"state": 2}])
    value = received(managed, "device/update")[0]["d"]["fields"][0]["value"]
    assert set(value) == SEVEN and all(isinstance(value[k], str) for k in
                                       SEVEN - {"state", "updateStatus"})
    emitted = managed.events("firmwareDownload")
    assert len(emitted) == 1
    assert emitted[0]["data"][0] == dict(version="2.0.0", name="fw", verifier="abcd", state=0,
                                         uri="http://127.0.0.1/fw.bin", updateStatus=0,
                                         updatedDateTime="")
    assert [body["rc"] for body in managed.published("response")] == [204, 200, 202, 200]

    outcome = cloud.update(DEVICE)
    assert outcome.ok, outcome
    assert outcome.notifies == [{"updateStatus": 1}, {"updateStatus": 0}, {"state": 0}]
    assert (outcome.state, outcome.update_status) == (0, 0)
    assert len(managed.events("firmwareUpdate")) == 1
    assert managed.events("firmwareUpdate")[0]["data"][0]["state"] == 2
    assert len(received(managed, "cancel")) == 2
    # A second update has nothing to install.
    outcome = cloud.update(DEVICE)
    assert (outcome.status, outcome.step, outcome.rc) == ("failure", "update", 400)
    assert cloud.breaches(*KNOWN) == []
    assert managed.events("uncaught") == []


@pytest.mark.parametrize("status", [2, 3, 4, 6])
def test_a_download_that_fails(managed, cloud, status):
    ends = [["changeUpdateState", status], ["changeState", 0]]
    managed.process.say(json.dumps(["outcome", [ends[1], ends[0]], []]))
    outcome = cloud.download(DEVICE, "http://127.0.0.1/fw.bin", "2.0.0")
    assert (outcome.status, outcome.step) == ("failure", "run")
    assert (outcome.state, outcome.update_status) == (0, status)
    assert not cloud.device(DEVICE).observed


@pytest.mark.parametrize("status", [2, 5])
def test_an_update_that_fails(managed, cloud, status):
    managed.process.say(json.dumps(["outcome", [["changeState", 2]],
                                    [["changeUpdateState", status]]]))
    assert cloud.download(DEVICE, "http://127.0.0.1/fw.bin", "2.0.0").ok
    outcome = cloud.update(DEVICE)
    assert (outcome.status, outcome.update_status) == ("failure", status)
    assert cloud.breaches(*KNOWN) == []


def test_download_without_device_update_is_refused(managed, cloud):
    """The package knows no state before the first device/update."""
    outcome = cloud.download(DEVICE, "http://127.0.0.1/fw.bin", "2.0.0", send_update=False)
    assert (outcome.status, outcome.step, outcome.rc) == ("failure", "download", 400)
    assert "idle" in outcome.message


@pytest.mark.parametrize("action", ["reboot", "factory_reset"])
def test_restart_completes_with_the_next_manage(managed, cloud, action):
    running = cloud.start(action, DEVICE)
    request = managed.wait("dmAction")["data"][0]
    assert request["action"] == action
    cloud.wait_message(lambda m: m.suffix == "response" and m.req_id == request["reqId"], 10)
    assert not running.done()
    managed.call("manage", 4000, True, True)
    outcome = running.result(10)
    assert outcome.ok and outcome.rc == 202 and outcome.message == "as you wish"
    assert cloud.breaches() == []


@pytest.mark.parametrize("rc", [500, 501])
def test_a_refused_reboot(managed, cloud, rc):
    managed.process.say(json.dumps(["answer", rc]))
    outcome = cloud.reboot(DEVICE)
    assert (outcome.status, outcome.step, outcome.rc) == ("failure", "reboot", rc)


def test_custom_action(managed, cloud):
    outcome = cloud.custom(DEVICE, "bundle-1", "installPlugin", {"name": "x"})
    assert outcome.ok and outcome.rc == 200
    assert managed.wait("dmAction")["data"][0]["action"] == "installPlugin"
    assert received(managed, "mgmt/custom/bundle-1/installPlugin")[0]["d"] == {
        "fields": [{"field": "name", "value": "x"}]}
    assert cloud.custom(DEVICE, "bundle-2", "x").status == "refused"


def test_diagnostics_and_location(managed, cloud):
    record = cloud.device(DEVICE)
    calls = [("addErrorCode", 7), ("addErrorCode", 8), ("addLog", "pump stopped", 1, "ZGF0YQ=="),
             ("updateLocation", 48.5, 9.1, 300, 5)]
    for call in calls:
        assert managed.replied(managed.call(*call))["rc"] == 200, call
    assert record.error_codes == [7, 8]
    assert (record.logs[0]["message"], record.logs[0]["severity"]) == ("pump stopped", 1)
    assert (record.location["latitude"], record.location["longitude"]) == (48.5, 9.1)
    for call in ("clearErrorCodes", "clearLogs"):
        assert managed.replied(managed.call(call))["rc"] == 200, call
    assert record.error_codes == [] and record.logs == []
    assert cloud.breaches() == []


def test_location_set_by_the_platform(managed, cloud):
    outcome = cloud.set_location(DEVICE, 52.5, 13.4)
    assert outcome.ok and outcome.rc == 204
    value = managed.wait("locationUpdate")["data"][0]
    assert (value["latitude"], value["longitude"]) == (52.5, 13.4) and len(value) == 6


def test_observe_tells_the_value(managed, cloud):
    cloud.download(DEVICE, "http://127.0.0.1/fw.bin", "2.0.0")
    outcome = cloud.observe(DEVICE)
    assert outcome.ok
    assert outcome.answer["d"]["fields"][0]["value"]["version"] == "2.0.0"
    assert outcome.state == 2
    assert cloud.cancel(DEVICE).ok


def test_no_reply_to_a_notify_and_one_reply_to_each_request(managed, cloud):
    """A reply that the package did not ask for ends it: notifies here have no reqId."""
    assert cloud.download(DEVICE, "http://127.0.0.1/fw.bin", "2.0.0").ok
    asked = [body["reqId"] for suffix in ("manage", "log", "errorCodes")
             for body in managed.published(suffix)]
    got = [body["reqId"] for body in received(managed, "response")]
    assert got == asked
    assert managed.events("uncaught") == []


def test_an_unasked_reply_ends_the_package(workspace, tls_broker, node_modules, authority, cloud):
    """Why the rule above exists."""
    vendor = Vendor("ibm_device", DEVICE, workspace, tls_broker, node_modules, authority)
    vendor.connected(subscriptions=2)
    cloud.publish("iotdm-1/response", json.dumps({"rc": 200, "reqId": "never-asked"}))
    assert vendor.process.wait() == 70
    assert vendor.events("uncaught")[0]["message"].startswith("unknown request")


def test_an_observe_that_is_not_answered_times_out(managed, cloud):  # noqa: ARG001
    """The package says nothing to an attribute that it does not know."""
    request = cloud.send(DEVICE, "observe", {"fields": [{"field": "mgmt.other"}]})
    assert cloud.await_answer(request, 0.5) is None
    assert request.given_up


def test_the_package_publishes_at_qos_0_and_subscribes_at_qos_1(managed, cloud):
    assert {event["qos"] for event in managed.events("published")} == {0}
    assert {m.qos for m in cloud.since(direction="in")} == {0}
    assert {m.qos for m in cloud.since(direction="out")} == {1}
    assert managed.events("subscribed")[1]["granted"] == [1]


def test_gateway_manages_itself_and_a_device(gateway, gateway_cloud):
    for call, name in ((("manageGateway", 4000, True, True), GATEWAY),
                       (("manageDevice", "tt", "dev1", 4000, True, True), DEVICE)):
        reply = gateway.replied(gateway.call(*call))
        assert (reply["rc"], f"{reply['type']}/{reply['id']}") == (200, name)
        assert gateway_cloud.device(name).managed
    topics = [event["topic"] for event in gateway.events("published")]
    assert topics == ["iotdevice-1/type/gt/id/gw1/mgmt/manage",
                      "iotdevice-1/type/tt/id/dev1/mgmt/manage"]
    reply = gateway.replied(gateway.call("unmanageDevice", "tt", "dev1"))
    assert (reply["action"], reply["rc"]) == ("unmanage", 200)
    assert not gateway_cloud.device(DEVICE).managed and gateway_cloud.device(GATEWAY).managed
    assert gateway_cloud.breaches() == []


def test_gateway_diagnostics_of_a_device(gateway, gateway_cloud):
    gateway.replied(gateway.call("manageDevice", "tt", "dev1", 4000, True, True))
    for call in (("addErrorCodeDevice", "tt", "dev1", 3),
                 ("addLogDevice", "tt", "dev1", "m", 2, "ZGF0YQ=="),
                 ("addLogGateway", "of the gateway", 0),
                 ("updateLocationDevice", "tt", "dev1", 1.5, 2.5)):
        assert gateway.replied(gateway.call(*call))["rc"] == 200, call
    record = gateway_cloud.device(DEVICE)
    assert record.error_codes == [3] and record.logs[0]["message"] == "m"
    assert record.location["latitude"] == 1.5
    assert gateway_cloud.device(GATEWAY).logs[0]["message"] == "of the gateway"
    assert gateway_cloud.breaches() == []


@pytest.mark.parametrize("name", [GATEWAY, DEVICE])
def test_gateway_package_ignores_actions(gateway, gateway_cloud, name):
    """It never implemented actions: what southbridge's uplink adds."""
    kind, identifier = name.split("/")
    gateway.replied(gateway.call("manageDevice", kind, identifier, 4000, True, True))
    outcome = gateway_cloud.reboot(name, step_timeout=0.5)
    assert (outcome.status, outcome.step) == ("timeout", "reboot")
    topic = f"iotdm-1/type/{kind}/id/{identifier}/mgmt/initiate/device/reboot"
    gateway.wait("received", lambda e: e["topic"] == topic)
    outcome = gateway_cloud.download(name, "http://127.0.0.1/fw.bin", "2", step_timeout=0.5)
    assert (outcome.status, outcome.step) == ("timeout", "device/update")
    # It is alive and still hears replies.
    assert gateway.replied(gateway.call("addLogGateway", "x", 0))["rc"] == 200
    assert not gateway.events("dmAction") and not gateway.published("response")


def test_a_device_in_the_wrong_form_is_noticed(workspace, tls_broker, node_modules, authority,
                                               gateway_cloud):
    """A gateway may not publish the device form: nothing is answered."""
    vendor = Vendor("ibm_device", DEVICE, workspace, tls_broker, node_modules, authority)
    vendor.connected(subscriptions=2)
    vendor.call("manage", 4000, True, True)
    wait_until(lambda: gateway_cloud.violations, what="the breach")
    assert [v.code for v in gateway_cloud.violations] == ["topic-form"]
    assert gateway_cloud.since(direction="out") == []
    vendor.quit()
