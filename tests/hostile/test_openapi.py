"""Requests made from ``spec/openapi.json``, as it allows and as it does not, over a real port."""

import json
import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import trio
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agentgather.domain.tokens import hash_token
from agentgather.storage.home import Home
from agentgather.wire.records import Participant, encode_roster
from tests.doubles.table import make_home, open_table
from tests.edge.peers import serving

DOCUMENT = json.loads((Path(__file__).parents[2] / "spec" / "openapi.json").read_text("utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SECONDS = 20
SEATS = 60
"""Hosts, who may do everything; enough that none of them meets a rate."""
TOKENS = [f"agp_{number:043}" for number in range(SEATS)]


async def serve(home: Home, started: "list[Any]", ready: threading.Event) -> None:
    async with (
        open_table(home, in_virtual_time=False) as table,
        serving(table.app, on_stop=table.live.hub.release) as server,
    ):
        await table.ada.say("the first")
        started += [server.port, trio.lowlevel.current_trio_token(), server.stop]
        ready.set()
        await server.ended.wait()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[str]:
    """A room of its own for each endpoint, in a thread: these clients know no Trio."""
    home = make_home(tmp_path / "home")
    seats = home.read_room("demo").participants
    seats += [
        Participant(alias=f"h{number}", kind="human", is_host=True, token_hash=hash_token(token))
        for number, token in enumerate(TOKENS)
    ]
    (home.room_path("demo") / "participants.json").write_bytes(encode_roster(seats))
    started: list[Any] = []
    ready = threading.Event()
    thread = threading.Thread(target=trio.run, args=(serve, home, started, ready))
    thread.start()
    assert ready.wait(20)
    port, token, stop = started
    yield f"http://127.0.0.1:{port}"
    trio.from_thread.run_sync(stop.set, trio_token=token)
    thread.join(20)
    assert not thread.is_alive()


TURNS = cycle(TOKENS)
HOLDS = [None, *(str(seconds) for seconds in range(1, 26))]


@pytest.mark.slow
@pytest.mark.hostile("H18", "J02", "J16")
@SCHEMA.parametrize()
@settings(
    max_examples=settings().max_examples // 2,
    # Each example has the room of the one before, and a server takes the time that it takes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_answer_is_one_that_the_document_has(case: Any, room: str) -> None:
    headers = {"Authorization": f"Bearer {next(TURNS)}"}
    path = case.operation.path
    checks = list(CHECKS)
    if path == "/events":
        # Of a closed room, so that it ends. Its events are in schema/events.json.
        assert requests.post(f"{room}/close", headers=headers, timeout=SECONDS).status_code == 200
        checks.remove(response_schema_conformance)
    query = dict(case.query or {})
    if path == "/wait" and query.get("hold") in HOLDS:
        case.query = query | {"hold": "0"}
    response = case.call(base_url=room, headers=headers, timeout=SECONDS)
    case.validate_response(response, checks=checks)
