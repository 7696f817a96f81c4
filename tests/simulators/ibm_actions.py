# SPDX-License-Identifier: Apache-2.0
"""The platform's device actions, each as the documented sequence of requests.

A mixin of IbmPlatform: every action runs in the caller's thread, ends within its deadlines and
returns an Outcome; it never raises because of what a device does.
"""
import time

from ibm_device import Outcome, Run, firmware_fields
from ibm_protocol import FIRMWARE, FIRMWARE_TEXTS

OBSERVED = {"fields": [{"field": FIRMWARE}]}
_GRACE = 1.0  # s between the last two parts of a success that is told in parts


class _End(Exception):
    """Leaves a sequence; the outcome is complete."""


class Actions:
    """Needs: device(), send(), await_answer(), wait(), dormant(), _changed, timeouts."""

    # ---- firmware ----

    def download(self, name, uri=None, version=None, image=None, verifier=None, **options):
        """firmware/download: device/update (all seven keys) - observe - initiate - cancel.

        options: see _firmware(). `image` is the firmware's name.
        """
        value = dict(zip(FIRMWARE_TEXTS, (version or "", image or "", uri or "", verifier or "")))
        value.update(state=0, updateStatus=0, updatedDateTime="")
        return self._firmware(name, "firmware/download", value, version, **options)

    def update(self, name, **options):
        """firmware/update of what was downloaded: observe - initiate - cancel."""
        target = self.device(name).firmware.get("version")
        return self._firmware(name, "firmware/update", None, target, **options)

    def _firmware(self, name, action, value, target, *, send_update=True, step_timeout=None,
                  run_timeout=None, force=False, override=False):
        """send_update=False leaves device/update out, as the platform does without parameters."""
        outcome = Outcome(action, name)
        begun = time.monotonic()
        try:
            run = self._begin(outcome, action, "firmwareActions", target, force, override)
            steps = []
            if value is not None and send_update:
                steps.append(("device/update", firmware_fields(value), 204))
            steps += [("observe", OBSERVED, 200), (f"mgmt/initiate/{action}", None, 202)]
            try:
                for suffix, d, wanted in steps:
                    self._step(outcome, run, suffix, d, wanted, step_timeout)
                self._await_end(outcome, run, run_timeout or self.run_timeout)
            finally:
                self._end_run(outcome, run, step_timeout)
        except _End:
            pass
        outcome.seconds = time.monotonic() - begun
        return outcome

    def _begin(self, outcome, action, support, target=None, force=False, override=False):
        device = self.device(outcome.device)
        with self._changed:
            refusal = None
            if self.dormant(device.name):
                device.reset_management()
            if not device.managed:
                refusal = (403, "the device is not managed")
            elif not device.supports.get(support):
                refusal = (403, f"the device does not support {support}")
            elif device.run and device.run.open and not override:
                refusal = (409, f"{device.run.action} is in progress")
            if refusal and not force:
                outcome.rc, outcome.message = refusal
                outcome.end("refused", "start")
                raise _End
            if device.run and device.run.open:
                device.run.cancelled, device.run.open = True, False
            device.run = Run(action, target)
            self._changed.notify_all()
            return device.run

    def _step(self, outcome, run, suffix, d, wanted, timeout):
        request = self.send(outcome.device, suffix, d)
        outcome.step = suffix.rsplit("/", 1)[-1] if suffix.startswith("mgmt/") else suffix
        if self.await_answer(request, timeout) is None:
            outcome.end("cancelled" if run.cancelled else "timeout", outcome.step, request)
            raise _End
        if run.cancelled:
            outcome.end("cancelled", outcome.step, request)
            raise _End
        if request.rc != wanted:
            outcome.end("failure", outcome.step, request)
            raise _End
        return request

    def _await_end(self, outcome, run, timeout):
        """Until the device told the end; a success told in parts may lack its last part."""
        outcome.step = "run"
        try:
            self.wait(lambda: run.final or run.status_done or run.cancelled, timeout,
                      f"end of {run.action}")
            if run.status_done and not run.final:
                self.wait(lambda: run.final or run.cancelled, _GRACE, "state 0")
        except TimeoutError:
            if not run.status_done:
                outcome.end("timeout", "run")
                return
        if run.cancelled:
            outcome.end("cancelled", "run")
        elif run.final == "failure":
            outcome.end("failure", "run")

    def _end_run(self, outcome, run, timeout):
        """cancel ends the observation, also after a failure; its 200 completes the request."""
        device = self.device(outcome.device)
        with self._changed:
            observing = device.observed and not run.cancelled
        if observing:
            request = self.send(outcome.device, "cancel", OBSERVED)
            answer = self.await_answer(request, timeout)
            if outcome.ok and (answer is None or request.rc != 200):
                outcome.end("timeout" if answer is None else "failure", "cancel", request)
        with self._changed:
            run.open = False
            outcome.notifies = [dict(value) for value in run.notifies]
            outcome.state = device.firmware.get("state")
            outcome.update_status = device.firmware.get("updateStatus")
            self._changed.notify_all()

    # ---- device actions ----

    def reboot(self, name, **options):
        """device/reboot: 202, then complete with the device's next manage request."""
        return self._restart(name, "device/reboot", **options)

    def factory_reset(self, name, **options):
        return self._restart(name, "device/factory_reset", **options)

    def _restart(self, name, action, *, step_timeout=None, run_timeout=None, force=False):
        outcome = Outcome(action, name)
        begun = time.monotonic()
        device = self.device(name)
        try:
            run = self._begin(outcome, action, "deviceActions", force=force)
            try:
                request = self._step(outcome, run, f"mgmt/initiate/{action}", None, 202,
                                     step_timeout)
                outcome.end("success", "run", request)
                timeout = run_timeout or self.run_timeout
                self.wait(lambda: run.cancelled or len(device.manages) > run.manages_before,
                          timeout, f"manage after {action}")
                if run.cancelled:
                    outcome.end("cancelled", "run")
            except TimeoutError:
                outcome.end("timeout", "run")
            finally:
                with self._changed:
                    run.open = False
        except _End:
            pass
        outcome.seconds = time.monotonic() - begun
        return outcome

    def custom(self, name, bundle, action, parameters=None, *, step_timeout=None, force=False):
        """A custom action: one step, 200 means that it is finished."""
        outcome = Outcome(f"{bundle}/{action}", name)
        begun = time.monotonic()
        fields = [{"field": key, "value": value} for key, value in (parameters or {}).items()]
        try:
            run = self._begin(outcome, outcome.action, bundle, force=force)
            try:
                request = self._step(outcome, run, f"mgmt/custom/{bundle}/{action}",
                                     {"fields": fields}, 200, step_timeout)
                outcome.end("success", outcome.step, request)
            finally:
                with self._changed:
                    run.open = False
        except _End:
            pass
        outcome.seconds = time.monotonic() - begun
        return outcome

    # ---- attributes ----

    def set_attributes(self, name, values, *, step_timeout=None):
        """device/update of {field: value}; 204 is success."""
        fields = [{"field": field, "value": value} for field, value in values.items()]
        return self._single(name, "device/update", {"fields": fields}, 204, step_timeout)

    def set_location(self, name, latitude, longitude, elevation=0.0, accuracy=0.0, **options):
        """With all six keys: a known device library needs each of them."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        value = {"latitude": latitude, "longitude": longitude, "elevation": elevation,
                 "accuracy": accuracy, "measuredDateTime": now, "updatedDateTime": now}
        outcome = self.set_attributes(name, {"location": value}, **options)
        if outcome.ok:
            with self._changed:
                self.device(name).location = value
        return outcome

    def observe(self, name, *, step_timeout=None):
        """The outcome's state and update_status are what the device answered."""
        return self._single(name, "observe", OBSERVED, 200, step_timeout)

    def await_version(self, name, version, *, timeout=None):
        """Until the device manages with this fwVersion."""
        outcome, begun = Outcome(f"fwVersion {version}", name), time.monotonic()
        try:
            self.wait_version(name, version, timeout or self.run_timeout)
        except TimeoutError:
            outcome.end("timeout", "manage")
        outcome.seconds = time.monotonic() - begun
        return outcome

    def cancel(self, name, *, step_timeout=None):
        return self._single(name, "cancel", OBSERVED, 200, step_timeout)

    def _single(self, name, suffix, d, wanted, timeout):
        outcome = Outcome(suffix, name)
        begun = time.monotonic()
        request = self.send(name, suffix, d)
        if self.await_answer(request, timeout) is None:
            outcome.end("timeout", suffix)
        else:
            outcome.end("success" if request.rc == wanted else "failure", suffix, request)
        with self._changed:
            firmware = self.device(name).firmware
            outcome.state = firmware.get("state")
            outcome.update_status = firmware.get("updateStatus")
        outcome.seconds = time.monotonic() - begun
        return outcome
