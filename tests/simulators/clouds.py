# SPDX-License-Identifier: Apache-2.0
"""The four scripted clouds with one face: each asks for updates and reboots, and says what it was
told, in its own words. For what plays several of them at once.

A device has one id here, and is called after it in each cloud. Every method may be called from any
thread and has a deadline.
"""
import base64
import collections
import concurrent.futures
import time

from alibaba_platform import AlibabaPlatform
from azure_platform import AzureHub
from huawei_platform import HuaweiPlatform
from ibm_platform import IbmPlatform

STEP, RUN = 20.0, 120.0  # s, for an answer and for an update

# uri; digests as a cloud is to be told, which may be wrong
Image = collections.namedtuple("Image", "version uri size sha256 md5")


class Cloud:
    """One cloud on one broker, with the gateway and these devices: {id: kind}.

    Needs of each: platform, knows(), begin(), ended(), reboot(), refused(), breaches().
    """

    name = None
    well = None  # what ended() says of an update that ended well

    def __init__(self, devices, secret):
        self.devices, self.secret = devices, secret
        self.platform = None

    def knows(self, device):
        """The version that it was told last; None: none."""
        raise NotImplementedError

    def hears(self, device, version=None, timeout=RUN):
        """Waits until it was told that the device runs this version; None: any."""
        end = time.monotonic() + timeout
        while not self.knows(device) or version and self.knows(device) != version:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} was not told that {device} runs {version}; it knows "
                                   f"{self.knows(device)}")
            time.sleep(0.02)

    @property
    def hearing(self):
        return self.platform.hearing

    @property
    def uri(self):
        """Where the gateway connects to."""
        return f"mqtt://127.0.0.1:{self.platform.front.port}"

    def shut(self, on):
        """Nobody gets in while it is on, and who was in is out."""
        self.platform.front.refuse(on)

    def breaches(self):
        return self.platform.breaches()

    def close(self):
        self.platform.close()


class Ibm(Cloud):
    """Two steps, download and update; told the end of each by state and updateStatus."""

    name, org = "ibm", "abc123"
    well = ("success", (0, 0))

    def __init__(self, port, devices, secret, username=None, watcher=None):
        super().__init__(devices, secret)
        self.platform = IbmPlatform(port, self.org, username=username, password=secret,
                                    step_timeout=STEP, run_timeout=RUN, watcher=watcher).open()
        self.tolerated = []  # codes of breaches that a test provokes
        self._port, self._pool = port, concurrent.futures.ThreadPoolExecutor(8)

    def called(self, device):
        return f"{self.devices[device]}/{device}"

    def knows(self, device):
        return self.platform.device(self.called(device)).device_info.get("fwVersion")

    def begin(self, device, image):
        return self._pool.submit(self._update, self.called(device), image)

    def _update(self, name, image):
        outcome = self.platform.download(name, image.uri, image.version, "firmware", image.sha256)
        return self.platform.update(name) if outcome.ok else outcome

    def ended(self, asked):
        """How it was told that an update ended."""
        outcome = asked.result(2 * RUN)
        return outcome.status, (outcome.state, outcome.update_status)

    def reboot(self, device):
        """Whether it was done."""
        return self.platform.reboot(self.called(device)).ok

    def reset(self, device):
        return self.platform.factory_reset(self.called(device)).ok

    def refused(self, device, _image):
        """What it is told when it asks for what it may not."""
        request = self.platform.ask(self.called(device), "mgmt/initiate/device/reboot")
        return request.rc, request.answer["message"]

    def breaches(self):
        return self.platform.breaches(*self.tolerated)

    @property
    def hearing(self):
        return self.platform.hearing

    @property
    def uri(self):
        return f"mqtt://127.0.0.1:{self._port}"

    def shut(self, on):
        """It has no door: what its broker takes gets in."""

    def close(self):
        self.platform.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Azure(Cloud):
    """A method, answered at once; then the twin says how it goes."""

    name = "azure"
    well = ("current", None)

    def __init__(self, port, devices, secret, watcher=None):
        super().__init__(devices, base64.b64encode(secret.encode()).decode())
        self.platform = AzureHub(port, dict.fromkeys(devices, self.secret), watcher=watcher).open()

    def knows(self, device):
        return self.platform.reported(device, "firmware/currentFwVersion")

    def _call(self, device, *words):
        """A method, as soon as the device is there: each has a connection of its own."""
        self.platform.wait_online(device, timeout=RUN)
        return self.platform.call(device, *words)

    def begin(self, device, image):
        answer = self._call(device, "firmwareUpdate", {
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
        twin = self.platform.wait(end, RUN, f"end of the update of {device}")
        return twin["fwUpdateStatus"], twin.get("error", {}).get("code")

    def reboot(self, device):
        return self._call(device, "reboot")[0] == 200

    def refused(self, device, image):
        status, body = self._call(device, "firmwareUpdate", {
            "fwPackageUri": image.uri, "fwVersion": image.version})
        return status, body["error"]["code"]


class Huawei(Cloud):
    """An upgrade event to a sub-device, told by upgrade_progress_report."""

    name, gateway = "huawei", "prod_gw1"
    well = ("success", 0)

    def __init__(self, port, devices, secret, truth=None, watcher=None):
        super().__init__(devices, secret)
        self.platform = HuaweiPlatform(port, self.gateway, secret, devices, truth=truth,
                                       watcher=watcher).open()

    def knows(self, device):
        versions = self.platform.devices[device].versions
        return versions[-1].get("fw_version") if versions else None

    def begin(self, device, image):
        return self.platform.upgrade(device, image.version, image.uri, file_size=image.size,
                                     sign=image.sha256, access_token="t-1")

    def ended(self, upgrade):
        return self.platform.wait_result(upgrade, RUN)

    def reboot(self, device):
        return self.platform.command(device, "reboot")["result_code"] == 0

    def refused(self, device, image):
        return self.ended(self.begin(device, image))


class Alibaba(Cloud):
    """A push to a sub-device, told by steps; the version alone ends it well."""

    name, gateway, product = "alibaba", ("pk0", "gw-1"), "pk1"
    well = ("SUCCEEDED", None)

    def __init__(self, port, devices, secret, watcher=None):
        super().__init__(devices, secret)
        whose = [self.gateway, *((self.product, name) for name in devices)]
        self.platform = AlibabaPlatform(port, dict.fromkeys(whose, secret), watcher).__enter__()

    def knows(self, device):
        return self.platform.devices[self.product, device].versions.get("default")

    def begin(self, device, image):
        return self.platform.upgrade((self.product, device), {
            "size": image.size, "version": image.version, "url": image.uri, "signMethod": "Md5",
            "sign": image.md5, "md5": image.md5})

    def ended(self, task):
        self.platform.wait(lambda: task.status in ("SUCCEEDED", "FAILED"), RUN,
                           lambda: f"the end; is {task.status}, {task.steps}, {task.desc}")
        return task.status, None if task.status == "SUCCEEDED" else task.steps[-1]

    def reboot(self, device):
        return self.platform.ask((self.product, device), "thing/service/reboot",
                                 {})["code"] == 200

    def refused(self, device, image):
        return self.ended(self.begin(device, image))

    def shut(self, on):
        self.platform.front.refusing = on
        if on:
            self.platform.front.cut()

    def breaches(self):
        return self.platform.violations

    def close(self):
        self.platform.__exit__()
