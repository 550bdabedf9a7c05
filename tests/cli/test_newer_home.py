"""A home in which a newer program wrote: commands say so, and change nothing."""

import json
from pathlib import Path

import pytest

from agentgather.storage.seats import write_seat
from agentgather.wire.records import SCHEMA
from tests.cli.terminal import Terminal

SAYS = f"was written by a newer agentgather (form {SCHEMA + 1}, this one reads up to {SCHEMA})"


@pytest.fixture
def terminal(tmp_path: Path, closed_port: int) -> Terminal:
    """A home with two rooms; the newer program wrote in the selected one."""
    terminal = Terminal(tmp_path / "home")
    url = f"http://127.0.0.1:{closed_port}"
    for room in ("other", "demo"):
        assert terminal.run("room", "start", room, "--url", url).status == 0
    seat = terminal.home.read_current()
    assert seat is not None
    write_seat(terminal.home, seat, select=True)
    path = terminal.root / "rooms/demo/room.json"
    newer = json.loads(path.read_bytes()) | {"schema": SCHEMA + 1, "status": ["open"]}
    path.write_text(json.dumps(newer))
    return terminal


def contents(terminal: Terminal) -> dict[Path, bytes]:
    found = (path for path in terminal.root.rglob("*") if path.is_file() and path.name != "lock")
    return {path: path.read_bytes() for path in found}


@pytest.mark.hostile("D05")
@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "host", "hi"),
        ("messages",),
        ("room", "serve", "--port", "0"),
        ("room", "invite", "rev"),
        ("room", "close"),
        ("export", "--output", "x.md"),
        ("doctor",),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_command_is_refused_in_one_line(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    before = contents(terminal)
    done = terminal.run(*arguments)
    assert done.status == 1
    assert SAYS in done.out + done.err
    assert "Traceback" not in done.err
    assert contents(terminal) == before


def test_the_other_rooms_of_the_home_go_on(terminal: Terminal) -> None:
    listed = terminal.run("room", "list", "--json")
    assert listed.status == 0
    assert [room["room"] for room in listed.documents[0]["rooms"]] == ["demo", "other"]
    assert terminal.run("room", "use", "other").status == 0
    assert terminal.run("send", "host", "hi").status == 0


def test_a_newer_seat_does_not_keep_a_home_from_listing_its_rooms(terminal: Terminal) -> None:
    path = terminal.root / "seats/demo.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema": SCHEMA + 1}))
    listed = terminal.run("room", "list")
    assert listed.status == 0
    assert f"demo: demo.json {SAYS}" in listed.err
