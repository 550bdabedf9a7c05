"""What may lie in a room's folder when it is opened."""

import json
import os
from pathlib import Path

import pytest

from agentgather.storage.home import Home
from agentgather.storage.stored_room import DamagedRoom, NewerSchema
from tests.doubles.asgi_client import AsgiClient
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import TOKENS, open_table

pytestmark = VIRTUAL_TIME


OUR_PID = pytest.param(b"%d" % os.getpid(), id="our own number")


@pytest.mark.hostile("S13")
@pytest.mark.parametrize("content", [b"", b"1\n", b"\x00" * 100, b"garbage", OUR_PID])
async def test_a_lock_file_that_nobody_holds_stops_nobody(home: Home, content: bytes) -> None:
    lock = home.room_path("demo") / "lock"
    lock.write_bytes(content)
    os.utime(lock, (2**32, 2**32))
    async with open_table(home) as table:
        assert (await table.ada.say("hi"))["id"] == 1


DAMAGES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"{",
    b"\x00" * 50,
    b"\xff\xfe",
    b'{"id":"other","createdAt":"x","updatedAt":"x"}',
    b'{"id":"demo","createdAt":"x","updatedAt":"x","status":"ajar"}',
    b'{"id":"demo","createdAt":5,"updatedAt":"x"}',
    b'[{"alias":"x","is_host":"yes"}]',
    b"[null]",
    b"[{}]",
    b"[[[[",
]


@pytest.mark.hostile("S15")
@pytest.mark.parametrize("content", DAMAGES)
@pytest.mark.parametrize("name", ["room.json", "participants.json"])
@pytest.mark.parametrize("has_copy", [False, True])
async def test_a_damaged_small_file_never_opens_a_room_to_more(
    home: Home, name: str, content: bytes, *, has_copy: bool
) -> None:
    folder = home.room_path("demo")
    if has_copy:
        async with open_table(home) as table:
            await table.rev.post("/join")
            await table.host.post("/brief", {"body": "x"})
            await table.host.post("/participants/bo/remove")
    if name == "participants.json" and content == b"[]":
        content = b'[{"alias":"x","kind":7}]'
    (folder / name).write_bytes(content)
    try:
        async with open_table(home) as table:
            # Restored: the same people are in, nobody else, and the removed one is out.
            assert (await table.host.get("/status")).json()["is_host"] is True
            assert (await table.rev.get("/messages")).status == 200
            assert (await table.anyone.get("/messages")).outcome == (401, "unauthorized")
            assert (await AsgiClient(table.app, "x").get("/messages")).status == 403
            assert {seat.alias for seat in table.live.room.roster} == set(TOKENS)
            if has_copy:
                assert (await table.bo.get("/messages")).status == 410
    except DamagedRoom:
        # Refused, and what was damaged is left to look at.
        assert (folder / name).read_bytes() == content


@pytest.mark.hostile("S15", "D05")
@pytest.mark.parametrize("schema", [2, 99, 2**60])
async def test_a_room_of_a_newer_program_is_not_opened(home: Home, schema: int) -> None:
    path = home.room_path("demo") / "room.json"
    newer = json.dumps(json.loads(path.read_bytes()) | {"schema": schema}).encode()
    path.write_bytes(newer)
    with pytest.raises(NewerSchema, match="newer agentgather"):
        async with open_table(home):
            pass
    assert path.read_bytes() == newer


LINE = (
    b'{"id":%d,"room":"demo","ts":"2026-01-02T03:04:05.000Z","from":"ada",'
    b'"type":"message","text":"%b","mentions":[]}\n'
)


def write_log(home: Home, content: bytes) -> Path:
    log = home.room_path("demo") / "messages.jsonl"
    log.write_bytes(content)
    return log


@pytest.mark.hostile("S02")
async def test_a_log_cut_at_any_byte_of_its_last_line_serves_all_before(home: Home) -> None:
    whole = LINE % (1, b"one") + LINE % (2, "zwö".encode())
    last = LINE % (3, "drei \u00e9\U0001f600".encode())
    for cut in range(len(last)):
        log = write_log(home, whole + last[:cut])
        async with open_table(home) as table:
            page = (await table.ada.get("/messages")).json()
            assert [message["id"] for message in page["messages"]] == [1, 2]
            assert (await table.ada.say("next"))["id"] == 3
        assert log.read_bytes().startswith(whole)
        assert log.read_bytes().count(b"\n") == 3
        for torn in log.parent.glob("messages.jsonl.torn-*"):
            assert torn.read_bytes() == last[:cut]
            torn.unlink()


@pytest.mark.hostile("S02")
@pytest.mark.parametrize(
    "tail", [b"\x00" * 4096, b"\xc3", b"\x00\n", b"garbage\n", b"\n\n\n", b"{}\n", b"\xff" * 9]
)
async def test_what_is_appended_to_a_log_costs_no_record_and_no_id(home: Home, tail: bytes) -> None:
    write_log(home, LINE % (1, b"one") + LINE % (2, b"two") + tail)
    async with open_table(home) as table:
        page = (await table.ada.get("/messages")).json()
        assert [message["id"] for message in page["messages"]] == [1, 2]
        assert (await table.ada.say("next"))["id"] == 3
    async with open_table(home) as table:
        page = (await table.ada.get("/messages")).json()
        assert [message["id"] for message in page["messages"]] == [1, 2, 3]


@pytest.mark.hostile("S03", "S04")
async def test_a_bad_line_in_the_middle_costs_that_record_alone(home: Home) -> None:
    lines = [LINE % (number, b"x") for number in range(1, 8)]
    lines[2] = lines[2].replace(b'"id"', b'"id')
    lines[4] = lines[4][:-1]  # two records on one line
    write_log(home, b"".join(lines))
    async with open_table(home) as table:
        page = (await table.ada.get("/messages")).json()
        found = [message["id"] for message in page["messages"]]
        assert {1, 2, 4, 7} <= set(found)
        assert found == sorted(found)
        assert 3 not in found
        assert (await table.ada.say("next"))["id"] == 8


@pytest.mark.hostile("S18")
@pytest.mark.parametrize(
    "damage", [b"x" * 10_000_000 + b"\n", b"\n" * 1_000_000, b"[" * 3_000_000 + b"\n"]
)
async def test_a_hand_made_line_of_any_length_is_passed_over(home: Home, damage: bytes) -> None:
    write_log(home, LINE % (1, b"one") + damage + LINE % (2, b"two"))
    async with open_table(home) as table:
        page = (await table.ada.get("/messages")).json()
        assert [message["id"] for message in page["messages"]] == [1, 2]
        assert (await table.ada.say("next"))["id"] == 3


@pytest.mark.hostile("S04")
async def test_a_record_of_another_room_is_not_shown_as_this_one_s(home: Home) -> None:
    foreign = (LINE % (2, b"foreign")).replace(b'"demo"', b'"other"')
    write_log(home, LINE % (1, b"one") + foreign + LINE % (3, b"three"))
    async with open_table(home) as table:
        page = (await table.ada.get("/messages")).json()
        rooms = {message["room"] for message in page["messages"]}
        texts = [message["text"] for message in page["messages"]]
        assert rooms == {"demo"} or "foreign" in texts
        assert (await table.ada.say("next"))["id"] == 4
