"""Our own room keeps every clause also through our broker and its tunnel."""

import faulthandler
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.cli.outside.terminal import Terminal, next_line
from tests.conformance.faults import puts
from tests.conformance.faulty_server import OK, Fault, open_faulty
from tests.conformance.stage import BY_NAME, NEEDS_A_BROKER, details, place_of, try_at
from tests.doubles.broker_process import run_broker

NEEDS_NO_BROKER: Final = {"host.loopback", "healthz.here", "limit.unknown-tokens"}
STUCK_SECONDS: Final = 400
"""The suite's own limit for one test is for less."""
FAULTS: Final = {
    "healthz.elsewhere": Fault(what="it tells", asked="/healthz", instead=OK),
    "broker.route": puts("another", "GET /demo HTTP", host_connected=False),
    "broker.unknown": Fault(what="it knows all", asked="GET /conformance-", instead=OK),
}


@asynccontextmanager
async def public_room(path: Path) -> AsyncIterator[tuple[int, str]]:
    """Run a broker with a room at it; give its port and the host's token."""
    async with run_broker(path / "broker") as broker:
        terminal = Terminal(path / "home")
        try:
            up = ("up", "demo", "--port", "0", "--subdomain", "demo", "--json")
            process = terminal.start(*up, "--tunnel", broker.url)
            document = json.loads(next_line(process))
            assert urlsplit(document["public_url"]).path == "/demo"
            yield broker.port, terminal.seat()["token"]
        finally:
            terminal.close()


@pytest.mark.slow
async def test_a_room_keeps_every_clause_through_a_broker(tmp_path: Path) -> None:
    """In one run, as anybody has it: two minutes, most of them waited for rates."""
    faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
    async with public_room(tmp_path) as (port, token):
        results = await try_at(place_of(port, prefix="/demo"), token=token)
    assert details(results, "failed") == {}
    assert results.keys() == BY_NAME.keys()
    assert details(results, "skipped").keys() == NEEDS_NO_BROKER


async def test_the_clauses_of_a_broker_can_fail(tmp_path: Path) -> None:
    assert FAULTS.keys() == NEEDS_A_BROKER
    async with public_room(tmp_path) as (port, token):
        for name, fault in FAULTS.items():
            async with open_faulty(port, fault) as faulty:
                place = place_of(faulty, prefix="/demo")
                results = await try_at(place, [BY_NAME[name]], token=token)
            assert details(results, "failed").keys() == {name}, fault.what
