"""People and agents of one room: those who stay, and those who come and go.

What fails of what they ask is kept, with when it was, so that each failure can be laid to
the trouble that there was at that time.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final, NamedTuple

import h11
import trio

from tests.bench.seeds import token
from tests.end_to_end.public.oracle import IMPATIENCE_SECONDS, Broken, Client, Oracle, Reply

WRITERS: Final = {"p1": 2.0, "p2": 3.1}
"""Seats, and how many seconds each pauses between two posts."""
WAITERS: Final = ("p3", "p4")
FOLLOWER: Final = "p5"
VISITOR: Final = "p6"
HELD: Final = len(WAITERS) + 1
"""Waits and streams that are held at any calm moment."""
AGENTS: Final = ("p2", "p4")
SEATS: Final = 9
"""The host, those above, and two for whoever means harm."""
QUIET_SECONDS: Final = 40
"""A stream has a heartbeat each 15 s; one that is silent for so long is dead."""


class Failure(NamedTuple):
    """Something that was asked in vain; ``status`` 0: the connection broke."""

    began: float
    ended: float
    status: int
    what: str


class NotedClient(Client):
    """A client whose failures are kept."""

    def __init__(self, port: int, prefix: str, token: str, failures: list[Failure]) -> None:
        super().__init__(port, prefix, token)
        self._failures = failures

    async def ask(self, method: str, path: str, body: object = None) -> Reply:
        began = trio.current_time()
        status = 0
        try:
            reply = await super().ask(method, path, body)
            status = reply.status
        except trio.Cancelled:
            status = 200  # it is this client who left
            raise
        finally:
            if status not in (200, 201):
                what = f"{method} {path.partition('?')[0]}"
                self._failures.append(Failure(began, trio.current_time(), status, what))
        return reply


class People:
    """Those of the room ``slug`` at a broker's ``port``."""

    def __init__(self, port: int, slug: str, chance: Random) -> None:
        self.oracle = Oracle()
        self.failures: list[Failure] = []
        self.visits = 0
        self._port = port
        self._prefix = f"/{slug}"
        self._chance = chance

    def client(self, alias: str) -> NotedClient:
        return NotedClient(self._port, self._prefix, token(int(alias[1:])), self.failures)

    async def stay(self) -> None:
        """Wait and read on until the room is closed, and all of it was read."""
        async with trio.open_nursery() as staying:
            for alias in WAITERS:
                staying.start_soon(self.oracle.wait, self.client(alias), alias)
            staying.start_soon(self._follow)

    async def talk(self, turn: int, goes_on: Callable[[], bool]) -> None:
        """Write, come and go."""
        async with trio.open_nursery() as talking:
            for alias, pause in WRITERS.items():
                # Keys are counted from 1 in each turn.
                name = f"{alias}.{turn}"
                talking.start_soon(self.oracle.write, self.client(alias), name, pause, goes_on)
            talking.start_soon(self._come_and_go, goes_on)

    async def _come_and_go(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            client = self.client(VISITOR)
            try:
                await client.ask("POST", "/join", {})
                # Whoever closes a laptop says nothing.
                with trio.move_on_after(self._chance.uniform(0.5, 4)):
                    await client.ask("GET", "/wait?since_id=0&for=me")
                    await client.ask("GET", "/status")
                    await trio.sleep_forever()
                # What comes now is for nobody.
                await client.close()
                if self._chance.random() < 0.5:
                    await client.ask("POST", "/leave", {})
            except Broken:
                await trio.sleep(IMPATIENCE_SECONDS)
            finally:
                with trio.CancelScope(shield=True):
                    await client.close()
            self.visits += 1
            await trio.sleep(self._chance.uniform(0.5, 2))

    async def _follow(self) -> None:
        """Read the event stream, again and again from where it broke off, until it is closed."""
        while True:
            began = trio.current_time()
            status = 0
            with suppress(OSError, trio.BrokenResourceError, trio.TooSlowError, h11.ProtocolError):
                status = await self._read_stream()
            if status == 200:
                return
            ended = trio.current_time()
            self.failures.append(Failure(began, ended, status, "GET /events"))
            await trio.sleep(IMPATIENCE_SECONDS)

    async def _read_stream(self) -> int:
        """Read one stream. Gives 200 if the room was closed, the status of a refusal, or 0."""
        seen = self.oracle.history.seen(FOLLOWER)
        since = seen[-1]["id"] if seen else 0
        fields = [
            ("Host", f"127.0.0.1:{self._port}"),
            ("Authorization", f"Bearer {token(int(FOLLOWER[1:]))}"),
        ]
        target = f"{self._prefix}/events?since_id={since}"
        request = h11.Request(method="GET", target=target, headers=fields)
        parser = h11.Connection(h11.CLIENT)
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            await stream.send_all(
                (parser.send(request) or b"") + (parser.send(h11.EndOfMessage()) or b"")
            )
            text = b""
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    with trio.fail_after(QUIET_SECONDS):
                        parser.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Response) and event.status_code != 200:
                    return event.status_code
                elif isinstance(event, h11.Data):
                    *blocks, text = (text + bytes(event.data)).split(b"\n\n")
                    for block in blocks:
                        kind, data = _parse(block)
                        if kind == "message":
                            self.oracle.history.streamed(FOLLOWER, data)
                        elif kind == "closed":
                            return 200
                elif not isinstance(event, h11.Response):
                    return 0


def _parse(block: bytes) -> tuple[str, Any]:
    fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
    return fields["event"], json.loads(fields["data"])
