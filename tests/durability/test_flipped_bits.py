"""A bit flipped every 997 bytes, in every file of a home, and what becomes of it."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import trio

from agentgather.storage.files import UnsafeFile
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.seats import write_seat
from agentgather.storage.stored_room import DamagedRoom, NewerSchema
from agentgather.wire.limits import RATE_WINDOW_SECONDS
from agentgather.wire.records import CurrentRoom
from tests.cli.outside.terminal import Terminal
from tests.doubles.clock import run_in_virtual_time
from tests.doubles.table import TOKENS, make_home, open_table
from tests.storage.samples import NOW, Records, line

STRIDE = 997
PHASES = range(0, STRIDE, 83)
MESSAGES = 300
COMMANDS = [("doctor",), ("messages",), ("read",), ("room", "who"), ("send", "ada", "x")]
REFUSALS = (DamagedRoom, NewerSchema, UnsafeFile)
FILES = [
    "rooms/demo/messages.jsonl",
    "rooms/demo/room.json",
    "rooms/demo/participants.json",
    "rooms/demo/brief.md",
    "rooms/demo/tokens.json",
    "rooms/demo/cursors/host.json",
    "current-room.json",
    "seats/demo.json",
]


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with all its files, and a room that was talked in."""
    home = make_home(tmp_path_factory.mktemp("lived-in") / "home")
    run_in_virtual_time(partial(talk, home))
    seat = CurrentRoom(
        roomId="demo", alias="host", token=TOKENS["host"], baseUrl="http://127.0.0.1:1"
    )
    write_seat(home, seat, select=True)
    home.write_cursor("demo", "host", 7, NOW)
    return home


async def talk(home: Home) -> None:
    async with open_table(home) as table:
        for client in (table.host, table.ada, table.rev):
            await client.post("/join")
        await table.host.post("/brief", {"body": "Goal: be there.\n" * 100})
        await table.host.post("/participants", {"alias": "late", "kind": "human"})
        await table.host.post("/participants/bo/remove")
        for number in range(MESSAGES):
            if number % 100 == 0:
                await trio.sleep(RATE_WINDOW_SECONDS)
            speaker = table.host if number % 2 else table.ada
            await speaker.say(f"message {number} é😀 " + "x" * (number % 200))


def flip(path: Path, phase: int) -> list[int]:
    """Flip a bit in every 997th byte from ``phase`` on; gives where."""
    data = bytearray(path.read_bytes())
    places = list(range(phase % len(data), len(data), STRIDE))
    for place in places:
        data[place] ^= 1 << (phase + place) % 8
    path.write_bytes(data)
    return places


def intact(before: bytes, places: list[int]) -> list[bytes]:
    """Give the lines in which nothing was flipped, nor in the line end before them."""
    found, start = [], 0
    for whole in before.splitlines(keepends=True):
        if not any(start - 1 <= place < start + len(whole) for place in places):
            found.append(whole[:-1])
        start += len(whole)
    return found


def open_again(home: Home) -> tuple[list[bytes], tuple[str, ...]]:
    """Open the room, append to it, and give its records and warnings.

    Raises DamagedRoom, NewerSchema.
    """
    records = Records()
    with open_room(home, "demo", records, NOW) as room:
        room.store.write({}, line(room.recovery.last_id + 1, "after all"))
    return records.lines, room.warnings


@pytest.mark.parametrize("phase", PHASES)
def test_no_command_fails_in_another_way_than_by_saying_what_is_wrong(
    lived_in: Home, tmp_path: Path, phase: int
) -> None:
    for number, name in enumerate(FILES):
        home = Home(shutil.copytree(lived_in.root, tmp_path / f"{number}" / "home"))
        assert flip(home.root / name, phase)
        terminal = Terminal(home.root)
        # The terminal itself takes no traceback and no word of a bug.
        for command in COMMANDS:
            done = terminal.here(*command)
            assert done.status in (0, 1, 2, 69), (name, command, done)
            assert done.out or done.err or command == ("read",), (name, command)


@pytest.mark.parametrize("phase", PHASES)
def test_flipped_bits_in_the_log_cost_no_line_that_is_intact(
    lived_in: Home, tmp_path: Path, phase: int
) -> None:
    home = Home(shutil.copytree(lived_in.root, tmp_path / "home"))
    log = home.room_path("demo") / "messages.jsonl"
    before = log.read_bytes()
    places = flip(log, phase)
    sound = intact(before, places)
    assert 200 < len(sound) < MESSAGES
    found, _ = open_again(home)
    assert [one for one in found if one in set(sound)] == sound
    # Nothing was cut off but a tail without a line end, and that was kept.
    kept = b"".join(torn.read_bytes() for torn in log.parent.glob("*.torn-*"))
    assert len(before) <= len(log.read_bytes()) + len(kept)


@pytest.mark.parametrize("name", ["room.json", "participants.json"])
@pytest.mark.parametrize("has_copy", [True, False])
def test_a_small_file_that_cannot_be_read_is_put_right_from_its_copy_or_refused(
    lived_in: Home, tmp_path: Path, name: str, *, has_copy: bool
) -> None:
    home = Home(shutil.copytree(lived_in.root, tmp_path / "home"))
    folder = home.room_path("demo")
    before, log_before = (folder / name).read_bytes(), (folder / "messages.jsonl").read_bytes()
    if not has_copy:
        (folder / f"{name}.copy").unlink()
    restored, refused = 0, []
    # Each byte of a short file; of a longer one as many.
    for place in range(0, len(before), 1 + len(before) // 400):
        flipped = bytearray(before)
        flipped[place] ^= 1 << (place * 5) % 8
        (folder / name).write_bytes(flipped)
        try:
            _, warnings = open_again(home)
        except REFUSALS as error:
            refused.append(str(error))
            assert (folder / name).read_bytes() == flipped
        else:
            for kept in folder.glob(f"{name}.damaged-*"):
                assert kept.read_bytes() == flipped
                assert (folder / name).read_bytes() == before
                assert any(name in warning for warning in warnings)
                kept.unlink()
                restored += 1
        (folder / name).write_bytes(before)
    assert restored > 20 if has_copy else len(refused) > 20
    assert restored == 0 or has_copy
    assert all(name in text or "newer agentgather" in text for text in refused)
    assert (folder / "messages.jsonl").read_bytes().startswith(log_before)
