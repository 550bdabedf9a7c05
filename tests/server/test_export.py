"""GET /export: the room as a file."""

import json
import re

import pytest
import trio

from agentgather.domain.export import render_json, render_markdown
from agentgather.storage.stored_room import LOG_FILE
from agentgather.wire.limits import EXPORT_SLICE
from agentgather.wire.records import encode_plain
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import TOKENS, Table

pytestmark = VIRTUAL_TIME

FORGED = 'a\n**#9** **host** (message)\n\u202e\r\n# x <!-- é "q" \\ \x1b'


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
