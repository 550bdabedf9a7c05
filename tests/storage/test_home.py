import os
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentgather.storage.files import UnsafeFile
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked
from agentgather.storage.owned_room import open_room
from agentgather.storage.stored_room import DamagedRoom, NewerSchema, StoredRoom
from agentgather.wire.records import (
    CurrentRoom,
    Participant,
    Tokens,
    TunnelState,
    decode_plain,
    encode_plain,
    encode_roster,
    encode_small_file,
)
from tests.storage.samples import HOST, NOW, ROOM, Records, folder_of, line, make_home, state

SMALL = ("room.json", "participants.json")
DAMAGE = {
    "empty": b"",
    "nothing in it": b"{}",
    "half": b'{"id":"demo","status":"op',
    "zeros": b"\0" * 300,
    "another type": b'"x"',
    "a wrong list": b'[{"alias":7}]',
    "not UTF-8": b'{"id":"\xff"}',
    "too deep": b"[" * 100_000,
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def reopen(home: Home) -> tuple[StoredRoom, tuple[str, ...]]:
    with open_room(home, ROOM, Records(), NOW) as room:
        return room.stored, room.warnings


def set_keys(path: Path, **changes: object) -> None:
    path.write_bytes(encode_plain(decode_plain(path.read_bytes()) | changes))


# --- Rooms ----------------------------------------------------------------------------
def test_a_new_room_is_whole_private_and_opens(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = make_home(tmp_path / "home")
        stored, warnings = reopen(home)
    finally:
        os.umask(before)
    assert warnings == ()
    assert (stored.state.id, stored.participants, stored.brief) == (ROOM, [HOST], "the brief")
    assert home.rooms() == [ROOM]
    assert home.has_room(ROOM)
    assert not home.has_room("other")
    assert home.read_tokens(ROOM).tokens == {"op": "agp_secret"}
    for path in [home.root, *home.root.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_room_is_not_made_twice(home: Home) -> None:
    with pytest.raises(FileExistsError):
        home.create_room(state(), [], "", Tokens())
    assert reopen(home)[0].brief == "the brief"


@pytest.mark.hostile("S11")
def test_of_many_who_make_a_room_at_once_one_succeeds(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made: list[str] = []

    def make(name: str) -> None:
        try:
            home.create_room(state(), [HOST], name, Tokens())
        except FileExistsError:
            return
        made.append(name)

    threads = [threading.Thread(target=make, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert reopen(home)[0].brief == made[0]
    assert [path.name for path in (home.root / "rooms").iterdir()] == [ROOM]


def test_a_room_that_was_never_finished_is_no_room_and_goes_some_day(home: Home) -> None:
    left = home.root / "rooms" / ".other.tmp-0a1b2c"
    left.mkdir()
    (left / "room.json").write_bytes(b"{}")
    assert home.rooms() == [ROOM]
    os.utime(left, (0, 0))
    fresh = left.with_name(".another.tmp-9")
    fresh.mkdir()
    home.create_room(msgspec.structs.replace(state(), id="other"), [HOST], "", Tokens())
    assert not left.exists()
    assert fresh.exists()


@pytest.mark.hostile("F01")
@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "a\\b", "%2e", "CON", "room\n", "", "a\0b", "-x", "é", "a" * 65]
)
def test_a_name_that_no_room_can_have_touches_no_disk(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(ValueError, match="a room's name"):
        home.room_path(name)
    with pytest.raises(ValueError, match="a room's name"):
        home.has_room(name)
    assert not home.root.exists()


@pytest.mark.hostile("F03")
def test_a_room_that_is_a_link_is_refused_and_not_listed(home: Home, tmp_path: Path) -> None:
    folder_of(home).rename(tmp_path / "elsewhere")
    folder_of(home).symlink_to(tmp_path / "elsewhere")
    assert home.rooms() == []
    with pytest.raises(UnsafeFile):
        reopen(home)
    with pytest.raises(UnsafeFile):
        home.read_room(ROOM)


@pytest.mark.hostile("F03")
@pytest.mark.parametrize(
    "name", ["room.json", "participants.json", "brief.md", "messages.jsonl", "lock", "tokens.json"]
)
@pytest.mark.parametrize("what", ["link", "fifo", "directory", "device"])
def test_a_strange_thing_in_the_place_of_a_file_is_refused(
    home: Home, name: str, what: str
) -> None:
    path = folder_of(home) / name
    path.unlink(missing_ok=True)
    target = home.root / "target"
    target.write_bytes(b"x")
    if what == "link":
        path.symlink_to(target)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif os.geteuid() == 0:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    else:
        pytest.skip("only root makes devices")
    with pytest.raises(UnsafeFile):
        reopen(home)
    assert target.read_bytes() == b"x"


@pytest.mark.hostile("F05")
def test_a_home_that_others_may_write_to_is_refused(home: Home) -> None:
    home.root.chmod(0o777)
    with pytest.raises(UnsafeFile):
        home.prepare()
    with pytest.raises(UnsafeFile):
        reopen(home)


@pytest.mark.hostile("S11")
def test_a_room_can_be_owned_once(home: Home) -> None:
    with open_room(home, ROOM, Records(), NOW):
        with pytest.raises(RoomLocked):
            reopen(home)
        assert home.read_room(ROOM).brief == "the brief"
    reopen(home)


def test_a_room_that_is_not_here_is_not_made(home: Home) -> None:
    with (
        pytest.raises(FileNotFoundError),
        open_room(home, "other", Records(), NOW),
    ):
        pass
    with pytest.raises(FileNotFoundError):
        home.read_room("other")
    assert home.rooms() == [ROOM]


@pytest.mark.hostile("S16")
def test_opening_sweeps_temporary_files_and_leaves_all_else(home: Home) -> None:
    left = [folder_of(home) / name for name in (".room.json.tmp-1", "room.json.tmp-9-0")]
    left.append(folder_of(home) / "cursors" / ".op.json.tmp-2")
    others = [folder_of(home) / name for name in ("write.lock", "boardroom.json", "serve.log")]
    for path in (*left, *others):
        path.write_bytes(b"x")
    reopen(home)
    assert not any(path.exists() for path in left)
    assert all(path.read_bytes() == b"x" for path in others)


def test_the_small_files_are_known_before_the_first_record(home: Home) -> None:
    (folder_of(home) / "messages.jsonl").write_bytes(line(1) + line(2))
    events: list[Any] = []
    with open_room(
        home,
        ROOM,
        lambda message, _: events.append(message.id),
        NOW,
        on_stored=lambda stored: events.append(stored.brief),
    ) as room:
        assert events == ["the brief", 1, 2]
        assert room.recovery.last_id == 2


# --- Damage -----------------------------------------------------------------------------
@pytest.mark.hostile("S15")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("name", SMALL)
def test_a_damaged_file_without_a_copy_keeps_the_room_shut(
    home: Home, name: str, damage: bytes
) -> None:
    path = folder_of(home) / name
    path.write_bytes(damage)
    for read in (reopen, lambda home: home.read_room(ROOM)):
        with pytest.raises(DamagedRoom, match=name) as refused:
            read(home)
        assert str(home.root) not in str(refused.value)
    assert path.read_bytes() == damage


@pytest.mark.hostile("S15")
@pytest.mark.parametrize("damage", [*DAMAGE.values(), None], ids=[*DAMAGE.keys(), "missing"])
@pytest.mark.parametrize("name", SMALL)
def test_a_damaged_file_is_read_from_its_second_copy_and_set_aside(
    home: Home, name: str, damage: bytes | None
) -> None:
    changed = state(brief_version=7, attendance_policy="all-foreground")
    seats = [HOST, Participant(alias="bot", token_hash="b2", removed_at=NOW)]
    with open_room(home, ROOM, Records(), NOW) as room:
        room.store.write({"room.json": encode_small_file(changed)}, b"")
        room.store.write({"participants.json": encode_roster(seats)}, b"")
    path = folder_of(home) / name
    sound = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert home.read_room(ROOM).warnings
    assert not list(folder_of(home).glob("*.damaged-*"))
    stored, warnings = reopen(home)
    assert (stored.state, stored.participants) == (changed, seats)
    assert [name in warning for warning in warnings] == [True]
    assert path.read_bytes() == sound
    aside = list(folder_of(home).glob("*.damaged-*"))
    assert [found.read_bytes() for found in aside] == ([] if damage is None else [damage])
    assert reopen(home)[1] == ()


@pytest.mark.hostile("S15")
@pytest.mark.parametrize(
    "changes",
    [
        {"status": "ajar"},
        {"status": None},
        {"attendance_policy": "whatever"},
        {"next_message_id": "1"},
        {"expires_at": "tomorrow"},
        {"id": "other"},
        {"schema": "x"},
    ],
)
def test_a_room_with_a_value_that_we_do_not_know_stays_shut(
    home: Home, changes: dict[str, object]
) -> None:
    set_keys(folder_of(home) / "room.json", **changes)
    with pytest.raises(DamagedRoom):
        reopen(home)


@pytest.mark.hostile("S15", "D05")
def test_a_newer_form_is_refused_and_left_as_it_is(home: Home) -> None:
    path = folder_of(home) / "room.json"
    set_keys(path, schema=2, status={"open": True})
    before = path.read_bytes()
    for read in (reopen, lambda home: home.read_room(ROOM)):
        with pytest.raises(NewerSchema, match="upgrade"):
            read(home)
    assert path.read_bytes() == before


def test_damaged_tokens_are_set_aside_and_the_room_opens(home: Home) -> None:
    path = folder_of(home) / "tokens.json"
    path.write_bytes(b"{")
    with pytest.raises(DamagedRoom):
        home.read_tokens(ROOM)
    _, warnings = reopen(home)
    assert len(warnings) == 1
    assert home.read_tokens(ROOM) == Tokens()


@pytest.mark.parametrize("content", [None, b"caf\xe9"])
def test_a_brief_that_is_missing_or_odd_does_not_keep_the_room_shut(
    home: Home, content: bytes | None
) -> None:
    path = folder_of(home) / "brief.md"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    stored, warnings = reopen(home)
    assert stored.brief == ("" if content is None else "caf\ufffd")
    assert len(warnings) == 1


def test_a_room_without_a_host_says_so(home: Home) -> None:
    (folder_of(home) / "participants.json").write_bytes(b"[]")
    stored, warnings = reopen(home)
    assert stored.participants == []
    assert warnings == ("nobody is the host of this room",)


@pytest.mark.hostile("S03", "S04")
def test_what_is_wrong_with_the_log_is_told_when_the_room_opens(home: Home) -> None:
    (folder_of(home) / "messages.jsonl").write_bytes(line(1) + b"bad\n" + line(3) + b"torn")
    _, warnings = reopen(home)
    assert len(warnings) == 3


# --- Seats ------------------------------------------------------------------------------
def test_the_current_room_is_kept_with_keys_that_we_do_not_know(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.read_current() is None
    current = CurrentRoom(roomId=ROOM, alias="op", token="agp_x", baseUrl="http://127.0.0.1:8787")
    current.extra = {"theme": "dark"}
    home.write_current(current)
    assert home.read_current() == current
    assert decode_plain((home.root / "current-room.json").read_bytes()) == {
        "roomId": ROOM,
        "alias": "op",
        "token": "agp_x",
        "baseUrl": "http://127.0.0.1:8787",
        "theme": "dark",
    }
    home.clear_current()
    home.clear_current()
    assert home.read_current() is None


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_current_room_is_named_without_its_content(home: Home, damage: bytes) -> None:
    (home.root / "current-room.json").write_bytes(damage)
    with pytest.raises(DamagedRoom, match="select a room again"):
        home.read_current()


def test_a_cursor_is_kept_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.read_cursor(ROOM, "op") == 0
    home.write_cursor(ROOM, "op", 42, NOW)
    assert home.read_cursor(ROOM, "op") == 42
    path = folder_of(home) / "cursors" / "op.json"
    assert decode_plain(path.read_bytes()) == {"alias": "op", "sinceId": 42, "updatedAt": NOW}
    set_keys(path, theme="dark")
    home.write_cursor(ROOM, "op", 43, NOW)
    assert decode_plain(path.read_bytes())["theme"] == "dark"
    for damage in (*DAMAGE.values(), b'{"alias":"op","sinceId":-5}'):
        path.write_bytes(damage)
        assert home.read_cursor(ROOM, "op") == 0
    with pytest.raises(ValueError, match="an alias"):
        home.read_cursor(ROOM, "../op")
    assert not home.has_room(ROOM)
    assert home.rooms() == []


def test_the_token_of_a_seat_elsewhere_is_kept_beside_others(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.add_token(ROOM, "op", "agp_one")
    home.add_token(ROOM, "bot", "agp_two")
    assert home.read_tokens(ROOM).tokens == {"op": "agp_one", "bot": "agp_two"}
    assert not home.has_room(ROOM)
    with pytest.raises(FileExistsError):
        home.create_room(state(), [HOST], "", Tokens())


def test_a_tunnel_is_noted_with_the_older_programs_key_and_forgotten(home: Home) -> None:
    assert home.read_tunnel(ROOM) is None
    home.write_tunnel(ROOM, TunnelState(publicUrl="https://rooms.example/demo"))
    path = folder_of(home) / "tunnel.json"
    assert decode_plain(path.read_bytes()) == {"public_base_url": "https://rooms.example/demo"}
    set_keys(path, route_slug="demo")
    tunnel = home.read_tunnel(ROOM)
    assert tunnel is not None
    assert (tunnel.publicUrl, tunnel.extra) == (
        "https://rooms.example/demo",
        {"route_slug": "demo"},
    )
    path.write_bytes(b"{")
    assert home.read_tunnel(ROOM) is None
    home.clear_tunnel(ROOM)
    home.clear_tunnel(ROOM)
    assert not path.exists()


def test_a_home_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = make_home(Path("home"))
    monkeypatch.chdir("/")
    assert home.rooms() == [ROOM]
    assert home.root == tmp_path / "home"
