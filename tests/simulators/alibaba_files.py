# SPDX-License-Identifier: Apache-2.0
"""The file server of a scripted Alibaba platform: files that are downloaded over MQTT, a block at a
time, by streamId and fileId.

A reply is binary: two bytes, big-endian, with the length of a JSON header; the header; the block;
its CRC-16/ARC, low byte first. It notes a request that breaks the rules.

Documented behaviour only (Alibaba Cloud, "Download a file over MQTT"). Called under the platform's
lock.
"""
import json
import struct

LEAST, MOST = 256, 131072  # bytes of a block that may be asked for


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = _table()


def crc16(content):
    crc = 0
    for byte in content:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc


def frame(header, block, crc=None):
    head = json.dumps(header, separators=(",", ":")).encode()
    crc = crc16(block) if crc is None else crc
    return struct.pack(">H", len(head)) + head + block + struct.pack("<H", crc)


class FileServer:
    def __init__(self, breach, publish):
        self._breach, self._publish = breach, publish
        self._files = {}  # (streamId, fileId) -> content; None: it has ended
        self._streams = 14000
        self.requests = []  # (stream, offset, size)
        self.faults = []  # of the next replies: crc, short, offset, twice, silent, code; "": none
        self.hold_at = None  # from this offset on it is silent, until release()
        self._held = None
        self.wishes = 0  # requests that were answered well
        self.refused = 0  # whose stream has ended

    def add(self, content):
        """(streamId, fileId) of a new stream."""
        self._streams += 1
        self._files[(self._streams, 1)] = content
        return self._streams, 1

    def change(self, stream, content):
        self._files[stream] = content

    def end(self, data):
        """Requests for the stream of this push are refused from now on."""
        self._files[(data["streamId"], data["streamFileId"])] = None

    def offsets(self):
        return [offset for _, offset, _ in self.requests]

    def release(self):
        self.hold_at = None
        held, self._held = self._held, None
        if held:
            self._answer(*held)

    def hear(self, topic, envelope, who, gateway):
        params = envelope.get("params", {})
        info, block = params.get("fileInfo", {}), params.get("fileBlock", {})
        stream = (info.get("streamId"), info.get("fileId"))
        offset, size = block.get("offset"), block.get("size")
        if who != gateway:
            self._breach(who, "a sub-device asks for a file")
        if stream not in self._files:
            self._breach(who, f"no such stream: {stream}")
            return
        if self._files[stream] is None:
            self.refused += 1
            self._publish(topic + "_reply", frame(
                {"id": envelope.get("id"), "code": 400, "msg": "the stream has ended"}, b""))
            return
        if not isinstance(size, int) or not LEAST <= size <= MOST or \
                not isinstance(offset, int) or not 0 <= offset < len(self._files[stream]):
            self._breach(who, f"an illegal block: {block}")
            return
        self.requests.append((stream, offset, size))
        if self.hold_at is not None and offset >= self.hold_at:
            self._held = (topic, envelope, stream, offset, size)
        else:
            self._answer(topic, envelope, stream, offset, size)

    def _answer(self, topic, envelope, stream, offset, size):
        content = self._files[stream]
        block = content[offset:offset + size]
        fault = self.faults.pop(0) if self.faults else ""
        header = {"id": envelope.get("id"), "code": 200, "data": {
            "fileLength": len(content), "bSize": len(block), "bOffset": offset}}
        replies = {
            "": lambda: [frame(header, block)],
            "crc": lambda: [frame(header, block, crc16(block) ^ 0x0101)],
            "bits": lambda: [frame(header, block[:-1] + bytes((block[-1] ^ 4,)), crc16(block))],
            "short": lambda: [frame(header, block[:-1])],
            "cut": lambda: [frame(header, block)[:40]],
            "offset": lambda: [frame({**header, "data": {**header["data"],
                                                         "bOffset": offset + size}}, block)],
            "twice": lambda: [frame(header, block)] * 2,
            "silent": lambda: [],
            "code": lambda: [frame({"id": envelope.get("id"), "code": 400, "msg": "no"}, b"")],
        }[fault]()
        self.wishes += fault in ("", "twice")
        for reply in replies:
            self._publish(topic + "_reply", reply)
