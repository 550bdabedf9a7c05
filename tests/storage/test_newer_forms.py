"""Files that a newer program wrote: refused with a plain word, and left as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.seats import read_seat, write_seat
from agentgather.storage.stored_room import DamagedRoom, NewerSchema
from agentgather.storage.tunnel_files import ask_for_route, public_url_of, read_routes, use_route
from agentgather.wire.records import (
    SCHEMA,
    CurrentRoom,
    RouteSecret,
    TunnelState,
    decode_plain,
    encode_plain,
)
from tests.storage.samples import NOW, ROOM, Records, folder_of, make_home

URL = "http://127.0.0.1:8787"
SEAT = CurrentRoom(roomId=ROOM, alias="op", token="agp_x", baseUrl=URL)
ROUTE = RouteSecret("https://rooms.example", "demo-x", "agh_x")


def opened(home: Home) -> None:
    with open_room(home, ROOM, Records(), NOW):
        pass


FILES: dict[str, list[Callable[[Home], Any]]] = {
    "current-room.json": [
        lambda home: home.read_current(),
        lambda home: write_seat(home, SEAT, select=True),
    ],
    f"seats/{ROOM}.json": [
        lambda home: read_seat(home, ROOM),
        lambda home: write_seat(home, SEAT, select=False),
    ],
    f"rooms/{ROOM}/room.json": [
        lambda home: home.read_room(ROOM),
        lambda home: opened(home),
    ],
    f"rooms/{ROOM}/tokens.json": [
        lambda home: home.read_tokens(ROOM),
        lambda home: home.add_token(ROOM, "rev", "agp_y"),
        lambda home: opened(home),
    ],
    f"rooms/{ROOM}/cursors/op.json": [
        lambda home: home.read_cursor(ROOM, "op"),
        lambda home: home.write_cursor(ROOM, "op", 4, NOW),
    ],
    f"rooms/{ROOM}/routes.json": [
        lambda home: read_routes(home, ROOM),
        lambda home: ask_for_route(home, ROOM, ROUTE),
        lambda home: use_route(home, ROOM, ROUTE),
    ],
}
CASES = [(name, use) for name, uses in FILES.items() for use in uses]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = make_home(tmp_path / "home")
    write_seat(home, SEAT, select=True)
    home.write_cursor(ROOM, "op", 3, NOW)
    use_route(home, ROOM, ROUTE)
    return home


def set_form(home: Home, name: str, form: object) -> bytes:
    """Write the file as a program of another form might, with a key that has another type."""
    path = home.root / name
    newer = decode_plain(path.read_bytes()) | {"schema": form}
    if form != SCHEMA:
        newer |= {key: {"v": form} for key in ("id", "alias", "tokens", "routes")}
    path.write_bytes(encode_plain(newer))
    return path.read_bytes()


@pytest.mark.hostile("S15", "D05")
@pytest.mark.parametrize(("name", "use"), CASES)
def test_a_newer_file_is_refused_and_left_as_it_is(
    home: Home, name: str, use: Callable[[Home], Any]
) -> None:
    before = set_form(home, name, SCHEMA + 1)
    text = rf"newer agentgather \(form {SCHEMA + 1}, .* up to {SCHEMA}\); upgrade"
    with pytest.raises(NewerSchema, match=text) as refused:
        use(home)
    assert "agp_" not in str(refused.value)
    assert (home.root / name).read_bytes() == before


@pytest.mark.parametrize(("name", "use"), CASES)
def test_a_file_that_says_our_own_form_is_read(
    home: Home, name: str, use: Callable[[Home], Any]
) -> None:
    set_form(home, name, SCHEMA)
    use(home)


def test_a_form_in_a_small_file_survives_a_rewrite(home: Home) -> None:
    name = f"rooms/{ROOM}/cursors/op.json"
    set_form(home, name, SCHEMA)
    home.write_cursor(ROOM, "op", 9, NOW)
    assert decode_plain((home.root / name).read_bytes())["schema"] == SCHEMA


@pytest.mark.hostile("D05")
def test_a_newer_form_in_the_second_copy_keeps_the_room_shut_too(home: Home) -> None:
    room = folder_of(home) / "room.json"
    newer = set_form(home, f"rooms/{ROOM}/room.json", SCHEMA + 1)
    copy = room.with_name("room.json.copy")
    copy.write_bytes(newer)
    room.write_bytes(b"{")
    with pytest.raises(NewerSchema):
        opened(home)
    assert (room.read_bytes(), copy.read_bytes()) == (b"{", newer)


@pytest.mark.hostile("S23")
def test_where_a_newer_tunnel_leads_is_not_guessed(home: Home) -> None:
    home.write_tunnel(ROOM, TunnelState(publicUrl="https://rooms.example/demo-x"))
    assert public_url_of(home, ROOM) is not None
    set_form(home, f"rooms/{ROOM}/tunnel.json", SCHEMA + 1)
    assert public_url_of(home, ROOM) is None


def test_what_is_damaged_is_not_called_newer(home: Home) -> None:
    for form in ("2", None, True, {"v": 2}, 1.5):
        path = folder_of(home) / "room.json"
        before = path.read_bytes()
        path.write_bytes(encode_plain(decode_plain(before) | {"schema": form}))
        with pytest.raises(DamagedRoom):
            home.read_room(ROOM)
        path.write_bytes(before)
