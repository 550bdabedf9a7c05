"""Homes as released versions left them: ``fixtures/README.md`` says how they were made."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from agentgather.domain.tokens import hash_token
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.seats import read_seat, seated_rooms
from agentgather.storage.tunnel_files import is_left_behind, public_url_of, read_routes
from agentgather.wire.records import decode_message, decode_plain, encode_roster, encode_small_file
from tests.storage.samples import NOW, Records

FIXTURES = Path(__file__).parent / "fixtures"


def copy_of(name: str, target: Path) -> Path:
    """Copy a fixture with the modes that it had: git keeps none of them."""
    shutil.copytree(FIXTURES / name, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return target


def contents(home: Home) -> dict[str, bytes]:
    """Give every file but the locks, which name the process that has them."""
    return {
        path.relative_to(home.root).as_posix(): path.read_bytes()
        for path in home.root.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture(params=sorted(path.name for path in FIXTURES.glob("home-*")))
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return Home(copy_of(request.param, tmp_path / "home"))


@pytest.mark.hostile("D05")
def test_every_room_opens_without_a_warning_and_nothing_changes(home: Home) -> None:
    before = contents(home)
    assert home.rooms()
    for name in home.rooms():
        records = Records()
        with open_room(home, name, records, NOW) as room:
            assert room.warnings == ()
            assert room.stored.kept == ()
        assert records.ids == list(range(1, len(records.ids) + 1))
        # What was written is what we would write.
        log = home.room_path(name) / "messages.jsonl"
        assert b"".join(line + b"\n" for line in records.lines) == log.read_bytes()
    assert contents(home) == before


def test_a_rewrite_loses_nothing(home: Home) -> None:
    before = contents(home)
    for name in home.rooms():
        with open_room(home, name, Records(), NOW) as room:
            stored = room.stored
            files: dict[str, bytes | None] = {
                "room.json": encode_small_file(stored.state),
                "participants.json": encode_roster(stored.participants),
                "tokens.json": encode_small_file(home.read_tokens(name)),
            }
            room.store.write(files, b"")
        for file in files:
            path = home.room_path(name) / file
            plain = decode_plain(before[path.relative_to(home.root).as_posix()])
            assert holds(decode_plain(path.read_bytes()), plain)


def holds(after: Any, before: Any) -> bool:
    """Say whether all is there: keys may have come, none is gone, and no value is another."""
    if isinstance(before, list):
        return len(after) == len(before) and all(map(holds, after, before))
    return bool({**after, **before} == after)


def test_every_seat_is_there_with_its_token(home: Home) -> None:
    for name in seated_rooms(home):
        seat = read_seat(home, name)
        assert seat is not None
        assert home.read_cursor(name, seat.alias) >= 0
        if home.has_room(name):
            (hashed,) = (
                one.token_hash
                for one in home.read_room(name).participants
                if one.alias == seat.alias
            )
            assert hashed == hash_token(seat.token)


def test_what_lies_in_a_home_of_0_3_0(tmp_path: Path) -> None:
    home = Home(copy_of("home-0.3.0", tmp_path / "home"))
    assert home.rooms() == ["retro", "review"]
    assert seated_rooms(home) == ["planning", "retro", "review"]
    stored = home.read_room("review")
    assert (stored.state.status, stored.state.attendance_policy) == ("open", "agents-foreground")
    assert stored.state.brief_version == 2
    assert stored.brief.endswith("漢字 😀")
    seats = {seat.alias: seat for seat in stored.participants}
    assert list(seats) == ["op", "rev", "ada", "obs", "temp", "bad"]
    assert (seats["ada"].display_name, seats["obs"].role) == ("Ada L.", "observer")
    assert (seats["temp"].single_use, seats["bad"].removed_at is None) == (True, False)
    assert set(home.read_tokens("review").tokens) == {"obs", "temp"}
    assert (home.read_cursor("review", "op"), home.read_cursor("planning", "guest")) == (13, 2)
    records = Records()
    with open_room(home, "review", records, NOW):
        pass
    messages = [decode_message(line) for line in records.lines]
    assert [one.reply_to for one in messages if one.type in ("question", "reply")] == [4, 5]
    assert messages[3].mentions == ("op",)
    assert messages[6].hidden_chars
    # A killed tunnel's URL is believed by nobody, and the room's name at its broker is kept.
    tunnel = home.read_tunnel("review")
    assert tunnel is not None
    assert is_left_behind(home, "review", tunnel)
    assert public_url_of(home, "review") is None
    assert [route.slug for route in read_routes(home, "review").routes] == ["review-fixture"]
    retro = home.read_room("retro").state
    assert (retro.status, retro.expires_at) == ("closed", "2026-11-25T18:10:48.154Z")
