# SPDX-License-Identifier: Apache-2.0
"""The door of a scripted IoTDA: what stands between a gateway and a plain MQTT broker.

A relay that reads the CONNECT of each connection and checks the login as the platform does: client
id `{device id}_0_{0|1}_{YYYYMMDDHH}` of UTC, user name the device id, password the HMAC-SHA256 of
the secret with the hour as its key, or a client certificate of that name. Bad ones get CONNACK 4. A
new connection of the same user ends the old one, whatever its client id. TCP or TLS.

Thread: one per connection and direction; `owner` is called from there.
"""
import contextlib
import datetime
import hashlib
import hmac
import re
import socket
import ssl
import struct
import threading

_CLIENT = re.compile(r"(.+)_0_([01])_(\d{10})")
_BAD_LOGIN = b"\x20\x02\x00\x04"


def sign(secret, hour):
    return hmac.new(hour.encode(), secret.encode(), hashlib.sha256).hexdigest()


def _text(body, at):
    size = struct.unpack(">H", body[at:at + 2])[0]
    return body[at + 2:at + 2 + size].decode(), at + 2 + size


def read_connect(take):
    """(whole packet, client id, user, password) by take(n bytes); ValueError: no such packet."""
    head = take(1)
    if head != b"\x10":
        raise ValueError("the first packet is no CONNECT")
    length, shift, digits = 0, 0, b""
    while True:
        digit = take(1)
        digits += digit
        length |= (digit[0] & 127) << shift
        shift += 7
        if digit[0] < 128:
            break
        if shift > 21:
            raise ValueError("an endless length")
    body = take(length)
    if body[:7] != b"\x00\x04MQTT\x04":
        raise ValueError("not MQTT 3.1.1")
    flags, at = body[7], 10
    if not flags & 2:
        raise ValueError("a session is to be kept: the platform keeps none")
    client, at = _text(body, at)
    if flags & 4:
        for _ in range(2):
            _, at = _text(body, at)
    user = password = None
    if flags & 128:
        user, at = _text(body, at)
    if flags & 64:
        password, at = _text(body, at)
    return head + digits + body, client, user, password


class Front:
    """owner: has secrets {device id: secret or "x509"}, came(id), left(id), breach(id, text)."""

    def __init__(self, owner, broker_port, context=None):
        self._owner, self._broker_port, self._context = owner, broker_port, context
        self._lock = threading.Lock()
        self._open = {}  # user -> its sockets
        self._closed = self._refusing = False
        self.logins = []  # (client id, user)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def open(self):
        self._thread.start()

    def close(self):
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for user in list(self._open):
            self.drop(user)
        self._thread.join(5)

    def refuse(self, on):
        """Ends what is there, and lets nobody in while it is on."""
        self._refusing = on
        if on:
            for user in list(self._open):
                self.drop(user)

    def drop(self, user):
        with self._lock:
            sockets = self._open.pop(user, ())
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(20)
        try:
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
            if self._refusing:
                client.close()
                return
            packet, name, user, password = read_connect(lambda n: _exactly(client, n))
        except (OSError, ValueError, IndexError, UnicodeDecodeError, struct.error) as error:
            if isinstance(error, ValueError):
                self._owner.breach(None, f"CONNECT: {error}")
            client.close()
            return
        self.logins.append((name, user))
        wrong = self._wrong(client, name, user, password)
        if wrong:
            self._owner.breach(user, f"login: {wrong}")
            client.sendall(_BAD_LOGIN)
            client.close()
            return
        self._relay(client, user, packet)

    def _wrong(self, client, name, user, password):
        match = _CLIENT.fullmatch(name)
        secret = self._owner.secrets.get(user)
        if not match or match[1] != user:
            return f"client id {name!r} of user {user!r}"
        if secret is None:
            return f"no such device: {user!r}"
        hour = match[3]
        now = datetime.datetime.now(datetime.timezone.utc)
        near = {(now + datetime.timedelta(minutes=m)).strftime("%Y%m%d%H") for m in (-5, 0, 5)}
        if match[2] == "1" and hour not in near:
            return f"the hour {hour} is not now"
        if secret == "x509":
            names = dict(part[0] for part in (client.getpeercert() or {}).get("subject", ()))
            return None if names.get("commonName") == user else f"certificate of {names}"
        return None if password == sign(secret, hour) else "the password"

    def _relay(self, client, user, packet):
        try:
            broker = socket.create_connection(("127.0.0.1", self._broker_port))
        except OSError:  # it is down: so is the platform
            client.close()
            return
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broker.sendall(packet)
        client.settimeout(None)
        self.drop(user)
        pair = (client, broker)
        with self._lock:
            self._open[user] = pair
        self._owner.came(user)
        other = threading.Thread(target=_pump, args=(broker, client), daemon=True)
        other.start()
        _pump(client, broker)
        other.join()
        with self._lock:
            mine = self._open.get(user) is pair
            if mine:
                del self._open[user]
            gone = user not in self._open
        for sock in pair:
            sock.close()
        if gone:
            self._owner.left(user)


def _exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise OSError("the connection ended")
        data += more
    return data


def _pump(source, target):
    with contextlib.suppress(OSError, ssl.SSLError):
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
