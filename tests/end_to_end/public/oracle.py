"""People who write and people who wait, all at once, and who hold the room to what they saw.

Each has one connection. Whoever gets no good answer asks again in a moment, with the same
key or the same cursor, as the Attend Card says.
"""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import trio

from tests.doubles.history import Fault, History

IMPATIENCE_SECONDS: Final = 0.2
"""Sooner than `Retry-After`: what a room may not lose, it may not lose to the impatient."""
MAY_RETRY: Final = frozenset({429, 502, 503, 504})
ANSWER_SECONDS: Final = 60
_HEAD_END: Final = b"\r\n\r\n"


class Reply(NamedTuple):
    """An answer; ``retry_after`` is the header, or ""."""

    status: int
    retry_after: str
    document: dict[str, Any]


class Broken(Exception):
    """The connection ended before the answer was whole."""


class Client:
    """One participant's one connection to a room at ``port``, under ``prefix``."""

    def __init__(self, port: int, prefix: str, token: str) -> None:
        self._port = port
        self._prefix = prefix
        self._token = token
        self._stream: trio.SocketStream | None = None

    async def ask(self, method: str, path: str, body: object = None) -> Reply:
        """Ask once. Raises Broken."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {self._prefix}{path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {self._token}\r\n"
        )
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        try:
            with trio.fail_after(ANSWER_SECONDS):
                if self._stream is None:
                    self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
                await self._stream.send_all(f"{head}\r\n".encode() + data)
                return await _reply(self._stream)
        except (OSError, trio.BrokenResourceError, Broken) as error:
            await self.close()
            raise Broken from error

    async def close(self) -> None:
        """Hang up."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None


async def _reply(stream: trio.SocketStream) -> Reply:
    received = b""

    async def more() -> None:
        nonlocal received
        data = await stream.receive_some()
        if not data:
            raise Broken
        received += data

    while _HEAD_END not in received:
        await more()
    head, _, received = received.partition(_HEAD_END)
    line, *rest = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in rest)}
    while len(received) < int(fields["content-length"]):
        await more()
    return Reply(int(line.split(" ")[1]), fields.get("retry-after", ""), json.loads(received))


class Failure(NamedTuple):
    """A wait that failed, and when; ``status`` 0: its connection broke."""

    began: float
    ended: float
    status: int
    retry_after: str


class Oracle:
    """What all of them saw."""

    def __init__(self) -> None:
        self.history = History()
        self.failures: list[Failure] = []
        self.repeated_posts = 0
        self.idempotent = 0

    async def write(
        self, client: Client, alias: str, pause: float, goes_on: Callable[[], bool]
    ) -> None:
        """Post again and again, each message until it is acknowledged."""
        number = 0
        while goes_on():
            number += 1
            key = f"{alias}-{number}"
            body = {"text": f"message {key}", "client_msg_id": key}
            asked_at = self.history.now()
            while (message_id := await self._try_to_post(client, body)) is None:
                self.repeated_posts += 1
                await trio.sleep(IMPATIENCE_SECONDS)
            self.history.acknowledged(key, body["text"], message_id, asked_at)
            await trio.sleep(pause)
        await client.close()

    async def _try_to_post(self, client: Client, body: dict[str, str]) -> int | None:
        try:
            reply = await client.ask("POST", "/messages", body)
        except Broken:
            return None
        if reply.status in MAY_RETRY:
            return None
        assert reply.status in (200, 201), reply
        self.idempotent += reply.status == 200
        return int(reply.document["message"]["id"])

    async def wait(self, client: Client, name: str, query: str = "") -> None:
        """Wait until the room is closed and all of it was read."""
        since = 0
        while True:
            began, asked_at = trio.current_time(), self.history.now()
            try:
                reply = await client.ask("GET", f"/wait?since_id={since}{query}")
            except Broken:
                reply = Reply(0, "", {})
            if reply.status != 200:
                assert reply.status in {0, *MAY_RETRY}, reply
                self.failures.append(
                    Failure(began, trio.current_time(), reply.status, reply.retry_after)
                )
                await trio.sleep(IMPATIENCE_SECONDS)
                continue
            self.history.answered(
                name, since, reply.document, asked_at, wakes_for_all="for=me" not in query
            )
            since = reply.document["next_since_id"]
            if reply.document["next_cmd"] is None:
                break
        await client.close()

    def faults(self, log: list[dict[str, Any]]) -> list[Fault]:
        """Compare what was seen with the log; gives what is wrong with either."""
        return self.history.faults(log)
