"""A host that does its worst at a broker, as fast as it can and one thing at a time.

    python -m tests.bench.hostile_host BROKER_PORT SLUG ADDRESS WHAT SECONDS

WHAT is one of ``DEEDS``, ADDRESS what a proxy in front would call it. Whatever ends a
connection, the next one follows at once. It prints a line when it begins, and at its end one
JSON document with what it has done. ``nothing`` only takes a core: what that alone costs the
others is the machine's.
"""

import json
import select
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

from agentgather.link.proof import owner_of, prove
from agentgather.wire.link import (
    LINK_PATH,
    SUBPROTOCOL,
    Challenge,
    Ping,
    Register,
    Registered,
    decode_from_broker,
    encode_frame,
)
from tests.bench.clients import HEAD_END, connect
from tests.edge.frames import BINARY, CONTINUATION, FIELDS, frame

LANES = 8
"""Connections side by side, where each lives for a moment."""
BLOCK = 1000
PINGS = frame(BINARY, encode_frame(Ping(id=1))) * BLOCK
FRAGMENTS = frame(CONTINUATION, b"x", fin=False) * BLOCK


class Ended(Exception):
    """The broker has ended the connection, or turned it away."""


class Hostile:
    """One host of one slug. ``done`` counts what it did."""

    def __init__(self, port: int, slug: str, address: str, until: float) -> None:
        self.done: Counter[str] = Counter()
        self.until = until
        self._port = port
        self._slug = slug
        self._secret = f"agh_{slug}"
        lines = [
            f"GET {LINK_PATH} HTTP/1.1",
            "Host: 127.0.0.1",
            f"X-Forwarded-For: {address}",
            *FIELDS,
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
            "\r\n",
        ]
        self._handshake = "\r\n".join(lines).encode()

    def pings(self) -> None:
        with self._connect() as connection:
            self._register(connection)
            self._pour(connection, PINGS)

    def fragments(self) -> None:
        with self._connect() as connection:
            self._register(connection)
            connection.sendall(frame(BINARY, b"x", fin=False))
            self._pour(connection, FRAGMENTS)

    def comings(self) -> None:
        with self._connect() as connection:
            self._register(connection)

    def handshakes(self) -> None:
        with self._connect() as connection:
            self._challenge(connection)

    def nothing(self) -> None:
        while time.perf_counter() < self.until:
            pass

    # --- What they are made of ---------------------------------------------------------
    def _connect(self) -> socket.socket:
        connection = connect(self._port)
        connection.settimeout(max(0.001, self.until - time.perf_counter()))
        return connection

    def _challenge(self, connection: socket.socket) -> tuple[Challenge, bytearray]:
        connection.sendall(self._handshake)
        received = bytearray()
        while HEAD_END not in received:
            received += _some(connection)
        if not received.startswith(b"HTTP/1.1 101 "):
            self.done["turned away"] += 1
            raise Ended
        del received[: received.index(HEAD_END) + len(HEAD_END)]
        challenge = decode_from_broker(_message(connection, received))
        assert isinstance(challenge, Challenge)
        self.done["handshakes"] += 1
        return challenge, received

    def _register(self, connection: socket.socket) -> None:
        challenge, received = self._challenge(connection)
        proof = prove(self._secret, self._slug, challenge.nonce)
        claim = Register(slug=self._slug, owner=owner_of(self._secret), proof=proof)
        connection.sendall(frame(BINARY, encode_frame(claim)))
        if not isinstance(decode_from_broker(_message(connection, received)), Registered):
            self.done["refused"] += 1
            raise Ended
        self.done["registered"] += 1

    def _pour(self, connection: socket.socket, block: bytes) -> None:
        """Send it again and again, and read what comes, until the broker has enough."""
        connection.setblocking(False)
        poll = select.poll()
        poll.register(connection, select.POLLIN | select.POLLOUT)
        rest = memoryview(block)
        while time.perf_counter() < self.until:
            for _, events in poll.poll(100):
                if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    _some(connection)
                if events & select.POLLOUT:
                    sent = connection.send(rest)
                    self.done["frames"] += sent * BLOCK // len(block)
                    rest = rest[sent:] or memoryview(block)


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise Ended
    return data


def _message(connection: socket.socket, received: bytearray) -> bytes:
    """Take the next short message of a WebSocket, and leave what follows it."""
    while len(received) < 4 or len(received) < 2 + received[1] + 2 * (received[1] == 126):
        received += _some(connection)
    start, size = 2, received[1]
    if size == 126:
        start, size = 4, int.from_bytes(received[2:4], "big")
    while len(received) < start + size:
        received += _some(connection)
    if received[0] & 15 != BINARY:
        raise Ended
    message = bytes(received[start : start + size])
    del received[: start + size]
    return message


DEEDS: dict[str, tuple[Callable[[Hostile], None], int]] = {
    "nothing": (Hostile.nothing, 1),
    "pings": (Hostile.pings, 1),
    "fragments": (Hostile.fragments, 1),
    "comings": (Hostile.comings, LANES),
    "handshakes": (Hostile.handshakes, LANES),
}


def repeat(hostile: Hostile, deed: Callable[[Hostile], None]) -> None:
    while time.perf_counter() < hostile.until:
        try:
            deed(hostile)
        except (Ended, OSError):
            hostile.done["ended"] += 1


def main() -> None:
    port, slug, address, what, seconds = sys.argv[1:]
    deed, lanes = DEEDS[what]
    hostile = Hostile(int(port), slug, address, time.perf_counter() + float(seconds))
    print("begins", flush=True)
    working = [threading.Thread(target=repeat, args=(hostile, deed)) for _ in range(lanes)]
    for one in working:
        one.start()
    for one in working:
        one.join()
    print(json.dumps(hostile.done))


if __name__ == "__main__":
    main()
