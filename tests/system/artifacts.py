# SPDX-License-Identifier: Apache-2.0
"""An HTTP server for images on loopback, with the faults that downloads meet."""
import hashlib
import http.server
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What happens to the next requests of a path; `times` counts down, None: for ever."""
    status: int = None  # answer with this instead
    cut_after: int = None  # bytes of the body, then the connection is closed
    hold_after: int = None  # bytes of the body, then wait for gate
    gate: threading.Event = field(default_factory=threading.Event)
    location: str = None  # redirect
    no_range: bool = False  # always the whole file, as simple servers do
    no_length: bool = False  # the end of the connection ends the body
    pace: float = 0.0  # seconds after each 4 KiB of the body
    times: int = None


@dataclass(eq=False)
class Hit:
    path: str
    range: str
    if_range: str
    status: int = None
    sent: int = 0  # bytes of body
    authorization: str = None


class ArtifactServer:
    """Serves `files` {"/name": bytes}; counts and remembers requests."""

    def __init__(self, authority=None):
        self.files, self.hits = {}, []
        self._faults = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.scheme = "http"
        if authority:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.issue("artifacts"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def add(self, path, content):
        """The URI of a file that is served from now on."""
        self.files[path] = content
        return self.uri(path)

    def uri(self, path):
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}{path}"

    def fault(self, path, **settings):
        fault = Fault(**settings)
        with self._lock:
            self._faults[path] = fault
        return fault

    def heal(self, path):
        with self._lock:
            fault = self._faults.pop(path, None)
        if fault:
            fault.gate.set()

    def _take_fault(self, path):
        with self._lock:
            fault = self._faults.get(path)
            if fault and fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self._faults[path]
            return fault or Fault()

    def requests(self, path=None):
        with self._lock:
            return [hit for hit in self.hits if path in (None, hit.path)]

    def note(self, hit):
        with self._changed:
            if hit not in self.hits:
                self.hits.append(hit)
            self._changed.notify_all()

    def wait_requests(self, path, count, timeout=20.0):
        with self._changed:
            if not self._changed.wait_for(
                    lambda: len([h for h in self.hits if h.path == path]) >= count, timeout):
                raise TimeoutError(f"no {count} requests of {path}: {self.hits}")

    def wait_sent(self, path, count, timeout=20.0):
        """Until a request of the path has been sent at least `count` bytes."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: any(h.path == path and h.sent >= count for h in self.hits), timeout):
                raise TimeoutError(f"{path} was not sent {count} bytes: {self.hits}")

    def close(self):
        for path in list(self._faults):
            self.heal(path)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that went away, or a TLS handshake it refused: its test tells


def _handler(owner):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._serve(body=False)

        def do_GET(self):
            self._serve(body=True)

        def _serve(self, body):
            path = self.path.split("?")[0]
            hit = Hit(path, self.headers.get("Range"), self.headers.get("If-Range"),
                      authorization=self.headers.get("Authorization"))
            fault = owner._take_fault(path)
            content = owner.files.get(path)
            if fault.location:
                self._empty(hit, 302, fault.location)
            elif fault.status or content is None:
                self._empty(hit, fault.status or 404)
            else:
                self._content(hit, fault, content, body)

        def _empty(self, hit, status, location=None):
            hit.status = status
            owner.note(hit)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _content(self, hit, fault, content, body):
            tag = '"' + hashlib.sha256(content).hexdigest()[:16] + '"'
            start, end, hit.status = _range(hit, tag, len(content), fault.no_range)
            owner.note(hit)
            if hit.status == 416:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(hit.status)
            self.send_header("ETag", tag)
            self.send_header("Content-Type", "application/octet-stream")
            if not fault.no_range:
                self.send_header("Accept-Ranges", "bytes")
            if hit.status == 206:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            if fault.no_length:
                self.send_header("Connection", "close")
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if body:
                self._body(hit, fault, content[start:end])

        def _body(self, hit, fault, content):
            if fault.hold_after is not None:
                self._write(hit, fault, content[:fault.hold_after])
                fault.gate.wait(60)
                content = content[fault.hold_after:]
            if fault.cut_after is not None:
                self._write(hit, fault, content[:fault.cut_after])
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._write(hit, fault, content)

        def _write(self, hit, fault, content):
            for at in range(0, len(content), 4096):
                self.wfile.write(content[at:at + 4096])
                self.wfile.flush()
                hit.sent += len(content[at:at + 4096])
                owner.note(hit)
                time.sleep(fault.pace)

    return Handler


def _range(hit, tag, size, no_range):
    """(start, end, status) of the answer."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", hit.range or "")
    if no_range or not match or (hit.if_range and hit.if_range != tag):
        return 0, size, 200
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    return (start, end, 206) if start < end else (0, 0, 416)
