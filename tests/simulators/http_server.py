#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A web server that misbehaves on demand, for tests of downloads.

What it does is said by the query of the URI that is asked for:
  size=N seed=S     the file: N bytes, byte i is (i mod 251) xor S
  etag=T weak=1     its ETag (weak); lm=1: Last-Modified of long ago instead; none=1: neither
  drop=N            closes the connection after N bytes of body
  stall=N           sends N bytes of body, then nothing; stall=head: not even a status
  rate=N            bytes per second
  noranges=1        ignores Range; badrange=1: sends another range than was asked for
  ranged=1          sends 206 unasked
  chunked=1         without a length; close=1: ended by closing only; endless=1: never ends
  more=N            announces N bytes more than it sends
  status=N          answers N; to=URI: with a Location; to=self: itself
  head=KIND         hostile header lines: flood, long, nul, twice, junk
/log answers what was asked so far as JSON, and forgets it.
A request for a whole URI (as to a proxy) is answered like any other.

Prints its port, with --tls DIR two of them (the second with TLS, its certificate in DIR/cert.pem),
and ends when its stdin does.
"""
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qsl, urlsplit

LOCK = threading.Lock()
LOG = []
MODIFIED = "Mon, 06 Jan 2025 10:00:00 GMT"


def content(size, seed):
    block = bytes((i ^ seed) & 0xFF for i in range(251))
    return (block * (size // 251 + 1))[:size]


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more or len(data) > 65536:
            return None
        data += more
    lines = data.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return lines[0].split(" ") + [headers]


def wait_for_end(connection):
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass


def send_body(connection, body, want):
    rate = int(want.get("rate", 0))
    step = max(1, rate // 20) if rate else 65536
    for at in range(0, len(body), step):
        part = body[at:at + step]
        if want.get("chunked"):
            part = b"%x\r\n%s\r\n" % (len(part), part)
        if rate:
            time.sleep(step / rate)
        connection.sendall(part)
    if want.get("chunked") and "drop" not in want:
        connection.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")


def hostile_head(connection, kind):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    if kind == "flood":
        while True:
            connection.sendall(b"X-Flood: 0123456789\r\n" * 1000)
    elif kind == "long":
        connection.sendall(b"X-Long: " + b"a" * 300000 + b"\r\n")
    elif kind == "nul":
        connection.sendall(b"ETag: \"a\0b\"\r\nX: \xff\xfe\r\nContent-Length: 5\r\n\r\nhello")
    elif kind == "twice":
        connection.sendall(b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
    elif kind == "junk":
        connection.sendall(b"no colon here\r\n: empty\r\nETag:\r\nContent-Range: bytes x\r\n\r\n")


def choose_range(headers, size, validator, want):
    """(status, first byte)"""
    asked = headers.get("range", "")
    if want.get("ranged"):
        return 206, 0
    if not asked.startswith("bytes=") or want.get("noranges"):
        return 200, 0
    if "if-range" in headers and headers["if-range"] != validator:
        return 200, 0
    first = int(asked[6:].split("-")[0])
    if first >= size:
        return 416, size
    if want.get("badrange"):
        return 206, first // 2
    return 206, first


def send_head(connection, status, lines):
    text = "".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status} Scripted"] + lines)
    connection.sendall(text.encode() + b"\r\n")


def serve_file(connection, headers, want):
    size, seed = int(want.get("size", 0)), int(want.get("seed", 0))
    validator, lines = None, ["Connection: close", f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}"]
    if want.get("lm"):
        validator = MODIFIED
        lines.append(f"Last-Modified: {MODIFIED}")
    elif not want.get("none"):
        validator = f"\"{want.get('etag', 'v1')}\""
        lines.append(f"ETag: {'W/' if want.get('weak') else ''}{validator}")
    status, first = choose_range(headers, size, validator, want)
    body = content(size, seed)[first:]
    if status == 206:
        lines.append(f"Content-Range: bytes {first}-{size - 1}/{size}")
    if status == 416:
        lines.append(f"Content-Range: bytes */{size}")
    if want.get("chunked") or want.get("endless"):
        lines.append("Transfer-Encoding: chunked")
    elif not want.get("close"):
        lines.append(f"Content-Length: {len(body) + int(want.get('more', 0))}")
    send_head(connection, status, lines)
    while want.get("endless"):
        connection.sendall(b"10000\r\n" + b"e" * 65536 + b"\r\n")
    if "stall" in want:
        send_body(connection, body[:int(want["stall"])], want)
        wait_for_end(connection)
        return
    send_body(connection, body[:int(want.get("drop", size))], want)


def answer(connection):
    request = read_head(connection)
    if not request or len(request) != 4:
        return
    _, target, _, headers = request
    parts = urlsplit(target)
    want = dict(parse_qsl(parts.query))
    if parts.path == "/log":
        with LOCK:
            body = json.dumps({"requests": LOG}).encode()
            LOG.clear()
        send_head(connection, 200, [f"Content-Length: {len(body)}", "Connection: close"])
        connection.sendall(body)
        return
    with LOCK:
        LOG.append({"target": target, **headers})
    if want.get("stall") == "head":
        wait_for_end(connection)
    elif "head" in want:
        hostile_head(connection, want["head"])
    elif "status" in want:
        lines = ["Content-Length: 6", "Connection: close"]
        if "to" in want:
            lines.append(f"Location: {target if want['to'] == 'self' else want['to']}")
        send_head(connection, want["status"], lines)
        connection.sendall(b"scream")
    else:
        serve_file(connection, headers, want)


def handle(connection, context):
    try:
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        answer(connection)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(5)
        wait_for_end(connection)
    except (OSError, ValueError):
        pass
    finally:
        connection.close()


def listen(context):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=(connection, context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    return context


def main():
    print(listen(None), flush=True)
    if len(sys.argv) == 3 and sys.argv[1] == "--tls":
        print(listen(certificate(sys.argv[2])), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
