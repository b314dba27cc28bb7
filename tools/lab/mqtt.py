"""As much of MQTT 3.1.1 as a test or a small meter needs: connect, publish at QoS 1, subscribe, receive."""

import json
import os
import socket
import struct
import urllib.parse

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9


class MqttError(Exception):
    """The broker refused, was silent, or went away."""


def _text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _length(n):
    out = bytearray()
    while True:
        n, digit = divmod(n, 128)
        out.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(out)


class Client:
    """One connection with a clean session; not thread-safe."""

    def __init__(self, url, username=None, password=None, client_id=None, timeout=10):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        self.buffer, self.messages, self.last_id = b"", [], 0
        flags = 0x02 | (0x80 if username else 0) | (0x40 if password else 0)
        body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", 60) + _text(client_id or f"lab-{os.urandom(6).hex()}")
        body += (_text(username) if username else b"") + (_text(password) if password else b"")
        self._send(0x10, body)
        code = self._await(CONNACK)[1]
        if code != 0:
            self.socket.close()
            raise MqttError(f"the broker refuses the connection: code {code}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._send(0xE0, b"")
        except OSError:
            pass
        self.socket.close()

    def publish(self, topic, value, retain=False):
        """Returns when the broker has taken it. A value that is no bytes is sent as JSON."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._send(0x32 | int(retain), _text(topic) + self._next_id() + data)
        self._await(PUBACK)

    def subscribe(self, topic):
        self._send(0x82, self._next_id() + _text(topic) + b"\x01")
        if self._await(SUBACK)[2] > 2:
            raise MqttError(f"the broker refuses the subscription to {topic}")

    def receive(self, timeout=10):
        """The next message as (topic, bytes); None when there is none for so long."""
        self.socket.settimeout(timeout)
        try:
            while not self.messages:
                self._packet()
        except socket.timeout:
            return None
        return self.messages.pop(0)

    def _next_id(self):
        self.last_id = self.last_id % 65535 + 1
        return struct.pack(">H", self.last_id)

    def _send(self, head, body):
        self.socket.sendall(bytes([head]) + _length(len(body)) + body)

    def _read(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(65536)
            if not data:
                raise MqttError("the broker has closed the connection")
            self.buffer += data

    def _packet(self):
        """Takes one packet off the connection only when all of it is there, so that a timeout loses nothing."""
        size = shift = 0
        at = 1
        while True:
            self._read(at + 1)
            size |= (self.buffer[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if self.buffer[at - 1] < 0x80:
                break
        self._read(at + size)
        head, body = self.buffer[0], self.buffer[at : at + size]
        self.buffer = self.buffer[at + size :]
        if head >> 4 == PUBLISH:
            end = 2 + struct.unpack(">H", body[:2])[0]
            quality = head >> 1 & 3
            self.messages.append((body[2:end].decode(), body[end + (2 if quality else 0) :]))
            if quality:
                self._send(0x40, body[end : end + 2])
        return head >> 4, body

    def _await(self, kind):
        try:
            while True:
                got, body = self._packet()
                if got == kind:
                    return body
        except socket.timeout:
            raise MqttError("the broker does not answer") from None
