"""Hosts as light tasks of one process: the program's own tunnel, over real sockets.

    python -m tests.bench.hosts BROKER COUNT NAME      BROKER: its port here, or its URL

Their slugs are NAME-0, NAME-1 and so on. Each opening and each loss of a link is a line of
JSON on standard output, with how many are open and when that was, as ``time.perf_counter``
has it in every process. What they answer with is an application that does nothing: a few
bytes, or as many MiB as ``/stream?MIB`` asks for, and nothing at all to ``/wait``.
"""

import json
import os
import sys
import time
from functools import partial
from typing import Any

import trio

from agentgather.edge.memory import settle_memory
from agentgather.tunnel.client import run_tunnel
from agentgather.tunnel.events import Lost, Opened, TunnelEvent, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder

PIECE = b"z" * 64 * 1024
PIECES_PER_MIB = (1 << 20) // len(PIECE)
HEADERS = [(b"content-type", b"text/plain")]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/wait":
        await trio.sleep_forever()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    if scope["path"] == "/stream":
        for _ in range(int(scope["query_string"]) * PIECES_PER_MIB):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Hosts:
    def __init__(self) -> None:
        self._open = 0

    def tell(self, event: TunnelEvent) -> None:
        if isinstance(event, Opened):
            self._open += 1
        elif isinstance(event, Lost) and self._open:
            self._open -= 1
        else:
            return
        print(json.dumps({"open": self._open, "at": time.perf_counter()}), flush=True)


async def run_host(broker: str, slug: str, tell: Any) -> None:
    is_open = False

    def on_event(event: TunnelEvent) -> None:
        # A failed attempt is no link that was lost.
        nonlocal is_open
        if isinstance(event, Opened) or is_open:
            tell(event)
            is_open = isinstance(event, Opened)

    await run_tunnel(
        TunnelPlan(broker, slug, f"agh_{slug}"),
        AsgiResponder(answer),
        stop=trio.Event(),
        on_event=on_event,
        entropy=os.urandom,
    )


async def main(broker: str, count: int, name: str) -> None:
    hosts = Hosts()
    settle_memory()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(partial(run_host, broker, f"{name}-{number}", hosts.tell))


if __name__ == "__main__":
    where = sys.argv[1]
    url = f"http://127.0.0.1:{where}" if where.isdigit() else where
    trio.run(main, url, int(sys.argv[2]), sys.argv[3])
