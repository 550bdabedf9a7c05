"""What goes wrong on purpose: tunnels that drop, a peer that means harm, and a host that does."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from tests.bench.floods import WHATS
from tests.bench.processes import REPOSITORY
from tests.bench.seeds import token
from tests.doubles.cutting_proxy import fail
from tests.doubles.raw_http import request
from tests.end_to_end.public.oracle import Broken, Client
from tests.soak.rooms import SoakRoom

CUT_EVERY_SECONDS: Final = 1.5
BACK_SECONDS: Final = 60
HALF_BODIES: Final = 8
NEVER_READING: Final = 4
GUESS_EVERY_SECONDS: Final = 0.1
FLOOD_EVERY_SECONDS: Final = 0.02
DEEDS: Final = tuple(what for what in WHATS if what != "nothing")


async def drop_tunnels(rooms: Sequence[SoakRoom], goes_on: Callable[[], bool]) -> None:
    """Let the network of one room after the other fail; return when all are back."""
    async with trio.open_nursery() as dropping:
        number = 0
        while goes_on():
            room = rooms[number % len(rooms)]
            if not room.is_away:
                dropping.start_soon(_drop, room, number)
            number += 1
            await trio.sleep(CUT_EVERY_SECONDS)


async def _drop(room: SoakRoom, number: int) -> None:
    assert room.proxy is not None
    began = trio.current_time()
    room.is_away = True
    passed = room.proxy.passed
    await fail(room.proxy, number)
    with trio.fail_after(BACK_SECONDS):
        while room.proxy.passed == passed:  # noqa: ASYNC110 - a process tells nobody
            await trio.sleep(0.02)
        await room.answers()
    room.outages.append((began, trio.current_time()))
    room.is_away = False


class Harm:
    """A participant of one room who means harm, from this process, at a pace; ``done`` counts."""

    def __init__(self, port: int, slug: str) -> None:
        self.done: Counter[str] = Counter()
        self._port = port
        self._prefix = f"/{slug}"

    async def run(self, goes_on: Callable[[], bool]) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(HALF_BODIES):
                nursery.start_soon(self._send_half, goes_on)
            for _ in range(NEVER_READING):
                nursery.start_soon(self._never_read, goes_on)
            nursery.start_soon(self._guess, goes_on)
            nursery.start_soon(self._flood, goes_on)

    def _head(self, method: str, path: str, *fields: str, seat: int = 7) -> bytes:
        host = f"127.0.0.1:{self._port}"
        return request(method, f"{self._prefix}{path}", *fields, token=token(seat), host=host)

    async def _send_half(self, goes_on: Callable[[], bool]) -> None:
        head = self._head(
            "POST", "/messages", "Content-Type: application/json", "Content-Length: 60000"
        )
        while goes_on():
            with suppress(OSError, trio.BrokenResourceError):
                async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                    await stream.send_all(head + b'{"text": "')
                    self.done["half bodies"] += 1
                    with trio.move_on_after(5):
                        await stream.receive_some()

    async def _never_read(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            with suppress(OSError, trio.BrokenResourceError):
                async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                    await stream.send_all(self._head("GET", "/export", seat=0))
                    self.done["answers that nobody reads"] += 1
                    await trio.sleep(5)

    async def _guess(self, goes_on: Callable[[], bool]) -> None:
        number = 0
        while goes_on():
            number += 1
            client = Client(self._port, self._prefix, f"agp_{number:043d}x")
            with suppress(Broken):
                reply = await client.ask("GET", "/status")
                assert reply.status in (403, 429), reply
                self.done["tokens guessed"] += 1
            await client.close()
            await trio.sleep(GUESS_EVERY_SECONDS)

    async def _flood(self, goes_on: Callable[[], bool]) -> None:
        client = Client(self._port, self._prefix, token(8))
        while goes_on():
            with suppress(Broken):
                reply = await client.ask("POST", "/messages", {"text": "more and more"})
                assert reply.status in (201, 429), reply
                self.done[f"floods answered {reply.status}"] += 1
            await trio.sleep(FLOOD_EVERY_SECONDS)
        await client.close()


async def do_its_worst(port: int, turn: int, seconds: float, done: Counter[str]) -> None:
    """Have a host of no room here do one thing after the other, from a process of its own."""
    for place, what in enumerate(DEEDS):
        # Each from an address that did no harm yet.
        arguments = (f"harm-{turn}-{place}", f"198.51.{place}.{1 + turn % 250}", what)
        process = await trio.run_process(
            [
                # It is on another machine, and has another's cores: here it takes what is left.
                *("nice", "-n", "19", sys.executable, "-m", "tests.bench.hostile_host"),
                *(str(port), *arguments),
                str(seconds / len(DEEDS)),
            ],
            cwd=REPOSITORY,
            capture_stdout=True,
            stdin=subprocess.DEVNULL,
        )
        for name, count in json.loads(process.stdout.splitlines()[-1]).items():
            done[f"{what}: {name}"] += count
