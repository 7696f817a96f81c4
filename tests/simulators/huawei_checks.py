# SPDX-License-Identifier: Apache-2.0
"""What the platform takes from a gateway: shapes of messages, by their documentation.

check(topic below sys/, payload) yields what is wrong with a message by itself; whether it is in
place is the platform's to say.
"""
import json
import re

TIME = re.compile(r"\d{8}T\d{6}Z")
CODES = {*range(11), 255}
RESPONSE = re.compile(r"(commands|properties/set|properties/get)/response/request_id=([^/]+)")
EVENTS = {
    "$ota": {"version_report", "upgrade_progress_report"},
    "$sub_device_manager": {"sub_device_sync_request", "sub_device_update_status",
                            "add_sub_device_request", "delete_sub_device_request"},
}
_IDS = {"sub_device_update_status", "add_sub_device_request", "delete_sub_device_request"}


def _text(value, most=256):
    return isinstance(value, str) and 0 < len(value) <= most


def _number(value, low=0, high=2 ** 63):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _members(value, required, optional, where):
    """required, optional: {name: predicate}."""
    if not isinstance(value, dict):
        yield f"{where} is no object: {value!r}"
        return
    for name, good in {**required, **optional}.items():
        if name in value and not good(value[name]):
            yield f"{where}.{name} is {value[name]!r}"
        elif name not in value and name in required:
            yield f"{where} has no {name}"
    for name in set(value) - set(required) - set(optional):
        yield f"{where}.{name} is unknown"


def _list(value, where, most, each):
    if not isinstance(value, list) or not 0 < len(value) <= most:
        yield f"{where} is not a list of 1 to {most}"
        return
    for item in value:
        yield from each(item)


def _version_report(paras):
    yield from _members(paras, {}, {"fw_version": _text, "sw_version": _text}, "paras")
    if not {"fw_version", "sw_version"} & set(paras):
        yield "a version_report without a version"


def _progress(paras):
    yield from _members(paras, {"result_code": lambda v: _number(v) and v in CODES,
                                "version": _text},
                        {"progress": lambda v: _number(v, 0, 100),
                         "description": lambda v: _text(v, 1024)}, "paras")


def _statuses(paras):
    yield from _members(paras, {"device_statuses": lambda v: True}, {}, "paras")
    yield from _list(paras.get("device_statuses"), "device_statuses", 100, lambda item: _members(
        item, {"device_id": _text, "status": lambda v: v in ("ONLINE", "OFFLINE")}, {}, "status"))


def _sync(paras):
    yield from _members(paras, {"version": _number}, {}, "paras")


def _add(paras):
    optional = dict.fromkeys(("device_id", "name", "parent_device_id", "description"), _text)
    yield from _members(paras, {"devices": lambda v: True}, {}, "paras")
    yield from _list(paras.get("devices"), "devices", 50, lambda item: _members(
        item, {"node_id": _text, "product_id": _text}, optional, "device"))


def _delete(paras):
    yield from _members(paras, {"devices": lambda v: True}, {}, "paras")
    yield from _list(paras.get("devices"), "devices", 50,
                     lambda item: () if _text(item) else (f"device {item!r}",))


_PARAS = {"version_report": _version_report, "upgrade_progress_report": _progress,
          "sub_device_update_status": _statuses, "sub_device_sync_request": _sync,
          "add_sub_device_request": _add, "delete_sub_device_request": _delete}


def _service(service):
    yield from _members(service, {"service_id": lambda v: v in EVENTS, "event_type": _text,
                                  "paras": lambda v: isinstance(v, dict)},
                        {"event_time": lambda v: _text(v) and bool(TIME.fullmatch(v)),
                         "event_id": _text}, "service")
    if not isinstance(service, dict):
        return
    kind = service.get("event_type")
    if kind not in EVENTS.get(service.get("service_id"), ()):
        yield f"no such event: {service.get('service_id')} {kind}"
    elif isinstance(service.get("paras"), dict):
        yield from _PARAS[kind](service["paras"])
    if kind in _IDS and "event_id" not in service:
        yield f"{kind} without event_id"


def _properties(service):
    yield from _members(service, {"service_id": _text,
                                  "properties": lambda v: isinstance(v, dict)},
                        {"event_time": lambda v: _text(v) and bool(TIME.fullmatch(v))}, "service")


def _answer(kind, body):
    if kind == "commands":
        yield from _members(body, {"result_code": _number},
                            {"response_name": _text, "paras": lambda v: isinstance(v, dict)},
                            "answer")
    elif kind == "properties/set":
        yield from _members(body, {"result_code": _number},
                            {"result_desc": lambda v: _text(v, 1024)}, "answer")
    else:
        yield from _members(body, {"services": lambda v: isinstance(v, list)},
                            {"result_code": _number, "result_desc": lambda v: _text(v, 1024)},
                            "answer")
        for service in body.get("services") or ():
            yield from _properties(service)


def decode(payload):
    """The JSON object of a payload; ValueError."""
    def pairs(items):
        names = [name for name, _ in items]
        if len(names) != len(set(names)):
            raise ValueError("a member twice")
        return dict(items)
    body = json.loads(payload.decode("utf-8"), object_pairs_hook=pairs)
    if not isinstance(body, dict):
        raise ValueError("no JSON object")
    return body


def check(topic, body):
    match = RESPONSE.fullmatch(topic)
    if topic == "events/up":
        yield from _members(body, {"services": lambda v: isinstance(v, list) and v},
                            {"object_device_id": _text}, "event")
        for service in body.get("services") or ():
            yield from _service(service)
    elif topic == "gateway/sub_devices/properties/report":
        yield from _list(body.get("devices"), "devices", 100, lambda item: _members(
            item, {"device_id": _text, "services": lambda v: isinstance(v, list) and v}, {},
            "device"))
        for device in body.get("devices") or ():
            for service in device.get("services") or ():
                yield from _properties(service)
    elif match:
        yield from _answer(match[1], body)
    else:
        yield f"no such topic: {topic}"
