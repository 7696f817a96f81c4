# SPDX-License-Identifier: Apache-2.0
"""A vendor's package in its own Node process: commands in, what it saw and emitted out."""
import json
import os

from harness import DEADLINE, SOURCE, Process, wait_until


class Vendor:
    """`script` of this folder with a broker; events() as told by vendor.js."""

    def __init__(self, script, name, directory, broker, modules, authority, org="abc123",
                 token="secret-token"):
        self._name = name
        environment = {
            "SB_NODE_MODULES": str(modules), "SB_BROKER_PORT": str(broker.tls_port),
            "SB_ORG": org, "SB_TOKEN": token, "NODE_EXTRA_CA_CERTS": str(authority.ca),
        }
        self.process = Process(script, [os.environ.get("SB_NODE", "node"),
                                        SOURCE / "tests" / "interop" / f"{script}.js",
                                        *name.split("/")], directory, environment, talk=True)

    def connected(self, subscriptions):
        """Until the package has its subscriptions: before, it cannot hear."""
        self.wait("connect")
        self.wait("subscribed", count=subscriptions)
        return self

    def call(self, method, *words):
        """Calls a method of the package; what it returned (a reqId for most)."""
        before = len(self.events("called"))
        self.process.say(json.dumps([method, *words]))
        return self.wait("called", count=before + 1)["result"]

    def events(self, kind=None):
        lines = self.process.stdout.split("\n")[:-1]
        return [event for event in map(json.loads, lines) if kind in (None, event["event"])]

    def wait(self, kind, condition=lambda _: True, timeout=DEADLINE, count=1):
        def find():
            fitting = [event for event in self.events(kind) if condition(event)]
            if len(fitting) < count:
                self.process.check_running()
                return None
            return fitting[count - 1]
        return wait_until(find, timeout, lambda: f"{kind} of the package; it told "
                          f"{self.events()[-12:]}\n{self.process.stderr}")

    def replied(self, req_id, timeout=DEADLINE):
        """The package's dmResponse for one of its requests."""
        return self.wait("dmResponse", lambda e: e["data"][0]["reqId"] == req_id,
                         timeout)["data"][0]

    def published(self, suffix):
        """Decoded payloads that the package published on topics with this ending."""
        return [json.loads(event["payload"]) for event in self.events("published")
                if event["topic"].endswith("/" + suffix)]

    def quit(self):
        if self.process.running:
            self.process.say(json.dumps(["quit"]))
            status = self.process.wait()
            assert status == 0, f"the package's program ended with {status}"
