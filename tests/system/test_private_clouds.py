# SPDX-License-Identifier: Apache-2.0
"""Clouds of one's own: a plain Mosquitto that asks for certificates, or where the topics are others.

The cloud is the test itself, on the broker's other listener.
"""
import base64
import json
import threading

import paho.mqtt.client as mqtt
import pytest
from daemon import device_spec
from harness import SOURCE, Broker, wait_until

AZURE, HUAWEI, GATEWAY, PUMP = "pump-1", "prod_pump1", "prod_gw1", ("pk1", "pump-1")
SECRET = base64.b64encode(b"secret of them all").decode()


class Cloud:
    """Hears all that is published; answers: {end of a topic: function(topic, body)}."""

    def __init__(self, port, topics):
        self.heard, self.answers = [], {}
        self._changed = threading.Condition(threading.RLock())
        self._client = mqtt.Client("a-cloud", clean_session=True)
        self._client.on_message = self._on_message
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(topic, 1) for topic in topics])
        self._client.loop_start()
        assert subscribed.wait(20)

    def _on_message(self, _client, _userdata, message):
        body = json.loads(message.payload) if message.payload else None
        with self._changed:
            self.heard.append((message.topic, body))
            self._changed.notify_all()
        for part, answer in self.answers.items():
            if part in message.topic:
                answer(message.topic, body)

    def say(self, topic, body):
        self._client.publish(topic, json.dumps(body), qos=1)

    def wait(self, topic, timeout=60):
        """The body of the first message whose topic begins so."""
        def found():
            return next((m for m in self.heard if m[0].startswith(topic)), None)
        with self._changed:
            assert self._changed.wait_for(found, timeout), f"no {topic}; heard {self.heard}"
            return found()[1]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def make_cloud():
    made = []

    def make(port, topics):
        made.append(Cloud(port, topics))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


def links_of(uri, **links):
    rules = {"schemes": ["http"], "networks": ["127.0.0.0/8"]}
    return {"links": {name: {"dialect": name, "role": "uplink", "uri": uri, "uri_rules": rules,
                             **keys} for name, keys in links.items()}}


def devices():
    return [{**device_spec(ibm=None), "names": {"huawei": HUAWEI, "alibaba": "/".join(PUMP)}}]


def keep(directory, name):
    """The secret, as the daemon is told where it is."""
    path = directory / name
    path.write_text(SECRET + "\n", encoding="ascii")
    path.chmod(0o600)
    return f"file:{path}"


def states(southbridge):
    return {link["name"]: link["up"] for link in southbridge.links()}


# ---- certificates ----

@pytest.fixture
def strict(workspace, authority):
    """A broker that lets in by TLS only who has a certificate, and calls him by its name."""
    broker = Broker(workspace / "strict", authority=authority, client_certificates=True).start()
    yield broker
    broker.stop()


def test_certificates_for_azure_and_huawei(strict, authority, make_cloud, make_southbridge,
                                           smp_device):
    cloud = make_cloud(strict.port, ["$iothub/#", "$oc/#"])
    for name in (AZURE, GATEWAY):
        authority.issue(name)
    files = {"cert_file": f"{authority.directory}/{{name}}.pem",
             "key_file": f"{authority.directory}/{{name}}.key", "ca_file": str(authority.ca)}
    own = {key: path.replace("{name}", GATEWAY) for key, path in files.items()}
    southbridge = make_southbridge(
        {"uart1": smp_device.link}, devices(), top=links_of(
            f"mqtts://localhost:{strict.tls_port}", azure={"hub": "hub.example", **files},
            huawei={"id": GATEWAY, **own})).start()
    wait_until(lambda: states(southbridge) == {"azure": True, "huawei": True}, 60,
               lambda: f"{states(southbridge)} {strict.log()[-2000:]}")
    for name in (AZURE, GATEWAY):  # the certificate's name
        assert f" as {name}" in strict.log() and f"u'{name}')" in strict.log(), strict.log()
    cloud.say("$iothub/methods/POST/reboot/?$rid=7", {})
    assert cloud.wait("$iothub/methods/res/200/?$rid=7")
    cloud.say(f"$oc/devices/{GATEWAY}/sys/commands/request_id=8",
              {"object_device_id": HUAWEI, "command_name": "explode", "service_id": "x",
               "paras": {}})
    assert cloud.wait(f"$oc/devices/{GATEWAY}/sys/commands/response/request_id=8")[
        "result_code"] == 1


def test_without_a_certificate_nobody_comes_in(strict, authority, make_southbridge, workspace):
    southbridge = make_southbridge({"uart1": "/dev/null"}, devices(), top=links_of(
        f"mqtts://localhost:{strict.tls_port}",
        huawei={"id": GATEWAY, "secret": keep(workspace, "secret"),
                "ca_file": str(authority.ca)})).start()
    wait_until(lambda: "next try" in southbridge.links()[0]["text"], 60,
               lambda: str(southbridge.links()))
    assert states(southbridge) == {"huawei": False}


# ---- other words ----

def other_words(directory):
    """The folders of mappings, the second with dialects whose topics and names are others."""
    folder = directory / "mappings" / "dialects"
    folder.mkdir(parents=True)
    for dialect, name, begins in (("azure", "method_cancel: cancelFirmwareUpdate", ['"$iothub/']),
                                  ("huawei", "command_reboot: reboot", ['"$oc/']),
                                  ("alibaba", "service_reboot: reboot",
                                   ['"/sys/', '"/ext/', '"/ota/'])):
        text = (SOURCE / "mappings" / "dialects" / f"{dialect}.yaml").read_text(encoding="utf-8")
        for begin in begins:
            assert begin in text, begin
            text = text.replace(begin, f'"own/{begin.strip(chr(34)).strip("/$")}/')
        assert name in text, name
        text = text.replace(name, f"{name.partition(':')[0]}: again")
        (folder / f"{dialect}.yaml").write_text(text, encoding="utf-8")
    return [SOURCE / "mappings", folder.parent]


def test_words_of_a_private_cloud(workspace, broker, make_cloud, make_southbridge, smp_device):
    """Each dialect subscribes, hears and speaks where and as its mapping says, nowhere else."""
    cloud = make_cloud(broker.port, ["#", "$iothub/#", "$oc/#"])
    own = keep(workspace, "secret")
    keep(workspace, f"{AZURE}.key")
    pump = {"productKey": PUMP[0], "deviceName": PUMP[1]}

    def reply(data):
        return lambda topic, body: topic.endswith("_reply") or cloud.say(
            f"{topic}_reply", {"id": body["id"], "code": 200, "data": data})

    cloud.answers = {"/topo/get": reply([pump]), "/combine/login": reply(pump)}
    southbridge = make_southbridge({"uart1": smp_device.link}, devices(),
                                   mappings=other_words(workspace), top=links_of(
        broker.uri, azure={"hub": "hub.example", "key": f"file:{workspace}/{{name}}.key"},
        huawei={"id": GATEWAY, "secret": own},
        alibaba={"product_key": "pk0", "device_name": "gw-1", "secret": own,
                 "device_secret": f"file:{workspace}/{{name}}.key",
                 "subscribe": ["own/sys/#", "own/ext/#"]})).start()

    cloud.wait("own/iothub/twin/GET/?$rid=")
    cloud.say("own/iothub/methods/POST/cancelFirmwareUpdate/?$rid=7", {})
    cloud.wait("own/iothub/methods/res/501/?$rid=7")  # it is called otherwise
    cloud.say("own/iothub/methods/POST/again/?$rid=8", {})
    cloud.wait("own/iothub/methods/res/404/?$rid=8")  # none is open
    told = cloud.wait(f"own/oc/devices/{GATEWAY}/sys/events/up")
    assert told["services"][0]["service_id"] == "$sub_device_manager", told
    cloud.say(f"own/oc/devices/{GATEWAY}/sys/commands/request_id=9",
              {"object_device_id": HUAWEI, "command_name": "again", "service_id": "x", "paras": {}})
    told = cloud.wait(f"own/oc/devices/{GATEWAY}/sys/commands/response/request_id=9")
    assert told["result_code"] == 0, told
    told = cloud.wait("own/ota/device/inform/pk1/pump-1")
    assert told["params"]["version"] == "1.0.0"
    cloud.say("own/sys/pk1/pump-1/thing/service/again", {"id": "9", "params": {}})
    told = cloud.wait("own/sys/pk1/pump-1/thing/service/again_reply")
    assert told["code"] == 200 and smp_device.boots == 3, told
    elsewhere = {topic for topic, _ in cloud.heard if not topic.startswith("own/")}
    assert not elsewhere, elsewhere
