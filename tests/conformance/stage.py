"""A room of ours over real sockets, and a run of clauses on it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from agentgather.cli.base_url import BaseUrl
from agentgather.conformance.catalogue import CLAUSES
from agentgather.conformance.clause import Clause, Stage
from agentgather.conformance.client import ANSWER_SECONDS, Client
from agentgather.conformance.place import Place
from agentgather.conformance.run import Result, look, try_clauses
from agentgather.edge.origins import Served
from agentgather.edge.serve import open_listener
from agentgather.server.service import open_live_room, serve_room
from tests.doubles.table import TOKENS, make_home

BY_NAME: Final = {clause.name: clause for clause in CLAUSES}

NEEDS_A_BROKER: Final = frozenset({"healthz.elsewhere", "broker.route", "broker.unknown"})

_FIRST: Final = tuple(clause for clause in CLAUSES if clause.stage is Stage.FIRST)
_REST: Final = tuple(clause for clause in CLAUSES if clause.stage is not Stage.FIRST)
# Each within the rates of one room: a whole run would wait for them.
PARTS: Final = [
    pytest.param(_FIRST[:100], id="first"),
    pytest.param(_FIRST[100:150], id="second"),
    pytest.param(_FIRST[150:], id="third"),
    pytest.param(_REST, id="what waits, uses up and closes"),
]


def place_of(port: int, *, prefix: str = "") -> Place:
    return BaseUrl(f"http://127.0.0.1:{port}{prefix}", insecure=False)


@asynccontextmanager
async def open_room(path: Path, *, shown_port: int = 0) -> AsyncIterator[int]:
    """Serve the room ``demo``, for the length of the block; give its port."""
    listeners = open_listener("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    served = Served(f"http://127.0.0.1:{shown_port or port}")
    stop = trio.Event()
    async with open_live_room(make_home(path), "demo") as live, trio.open_nursery() as nursery:
        await nursery.start(partial(serve_room, live, listeners, served=served, stop=stop))
        yield port
        stop.set()


async def try_at(
    place: Place,
    clauses: Sequence[Clause] = CLAUSES,
    *,
    token: str = TOKENS["host"],
    seconds: float = ANSWER_SECONDS,
) -> dict[str, Result]:
    """Try clauses on a room that may be closed; give what came of each, by its name."""
    results: dict[str, Result] = {}

    def note(result: Result) -> None:
        results[result.clause.name] = result

    async with aclosing(Client(place, seconds=seconds)) as client:
        status = await look(client, token)
        await try_clauses(client, token, status, clauses, run="t", may_close=True, end=note)
    return results


def details(results: dict[str, Result], outcome: str) -> dict[str, str]:
    return {name: one.detail for name, one in results.items() if one.outcome == outcome}
