# SPDX-License-Identifier: Apache-2.0
"""The door of a scripted IoT hub: what stands between devices and a plain MQTT broker.

On a hub the topics `$iothub/...` belong to the connection. So this relay reads each MQTT packet of
a device and puts its identity into the topics: `$iothub/X` of device D is `hub/D/up/X` on the
broker, and what is published to `hub/D/down/X` reaches D as `$iothub/X`. It checks the login as a
hub does (user name, signature, expiry, or a client certificate), lets a new connection of the same
device end the old one, ends one whose token has expired, and refuses what a hub refuses. TCP or
TLS, with or without WebSocket, on one port.

Documented behaviour only (Microsoft, "Communicate with your IoT hub using the MQTT protocol").
Thread: an asyncio loop of its own; `owner` is called from there.
"""
import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
import struct
import threading
import time
import urllib.parse

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, UNSUBSCRIBE = 1, 2, 3, 8, 10
ACCEPTED, BAD_USER = 0, 5
_USER = re.compile(r"([^/]+)/([^/?]+)/?\??(.*)")
_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def sign(resource, key, expiry):
    """The signature of a token, percent-encoded; the resource as it stands in the token."""
    code = hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256)
    return urllib.parse.quote(base64.b64encode(code.digest()).decode(), safe="")


class Refused(Exception):
    pass


class _Stream:
    """MQTT packets over a socket, or over WebSocket frames where the client begins with HTTP."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._websocket, self._buffer = False, b""

    async def begin(self):
        first = await self._reader.readexactly(1)
        if first != b"G":
            self._buffer = first
            return
        head = await self._reader.readuntil(b"\r\n\r\n")
        asked = head.partition(b" ")[2].partition(b" ")[0]  # of "ET /path HTTP/1.1"
        if not asked.startswith(b"/$iothub/websocket"):
            raise ValueError(f"a hub has no WebSocket at {asked!r}")
        key = re.search(rb"(?i)sec-websocket-key:\s*(\S+)", head)[1]
        accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_KEY).digest())
        self._writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                           b"Connection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n"
                           b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self._websocket = True

    async def _frame(self):
        head = await self._reader.readexactly(2)
        length = head[1] & 127
        if length == 126:
            length = struct.unpack(">H", await self._reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", await self._reader.readexactly(8))[0]
        mask = await self._reader.readexactly(4)
        data = await self._reader.readexactly(length)
        code = head[0] & 15
        if code == 8:
            raise asyncio.IncompleteReadError(b"", None)
        plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        if code == 9:
            self._writer.write(bytes((0x8A, len(plain))) + plain)
        elif code in (0, 1, 2):
            self._buffer += plain

    async def _take(self, count):
        while self._websocket and len(self._buffer) < count:
            await self._frame()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        if len(data) < count:
            data += await self._reader.readexactly(count - len(data))
        return data

    async def read(self):
        """(type, flags, body) of the next packet."""
        head = (await self._take(1))[0]
        length, shift = 0, 0
        while True:
            byte = (await self._take(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return head >> 4, head & 15, await self._take(length)

    async def write(self, kind, flags, body):
        length, rest = bytearray(), len(body)
        while True:
            rest, digit = rest >> 7, rest & 127
            length.append(digit | (128 if rest else 0))
            if not rest:
                break
        packet = bytes((kind << 4 | flags,)) + bytes(length) + body
        if self._websocket:
            size = len(packet)
            head = bytes((size,)) if size < 126 else (
                b"\x7e" + struct.pack(">H", size) if size < 65536
                else b"\x7f" + struct.pack(">Q", size))
            packet = b"\x82" + head + packet
        self._writer.write(packet)
        await self._writer.drain()

    def close(self):
        self._writer.close()


def _text(body, at):
    length = struct.unpack_from(">H", body, at)[0]
    return body[at + 2:at + 2 + length].decode(), at + 2 + length


def _packed(text):
    data = text.encode()
    return struct.pack(">H", len(data)) + data


class Front:
    """owner: known(id) -> key, "x509" or None; logged_in(), came(id), went(id), breach(id, text)."""

    def __init__(self, owner, broker_port, hub, context=None):
        self._owner, self._broker_port, self._hub = owner, broker_port, hub
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._here = {}  # id -> task of its connection
        self.logins = []  # (id, user, expiry or None, websocket)
        self.filters = set()  # (id, topic filter) that were ever subscribed
        self.port = None
        self._server = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def open(self):
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", self.port or 0,
                                                     ssl=self._context))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def drop(self, device):
        """Cuts the connection of one device."""
        self._loop.call_soon_threadsafe(lambda: self._cut(device))

    def refuse(self, on):
        """No new connection is taken, and those that are there end."""
        async def work():
            if on:
                self._server.close()
                for device in list(self._here):
                    self._cut(device)
            else:
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port,
                                                          ssl=self._context)
        self._do(work())

    def close(self):
        if self._loop.is_closed() or not self._thread.is_alive():
            return

        async def work():
            self._server.close()
            tasks = list(self._here.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            self._do(work())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _cut(self, device):
        task = self._here.pop(device, None)
        if task:
            task.cancel()

    # ---- logging in ----

    def _login(self, body, certificate):
        """(id, expiry) of a CONNECT that a hub takes; else Refused with why not."""
        name, at = _text(body, 0)
        level, flags = body[at], body[at + 1]
        client, at = _text(body, at + 4)
        if name != "MQTT" or level != 4 or flags & 4:
            raise Refused(f"protocol {name} {level}, flags {flags:02x}")
        user, at = _text(body, at) if flags & 0x80 else ("", at)
        password = _text(body, at)[0] if flags & 0x40 else None
        fits = _USER.fullmatch(user)
        if not fits or fits[1] != self._hub or fits[2] != client:
            raise Refused(f"user name {user!r} of client {client!r}")
        if "api-version" not in urllib.parse.parse_qs(fits[3]):
            raise Refused(f"no api-version in {user!r}")
        key = self._owner.known(client)
        if key is None:
            raise Refused(f"no device {client!r}")
        if key == "x509":
            if certificate != client or password is not None:
                raise Refused(f"certificate {certificate!r} of client {client!r}")
            return client, None, user
        return client, self._check_token(client, key, password or ""), user

    def _check_token(self, client, key, token):
        parts = dict(pair.partition("=")[::2] for pair in token.partition(" ")[2].split("&"))
        resource = urllib.parse.unquote(parts.get("sr", ""))
        expiry = parts.get("se", "")
        if not token.startswith("SharedAccessSignature ") or not expiry.isdigit():
            raise Refused(f"no token: {token[:30]!r}")
        if resource != f"{self._hub}/devices/{client}":
            raise Refused(f"token for {resource!r}")
        if not hmac.compare_digest(parts.get("sig", ""), sign(parts["sr"], key, expiry)):
            raise Refused("wrong signature")
        if int(expiry) <= time.time():
            raise Refused("expired token")
        return int(expiry)

    # ---- relaying ----

    async def _serve(self, reader, writer):
        stream = _Stream(reader, writer)
        try:
            await stream.begin()
            kind, flags, body = await stream.read()
            if kind != CONNECT:
                raise Refused(f"first packet {kind}")
            peer = writer.get_extra_info("peercert") or {}
            subject = dict(pair[0] for pair in peer.get("subject", ()))
            device, expiry, user = self._login(body, subject.get("commonName"))
        except Refused as reason:
            self._owner.breach(None, str(reason))
            with contextlib.suppress(OSError):
                await stream.write(CONNACK, 0, bytes((0, BAD_USER)))
            stream.close()
            return
        except (asyncio.IncompleteReadError, OSError, ValueError, TypeError):
            stream.close()
            return
        self.logins.append((device, user, expiry, stream._websocket))
        self._owner.logged_in()
        self._cut(device)  # a new connection ends the old one
        task = asyncio.current_task()
        self._here[device] = task
        ways, broker = [], None
        try:
            to, back = await asyncio.open_connection("127.0.0.1", self._broker_port)
            broker = _Stream(to, back)
            await broker.write(CONNECT, flags, body)
            ways = [asyncio.ensure_future(self._up(device, stream, broker)),
                    asyncio.ensure_future(self._down(device, broker, stream))]
            left = max(expiry - time.time(), 0) if expiry else None
            await asyncio.wait(ways, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for way in ways:
                way.cancel()
            stream.close()
            if broker:
                broker.close()
            await asyncio.gather(*ways, return_exceptions=True)
            if self._here.get(device) is task:
                del self._here[device]
            if device not in self._here:  # else another connection has taken its place
                self._owner.went(device)

    async def _up(self, device, stream, broker):
        while True:
            kind, flags, body = await stream.read()
            if kind == PUBLISH:
                topic, at = _text(body, 0)
                if flags & 6 == 4 or not topic.startswith(
                        ("$iothub/", f"devices/{device}/messages/events/")):
                    self._owner.breach(device, f"publish to {topic!r} with flags {flags}")
                    raise Refused("a hub closes the connection")
                body = _packed(topic.replace("$iothub", f"hub/{device}/up", 1)) + body[at:]
                flags &= ~1  # retain is not kept
            elif kind in (SUBSCRIBE, UNSUBSCRIBE):
                body = self._filters(device, kind, body)
            await broker.write(kind, flags, body)

    def _filters(self, device, kind, body):
        out, at = body[:2], 2
        while at < len(body):
            topic, at = _text(body, at)
            if not topic.startswith(("$iothub/methods/POST/", "$iothub/twin/res/",
                                     "$iothub/twin/PATCH/properties/desired/",
                                     f"devices/{device}/messages/devicebound/")):
                self._owner.breach(device, f"subscription of {topic!r}")
            self.filters.add((device, topic))
            out += _packed(topic.replace("$iothub", f"hub/{device}/down", 1))
            if kind == SUBSCRIBE:
                out += body[at:at + 1]
                at += 1
        return out

    async def _down(self, device, broker, stream):
        heard = False
        while True:
            kind, flags, body = await broker.read()
            if kind == PUBLISH:
                topic, at = _text(body, 0)
                body = _packed(topic.replace(f"hub/{device}/down", "$iothub", 1)) + body[at:]
            await stream.write(kind, flags, body)
            if kind == 9 and not heard:  # SUBACK: from now on it can be spoken to
                heard = True
                self._owner.came(device)
