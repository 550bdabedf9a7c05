"""A home in which rooms are made and small files are written, and what a crash may leave of it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agentgather.storage.disk import Disk
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.seats import update_seat, write_seat
from agentgather.storage.tunnel_files import ask_for_route, note_tunnel, use_route
from agentgather.wire.records import CurrentRoom, RouteSecret, Tokens
from tests.durability.recording_disk import RecordingDisk
from tests.durability.room_story import Told
from tests.durability.stand_in import standing_in
from tests.storage.samples import HOST, NOW, ROOM, Records, folder_of, state

STEPS: Final = 8
Contents = dict[str, bytes | None]


def make_room(home: Home) -> None:
    home.create_room(state(), [HOST], "the brief", Tokens(tokens={"op": "agp_secret"}))


def some_step(home: Home, number: int, chance: random.Random) -> Callable[[], None]:
    """Give something to do with a home that each writes another small file."""
    seat = CurrentRoom(roomId=ROOM, alias="op", token=f"agp_{number}", baseUrl="http://127.0.0.1:1")
    other = CurrentRoom(roomId="other", alias="x", token=f"agp_{number}", baseUrl="https://x.test")
    route = RouteSecret(broker="https://b.test", slug=f"s{number}", secret="agh_x")
    return chance.choice(
        [
            lambda: write_seat(home, seat, select=True),
            lambda: write_seat(home, other, select=chance.random() < 0.5),
            lambda: update_seat(home, seat),
            lambda: home.write_current(seat),
            lambda: home.write_cursor(ROOM, "op", number, NOW),
            lambda: home.write_cursor("other", "x", number, NOW),
            lambda: home.add_token("other", "x", f"agp_{number}"),
            lambda: note_tunnel(home, ROOM, f"https://b.test/{number}", "https://b.test", "s"),
            lambda: ask_for_route(home, ROOM, route),
            lambda: use_route(home, ROOM, route),
        ]
    )


def tell_story(
    root: Path,
    chance: random.Random,
    recorder: Callable[[Path], RecordingDisk] = RecordingDisk,
) -> tuple[RecordingDisk, Told]:
    """Make a home under ``root`` and write into it; give the record and what was told."""
    root.mkdir(mode=0o700)
    home = home_under(root)
    disk = recorder(root)
    told = Told()
    told.fates[told.begin({}, []).number] = "stored"
    steps = [lambda: make_room(home)]
    steps += [some_step(home, number, chance) for number in range(STEPS)]
    before: Contents = {}
    with standing_in(disk):
        for step in steps:
            begun = told.begin({}, [])
            disk.mark(begun)
            step()
            disk.mark(begun._replace(fate="stored"))
            after = contents_under(home)
            told.files[begun.number] = {
                name: after.get(name)
                for name in before | after
                if after.get(name) != before.get(name)
            }
            before = after
    told.files[0] = dict.fromkeys(before)
    return disk, told


def home_under(root: Path) -> Home:
    """Give the home; its own folder's parent is made with it."""
    return Home(root / "people" / "home")


def contents_under(home: Home) -> Contents:
    """Give every file but locks and the log."""
    return {
        path.relative_to(home.root).as_posix(): path.read_bytes()
        for path in home.root.rglob("*")
        if path.is_file() and path.suffix != ".jsonl" and ".tmp-" not in path.as_posix()
    }


def faults_after(home: Home, told: Told, disk: Disk) -> list[str]:
    """Hold a home to what was told, and see that its room is whole or not there."""
    contents = contents_under(home)
    faults = []
    for name in told.files[0] | contents:
        writers = [n for n in told.with_fate("began", "stored") if name in told.files[n]]
        if not writers:
            faults.append(f"nobody wrote {name}")
            continue
        least = max(number for number in writers if told.fates[number] == "stored")
        if contents.get(name) not in [told.files[n][name] for n in writers if n >= least]:
            faults.append(f"{name} is not that of step {least} or later: {contents.get(name)!r}")
    if folder_of(home).exists():
        try:
            with open_room(home, ROOM, Records(), NOW, disk=disk) as room:
                faults += room.warnings
        except Exception as error:
            faults.append(f"the room does not open: {error!r}")
    return faults
