# SPDX-License-Identifier: Apache-2.0
"""Four scripted clouds above one daemon with eight devices on three lines. Each cloud has a broker
of its own, which can die alone."""
import hashlib

from console_board import Board, board_image, board_type
from daemon import SmpDevice, make_image
from harness import SOURCE, wait_until
from modbus_line import ModbusLine, modbus_image, modbus_type
from quick import QUICK_BOOT, smp_type

from clouds import Alibaba, Azure, Huawei, Ibm, Image

RUN = 60.0  # s, for an update under sanitizers
VALVES = [f"valve-{unit}" for unit in range(1, 7)]
KINDS = {"pump-1": "pump", "panel-1": "panel", **dict.fromkeys(VALVES, "valve")}
BUSES = {"pump": "uart1", "valve": "field", "panel": "uart2"}
SECRET = "secret-4711"  # of every cloud


class FourClouds:
    """The plant: a pump on a line of its own, six valves on one RS-485 line, a panel's console."""

    def __init__(self, directory, artifacts, brokers, make_southbridge):
        self.directory, self.artifacts, self._make = directory, artifacts, make_southbridge
        self.southbridge = None
        self.clouds = [kind(broker.port, KINDS, SECRET)
                       for kind, broker in zip((Ibm, Azure, Huawei, Alibaba), brokers)]
        self.clouds[2].platform.truth = self._truth
        self._brokers = {cloud: broker for cloud, broker in zip(self.clouds, brokers)}
        self.pump = SmpDevice(directory, name="pump").start(*QUICK_BOOT)
        self.field = ModbusLine(directory, {unit: {"version": "1.0.0"} for unit in range(1, 7)},
                                "field").start("--boot-time", 0.9)  # long enough to be missed
        self.panel = Board(directory, "panel", "--password", "geheim-4711")
        self._devices = {"uart1": self.pump, "field": self.field, "uart2": self.panel}

    def _keep(self, name, text):
        """A secret, as the daemon is told where it is."""
        path = self.directory / name
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)
        return f"file:{path}"

    def _truth(self, device, version):
        runs = self.runs(device)
        return None if runs == version else f"the device runs {runs}"

    # ---- links ----

    def cut(self, cloud):
        """Its broker dies; nobody gets through until heal()."""
        self._brokers[cloud].kill9()
        cloud.shut(True)

    def heal(self, cloud):
        self._brokers[cloud].start()
        wait_until(lambda: cloud.hearing, what=f"{cloud.name} is back")
        cloud.shut(False)

    # ---- the daemon ----

    def start(self, commanders, disk=None):
        """commanders: {device: names of the links that may command it}; of others, all may. disk: a
        Disk with faults under it."""
        specs = [self._spec(name, commanders.get(name)) for name in KINDS]
        self.southbridge = self._make(
            {bus: device.link for bus, device in self._devices.items()}, specs,
            top={"links": self._links()}, mappings=self._mappings())
        if disk:
            disk.prepare(self.southbridge)
        self.southbridge.start()
        for cloud in self.clouds:
            for device in KINDS:
                cloud.hears(device, "1.0.0")
        return self

    def _links(self):
        ibm, azure, huawei, alibaba = self.clouds
        for device in KINDS:
            self._keep(f"azure-{device}", azure.secret)
        secret = self._keep("secret", SECRET)
        own = {ibm: {"org": ibm.org, "type": "gw", "id": "gw1", "token": secret},
               azure: {"hub": azure.platform.hub,
                       "key": f"file:{self.directory}/azure-{{name}}"},
               huawei: {"id": huawei.gateway, "secret": secret},
               alibaba: {"product_key": alibaba.gateway[0], "device_name": alibaba.gateway[1],
                         "secret": secret, "device_product": alibaba.product}}
        rules = {"schemes": ["http"], "networks": ["127.0.0.0/8"]}
        return {cloud.name: {"dialect": cloud.name, "role": "uplink", "uri": cloud.uri,
                             "uri_rules": rules, **keys} for cloud, keys in own.items()}

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

    def image(self, device, version, good=True, long=False):
        """An image that the device can run, with its digests, or with wrong ones.

        long: a slow() device takes most of a minute.
        """
        kind, path = KINDS[device], self.directory / f"{device}-{version}.bin"
        if kind == "pump":
            path.write_bytes(make_image(self.directory, version, 60000 if long else 6000))
        else:
            make = modbus_image if kind == "valve" else board_image
            make(path, version, 8000 if long else 3000)
        content = path.read_bytes()
        return Image(version, self.artifacts.add(f"/{path.name}", content), len(content),
                     hashlib.sha256(content).hexdigest() if good else "0" * 64,
                     hashlib.md5(content).hexdigest() if good else "0" * 32)

    # ---- looking ----

    def jobs(self, device):
        """Of a device, oldest first."""
        return self.southbridge.jobs(device)

    def task(self, device):
        """Of the device's last job; {}: it has had none."""
        jobs = self.jobs(device)
        if not jobs:
            return {}
        return self.southbridge.job(jobs[-1]["id"])["tasks"][0]

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
