"""What a room's tunnel keeps in its folder."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked
from agentgather.storage.stored_room import DamagedRoom
from agentgather.storage.tunnel_files import (
    MAX_ROUTE_SECRETS,
    ask_for_route,
    is_left_behind,
    note_tunnel,
    open_tunnel_lock,
    public_url_of,
    read_routes,
    read_tunnel_holder,
    tunnel_path,
    tunnel_stamp,
    use_route,
)
from agentgather.wire.records import RouteSecret, RouteSecrets, TunnelState, decode_plain
from tests.doubles.table import make_home

ROOM = "demo"
URL = "https://rooms.example/demo-x"
BROKER = "https://rooms.example"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def note(home: Home) -> None:
    note_tunnel(home, ROOM, URL, BROKER, "demo-x")


def test_a_room_is_public_while_its_tunnel_runs(home: Home) -> None:
    assert public_url_of(home, ROOM) is None
    with open_tunnel_lock(home, ROOM):
        assert public_url_of(home, ROOM) is None
        note(home)
        assert public_url_of(home, ROOM) == URL
        assert read_tunnel_holder(home, ROOM) == os.getpid()
        path = home.room_path(ROOM) / "tunnel.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert decode_plain(path.read_bytes()) == {
            "public_base_url": URL,
            "broker": BROKER,
            "slug": "demo-x",
            "pid": os.getpid(),
        }
    assert public_url_of(home, ROOM) is None
    assert not path.exists()
    assert read_tunnel_holder(home, ROOM) is None


def test_the_file_goes_however_the_tunnel_ends(home: Home) -> None:
    def fail() -> None:
        with open_tunnel_lock(home, ROOM):
            note(home)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert home.read_tunnel(ROOM) is None


def test_a_room_has_one_tunnel_at_a_time(home: Home) -> None:
    with open_tunnel_lock(home, ROOM):
        note(home)
        with pytest.raises(RoomLocked), open_tunnel_lock(home, ROOM):
            pass
        assert public_url_of(home, ROOM) == URL


@pytest.mark.hostile("S23", "K09")
def test_what_a_killed_tunnel_left_behind_leads_nobody_anywhere(home: Home) -> None:
    code = f"""
import os, pathlib
from agentgather.storage.home import Home
from agentgather.storage.tunnel_files import note_tunnel, open_tunnel_lock
home = Home(pathlib.Path({str(home.root)!r}))
with open_tunnel_lock(home, {ROOM!r}):
    note_tunnel(home, {ROOM!r}, {URL!r}, {BROKER!r}, "demo-x")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    tunnel = home.read_tunnel(ROOM)
    assert tunnel is not None
    assert is_left_behind(home, ROOM, tunnel)
    assert public_url_of(home, ROOM) is None
    with open_tunnel_lock(home, ROOM):
        # Nor does it once somebody else has the lock.
        assert public_url_of(home, ROOM) is None


def test_the_file_of_an_older_program_is_believed(home: Home) -> None:
    home.write_tunnel(ROOM, TunnelState(publicUrl=URL, extra={"route_slug": "demo"}))
    assert public_url_of(home, ROOM) == URL


def test_a_file_that_is_none_leads_nowhere(home: Home) -> None:
    path = home.room_path(ROOM) / "tunnel.json"
    path.write_bytes(b"{")
    assert public_url_of(home, ROOM) is None
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert public_url_of(home, ROOM) is None


def route(number: int) -> RouteSecret:
    return RouteSecret(BROKER, f"slug-{number}", f"agh_{number}")


def test_slugs_are_remembered_the_last_used_one_first(home: Home) -> None:
    assert read_routes(home, ROOM) == RouteSecrets()
    for number in (1, 2, 1, 1):
        use_route(home, ROOM, route(number))
    assert read_routes(home, ROOM).routes == [route(1), route(2)]
    path = home.room_path(ROOM) / "routes.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(decode_plain(path.read_bytes())["routes"][0]) == ["broker", "slug", "secret"]


def test_slugs_are_remembered_up_to_a_bound(home: Home) -> None:
    for number in range(MAX_ROUTE_SECRETS + 1):
        use_route(home, ROOM, route(number))
    kept = read_routes(home, ROOM).routes
    assert len(kept) == MAX_ROUTE_SECRETS
    assert kept[-1] == route(1)


def test_a_slug_that_was_asked_for_is_kept_and_takes_nobodys_place(home: Home) -> None:
    use_route(home, ROOM, route(1))
    for number in (2, 3, 1, 2):
        ask_for_route(home, ROOM, route(number))
    assert read_routes(home, ROOM) == RouteSecrets(routes=[route(1)], asked=[route(2), route(3)])
    use_route(home, ROOM, route(3))
    assert read_routes(home, ROOM) == RouteSecrets(routes=[route(3), route(1)], asked=[route(2)])


def test_slugs_in_vain_are_kept_up_to_a_bound_and_push_out_no_other(home: Home) -> None:
    use_route(home, ROOM, route(0))
    for number in range(1, MAX_ROUTE_SECRETS + 2):
        ask_for_route(home, ROOM, route(number))
    kept = read_routes(home, ROOM)
    assert kept.routes == [route(0)]
    assert len(kept.asked) == MAX_ROUTE_SECRETS
    assert kept.asked[-1] == route(2)


def test_what_a_newer_program_wrote_beside_the_slugs_stays(home: Home) -> None:
    path = home.room_path(ROOM) / "routes.json"
    path.write_bytes(b'{"routes": [], "new": 1}')
    ask_for_route(home, ROOM, route(1))
    use_route(home, ROOM, route(1))
    assert decode_plain(path.read_bytes())["new"] == 1


def test_the_stamp_of_the_file_tells_its_writing_and_its_removal(home: Home) -> None:
    path = tunnel_path(home, ROOM)
    assert tunnel_stamp(path) is None
    with open_tunnel_lock(home, ROOM):
        note(home)
        first = tunnel_stamp(path)
        assert first == tunnel_stamp(path) is not None
        note(home)
        assert tunnel_stamp(path) not in (None, first)
    assert tunnel_stamp(path) is None


@pytest.mark.hostile("S23")
def test_a_damaged_file_is_told_and_not_overwritten(home: Home) -> None:
    path = home.room_path(ROOM) / "routes.json"
    path.write_bytes(b'{"routes": [{"broker": 1}]}')
    with pytest.raises(DamagedRoom):
        use_route(home, ROOM, route(1))
    assert path.read_bytes().startswith(b'{"routes": [{"broker": 1')


def test_no_secret_is_printed() -> None:
    assert "agh_" not in repr(route(1))
