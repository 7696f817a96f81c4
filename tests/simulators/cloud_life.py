# SPDX-License-Identifier: Apache-2.0
"""How a scripted cloud lives: a client of a plain MQTT broker, behind a door of its own; what it
noted; waiting. The clouds themselves: alibaba_platform.py, azure_platform.py, huawei_platform.py.
"""
import socket
import threading
import time

import paho.mqtt.client as mqtt


class CloudLife:
    """client: its MQTT client id; topics: as subscribe() takes them."""

    def __init__(self, broker_port, client, topics):
        self.violations = []  # (who, text)
        self.tolerated = []  # parts of texts that a test provokes
        self.front = None  # the door; whoever derives from this makes it
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._subscribed = False
        self._broker_port = broker_port
        self._client = mqtt.Client(client, clean_session=True)
        self._client.reconnect_delay_set(0.1, 1)
        self._client.on_socket_open = lambda _c, _u, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topics)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def __enter__(self):
        return self.open()

    def __exit__(self, *_):
        self.close()

    def open(self, timeout=10.0):
        self._client.connect_async("127.0.0.1", self._broker_port, keepalive=30)
        self._client.loop_start()
        self.wait(lambda: self._subscribed, timeout, "subscription of the cloud")
        self.front.open()
        return self

    def close(self):
        self.front.close()
        self._client.disconnect()
        self._client.loop_stop()

    def _on_subscribe(self, *_):
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_disconnect(self, *_):
        with self._changed:
            self._subscribed = False

    def _on_message(self, client, userdata, message):
        raise NotImplementedError

    @property
    def hearing(self):
        """It hears what is sent to it; not while its broker is away."""
        return self._subscribed

    def breach(self, who, text):
        with self._changed:
            self.violations.append((who, text))
            self._changed.notify_all()

    def breaches(self):
        with self._lock:
            return [f"{who}: {text}" for who, text in self.violations
                    if not any(part in text for part in self.tolerated)]

    def wait(self, condition, timeout, what):
        """Returns the condition's first true value; TimeoutError when there is none in time. what:
        a text, or a function that makes one."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                value = condition()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no {what() if callable(what) else what} within "
                                       f"{timeout:g} s; {self._known()}; "
                                       f"breaches: {self.violations}")
                self._changed.wait(min(left, 0.5))

    def _known(self):
        """For a message: what it was told."""
        return ""
