# SPDX-License-Identifier: Apache-2.0
"""A scripted Alibaba IoT platform for tests: topology and sessions of sub-devices, OTA tasks, thing
model and device jobs, on a real MQTT broker behind a door (alibaba_front.py).

It notes every breach of the protocol: a sub-device that speaks without a session, an illegal step,
a message id that is no text.

Documented behaviour only (Alibaba Cloud, "Manage topological relationships", "Connect or disconnect
sub-devices", "Perform OTA updates", "View update status", "Jobs").

Threads: Paho's loop thread hears; every public method may be called from any thread and waits, with
a deadline, on one condition.
"""
import json
import re

from alibaba_files import FileServer
from alibaba_front import Front, signed
from cloud_life import CloudLife

SYS = re.compile(r"/sys/([^/]+)/([^/]+)/(.+)")
SESSION = re.compile(r"/ext/session/([^/]+)/([^/]+)/combine/(\w+)")
OTA = re.compile(r"/ota/device/(inform|progress)/([^/]+)/([^/]+)")
BATCH_LOGIN, TOPOLOGY = 50, 30
OPEN = ("QUEUED", "NOTIFIED", "IN_PROGRESS")


class OtaTask:
    """One device's share of an update batch."""

    def __init__(self, who, data, retries=0):
        self.who, self.data, self.retries = who, data, retries
        self.version, self.module = data["version"], data.get("module", "default")
        self.status, self.steps, self.pushes, self.desc = "QUEUED", [], 0, ""
        self.source = None


class Device:
    def __init__(self, secret):
        self.secret = secret
        self.online = self.disabled = False
        self.taken = False  # its session, by us: it may not know yet
        self.gateway = None  # (product, name) of its topology
        self.versions, self.informs, self.properties = {}, [], {}
        self.jobs = {}  # taskId -> {status, progress, statusDetails, history}


class AlibabaPlatform(CloudLife):
    """devices: {(product, name): secret}; the first one is the gateway.

    watcher: called with (direction "in" or "out", topic, payload) of each message as it passes;
    what it sends comes in as well, since it hears every topic.
    """

    def __init__(self, broker_port, devices, watcher=None):
        super().__init__(broker_port, "the-platform",
                         [("/sys/#", 1), ("/ota/#", 1), ("/ext/#", 1)])
        self.watcher = watcher
        self.devices = {who: Device(secret) for who, secret in devices.items()}
        self.gateway = next(iter(self.devices))
        self.tasks = []
        self.requests = []  # (operation, how many)
        self.codes = {}  # operation -> codes to refuse the next ones with
        self.config, self.config_gets = None, 0  # data of the product's configuration file
        self.silent = False  # firmware/get is not answered
        self._replies = {}  # message id -> reply
        self._ids = 1000
        self.front = Front(self, broker_port)
        self.files = FileServer(self.breach, lambda topic, block: self._client.publish(
            topic, block, 0))

    def _known(self):
        return f"requests: {self.requests[-8:]}"

    # ---- what the door tells ----

    def secret_of(self, product, name):
        device = self.devices.get((product, name))
        return device.secret if device else None

    def connected(self, product, name):
        with self._changed:
            self.devices[(product, name)].online = True
            for device in self.devices.values():
                if device.gateway == (product, name):
                    device.taken = False
            self._changed.notify_all()

    def disconnected(self, product, name):
        with self._changed:
            self.devices[(product, name)].online = False
            for device in self.devices.values():
                if device.gateway == (product, name):
                    device.online, device.taken = False, device.online
            self._changed.notify_all()

    # ---- messages ----

    def _publish(self, topic, payload):
        data = json.dumps(payload, separators=(",", ":"))
        if self.watcher:
            self.watcher("out", topic, data)
        self._client.publish(topic, data, 1)

    def _reply(self, topic, envelope, code, data=None):
        self._publish(topic + "_reply", {"id": envelope.get("id"), "code": code,
                                         "data": {} if data is None else data,
                                         "message": "success" if code == 200 else "refused"})

    def _receive(self, message):
        with self._changed:
            if self.watcher:
                self.watcher("in", message.topic, message.payload)
            if message.topic.endswith("/thing/file/download_reply"):
                return  # our own, and no JSON
            try:
                self._hear(message.topic, json.loads(message.payload))
            except ValueError:
                self.breach(message.topic, f"no JSON: {message.payload[:80]}")
            self._changed.notify_all()

    def _hear(self, topic, envelope):
        for pattern, handler in ((SESSION, self._session), (OTA, self._ota), (SYS, self._sys)):
            found = pattern.fullmatch(topic)
            if found:
                handler(topic, envelope, *found.groups())
                return

    def _legal(self, who, topic):
        """A message of a device; one without a session is told so."""
        device = self.devices.get(who)
        if device and device.online:
            return True
        if not device or not device.taken:
            self.breach(who, f"has no session: {topic}")
        product, name = self.gateway
        self._publish(f"/ext/error/{product}/{name}", {
            "id": "1", "code": 520, "data": {"productKey": who[0], "deviceName": who[1]}})
        return False

    def _refusal(self, operation):
        codes = self.codes.get(operation)
        return codes.pop(0) if codes else None

    # ---- topology and sessions ----

    def _session(self, topic, envelope, product, name, operation):
        if operation.endswith("_reply"):
            return
        params = envelope["params"]
        entries = {"batch_login": lambda: params["deviceList"],
                   "batch_logout": lambda: params}.get(operation, lambda: [params])()
        self.requests.append((operation, len(entries)))
        if len(entries) > BATCH_LOGIN:
            self.breach((product, name), f"{len(entries)} in one login")
        if operation in ("logout", "batch_logout"):
            for entry in entries:
                self._device(entry).online = False
            self._reply(topic, envelope, 200, params)
            return
        code = self._refusal("login") or next(
            filter(None, (self._wrong_login(entry, (product, name)) for entry in entries)), 200)
        if code == 200:
            for entry in entries:
                self.front.admit((product, name), entry["productKey"], entry["deviceName"])
                self._device(entry).online, self._device(entry).taken = True, False
        self._reply(topic, envelope, code, params)
        if code == 200:
            for entry in entries:
                self._push_open((entry["productKey"], entry["deviceName"]))

    def _device(self, entry):
        return self.devices[(entry["productKey"], entry["deviceName"])]

    def _wrong_login(self, entry, gateway):
        device = self.devices.get((entry["productKey"], entry["deviceName"]))
        if not device:
            return 6100
        if device.gateway != gateway:
            return 6401
        if device.disabled:
            return 522
        method = entry.get("signMethod") or "hmacsha1"
        if entry["sign"].lower() != signed(entry, device.secret, method):
            return 6287
        return None

    def _topo_add(self, entries, gateway):
        if len(entries) > TOPOLOGY:
            self.breach(gateway, f"{len(entries)} in one change of the topology")
        for entry in entries:
            device = self.devices.get((entry["productKey"], entry["deviceName"]))
            method = entry.get("signmethod") or entry.get("signMethod")
            if not device or not method or \
                    entry["sign"].lower() != signed(entry, device.secret, method):
                return 401
        for entry in entries:
            self._device(entry).gateway = gateway
        return 200

    def _gateway_asks(self, topic, envelope, who, rest):
        params = envelope.get("params")
        operation = rest.rpartition("/")[2] if rest.startswith("thing/topo/") else "register"
        self.requests.append((operation, len(params) if isinstance(params, list) else 0))
        code, data = self._refusal(operation) or 200, None
        if operation == "get":
            data = [{"productKey": p, "deviceName": n} for (p, n), d in self.devices.items()
                    if d.gateway == who]
        elif operation == "register" and code == 200:
            known = [e for e in params if (e["productKey"], e["deviceName"]) in self.devices]
            code = 200 if len(known) == len(params) else 6100
            data = [{**e, "iotId": "x", "deviceSecret": self._device(e).secret} for e in known]
        elif operation == "add" and code == 200:
            code = self._topo_add(params, who)
        elif operation == "delete":
            for entry in params:
                self._device(entry).gateway, self._device(entry).online = None, False
        self._reply(topic, envelope, code, data if code == 200 else None)

    # ---- what devices say ----

    def _sys(self, topic, envelope, product, name, rest):
        who = (product, name)
        if rest in ("thing/topo/get", "thing/topo/add", "thing/topo/delete", "thing/sub/register"):
            if not isinstance(envelope.get("id"), str):
                self.breach(who, f"an id that is no text: {topic}")
            self._gateway_asks(topic, envelope, who, rest)
        elif rest == "thing/ota/firmware/get":
            if self._legal(who, topic) and not self.silent:
                self._firmware_get(topic, envelope, who)
        elif rest == "thing/config/get":
            if self._legal(who, topic):
                self.config_gets += 1
                self._reply(topic, envelope, 200 if self.config else 6710, self.config)
        elif rest == "thing/file/download":
            self.files.hear(topic, envelope, who, self.gateway)
        elif rest == "thing/event/property/post":
            if self._legal(who, topic):
                self.devices[who].properties.update(envelope["params"])
                self._reply(topic, envelope, 200)
        elif rest == "thing/job/get":
            if self._legal(who, topic):
                self._job_get(topic, envelope, who)
        elif rest == "thing/job/update":
            if self._legal(who, topic):
                self._job_update(topic, envelope, who)
        elif rest.endswith("_reply") and envelope.get("id") in self._replies:
            self._legal(who, topic)
            if self._replies[envelope["id"]] is not None:
                self.breach(who, f"a second answer to {envelope['id']}")
            self._replies[envelope["id"]] = envelope

    # ---- OTA ----

    def _open_task(self, who, module):
        return next((t for t in self.tasks if t.who == who and t.module == module
                     and t.status in OPEN), None)

    def _ota(self, topic, envelope, kind, product, name):
        who, params = (product, name), envelope["params"]
        if not self._legal(who, topic):
            return
        module = params.get("module", "default")
        task = self._open_task(who, module)
        if kind == "inform":
            self._inform(who, module, params["version"], task)
        elif task:
            self._progress(task, params)

    def _inform(self, who, module, version, task):
        device = self.devices[who]
        device.versions[module] = version
        device.informs.append((module, version))
        if task and task.source is None:  # it was offered before any version was known
            task.source = version
        if task and version == task.version:
            task.status = "SUCCEEDED"
        elif task and task.status == "IN_PROGRESS" and version != task.source:
            self._failed(task, "report version is not conform")

    def _progress(self, task, params):
        try:
            step = int(params["step"])
            assert -4 <= step <= 100 and isinstance(params["step"], str)
        except (ValueError, KeyError, AssertionError):
            self.breach(task.who, f"an illegal step: {params}")
            return
        seen = [s for s in task.steps if s >= 0]
        if step >= 0 and seen and step < seen[-1]:
            self.breach(task.who, f"step {step} after {seen[-1]}")
        if not task.steps or task.steps[-1] != step:
            task.steps.append(step)
        task.desc = params.get("desc", "")
        if step < 0:
            self._failed(task, task.desc)
        elif task.status == "NOTIFIED":
            task.status = "IN_PROGRESS"

    def _failed(self, task, desc):
        task.desc = desc
        if task.retries > 0:  # the status does not change
            task.retries -= 1
            task.steps.append("retry")
            task.steps = []
            self._push(task)
        else:
            task.status = "FAILED"

    def _push(self, task):
        product, name = task.who
        self._ids += 1
        task.pushes += 1
        if task.status == "QUEUED":
            task.status = "NOTIFIED"
            task.source = self.devices[task.who].versions.get(task.module)
        self._publish(f"/ota/device/upgrade/{product}/{name}",
                      {"code": "1000", "data": task.data, "id": self._ids, "message": "success"})

    def _push_open(self, who):
        for task in self.tasks:
            if task.who == who and task.status in OPEN:
                self._push(task)

    def _firmware_get(self, topic, envelope, who):
        module = (envelope.get("params") or {}).get("module", "default")
        task = self._open_task(who, module)
        self._reply(topic, envelope, 200, task.data if task else {})
        if task and task.status == "QUEUED":
            task.status = "NOTIFIED"
            task.source = self.devices[who].versions.get(module)

    def upgrade(self, who, data, retries=0):
        """A task of an update batch: pushed now, or when the device comes."""
        with self._changed:
            task = OtaTask(who, data, retries)
            self.tasks.append(task)
            if self.devices[who].online:
                self._push(task)
            return task

    def released(self):
        """The file server says what it has kept back."""
        with self._changed:
            self.files.release()

    def wait_asked(self, offset, timeout=60):
        """A block from there on, or beyond, was asked for."""
        self.wait(lambda: any(asked >= offset for asked in self.files.offsets()), timeout,
                  lambda: f"a request for {offset}; were {self.files.offsets()[-5:]}")

    def push_again(self, task, **changes):
        with self._changed:
            task.data.update(changes)
            self._push(task)

    def wait_task(self, task, status, timeout=60):
        over = ("SUCCEEDED", "FAILED", "CANCELED")
        self.wait(lambda: task.status == status or task.status in over, timeout,
                  lambda: f"{status}; is {task.status}, steps {task.steps}, {task.desc}")
        assert task.status == status, f"{task.status}, steps {task.steps}, {task.desc}"

    # ---- jobs ----

    def job(self, who, task_id, document, file=None):
        with self._changed:
            self.devices[who].jobs[task_id] = {"status": "SENT", "document": document,
                                               "history": [], "file": file}
            self._job_notify(who, task_id)

    @staticmethod
    def _job_told(task_id, job):
        told = {"taskId": task_id, "status": job["status"], "jobDocument": job["document"]}
        return {**told, "jobFile": job["file"]} if job["file"] else told

    def _job_notify(self, who, task_id):
        job = self.devices[who].jobs[task_id]
        self._ids += 1
        self._replies[str(self._ids)] = None
        self._publish(f"/sys/{who[0]}/{who[1]}/thing/job/notify", {
            "id": str(self._ids), "version": "1.0",
            "params": {"task": self._job_told(task_id, job)}})

    def _job_get(self, topic, envelope, who):
        jobs = self.devices[who].jobs
        task_id = next((i for i, j in jobs.items() if j["status"] in
                        ("QUEUED", "SENT", "IN_PROGRESS")), None)
        data = {"taskId": "$next"}
        if task_id:
            data["task"] = self._job_told(task_id, jobs[task_id])
        self._reply(topic, envelope, 200, data)

    def _job_update(self, topic, envelope, who):
        params = envelope["params"]
        job = self.devices[who].jobs.get(params["taskId"])
        if job:
            job.update(params)
            job["history"].append(params["status"])
        self._reply(topic, envelope, 200 if job else 400, {"taskId": params["taskId"]})

    def wait_job(self, who, task_id, status, timeout=60):
        job = self.devices[who].jobs[task_id]
        self.wait(lambda: job["status"] == status, timeout, lambda: f"{status}; is {job}")

    # ---- requests and notices ----

    def ask(self, who, rest, params, timeout=60):
        """The device's reply to a property or service request, or to a notice."""
        with self._changed:
            self._ids += 1
            number = str(self._ids)
            self._replies[number] = None
            method = rest.replace("/", ".")
            self._publish(f"/sys/{who[0]}/{who[1]}/{rest}", {
                "id": number, "version": "1.0", "params": params, "method": method})
        self.wait(lambda: self._replies[number] is not None, timeout, f"answer to {rest}")
        return self._replies[number]

    def lose_session(self, who):
        with self._changed:
            self.devices[who].online, self.devices[who].taken = False, True
            product, name = self.gateway
            self._publish(f"/ext/error/{product}/{name}", {
                "id": "1", "code": 520, "data": {"productKey": who[0], "deviceName": who[1]}})

    def wait_online(self, who, online=True, timeout=60):
        self.wait(lambda: self.devices[who].online == online, timeout,
                  lambda: f"{who} online={online}; {self.requests[-8:]} {self.violations[-3:]}")
