# SPDX-License-Identifier: Apache-2.0
"""How a scripted cloud lives: a client of an MQTT broker, most often behind a door of its own; what
it noted; waiting. The clouds themselves: alibaba_platform.py, azure_platform.py,
huawei_platform.py, ibm_platform.py.

Threads: Paho's loop thread hears; whoever waits does so on one condition, with a deadline.
"""
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt


class CloudLife:
    """client: its MQTT client id; topics: as subscribe() takes them."""

    def __init__(self, broker_port, client, topics, *, host="127.0.0.1", clean_session=True):
        self.violations = []  # (who, text)
        self.tolerated = []  # parts of texts that a test provokes
        self.failures = []  # exceptions of our own code in Paho's thread
        self.front = None  # the door; whoever derives from this makes it, if there is one
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._subscribed = False
        self._address, self._topics = (host, broker_port), topics
        self._client = mqtt.Client(client, clean_session=clean_session)
        self._client.reconnect_delay_set(0.1, 1)
        # An answer in lock-step otherwise waits for a delayed acknowledgement.
        self._client.on_socket_open = lambda _c, _u, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def __enter__(self):
        return self.open()

    def __exit__(self, *_):
        self.close()

    def open(self, timeout=10.0):
        """Connects and subscribes; keeps connecting again whenever the connection is lost."""
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()
        try:
            self.wait(lambda: self._subscribed, timeout, "subscription of the cloud")
        except TimeoutError:
            self._hang_up()
            raise
        if self.front:
            self.front.open()
        return self

    def close(self):
        if self.front:
            self.front.close()
        self._hang_up()

    def _hang_up(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client, _userdata, _flags, rc):
        if rc == 0:
            client.subscribe(self._topics)

    def _on_subscribe(self, *_):
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_disconnect(self, *_):
        with self._changed:
            self._subscribed = False
            self._changed.notify_all()

    def _on_message(self, _client, _userdata, message):
        try:
            self._receive(message)
        except Exception as error:  # a bug of ours must fail the test, not vanish in a thread
            with self._changed:
                self.failures.append(error)
                self._changed.notify_all()
            print(f"{type(self).__name__}: {error!r}", file=sys.stderr)

    def _receive(self, message):
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
                if self.failures:
                    raise RuntimeError("the script of the cloud failed") from self.failures[0]
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
