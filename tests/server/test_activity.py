"""GET /activity: the room over time."""

import json

import pytest
import trio

from agentgather.storage.home import Home
from agentgather.storage.stored_room import LOG_FILE
from agentgather.wire.limits import MAX_ACTIVITY_ATTENDING, MAX_ACTIVITY_BUCKETS, STALE_AFTER_MS
from tests.doubles.asgi_client import Reply
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import Table, open_table

pytestmark = VIRTUAL_TIME


async def test_an_empty_room_begins_now(table: Table) -> None:
    await trio.sleep(5)
    assert (await table.eve.get("/activity")).body == (
        b'{"ok":true,"from":"2026-01-02T03:04:10.000Z","to":"2026-01-02T03:04:10.000Z",'
        b'"bucket_ms":1000,"participants":[],"attending":[]}\n'
    )


async def test_messages_are_counted_by_sender_and_time(table: Table) -> None:
    await table.host.post("/join")
    await trio.sleep(10)
    await table.rev.say("a")
    await table.ada.say("b")
    await trio.sleep(10)
    await table.ada.say("c")
    picture = (await table.ada.get("/activity")).json()
    assert picture["from"] == "2026-01-02T03:04:05.000Z", "of the first line, whoever wrote it"
    assert picture["to"] == "2026-01-02T03:04:25.000Z"
    assert [(one["alias"], one["kind"], one["total"]) for one in picture["participants"]] == [
        ("ada", "human", 2),
        ("rev", "agent", 1),
    ]
    ada, rev = (one["counts"] for one in picture["participants"])
    assert [n for n, count in enumerate(ada) if count] == [10, 20]
    assert [n for n, count in enumerate(rev) if count] == [10]
    assert len(ada) == len(rev) == 21
    assert "others" not in picture
    # What comes later is taken in.
    await table.ada.say("d")
    later = (await table.ada.get("/activity")).json()
    assert later["participants"][0]["total"] == 3
    await trio.sleep(7200)
    later = (await table.ada.get("/activity")).json()
    assert later["bucket_ms"] == 120_000
    assert len(later["participants"][0]["counts"]) <= MAX_ACTIVITY_BUCKETS
    assert sum(later["participants"][0]["counts"]) == 3


async def test_a_line_without_a_time_and_a_stranger_do_no_harm(home: Home) -> None:
    line = {"id": 1, "room": "demo", "ts": "2026-01-01T00:00:00.000Z", "from": "gone"}
    line |= {"type": "message", "text": "x", "mentions": []}
    lines = [
        line,
        line | {"id": 2, "ts": "yesterday"},
        line | {"id": 3, "ts": "2025-01-01T00:00:00Z"},
    ]
    path = home.room_path("demo") / LOG_FILE
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    path.chmod(0o600)
    async with open_table(home) as table:
        picture = (await table.ada.get("/activity")).json()
        [gone] = picture["participants"]
        assert (gone["alias"], gone["kind"], gone["total"]) == ("gone", "agent", 2)
        assert gone["counts"][0] == 2


async def test_held_waits_and_streams_are_spans(table: Table) -> None:
    async with table.ada.events("/events") as stream:
        await stream.next()
        await trio.sleep(60)
        spans = (await table.rev.get("/activity")).json()["attending"]
        assert spans == [{"alias": "ada", "spans": [["2026-01-02T03:04:05.000Z", None]]}]
    await table.settled()
    assert (await table.rev.get("/wait?hold=5")).status == 200
    picture = (await table.rev.get("/activity")).json()
    assert picture["attending"] == [
        {"alias": "rev", "spans": [["2026-01-02T03:05:05.000Z", "2026-01-02T03:05:10.000Z"]]},
        {"alias": "ada", "spans": [["2026-01-02T03:04:05.000Z", "2026-01-02T03:05:05.000Z"]]},
    ]


async def test_a_short_gap_is_no_gap(table: Table) -> None:
    for pause in (20, STALE_AFTER_MS / 1000, 1):
        await table.rev.get("/wait?hold=5")
        await trio.sleep(pause)
    [rev] = (await table.rev.get("/activity")).json()["attending"]
    assert len(rev["spans"]) == 2


async def test_many_ask_at_once_and_each_message_counts_once(table: Table) -> None:
    for number in range(40):
        await table.ada.say(f"{number}")
    totals: list[int] = []

    async def ask() -> None:
        picture = (await table.rev.get("/activity")).json()
        totals.append(picture["participants"][0]["total"])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert totals == [40] * 20


@pytest.mark.parametrize(
    ("act", "outcome"), [("remove", (410, "participant_removed")), ("rotate", (403, "forbidden"))]
)
async def test_a_seat_that_ends_while_it_is_drawn_for_is_shown_nothing(
    table: Table, act: str, outcome: tuple[int, str]
) -> None:
    await table.ada.say("a")
    replies: list[Reply] = []

    async def ask() -> None:
        replies.append(await table.rev.get("/activity"))

    async with trio.open_nursery() as nursery, table.live.activity._turn:
        nursery.start_soon(ask)
        await table.settled()
        assert (await table.host.post(f"/participants/rev/{act}")).status == 200
        assert not replies
    assert [reply.outcome for reply in replies] == [outcome]


@pytest.mark.parametrize("base", ["", "Public", "https://evil.example"])
async def test_a_card_has_no_base_but_the_public_one(table: Table, base: str) -> None:
    assert (await table.host.get(f"/card?base={base}")).outcome == (400, "invalid_base")


async def test_a_card_for_somebody_elsewhere_names_the_public_url(home: Home) -> None:
    async with open_table(home, public_urls=("https://rooms.example/demo",)) as table:
        own = (await table.rev.get("/card")).text
        public = (await table.rev.get("/card?base=public")).text
        assert "https://rooms.example" not in own
        assert "127.0.0.1" not in public
        assert public == own.replace("http://127.0.0.1:8787", "https://rooms.example/demo")
    async with open_table(home) as table:
        assert (await table.rev.get("/card?base=public")).text == (
            await table.rev.get("/card")
        ).text


@pytest.mark.parametrize("here", [MAX_ACTIVITY_ATTENDING, MAX_ACTIVITY_ATTENDING + 1])
async def test_who_was_here_last_is_told_of_and_no_more_than_so_many(
    table: Table, here: int
) -> None:
    for number in range(here):
        table.live.presence.hold(f"p{number}", table.clock())
        await trio.sleep(1)
        table.live.presence.release(f"p{number}", table.clock())
    attending = (await table.ada.get("/activity")).json()["attending"]
    latest = [f"p{number}" for number in reversed(range(here))]
    assert [one["alias"] for one in attending] == latest[:MAX_ACTIVITY_ATTENDING]
