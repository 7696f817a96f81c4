# SPDX-License-Identifier: Apache-2.0
"""The way to an IBM cloud: transports, trust, tokens, custom actions of devices."""
import pytest
from daemon import GATEWAY, ORG, Southbridge, device_spec, write_config
from harness import SOURCE, Authority, wait_until
from ibm_world import DEVICE

from ibm_platform import IbmPlatform


@pytest.fixture
def cloud(tls_broker):
    with IbmPlatform(tls_broker.port, ORG, username="platform",
                     password="platform-secret") as platform:
        yield platform
    assert platform.violations == []


@pytest.fixture
def gateway(workspace):
    """make(uri, token=..., **link): a daemon without devices, started."""
    made = []

    def make(uri, token="secret-token", **link):
        directory = workspace / "southbridge"
        directory.mkdir(exist_ok=True)
        config = write_config(directory, uri=uri, token=token, ports={}, devices=[], link=link)
        made.append(Southbridge(directory, config).start())
        return made[-1]

    yield make
    for southbridge in made:
        southbridge.stop()
        assert southbridge.sanitizer_reports() == []


def link(southbridge):
    return southbridge.links()[0]


@pytest.mark.parametrize("scheme, port, trust", [
    ("mqtt", "port", False), ("mqtts", "tls_port", True), ("ws", "websocket_port", False),
    ("wss", "secure_websocket_port", True)])
def test_each_transport_with_a_token(gateway, cloud, tls_broker, authority, scheme, port, trust):
    settings = {"ca_file": str(authority.ca)} if trust else {}
    southbridge = gateway(f"{scheme}://localhost:{getattr(tls_broker, port)}", **settings)
    cloud.wait_managed(GATEWAY, 30)
    assert link(southbridge)["up"] is True
    tls_broker.wait_log(r"as g:abc123:gw:gw1 \(p2, c0, k\d+, u'use-token-auth'\)")


def test_a_broker_of_another_authority_is_not_trusted(gateway, cloud, tls_broker, workspace):
    (workspace / "other").mkdir()
    stranger = Authority(workspace / "other")
    southbridge = gateway(f"mqtts://localhost:{tls_broker.tls_port}", ca_file=str(stranger.ca))
    wait_until(lambda: link(southbridge).get("text"), what="a reason")
    tls_broker.wait_log("alert|SSL|OpenSSL")
    assert link(southbridge)["up"] is False
    assert cloud.since(direction="in") == []


def test_a_wrong_token_is_told_and_not_shown(gateway, cloud, tls_broker):
    southbridge = gateway(tls_broker.uri, token="wrong-token-4711")
    told = wait_until(lambda: "token" in link(southbridge)["text"] and link(southbridge)["text"],
                      what="a reason")
    assert link(southbridge)["up"] is False and told
    tls_broker.wait_log("not authorised")
    assert "wrong-token-4711" not in southbridge.log()
    assert cloud.since(direction="in") == []


def test_it_comes_back_after_the_broker(gateway, cloud, tls_broker):
    southbridge = gateway(tls_broker.uri)
    cloud.wait_managed(GATEWAY, 30)
    tls_broker.kill9()
    wait_until(lambda: not link(southbridge)["up"], what="loss of the link")
    tls_broker.start()
    cloud.wait_managed(GATEWAY, 60, 2)
    wait_until(lambda: link(southbridge)["up"], what="the link")


# ---- custom actions ----

TYPE = """# SPDX-License-Identifier: Apache-2.0
name: pump-counter
driver: smp
actions:
  count: { group: 64, command: 2, op: write, title: Count }
  fail: { group: 64, command: 3, op: write, title: Fail }
"""


@pytest.fixture
def counter(empty_world, workspace):
    folder = workspace / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "pump-counter.yaml").write_text(TYPE)
    return empty_world.start(devices=[device_spec(kind="pump-counter")],
                             mappings=[SOURCE / "mappings", workspace / "mappings"])


def bundle(world):
    """The one custom bundle that the device claims."""
    names = set(world.record.supports) - {"deviceActions", "firmwareActions"}
    assert len(names) == 1, world.record.supports
    return names.pop()


def test_a_custom_action_is_done_and_answered_when_finished(counter):
    outcome = counter.platform.custom(DEVICE, bundle(counter), "count")
    assert outcome.ok and outcome.rc == 200, outcome
    assert [e["count"] for e in counter.device.events("counted")] == [1]


def test_a_repeated_custom_action_is_done_once(counter):
    suffix = f"mgmt/custom/{bundle(counter)}/count"
    request = counter.ask(suffix, {"fields": []})
    counter.platform.send(DEVICE, suffix, {"fields": []}, request.req_id)
    assert counter.platform.await_answer(request, 20, 2)
    assert [answer["rc"] for answer in request.answers] == [200, 200]
    assert len(counter.device.events("counted")) == 1


def test_a_custom_action_that_the_device_refuses_is_500(counter):
    outcome = counter.platform.custom(DEVICE, bundle(counter), "fail")
    assert (outcome.status, outcome.rc) == ("failure", 500), outcome
    assert outcome.message


def test_a_custom_action_that_does_not_exist_is_501(counter):
    outcome = counter.platform.custom(DEVICE, bundle(counter), "dance")
    assert (outcome.status, outcome.rc) == ("failure", 501), outcome
    assert counter.device.events("counted") == []
