# SPDX-License-Identifier: Apache-2.0
"""Our scripted Alibaba platform against Alibaba's unmodified device package.

What the platform demands of a login, of topology and sessions, and how it answers, is so shown to
be what that package does; the system tests then use the platform as the judge of our daemon.
"""
import json
import os

import pytest
from harness import DEADLINE, SOURCE, Process, wait_until

from alibaba_platform import AlibabaPlatform

GATEWAY, PUMP = ("pk0", "gw-1"), ("pk1", "pump-1")
SECRETS = {GATEWAY: "secret-of-the-gateway", PUMP: "secret-of-the-pump"}
TRIPLE = {"productKey": PUMP[0], "deviceName": PUMP[1], "deviceSecret": SECRETS[PUMP]}
NAMES = {"productKey": PUMP[0], "deviceName": PUMP[1]}


class Package:
    """The package in its own Node process."""

    def __init__(self, name, directory, modules, port, secret):
        self.process = Process(f"node-{name}", [
            os.environ.get("SB_NODE", "node"), SOURCE / "tests" / "interop" / "alibaba_gateway.js",
            port, *GATEWAY, secret], directory, {"SB_NODE_MODULES": str(modules)}, talk=True)

    def say(self, *words):
        self.process.say(json.dumps(words))

    def events(self, kind):
        lines = [line for line in self.process.stdout.split("\n")[:-1] if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def wait(self, kind, count=1):
        return wait_until(lambda: self.events(kind)[count - 1:count], DEADLINE, lambda: (
            f"{kind}; it told {self.process.stdout[-800:]}\n{self.process.stderr}"))[0]

    def reply(self, *words, kind, count=1):
        self.say(*words)
        return self.wait(kind, count)["reply"]

    def quit(self):
        if self.process.running:
            self.say("quit")
            self.process.wait()


@pytest.fixture
def platform(broker):
    with AlibabaPlatform(broker.port, SECRETS) as platform:
        yield platform
        assert platform.violations == []


@pytest.fixture
def start(workspace, node_modules, platform):
    made = []

    def make(secret=SECRETS[GATEWAY]):
        made.append(Package(str(len(made)), workspace, node_modules, platform.front.port, secret))
        return made[-1]

    yield make
    for package in made:
        package.quit()


@pytest.fixture
def gateway(start):
    package = start()
    package.wait("connect")
    return package


def test_login_of_the_gateway(platform, gateway, start):
    product, name, client, method = platform.front.logins[0]
    assert (product, name, method) == (*GATEWAY, "hmacsha1")
    assert client.startswith("pk0&gw-1|")
    gateway.quit()
    assert "refused" in start("another secret").wait("error")["message"].lower()


def test_register_topology_and_sessions(platform, gateway):
    reply = gateway.reply("register", NAMES, kind="registered")
    assert reply["code"] == 200 and reply["data"][0]["deviceSecret"] == SECRETS[PUMP]
    assert gateway.reply("login", TRIPLE, kind="login")["code"] == 6401
    wrong = {**TRIPLE, "deviceSecret": "another"}
    assert gateway.reply("add", wrong, kind="added")["code"] == 401
    assert gateway.reply("add", TRIPLE, kind="added", count=2)["code"] == 200
    assert gateway.reply("topology", kind="topology")["data"] == [NAMES]
    assert gateway.reply("login", wrong, kind="login", count=2)["code"] == 6287
    assert gateway.reply("login", TRIPLE, kind="login", count=3)["code"] == 200
    platform.wait_online(PUMP)
    assert gateway.reply("logout", NAMES, kind="logout")["code"] == 200
    assert gateway.reply("remove", NAMES, kind="removed")["code"] == 200
    assert gateway.reply("topology", kind="topology", count=2)["data"] == []


@pytest.fixture
def pump(platform, gateway):
    platform.devices[PUMP].gateway = GATEWAY
    assert gateway.reply("login", TRIPLE, kind="login")["code"] == 200
    return gateway


def test_properties_and_services(platform, pump):
    assert pump.reply("post", PUMP[1], {"speed": 7}, kind="posted")["code"] == 200
    assert platform.devices[PUMP].properties == {"speed": 7}
    reply = platform.ask(PUMP, "thing/service/rinse", {"times": 2})
    assert (reply["code"], reply["data"]) == (200, {"done": True})
    assert pump.wait("service")["reply"]["params"] == {"times": 2}


def test_ota_by_hand(platform, pump):
    def publish(topic, **params):
        pump.say("publish", topic.format("/".join(PUMP)), {"id": "1", "params": params})
    publish("/ota/device/inform/{}", version="1.0.0")
    platform.wait(lambda: platform.devices[PUMP].versions, DEADLINE, "a version")
    task = platform.upgrade(PUMP, {"version": "2.0.0", "url": "https://h/a", "size": 1,
                                   "sign": "0" * 32, "signMethod": "Md5", "md5": "0" * 32})
    pushed = json.loads(wait_until(lambda: [
        e["payload"] for e in pump.events("message") if e["topic"].startswith("/ota/device/upgrade")
    ], DEADLINE, "the push")[0])
    assert pushed["code"] == "1000" and pushed["data"]["version"] == "2.0.0"
    publish("/ota/device/progress/{}", step="50", desc="")
    platform.wait_task(task, "IN_PROGRESS")
    publish("/ota/device/progress/{}", step="100", desc="")
    publish("/ota/device/inform/{}", version="2.0.0")
    platform.wait_task(task, "SUCCEEDED")
