"""A room's time: expiry, restart, shutdown, clocks that step."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.domain.text import format_time
from agentgather.storage.home import Home
from tests.doubles.clock import START_MS, VIRTUAL_TIME
from tests.doubles.table import Table, make_home, open_table

pytestmark = VIRTUAL_TIME


def expiring_home(path: Path, *, seconds: float) -> Home:
    return make_home(path / "home", expires_at=format_time(START_MS + round(seconds * 1000)))


async def test_a_room_closes_at_the_very_moment_its_time_is_over(tmp_path: Path) -> None:
    async with open_table(expiring_home(tmp_path, seconds=100)) as table:
        status = (await table.ada.get("/status")).json()
        assert status["expires_at"] == format_time(START_MS + 100_000)
        await trio.sleep(99.999)
        await table.ada.say("just in time")
        await trio.sleep(0.001)
        assert (await table.ada.post("/messages", {"text": "x"})).outcome == (403, "room_closed")
        assert (await table.ada.get("/status")).json()["room_status"] == "closed"
        await table.settled()
        assert table.texts() == ["just in time", "room closed"]


async def test_a_held_wait_and_a_stream_hear_of_the_expiry_at_that_moment(tmp_path: Path) -> None:
    async with (
        open_table(expiring_home(tmp_path, seconds=10)) as table,
        table.rev.events("/events") as stream,
    ):
        document = (await table.bo.get("/wait?for=me")).json()
        assert trio.current_time() == 10
        assert [m["text"] for m in document["messages"]] == ["room closed"]
        assert (document["room_status"], document["next_cmd"]) == ("closed", None)
        events = await stream.until("closed")
        assert events[-1].data == {"reason": "room_closed"}
        assert trio.current_time() == 10


@pytest.mark.parametrize("seconds", [0, -1, -86_400 * 365])
async def test_a_room_whose_time_ran_out_while_nobody_served_it_opens_closed(
    tmp_path: Path, seconds: float
) -> None:
    home = expiring_home(tmp_path, seconds=seconds)
    async with open_table(home) as table:
        assert (await table.ada.get("/status")).json()["room_status"] == "closed"
        assert (await table.ada.get("/wait")).json()["room_status"] == "closed"
        await table.settled()
        assert table.texts() == ["room closed"]
    async with open_table(home) as table:
        assert table.texts() == ["room closed"]


@pytest.mark.hostile("K05")
@pytest.mark.parametrize("offset_ms", [3_600_000, -3_600_000, -START_MS, 2**31 * 1000 - START_MS])
async def test_a_wall_clock_that_steps_closes_no_room_and_breaks_no_count(
    tmp_path: Path, offset_ms: int
) -> None:
    async with open_table(expiring_home(tmp_path, seconds=100)) as table:
        await table.ada.post("/join")
        first = await table.ada.say("before")
        table.clock.offset_ms = offset_ms
        second = await table.ada.say("after")
        assert second["id"] == first["id"] + 1
        assert second["ts"] == format_time(START_MS + offset_ms)
        page = (await table.rev.get("/messages")).json()["messages"]
        assert [message["id"] for message in page] == [1, 2, 3]
        status = (await table.rev.get("/status")).json()
        assert status["room_status"] == "open"
        assert all(seat["last_seen_age_ms"] >= 0 for seat in status["participants"])
        ada = next(seat for seat in status["participants"] if seat["alias"] == "ada")
        assert ada["attendance_state"] == "attending"
        await trio.sleep(99.999)
        assert (await table.rev.get("/status")).json()["room_status"] == "open"
        await trio.sleep(0.001)
        assert (await table.rev.get("/status")).json()["room_status"] == "closed"


@pytest.mark.hostile("K04")
async def test_a_long_sleep_of_the_machine_expires_no_seat_and_no_wait(table: Table) -> None:
    await table.rev.post("/join")
    await trio.sleep(7 * 86_400)
    assert (await table.rev.get("/wait?since_id=1&hold=0")).json()["heartbeat"] is True
    assert (await table.rev.say("still here"))["id"] == 2


async def test_a_room_that_was_closed_stays_closed_and_complete(home: Any) -> None:
    async with open_table(home) as table:
        await table.ada.say("hi")
        await table.host.post("/close")
    async with open_table(home) as table:
        assert (await table.ada.post("/messages", {"text": "x"})).outcome == (403, "room_closed")
        assert table.texts() == ["hi", "room closed"]


@pytest.mark.hostile("S14")
async def test_a_close_whose_line_a_crash_kept_from_the_log_is_written_on_opening(
    home: Home,
) -> None:
    path = home.room_path("demo") / "room.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"status": "closed"}))
    async with open_table(home) as table:
        await table.settled()
        assert table.texts() == ["room closed"]
        assert (await table.rev.get("/wait")).json()["next_cmd"] is None


@pytest.mark.hostile("S14")
async def test_a_record_that_room_json_does_not_know_of_is_served_and_counted(home: Home) -> None:
    log = home.room_path("demo") / "messages.jsonl"
    async with open_table(home) as table:
        await table.ada.say("one")
    with log.open("ab") as file:
        file.write(
            b'{"id":2,"room":"demo","ts":"2026-01-02T03:04:05.000Z","from":"rev",'
            b'"type":"message","text":"@ada two","mentions":["ada"]}\n'
        )
    async with open_table(home) as table:
        document = (await table.ada.get("/wait?since_id=1&for=me")).json()
        assert [message["text"] for message in document["messages"]] == ["@ada two"]
        assert (await table.ada.say("three"))["id"] == 3


@pytest.mark.hostile("S04")
async def test_two_records_with_one_id_both_reach_a_waiter(home: Home) -> None:
    line = (
        '{"id":%d,"room":"demo","ts":"2026-01-02T03:04:05.000Z","from":"rev",'
        '"type":"message","text":"%s","mentions":[]}\n'
    )
    log = home.room_path("demo") / "messages.jsonl"
    log.write_text("".join(line % (n, f"text {i}") for i, n in enumerate((1, 2, 2, 7, 3))))
    async with open_table(home) as table:
        found: list[str] = []
        since_id = 0
        while len(found) < 5:
            document = (await table.ada.get(f"/wait?since_id={since_id}&hold=0")).json()
            assert document["messages"], "the paging stopped early"
            found += [message["text"] for message in document["messages"]]
            since_id = document["next_since_id"]
        assert found == [f"text {number}" for number in range(5)]
        assert (await table.ada.say("next"))["id"] == 8


# --- Shutdown -------------------------------------------------------------------------------
async def test_what_was_staged_when_the_room_is_left_is_on_the_disk(home: Home) -> None:
    async with open_table(home) as table, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(table.ada.say, f"{number}")
        while table.live.room.log.next_id < 21:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    async with open_table(home) as table:
        assert sorted(table.texts(), key=int) == [f"{number}" for number in range(20)]


async def test_a_room_that_stops_takes_no_more_and_can_still_be_read(table: Table) -> None:
    await table.ada.say("hi")
    table.live.commit.close()
    reply = await table.ada.post("/messages", {"text": "x"})
    assert reply.outcome == (503, "shutting_down")
    assert int(reply.headers["retry-after"]) >= 1
    assert (await table.ada.get("/messages")).status == 200
    assert (await table.rev.get("/wait")).json()["messages"]
    assert len((await table.ada.get("/messages")).json()["messages"]) == 1
