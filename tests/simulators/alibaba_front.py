# SPDX-License-Identifier: Apache-2.0
"""The door of a scripted Alibaba platform: what stands between a device and a plain MQTT broker.

The platform checks a login by the HMAC in it, and delivers a device's topics without being asked
to. So this relay reads CONNECT, checks it, passes all packets on to the broker, and subscribes
there in the device's place: its own topics at once, those of a sub-device when it logs in.

Documented behaviour only (Alibaba Cloud, "MQTT-TCP connection communications" and the list of
topics that are subscribed automatically).
Thread: an asyncio loop of its own; `owner` is called from there.
"""
import asyncio
import contextlib
import hashlib
import hmac
import re
import struct
import threading

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK = 1, 2, 3, 8, 9
BAD_USER = 4
OWN = 60000  # packet ids from here are the door's own
ANSWER = re.compile(r"/sys/.*/thing/service/.*_reply")
METHODS = {"hmacsha1": hashlib.sha1, "hmacsha256": hashlib.sha256, "hmacmd5": hashlib.md5}
BY_LENGTH = {32: hashlib.md5, 40: hashlib.sha1, 64: hashlib.sha256}

# What reaches a device, by rest of the topic below /sys/{product}/{name}/.
DOWN = ["thing/service/property/set", "thing/service/property/get", "thing/service/+",
        "thing/event/property/post_reply", "thing/sub/register_reply", "thing/topo/add_reply",
        "thing/topo/delete_reply", "thing/topo/get_reply", "thing/topo/add/notify",
        "thing/topo/change", "thing/disable", "thing/enable", "thing/delete",
        "thing/ota/firmware/get_reply", "thing/job/notify", "thing/job/get_reply",
        "thing/job/update_reply", "thing/config/push", "thing/config/get_reply",
        "thing/file/download_reply"]


def signed(params, secret, method):
    """Hex of the HMAC over the sorted params, as logins and topology entries have it."""
    left_out = ("sign", "signMethod", "signmethod", "cleanSession")
    text = "".join(f"{key}{params[key]}" for key in sorted(params) if key not in left_out)
    return hmac.new(secret.encode(), text.encode(), METHODS[method.lower()]).hexdigest()


async def read_packet(reader):
    """(first byte, body)"""
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, await reader.readexactly(length)


def packet(first, body):
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = rest >> 7, rest & 127
        length.append(digit | (128 if rest else 0))
        if not rest:
            return bytes((first,)) + bytes(length) + body


def texts(body, at, count):
    found = []
    for _ in range(count):
        size = struct.unpack_from(">H", body, at)[0]
        found.append(body[at + 2:at + 2 + size].decode())
        at += 2 + size
    return found


class _Device:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.upstream = None  # writer
        self.next = OWN

    def subscribe(self, product, name, gateway):
        filters = [f"/sys/{product}/{name}/{rest}" for rest in DOWN]
        filters.append(f"/ota/device/upgrade/{product}/{name}")
        if gateway:
            filters += [f"/ext/error/{product}/{name}"] + [
                f"/ext/session/{product}/{name}/combine/{rest}_reply"
                for rest in ("login", "batch_login", "logout", "batch_logout")]
        body = struct.pack(">H", self.next)
        self.next = self.next + 1 if self.next < 65535 else OWN
        for topic in filters:
            body += struct.pack(">H", len(topic)) + topic.encode() + b"\x01"
        self.upstream.write(packet(SUBSCRIBE << 4 | 2, body))


class Front:
    """secret_of(product, name) -> secret or None; owner.connected(product, name, how)."""

    def __init__(self, owner, broker_port):
        self._owner, self._broker_port = owner, broker_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._devices = {}  # (product, name) -> _Device
        self._server, self.port = None, None
        self.refusing = False
        self.unasked = True  # topics are delivered without a subscription
        self.logins = []  # (product, name, client id, method)

    def open(self):
        self._thread.start()
        future = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        future.result(10)

    async def _open(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self):
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self):
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self):
        """Ends all connections, as a network would."""
        async def cut():
            for device in self._devices.values():
                device.writer.transport.abort()
        asyncio.run_coroutine_threadsafe(cut(), self._loop).result(10)

    def admit(self, gateway, product, name):
        """The topics of a sub-device go to its gateway from now on, before any further message."""
        async def admit():
            device = self._devices.get(gateway)
            if device and device.upstream and self.unasked:
                device.subscribe(product, name, False)
                await device.upstream.drain()
        asyncio.run_coroutine_threadsafe(admit(), self._loop).result(10)

    # ---- one connection ----

    def _check(self, body):
        """(product, name) of a CONNECT that is in order."""
        flags = body[7]
        client, user, password = texts(body, 10, 3) if flags & 0xC4 == 0xC0 else ("", "", "")
        own, _, rest = client.partition("|")
        extras = dict(pair.partition("=")[::2] for pair in rest.strip("|").split(",") if pair)
        name, _, product = user.partition("&")
        secret = self._owner.secret_of(product, name)
        if not secret or self.refusing:
            return None
        params = {"clientId": own, "deviceName": name, "productKey": product}
        if "timestamp" in extras:
            params["timestamp"] = extras["timestamp"]
        text = "".join(f"{key}{params[key]}" for key in sorted(params))
        method = METHODS.get(extras.get("signmethod", "hmacmd5").lower())
        # One package announces SHA-256 and signs with SHA-1: the length tells.
        digest = BY_LENGTH.get(len(password), method)
        good = hmac.new(secret.encode(), text.encode(), digest).hexdigest()
        if not hmac.compare_digest(good, password.lower()):
            return None
        self.logins.append((product, name, client, extras.get("signmethod")))
        return product, name

    async def _serve(self, reader, writer):
        device, who = _Device(reader, writer), None
        try:
            first, body = await read_packet(reader)
            who = self._check(body) if first >> 4 == CONNECT else None
            if not who:
                writer.write(packet(CONNACK << 4, bytes((0, BAD_USER))))
                await writer.drain()
                return
            old = self._devices.pop(who, None)
            if old:
                old.writer.transport.abort()
            self._devices[who] = device
            await self._relay(device, who, packet(first, body))
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            if who and self._devices.get(who) is device:
                del self._devices[who]
                self._owner.disconnected(*who)
            writer.close()

    async def _relay(self, device, who, connect):
        down, device.upstream = await asyncio.open_connection("127.0.0.1", self._broker_port)
        tasks = []
        try:
            device.upstream.write(connect)
            first, body = await read_packet(down)
            if self.unasked:
                device.subscribe(*who, True)
                await read_packet(down)  # its SUBACK: what is sent from now on arrives
            self._owner.connected(*who)
            device.writer.write(packet(first, body))
            tasks = [asyncio.ensure_future(self._up(device)),
                     asyncio.ensure_future(self._down(device, down))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
            device.upstream.transport.abort()

    @staticmethod
    async def _up(device):
        while True:
            device.upstream.write(packet(*await read_packet(device.reader)))
            await device.upstream.drain()

    @staticmethod
    async def _down(device, down):
        while True:
            first, body = await read_packet(down)
            own = first >> 4 == SUBACK and struct.unpack_from(">H", body)[0] >= OWN
            # A wildcard over services takes a device's own answers as well, which no platform does.
            echo = first >> 4 == PUBLISH and ANSWER.fullmatch(texts(body, 0, 1)[0])
            if not own and not echo:
                device.writer.write(packet(first, body))
                await device.writer.drain()
