"""A run has an end, whatever a server does, and one clause's fault is not another's."""

import trio
from trio.testing import MockClock

from agentgather.conformance import run
from agentgather.conformance.answer import Answer
from agentgather.conformance.clause import API, Clause
from agentgather.conformance.client import Client
from agentgather.conformance.room import Room
from agentgather.conformance.run import RUN_SECONDS, Result, try_clauses
from agentgather.conformance.verdict import Broken, NotChecked
from tests.conformance.stage import place_of

STATUS = {"me": "host", "room": "demo", "attendance_policy": "manual-ok", "participants": []}


async def results_of(*checks: object) -> list[Result]:
    found: list[Result] = []
    clauses = [Clause(f"a.{n}", API, "", check) for n, check in enumerate(checks)]
    client = Client(place_of(1))
    warnings: list[str] = []
    await try_clauses(
        client, "agp_x", STATUS, clauses, run="t", end=found.append, warn=warnings.append
    )
    assert len(warnings) == 1, "nobody is there to tidy up at"
    return found


async def test_what_a_server_sends_that_no_check_expects_fails_that_clause_alone() -> None:
    async def odd(room: Room) -> None:
        document: dict[str, int] = {}
        document["messages"] += 1

    async def refuses_connections(room: Room) -> None:
        await room.end()

    async def skips(room: Room) -> None:
        raise NotChecked("not from here")

    async def passes(room: Room) -> None:
        await trio.lowlevel.checkpoint()

    found = await results_of(odd, refuses_connections, skips, passes)
    assert [one.outcome for one in found] == ["failed", "failed", "skipped", "passed"]
    assert found[0].detail == "an answer has no messages"
    assert "takes no connection" in found[1].detail


async def test_a_clause_and_a_run_have_an_end(autojump_clock: MockClock) -> None:
    async def sleeps(room: Room) -> None:
        await trio.sleep_forever()

    count = int(RUN_SECONDS / run.CLAUSE_SECONDS) + 2
    found = await results_of(*([sleeps] * count))
    assert [one.outcome for one in found] == ["failed"] * count
    assert found[0].detail == "it takes too long"
    assert "has taken" in found[-1].detail
    assert autojump_clock.current_time() <= RUN_SECONDS + 1


async def test_a_clause_that_failed_after_a_wait_for_a_rate_is_tried_once_more(
    autojump_clock: MockClock,
) -> None:
    tried: list[float] = []

    async def held_too_long(room: Room) -> None:
        tried.append(room.client.waited)
        if len(tried) == 1:
            busy = Answer(429, (("retry-after", "60"),), b'{"error":"rate_limited"}', 0)
            assert await room.client.waits_for(busy)
            raise Broken("the wait is over")

    [found] = await results_of(held_too_long)
    assert found.outcome == "passed"
    assert tried == [0, 60]
