"""Homes as the TypeScript program 0.1.0 to 0.2.5 leaves them."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.wire.records import Participant, decode_plain, encode_roster, encode_small_file
from tests.storage.samples import NOW, Records

ROOM_JSON: dict[str, Any] = {
    "id": "older",
    "status": "open",
    "createdAt": NOW,
    "updatedAt": NOW,
    "next_message_id": 3,
    "brief_version": 1,
    "brief_updated_at": NOW,
    "brief_updated_by": "host",
    "active_session": {"channel_id": "general", "started_at": NOW},
}
SEAT: dict[str, Any] = {
    "alias": "host",
    "kind": "human",
    "location": "local",
    "install": "host",
    "attention": "managed",
    "is_host": True,
    "token_hash": "ab" * 32,
    "joinedAt": NOW,
    "lastSeenAt": NOW,
    "requested_mode": "foreground",
}
SYSTEM_SEAT = {**SEAT, "alias": "clock", "kind": "system", "is_host": False}
DASHED_SEAT = {**SEAT, "alias": "-x", "is_host": False}
LINES = [
    {
        "id": number,
        "room": "older",
        "ts": NOW,
        "from": "host",
        "type": "message",
        "text": text,
        "mentions": [],
        **more,
    }
    for number, text, more in (
        (1, 'h\u00e9 \u2028 \U0001f600 \x7f \x01 "quoted" </b>', {"client_msg_id": "k-1"}),
        (2, "answer", {"reply_to": 1}),
    )
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    folder = home.root / "rooms" / "older"
    (folder / "cursors").mkdir(parents=True, mode=0o700)
    for path in (home.root, home.root / "rooms", folder):
        path.chmod(0o700)
    files = {
        "room.json": ROOM_JSON,
        "participants.json": [SEAT, SYSTEM_SEAT, DASHED_SEAT],
        "tokens.json": {"tokens": {"host": "tgl_older"}},
        "cursors/host.json": {"alias": "host", "sinceId": 2, "updatedAt": NOW},
        "tunnel.json": {"public_base_url": "https://x.example/older", "route_id": "r"},
        "../../current-room.json": {
            "roomId": "older",
            "alias": "host",
            "token": "tgl_older",
            "baseUrl": "http://127.0.0.1:8787",
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (folder / "brief.md").write_text("the older brief")
    # JSON.stringify writes no blanks, and escapes no more than it must.
    log = "".join(
        json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in LINES
    )
    (folder / "messages.jsonl").write_text(log)
    # A lock that a killed process left, and what its repair leaves.
    (folder / "write.lock").write_text('{"pid":1,"createdAt":"x"}')
    (folder / "write.lock.reclaim").write_text("")
    return home


@pytest.mark.hostile("D05")
def test_an_older_home_opens_and_nothing_in_it_changes(home: Home) -> None:
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    records = Records()
    with open_room(home, "older", records, NOW) as room:
        assert room.recovery.problems == ()
        assert len(room.warnings) == 1
        stored = room.stored
    assert (stored.state.status, stored.state.attendance_policy) == ("open", "manual-ok")
    assert [seat.alias for seat in stored.participants] == ["host"]
    assert stored.participants[0].attention == "managed"
    assert stored.kept == (SYSTEM_SEAT, DASHED_SEAT)
    assert stored.brief == "the older brief"
    assert records.ids == [1, 2]
    assert [json.loads(line) for line in records.lines] == LINES
    assert home.read_tokens("older").tokens == {"host": "tgl_older"}
    assert home.read_cursor("older", "host") == 2
    current = home.read_current()
    assert current is not None
    assert current.roomId == "older"
    tunnel = home.read_tunnel("older")
    assert tunnel is not None
    assert tunnel.publicUrl == "https://x.example/older"
    after = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    del after[home.root / "rooms" / "older" / "lock"]
    assert after == before


def test_keys_and_seats_that_we_do_not_know_survive_a_rewrite(home: Home) -> None:
    folder = home.root / "rooms" / "older"
    with open_room(home, "older", Records(), NOW) as room:
        stored = room.stored
        seats = [*stored.participants, Participant(alias="new", token_hash="cd")]
        room.store.write(
            {
                "room.json": encode_small_file(stored.state),
                "participants.json": encode_roster(seats),
            },
            b"",
        )
    state = decode_plain((folder / "room.json").read_bytes())
    assert state == {**ROOM_JSON, "attendance_policy": "manual-ok", "schema": 1}
    roster = decode_plain((folder / "participants.json").read_bytes())
    assert [entry["alias"] for entry in roster] == ["host", "new", "clock", "-x"]
    assert roster[0] == SEAT
    assert roster[2:] == [SYSTEM_SEAT, DASHED_SEAT]
    with open_room(home, "older", Records(), NOW) as room:
        assert [seat.alias for seat in room.stored.participants] == ["host", "new"]


def test_an_older_log_is_read_without_going_line_by_line(home: Home) -> None:
    path = home.root / "rooms" / "older" / "messages.jsonl"
    records = Records()
    with open_room(home, "older", records, NOW):
        # Equal bytes: the older program's form is ours.
        assert b"\n".join(records.lines) + b"\n" == path.read_bytes()
