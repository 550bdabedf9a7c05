"""Processes that are killed, and disks that are really full."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from agentgather.storage.home import Home
from agentgather.storage.journal import read_journal
from agentgather.storage.lock import read_holder
from agentgather.storage.owned_room import open_room
from agentgather.wire.records import decode_plain
from tests.storage.samples import NOW, ROOM, Records, folder_of, line, make_home

# Rewrites a brief of one letter, a roster and the log, and tells of each that is durable.
WRITER = """
import sys
from pathlib import Path
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from tests.storage.samples import HOST, NOW, ROOM, line
from agentgather.wire.records import Participant, encode_roster
with open_room(Home(Path(sys.argv[1])), ROOM, lambda *_: None, NOW) as room:
    number = room.recovery.last_id
    while True:
        number += 1
        brief = (b"%d:" % number).ljust(50_000, b"%d" % (number % 10))
        seats = encode_roster([HOST, Participant(alias=f"n{number}", token_hash=str(number))])
        room.store.write({"brief.md": brief, "participants.json": seats}, line(number))
        print(number, flush=True)
"""

# Appends until the system takes no more, then once it takes more again.
FILLER = """
import resource, sys
from pathlib import Path
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.failures import StorageFull
from tests.storage.samples import NOW, ROOM, line
with open_room(Home(Path(sys.argv[1])), ROOM, lambda *_: None, NOW) as room:
    if sys.argv[2] != "0":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    number = room.recovery.last_id
    refused = 0
    while refused < 3:
        try:
            room.store.write({"brief.md": b"b%d" % number}, line(number + 1, "x" * 700))
            number += 1
        except StorageFull:
            refused += 1
    print(number, flush=True)
"""


def start(program: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.hostile("S16")
def test_killing_a_writer_at_any_time_leaves_each_file_old_or_new(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    told = 0
    for kill_after in (1, 2, 3, 7, 20, 45, 80, 120, 200, 333):
        writer = start(WRITER, home.root)
        assert writer.stdout is not None
        for _ in range(kill_after):
            told = int(writer.stdout.readline())
        writer.kill()
        rest = writer.communicate()[0].split()
        told = int(rest[-1]) if rest else told
        records = Records()
        with open_room(home, ROOM, records, NOW) as room:
            assert room.recovery.bad_count == 0
            assert records.ids in (list(range(1, told + 1)), list(range(1, told + 2)))
            number, _, letters = room.stored.brief.partition(":")
            assert told <= int(number) <= told + 1
            assert len(room.stored.brief) == 50_000
            assert set(letters) == {str(int(number) % 10)}
            assert room.stored.participants[1].alias in (f"n{told}", f"n{told + 1}")
        assert not [path for path in home.root.rglob("*") if ".tmp-" in path.name]


@pytest.mark.hostile("S21")
def test_a_file_as_large_as_the_system_allows_is_a_full_disk(tmp_path: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        pytest.skip("this process has a limit of its own")
    home = make_home(tmp_path / "home")
    fill_and_check(home, 20_000)
    assert 19_000 < (folder_of(home) / "messages.jsonl").stat().st_size <= 20_000


@pytest.mark.hostile("S21")
def test_a_disk_that_is_really_full_takes_more_when_it_has_space(small_disk: Path) -> None:
    home = make_home(small_disk / "home")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    stored = fill_and_check(home, 0)
    assert stored > 10
    ballast.unlink()
    assert fill_and_check(home, 0) > stored


@pytest.mark.hostile("S07")
def test_a_disk_that_is_read_only_is_told_as_what_it_is(small_disk: Path) -> None:
    home = make_home(small_disk / "home", lines=line(1))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        open_room(home, ROOM, Records(), NOW).__enter__()
    records = Records()
    assert read_journal(folder_of(home) / "messages.jsonl", ROOM, records).problems == ()
    assert home.read_room(ROOM).brief == "the brief"
    assert read_holder(folder_of(home) / "lock") is None


def fill_and_check(home: Home, limit_bytes: int) -> int:
    filler = start(FILLER, home.root, limit_bytes)
    stored = int(filler.communicate()[0])
    assert filler.returncode == 0
    records = Records()
    with open_room(home, ROOM, records, NOW) as room:
        assert room.recovery.problems == ()
        assert records.ids == list(range(1, stored + 1))
        assert records.lines[-1] == line(stored, "x" * 700)[:-1]
        assert room.stored.brief == f"b{stored - 1}"
        assert decode_plain((folder_of(home) / "room.json").read_bytes())["id"] == ROOM
    return stored
