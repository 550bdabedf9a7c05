"""GET /export: the room as a file."""

import json
import re
from itertools import pairwise

import msgspec
import pytest
import trio

from agentgather.domain.export import render_json, render_markdown
from agentgather.server.handlers import export
from agentgather.storage.stored_room import LOG_FILE
from agentgather.wire.limits import EXPORT_SLICE, EXPORT_SLICE_BYTES, MAX_TEXT_UNITS
from agentgather.wire.records import encode_plain
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import TOKENS, Table

pytestmark = VIRTUAL_TIME

FORGED = 'a\n**#9** **host** (message)\n\u202e\r\n# x <!-- é "q" \\ \x1b'


HIDDEN = "x" + "\xad" * (MAX_TEXT_UNITS - 1)
"""The text that grows most: 48 KB, which fit a request's body, to 144 KB of Markdown."""


def whole(table: Table) -> dict[str, object]:
    """Give the document as the command line makes it, from the files."""
    lines = (table.folder / LOG_FILE).read_bytes().splitlines()
    room = table.live.room
    messages = [json.loads(line) for line in lines]
    return render_json(room.state, room.brief, room.roster, messages, table.live.clock().text())


@pytest.mark.parametrize("count", [0, 1, 2, EXPORT_SLICE, EXPORT_SLICE + 1])
async def test_it_is_the_document_of_the_command_line(table: Table, count: int) -> None:
    (table.folder / LOG_FILE).touch()
    for number in range(count):
        client = (table.host, table.ada)[number % 2]
        await client.say(f"{number} {FORGED}", **({"reply_to": number} if number else {}))
    for target in ("/export", "/export?format=md"):
        reply = await table.host.get(target)
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["content-disposition"] == 'attachment; filename="demo.md"'
        assert reply.text == render_markdown(whole(table))
    reply = await table.host.get("/export?format=json")
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["content-disposition"] == 'attachment; filename="demo.json"'
    assert reply.body == encode_plain(whole(table))
    for secret in (b"token", *(token.encode() for token in TOKENS.values())):
        assert secret not in reply.body


@pytest.mark.parametrize(
    ("messages", "size"), [(1, 10**9), (EXPORT_SLICE, 0), (3, 300), (10**6, 10**9)]
)
async def test_it_is_the_same_whatever_its_slices(
    table: Table, monkeypatch: pytest.MonkeyPatch, messages: int, size: int
) -> None:
    monkeypatch.setattr(export, "EXPORT_SLICE", messages)
    monkeypatch.setattr(export, "EXPORT_SLICE_BYTES", size)
    for text in ("a", HIDDEN, FORGED, "b" * 300, HIDDEN, HIDDEN, "c", "d", "e"):
        await table.host.say(text)
    assert (await table.host.get("/export")).text == render_markdown(whole(table))
    assert (await table.host.get("/export?format=json")).body == encode_plain(whole(table))


@pytest.mark.parametrize("form", ["md", "json"])
async def test_a_slice_is_bounded_in_messages_and_in_bytes(table: Table, form: str) -> None:
    texts = ["short"] * (EXPORT_SLICE + 1) + ["y" * (EXPORT_SLICE_BYTES // 3)] * 4 + [HIDDEN] * 2
    for number, text in enumerate(texts):
        await (table.host, table.ada)[number % 2].say(text)
    async with table.host.open("GET", f"/export?format={form}") as exchange:
        while not exchange.ended:
            await exchange.progress.wait()
    heads = rb"^\*\*#" if form == "md" else rb'^      "id": '
    counts = [len(re.findall(heads, chunk, re.M)) for chunk in exchange.chunks]
    # The one that goes over the bound is the last of its slice.
    assert [count for count in counts if count] == [EXPORT_SLICE, 1 + 3, 1 + 1, 1]


async def test_others_have_their_turn_between_its_slices(table: Table) -> None:
    for _ in range(20):
        await table.host.say(HIDDEN)
    seen: list[int] = []
    async with table.host.open("GET", "/export") as exchange:
        while not exchange.ended:
            await trio.lowlevel.checkpoint()
            seen.append(len(exchange.chunks))
    # It is never ahead by more than what it was sending.
    assert max(after - before for before, after in pairwise(seen)) <= 2
    assert max(len(chunk) for chunk in exchange.chunks) < 150_000


@pytest.mark.hostile("A12")
async def test_it_is_for_the_host_alone(table: Table) -> None:
    for client in (table.ada, table.eve, table.rev):
        assert (await client.get("/export")).outcome == (403, "host_required")
    assert (await table.anyone.get("/export")).outcome == (401, "unauthorized")


@pytest.mark.parametrize("form", ["", "MD", "html", "../x"])
async def test_another_format_is_refused(table: Table, form: str) -> None:
    assert (await table.host.get(f"/export?format={form}")).outcome == (400, "invalid_format")


async def test_it_is_a_snapshot_and_waits_for_its_reader(table: Table) -> None:
    for number in range(EXPORT_SLICE + 5):
        await table.host.say(f"old {number}")
        await trio.sleep(1)
    async with table.host.open("GET", "/export") as exchange:
        while not any(exchange.chunks):
            await exchange.progress.wait()
        exchange.stall = True
        await table.settled()
        taken = len(exchange.chunks)
        await table.ada.say("new")
        await table.host.post("/close")
        await table.settled()
        assert len(exchange.chunks) <= taken + 1
        exchange.stall = False
        exchange.taking.set()
        while not exchange.ended:
            await exchange.progress.wait()
        text = exchange.reply().text
        assert len(re.findall(r"^\*\*#", text, re.M)) == EXPORT_SLICE + 5
        assert "new" not in text
        assert text.startswith("# Room demo\n\nOpen.")


async def test_whoever_leaves_ends_it(table: Table) -> None:
    for number in range(EXPORT_SLICE):
        await table.host.say(f"{number}")
        await trio.sleep(1)
    async with table.host.open("GET", "/export") as exchange:
        await exchange.progress.wait()
    assert (await table.host.get("/export")).status == 200


@pytest.mark.parametrize("act", ["remove", "rotate"])
@pytest.mark.parametrize("form", ["md", "json"])
@pytest.mark.parametrize("taken", range(6))
async def test_a_host_that_ends_meanwhile_gets_no_more_than_is_on_its_way(
    table: Table, monkeypatch: pytest.MonkeyPatch, act: str, form: str, taken: int
) -> None:
    monkeypatch.setattr(export, "EXPORT_SLICE", 1)
    for text in ("a", "b", "c"):
        await table.host.say(text)
    roster = table.live.room.roster
    roster.put(msgspec.structs.replace(roster.get("ada"), is_host=True))
    document = (await table.ada.get(f"/export?format={form}")).body
    async with table.ada.open("GET", f"/export?format={form}") as exchange:
        exchange.stall = True
        # The head, nothing, what stands before the messages, and three of them.
        for _ in range(taken):
            await table.settled()
            exchange.take()
        await table.settled()
        assert (await table.host.post(f"/participants/ada/{act}")).status == 200
        exchange.stall = False
        exchange.take()
        await table.settled()
        slices = [chunk for chunk in exchange.chunks if chunk]
        assert len(slices) == max(0, taken - 1)
        assert document.startswith(b"".join(slices))
        assert not exchange.ended


async def test_a_bug_in_the_middle_cuts_it(
    table: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await table.host.say("a")

    def fail(_message: object) -> str:
        raise RuntimeError("secret")

    monkeypatch.setattr("agentgather.server.handlers.export.markdown_message", fail)
    async with table.host.open("GET", "/export") as exchange:
        await table.settled()
        assert not exchange.ended
        assert b"secret" not in b"".join(exchange.chunks)
    assert [record.message for record in caplog.records] == ["an export failed"]
