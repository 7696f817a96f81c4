# SPDX-License-Identifier: Apache-2.0
"""Four scripted clouds above one daemon with eight devices on three lines.

Each cloud has a broker of its own, which can die alone, and the same face toward a test: it asks
for updates, says what it was told, and notes every breach of its protocol. Its words are its own.
"""
import base64
import collections
import concurrent.futures
import hashlib

from console_board import Board, board_image, board_type
from daemon import SmpDevice, make_image
from harness import SOURCE, run_good, wait_until
from modbus_line import ModbusLine, modbus_image, modbus_type
from quick import QUICK_BOOT, smp_type

from alibaba_platform import AlibabaPlatform
from azure_platform import AzureHub
from huawei_platform import HuaweiPlatform
from ibm_platform import IbmPlatform

RUN = 60.0  # s, for an update under sanitizers
VALVES = [f"valve-{unit}" for unit in range(1, 7)]
KINDS = {"pump-1": "pump", "panel-1": "panel", **dict.fromkeys(VALVES, "valve")}
BUSES = {"pump": "uart1", "valve": "field", "panel": "uart2"}
PRODUCT = "pk1"  # of the devices, where a product has them

# uri; digests as a cloud is to be told, which may be wrong
Image = collections.namedtuple("Image", "version uri size sha256 md5")


class Cloud:
    """What is the same for all. Needs: platform, knows(), begin(), ended(), refused(), breaches()."""

    name = None

    def __init__(self, world, broker):
        self.world, self.broker = world, broker

    def link(self):
        """Its section in the daemon's configuration, without what every uplink has."""
        raise NotImplementedError

    def hears(self, device, version):
        """Waits until it was told that the device runs this version."""
        wait_until(lambda: self.knows(device) == version, RUN,
                   lambda: f"{self.name}: {version} of {device}; knows {self.knows(device)}")

    def cut(self):
        """Its broker dies; nobody gets through until heal()."""
        self.broker.kill9()

    def heal(self):
        self.broker.start()
        wait_until(lambda: self.hearing, what=f"{self.name} is back")

    @property
    def hearing(self):
        return self.platform.hearing


class Ibm(Cloud):
    """Two steps, download and update; told the end of each by state and updateStatus."""

    name = "ibm"

    def __init__(self, world, broker):
        super().__init__(world, broker)
        self.platform = IbmPlatform(broker.port, step_timeout=20, run_timeout=RUN).open()
        self._pool = concurrent.futures.ThreadPoolExecutor(8)

    def link(self):
        return {"uri": self.broker.uri, "org": "abc123", "type": "gw", "id": "gw1",
                "token": self.world.secret("ibm", "secret-token")}

    @staticmethod
    def called(device):
        return f"{KINDS[device]}/{device}"

    def knows(self, device):
        return self.platform.device(self.called(device)).device_info.get("fwVersion")

    def begin(self, device, image):
        return self._pool.submit(self._update, self.called(device), image)

    def _update(self, name, image):
        outcome = self.platform.download(name, image.uri, image.version, "firmware", image.sha256)
        return self.platform.update(name) if outcome.ok else outcome

    @staticmethod
    def ended(asked):
        """How it was told that an update ended."""
        outcome = asked.result(2 * RUN)
        return outcome.status, (outcome.state, outcome.update_status)

    def refused(self, device, _image):
        """What it is told when it asks for what it may not."""
        request = self.platform.ask(self.called(device), "mgmt/initiate/device/reboot")
        return request.rc, request.answer["message"]

    @property
    def hearing(self):
        return self.platform.connected

    def breaches(self):
        return self.platform.breaches()

    def close(self):
        self.platform.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Azure(Cloud):
    """A method, answered at once; then the twin says how it goes."""

    name = "azure"

    def __init__(self, world, broker):
        super().__init__(world, broker)
        self.keys = {name: base64.b64encode(f"key of {name}".encode()).decode() for name in KINDS}
        self.platform = AzureHub(broker.port, self.keys).open()

    def link(self):
        for name, key in self.keys.items():
            self.world.secret(f"azure-{name}", key)
        return {"uri": f"mqtt://127.0.0.1:{self.platform.front.port}", "hub": self.platform.hub,
                "key": f"file:{self.world.directory}/azure-{{name}}"}

    def knows(self, device):
        return self.platform.reported(device, "firmware/currentFwVersion")

    def begin(self, device, image):
        answer = self.platform.call(device, "firmwareUpdate", {
            "fwPackageUri": image.uri, "fwVersion": image.version,
            "fwPackageCheckValue": image.sha256})
        assert answer[0] == 202, answer
        return device, image.version

    def ended(self, asked):
        """A twin is a state: the version that was asked for, or an error."""
        device, version = asked

        def end():
            twin = self.platform.reported(device, "firmware")
            done = twin["fwUpdateStatus"] == "current" and twin["currentFwVersion"] == version
            return twin if done or twin["fwUpdateStatus"] == "error" else None
        twin = wait_until(end, RUN, lambda: self.platform.reported(device, "firmware"))
        return twin["fwUpdateStatus"], twin.get("error", {}).get("code")

    def refused(self, device, image):
        status, body = self.platform.call(device, "firmwareUpdate", {
            "fwPackageUri": image.uri, "fwVersion": image.version})
        return status, body["error"]["code"]

    def cut(self):
        super().cut()
        self.platform.front.refuse(True)

    def heal(self):
        super().heal()
        self.platform.front.refuse(False)

    def breaches(self):
        return self.platform.breaches()

    def close(self):
        self.platform.close()


class Huawei(Cloud):
    """An upgrade event to a sub-device, told by upgrade_progress_report."""

    name, gateway, key = "huawei", "prod_gw1", "the secret of gw1"

    def __init__(self, world, broker):
        super().__init__(world, broker)
        self.platform = HuaweiPlatform(broker.port, self.gateway, self.key, KINDS,
                                       truth=self._truth).open()

    def _truth(self, device, version):
        runs = self.world.runs(device)
        return None if runs == version else f"the device runs {runs}"

    def link(self):
        return {"uri": f"mqtt://127.0.0.1:{self.platform.front.port}", "id": self.gateway,
                "secret": self.world.secret("huawei", self.key)}

    def knows(self, device):
        versions = self.platform.devices[device].versions
        return versions[-1].get("fw_version") if versions else None

    def begin(self, device, image):
        return self.platform.upgrade(device, image.version, image.uri, file_size=image.size,
                                     sign=image.sha256, access_token="t-1")

    def ended(self, upgrade):
        return self.platform.wait_result(upgrade, RUN)

    def refused(self, device, image):
        return self.platform.wait_result(self.begin(device, image), RUN)

    def cut(self):
        super().cut()
        self.platform.front.refuse(True)

    def heal(self):
        super().heal()
        self.platform.front.refuse(False)

    def breaches(self):
        return self.platform.breaches()

    def close(self):
        self.platform.close()


class Alibaba(Cloud):
    """A push to a sub-device, told by steps; the version alone ends it well."""

    name, gateway = "alibaba", ("pk0", "gw-1")

    def __init__(self, world, broker):
        super().__init__(world, broker)
        secrets = {self.gateway: "secret-of-the-gateway",
                   **{(PRODUCT, name): f"secret-of-{name}" for name in KINDS}}
        self.platform = AlibabaPlatform(broker.port, secrets).__enter__()

    def link(self):
        return {"uri": f"mqtt://127.0.0.1:{self.platform.front.port}",
                "product_key": self.gateway[0], "device_name": self.gateway[1],
                "secret": self.world.secret("alibaba", "secret-of-the-gateway"),
                "device_product": PRODUCT}

    def knows(self, device):
        return self.platform.devices[PRODUCT, device].versions.get("default")

    def begin(self, device, image):
        return self.platform.upgrade((PRODUCT, device), {
            "size": image.size, "version": image.version, "url": image.uri, "signMethod": "Md5",
            "sign": image.md5, "md5": image.md5})

    def ended(self, task):
        self.platform.wait(lambda: task.status in ("SUCCEEDED", "FAILED"), RUN,
                           lambda: f"the end; is {task.status}, {task.steps}, {task.desc}")
        return task.status, None if task.status == "SUCCEEDED" else task.steps[-1]

    def refused(self, device, image):
        return self.ended(self.begin(device, image))

    def cut(self):
        super().cut()
        self.platform.front.refusing = True
        self.platform.front.cut()

    def heal(self):
        super().heal()
        self.platform.front.refusing = False

    def breaches(self):
        return self.platform.violations

    def close(self):
        self.platform.__exit__()


class FourClouds:
    """The plant: a pump on a line of its own, six valves on one RS-485 line, a panel's console."""

    def __init__(self, directory, artifacts, brokers, make_southbridge):
        self.directory, self.artifacts, self._make = directory, artifacts, make_southbridge
        self.southbridge = None
        self.clouds = [kind(self, broker)
                       for kind, broker in zip((Ibm, Azure, Huawei, Alibaba), brokers)]
        self.pump = SmpDevice(directory, name="pump").start(*QUICK_BOOT)
        self.field = ModbusLine(directory, {unit: {"version": "1.0.0"} for unit in range(1, 7)},
                                "field").start()
        self.panel = Board(directory, "panel", "--password", "geheim-4711")
        self._devices = {"uart1": self.pump, "field": self.field, "uart2": self.panel}

    def secret(self, name, text):
        path = self.directory / name
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)
        return f"file:{path}"

    # ---- the daemon ----

    def start(self, commanders):
        """commanders: {device: names of the links that may command it}; of others, all may."""
        rules = {"schemes": ["http"], "networks": ["127.0.0.0/8"]}
        links = {cloud.name: {"dialect": cloud.name, "role": "uplink", "uri_rules": rules,
                              **cloud.link()} for cloud in self.clouds}
        specs = [self._spec(name, commanders.get(name)) for name in KINDS]
        self.southbridge = self._make(
            {bus: device.link for bus, device in self._devices.items()}, specs,
            top={"links": links}, mappings=self._mappings()).start()
        for cloud in self.clouds:
            for device in KINDS:
                cloud.hears(device, "1.0.0")
        return self

    @staticmethod
    def _spec(name, commanders):
        spec = {"id": name, "type": KINDS[name], "bus": BUSES[KINDS[name]]}
        if name in VALVES:
            spec["address"] = {"unit": VALVES.index(name) + 1}
        if commanders is not None:
            spec["commanders"] = commanders
        return spec

    def _mappings(self):
        folder = self.directory / "mappings" / "devices"
        folder.mkdir(parents=True)
        for kind, text in (("pump", smp_type("pump")), ("valve", modbus_type("valve")),
                           ("panel", board_type(self.directory, "panel"))):
            (folder / f"{kind}.yaml").write_text(text, encoding="utf-8")
        return [SOURCE / "mappings", folder.parents[0]]

    # ---- devices ----

    def runs(self, device):
        """The version that a device really runs."""
        if device in VALVES:
            return self.field.version_of(VALVES.index(device) + 1)
        return (self.pump if device == "pump-1" else self.panel).version

    def slow(self, device, on=True):
        """A device that takes its time, so that something can be done in the middle."""
        if device in VALVES:
            self.field.fault(f"{VALVES.index(device) + 1}.slow", 0.12 if on else 0.0)
        else:
            (self.pump if device == "pump-1" else self.panel).fault("slow", 0.25 if on else 0.0)

    def image(self, device, version, good=True):
        """An image that the device can run, with its digests; or with wrong ones."""
        kind, path = KINDS[device], self.directory / f"{device}-{version}.bin"
        if kind == "pump":
            path.write_bytes(make_image(self.directory, version, 6000))
        elif kind == "valve":
            modbus_image(path, version, 3000)
        else:
            board_image(path, version, 3000)
        content = path.read_bytes()
        return Image(version, self.artifacts.add(f"/{path.name}", content), len(content),
                     hashlib.sha256(content).hexdigest() if good else "0" * 64,
                     hashlib.md5(content).hexdigest() if good else "0" * 32)

    # ---- looking ----

    def jobs(self, device):
        """The jobs of a device in full, oldest first."""
        ids = [job["id"] for job in self.southbridge.ctl("job", "list", "--all").json
               if job.get("device") == device]
        return [self.southbridge.ctl("job", "show", str(number)).json for number in sorted(ids)]

    def task(self, device):
        """Of the device's last job; {}: it has had none."""
        jobs = self.jobs(device)
        return jobs[-1]["tasks"][0] if jobs else {}

    def wait_task(self, device, **members):
        """That task, as soon as its members are these."""
        def fits():
            task = self.task(device)
            return task if members.items() <= task.items() else None
        return wait_until(fits, RUN, lambda: f"{device} {members}: {self.task(device)}")

    def wait_under_way(self, device):
        """Until the device is being sent its image."""
        return self.wait_task(device, phase="transferring")

    def check(self):
        for cloud in self.clouds:
            breaches = cloud.breaches()
            assert not breaches, f"{cloud.name}: " + "\n".join(map(str, breaches))

    def close(self):
        for cloud in self.clouds:
            cloud.close()
        for device in self._devices.values():
            device.stop()
