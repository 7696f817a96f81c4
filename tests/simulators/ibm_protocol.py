# SPDX-License-Identifier: Apache-2.0
"""The rules of IBM Watson IoT Platform device management, as its documentation states them.

Topics and payloads, seen from the platform: what a device or gateway may send, which return code
the platform owes it, and what is wrong with it. Pure functions, no I/O; shared with nothing that
is under test, so that a misreading on one side shows on the other.
"""
import base64
import binascii
import datetime
import json
import math
import re
from dataclasses import dataclass

FIRMWARE = "mgmt.firmware"
FIRMWARE_TEXTS = ("version", "name", "uri", "verifier")
FIRMWARE_KEYS = FIRMWARE_TEXTS + ("state", "updateStatus", "updatedDateTime")
STATES = {0: "idle", 1: "downloading", 2: "downloaded"}
UPDATE_STATUSES = {
    0: "success", 1: "in progress", 2: "out of memory", 3: "connection lost",
    4: "verification failed", 5: "unsupported image", 6: "invalid URI",
}
DEVICE_INFO_KEYS = ("serialNumber", "manufacturer", "model", "deviceClass", "description",
                    "fwVersion", "hwVersion", "descriptiveLocation")
LOCATION_KEYS = ("latitude", "longitude", "elevation", "accuracy", "measuredDateTime",
                 "updatedDateTime")
MIN_LIFETIME = 3600
MAX_PAYLOAD = 131072

# The codes that may answer a request of the platform.
ANSWERS = {
    "device/update": (204, 400, 404, 500),
    "observe": (200, 400, 404, 500),
    "cancel": (200, 400, 404, 500),
    "mgmt/initiate/device/reboot": (202, 400, 404, 500, 501),
    "mgmt/initiate/device/factory_reset": (202, 400, 404, 500, 501),
    "mgmt/initiate/firmware/download": (202, 400, 404, 500, 501),
    "mgmt/initiate/firmware/update": (202, 400, 404, 500, 501),
    "mgmt/custom": (200, 400, 404, 409, 500, 501),
}
_REFUSALS = (400, 404, 500, 501)  # of a request that does not exist


@dataclass(frozen=True)
class Finding:
    """One breach of the protocol: a short code for tests, a sentence for people."""
    code: str
    text: str


class BadTopic(ValueError):
    """Not a topic of the protocol."""


_NAME = re.compile(r"[A-Za-z0-9._-]{1,36}\Z")
REQUESTS = ("mgmt/manage", "mgmt/unmanage", "device/update/location", "add/diag/errorCodes",
            "clear/diag/errorCodes", "add/diag/log", "clear/diag/log", "notify")


def split_topic(topic):
    """('gateway', 'type/id', suffix) or ('device', None, suffix) of a device's publication."""
    levels = topic.split("/")
    if levels[0] != "iotdevice-1" or len(levels) < 2:
        raise BadTopic(f"not below iotdevice-1/: {topic}")
    form, device, rest = "device", None, levels[1:]
    if rest[0] == "type":
        if len(rest) < 5 or rest[2] != "id":
            raise BadTopic(f"not type/TYPE/id/ID/...: {topic}")
        if not _NAME.match(rest[1]) or not _NAME.match(rest[3]):
            raise BadTopic(f"illegal type or id (36 of A-Z a-z 0-9 . _ -): {topic}")
        form, device, rest = "gateway", f"{rest[1]}/{rest[3]}", rest[4:]
    suffix = "/".join(rest)
    if suffix not in REQUESTS and suffix != "response":
        raise BadTopic(f"no such device topic: {topic}")
    return form, device, suffix


def platform_topic(form, device, suffix):
    """The topic on which the platform reaches a device."""
    if form == "device":
        return f"iotdm-1/{suffix}"
    kind, name = device.split("/")
    return f"iotdm-1/type/{kind}/id/{name}/{suffix}"


def answer_kind(suffix):
    return "mgmt/custom" if suffix.startswith("mgmt/custom/") else suffix


def is_number(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def is_timestamp(value):
    if not isinstance(value, str) or "T" not in value:
        return False
    try:
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def decode(payload):
    """The JSON object in a payload, or a Finding."""
    if len(payload) > MAX_PAYLOAD:
        return Finding("too-large", f"{len(payload)} bytes, the limit is {MAX_PAYLOAD}")
    try:
        body = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return Finding("bad-json", f"not JSON: {error}")
    if not isinstance(body, dict):
        return Finding("bad-json", "not a JSON object")
    return body


def _unknown(value, known, where):
    return [Finding("unknown-field", f"{where} has no field '{key}'")
            for key in value if key not in known]


def check_request(suffix, body):
    """(rc, findings) for a request of a device: what the platform answers, what was wrong."""
    findings = _unknown(body, ("d", "reqId"), suffix)
    if "reqId" in body and (not isinstance(body["reqId"], str) or not body["reqId"]):
        findings.append(Finding("bad-reqid", f"reqId must be a string: {body['reqId']!r}"))
    if "reqId" not in body and suffix != "notify":
        findings.append(Finding("bad-reqid", f"{suffix} without reqId"))
    d = body.get("d", {})
    if not isinstance(d, dict):
        return 400, findings + [Finding("bad-value", f"d must be an object: {d!r}")]
    wrong = []
    rc = _CHECKS[suffix](d, wrong)
    return rc, findings + wrong


def _check_nothing(d, out):
    out.extend(_unknown(d, (), "a request without data"))
    return 200


def _check_manage(d, out):
    out.extend(_unknown(d, ("metadata", "lifetime", "supports", "deviceInfo"), "manage"))
    rc = 200
    lifetime = d.get("lifetime", 0)
    if not is_number(lifetime) or (lifetime != 0 and lifetime < MIN_LIFETIME):
        out.append(Finding("lifetime", f"0 or at least {MIN_LIFETIME} s: {lifetime!r}"))
        rc = 400
    for name in ("metadata", "supports", "deviceInfo"):
        value = d.get(name)
        if name not in d:
            continue
        if not isinstance(value, dict):
            out.append(Finding("bad-value", f"{name} must be an object: {value!r}"))
            rc = 400
        elif not value and name != "supports":
            out.append(Finding("empty-object", f"{name} is empty; leave it out"))
    if rc == 200:
        rc = _check_manage_members(d, out)
    return rc


def _check_manage_members(d, out):
    rc = 200
    for key, value in d.get("supports", {}).items():
        if not isinstance(value, bool):
            out.append(Finding("supports-type", f"supports.{key} must be a boolean: {value!r}"))
            rc = rc if value in (0, 1) else 400
    info = d.get("deviceInfo", {})
    out.extend(_unknown(info, DEVICE_INFO_KEYS, "deviceInfo"))
    for key, value in info.items():
        if not isinstance(value, str):
            out.append(Finding("bad-value", f"deviceInfo.{key} must be a string: {value!r}"))
            rc = 400
    return rc


def _check_location(d, out):
    out.extend(_unknown(d, LOCATION_KEYS, "location"))
    before = len(out)
    for key, limit in (("latitude", 90), ("longitude", 180)):
        if not is_number(d.get(key)) or abs(d[key]) > limit:
            out.append(Finding("bad-value", f"{key} must be within +-{limit}: {d.get(key)!r}"))
    for key in ("elevation", "accuracy"):
        if key in d and not is_number(d[key]):
            out.append(Finding("bad-value", f"{key} must be a number: {d[key]!r}"))
    for key in ("measuredDateTime", "updatedDateTime"):
        if key in d and not is_timestamp(d[key]):
            out.append(Finding("bad-value", f"{key} must be ISO 8601: {d[key]!r}"))
    return 400 if len(out) > before else 200


def _check_error_code(d, out):
    out.extend(_unknown(d, ("errorCode",), "add/diag/errorCodes"))
    if is_number(d.get("errorCode")):
        return 200
    out.append(Finding("bad-value", f"errorCode must be a number: {d.get('errorCode')!r}"))
    return 400


def _check_log(d, out):
    out.extend(_unknown(d, ("message", "timestamp", "data", "severity"), "add/diag/log"))
    before = len(out)
    if not isinstance(d.get("message"), str):
        out.append(Finding("bad-value", f"message must be a string: {d.get('message')!r}"))
    if not is_timestamp(d.get("timestamp")):
        out.append(Finding("bad-value", f"timestamp must be ISO 8601: {d.get('timestamp')!r}"))
    if not is_number(d.get("severity", 0)) or d.get("severity", 0) not in (0, 1, 2):
        out.append(Finding("bad-value", f"severity must be 0, 1 or 2: {d.get('severity')!r}"))
    if "data" in d:
        try:
            base64.b64decode(d["data"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            out.append(Finding("bad-value", "data must be base64"))
    return 400 if len(out) > before else 200


def _check_notify(d, out):
    fields = fields_of(d, out)
    if not fields:
        out.append(Finding("bad-value", "notify without d.fields"))
        return 400
    rc = 200
    for name, value in fields:
        if name != FIRMWARE:
            out.append(Finding("unknown-field", f"only {FIRMWARE} can be notified: {name!r}"))
            rc = max(rc, 404)
        elif not _check_firmware(value, out):
            rc = 400
        elif not {"state", "updateStatus"} <= value.keys():
            out.append(Finding("partial-notify", f"{FIRMWARE} needs state and updateStatus in one "
                               f"notify: {sorted(value)}"))
    return rc


_CHECKS = {
    "mgmt/manage": _check_manage, "mgmt/unmanage": _check_nothing,
    "device/update/location": _check_location, "add/diag/errorCodes": _check_error_code,
    "clear/diag/errorCodes": _check_nothing, "add/diag/log": _check_log,
    "clear/diag/log": _check_nothing, "notify": _check_notify,
}


def fields_of(d, out):
    """[(field, value)] of d.fields; the shape of 2016 (d.field, d.value) is read and noted."""
    fields = d.get("fields")
    if fields is None and "field" in d:
        out.append(Finding("old-shape", "d.field instead of d.fields[]"))
        fields = [d]
    else:
        out.extend(_unknown(d, ("fields",), "d"))
    if not isinstance(fields, list) or not all(isinstance(item, dict) for item in fields):
        return []
    for item in fields:
        out.extend(_unknown(item, ("field", "value"), "d.fields[]"))
    return [(item.get("field"), item.get("value")) for item in fields]


def _check_firmware(value, out):
    """Whether it can be a value of mgmt.firmware, told by a device."""
    if not isinstance(value, dict):
        out.append(Finding("bad-value", f"{FIRMWARE} must be an object: {value!r}"))
        return False
    out.extend(_unknown(value, FIRMWARE_KEYS, FIRMWARE))
    good = True
    for key, names in (("state", STATES), ("updateStatus", UPDATE_STATUSES)):
        if key in value and (not is_number(value[key]) or value[key] not in names):
            out.append(Finding("bad-value", f"{key} must be 0..{max(names)}: {value[key]!r}"))
            good = False
    for key in FIRMWARE_TEXTS:
        if key in value and not isinstance(value[key], str):
            out.append(Finding("bad-value", f"{key} must be a string: {value[key]!r}"))
            good = False
    return good


def check_response(suffix, body):
    """Findings about a device's answer to the request `suffix`."""
    out = _unknown(body, ("rc", "reqId", "message", "d"), "response")
    rc = body.get("rc")
    if not is_number(rc):
        out.append(Finding("rc-type", f"rc must be a number: {rc!r}"))
    elif rc not in ANSWERS.get(answer_kind(suffix), _REFUSALS):
        out.append(Finding("rc-value", f"{rc} does not answer {suffix}"))
    if "message" in body and not isinstance(body["message"], str):
        out.append(Finding("bad-value", f"message must be a string: {body['message']!r}"))
    if "d" not in body:
        return out
    if not isinstance(body["d"], dict):
        return out + [Finding("bad-value", f"d must be an object: {body['d']!r}")]
    if suffix == "observe" and rc == 200:
        for name, value in fields_of(body["d"], out):
            if name != FIRMWARE:
                out.append(Finding("unknown-field", f"observed was {FIRMWARE}: {name!r}"))
            elif value is not None:
                # A device repeats here what the platform wrote, updatedDateTime included.
                _check_firmware(value, out)
    return out


def firmware_in(d):
    """The merged value of mgmt.firmware in a d object; {} when there is none."""
    merged = {}
    for name, value in fields_of(d if isinstance(d, dict) else {}, []):
        if name == FIRMWARE and isinstance(value, dict):
            merged.update({key: value[key] for key in FIRMWARE_KEYS if key in value})
    return merged


def rc_number(body):
    """rc as a number: some device libraries send it as a string of digits."""
    rc = body.get("rc")
    if isinstance(rc, str) and rc.isdigit():
        return int(rc)
    return rc if is_number(rc) else None
