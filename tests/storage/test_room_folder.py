import errno
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from agentgather.storage.failures import StorageBusy, StorageFailed, StorageFull
from agentgather.storage.home import Home
from agentgather.storage.owned_room import OpenRoom, open_room
from agentgather.wire.records import decode_plain
from tests.doubles.lossy_disk import LossyDisk, PowerCut
from tests.storage.samples import NOW, ROOM, Records, folder_of, line, make_home

OLD: Mapping[str, bytes] = {"brief.md": b"old", "tokens.json": b'{"tokens":{}}'}
NEW: Mapping[str, bytes | None] = {"brief.md": b"new", "tokens.json": None, "notes": b"more"}


class Opened:
    """An open room on a lossy disk."""

    def __init__(self, home: Home) -> None:
        self.folder = folder_of(home)
        for name, content in OLD.items():
            (self.folder / name).write_bytes(content)
        self.disk = LossyDisk(self.folder)
        self.ends = ExitStack()
        self.room: OpenRoom = self.ends.enter_context(
            open_room(home, ROOM, Records(), NOW, disk=self.disk)
        )
        self.disk.calls.clear()

    def files(self) -> dict[str, bytes]:
        """Give what a reader finds, without what is nobody's business."""
        return {
            path.name: path.read_bytes()
            for path in self.folder.iterdir()
            if path.is_file() and path.name != "lock" and not path.name.endswith(".copy")
        }


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(make_home(tmp_path / "home", lines=line(1)))
    with opened.ends:
        yield opened
    opened.disk.close()


def test_small_files_and_lines_are_stored_together(opened: Opened) -> None:
    expected = opened.files() | {
        "brief.md": b"new",
        "notes": b"more",
        "messages.jsonl": line(1) + line(2),
    }
    del expected["tokens.json"]
    opened.room.store.write(NEW, line(2))
    assert opened.files() == expected
    opened.disk.power_cut()
    # The old contents' second names may be back; the next opening sweeps them.
    left = {name: data for name, data in opened.files().items() if ".tmp-" not in name}
    assert left == expected


@pytest.mark.hostile("S21")
@pytest.mark.parametrize("call", ["write-half", "write"])
@pytest.mark.parametrize("after", range(12))
def test_a_full_disk_changes_no_file(opened: Opened, call: str, after: int) -> None:
    before = opened.files()
    opened.disk.fail(call, errno.ENOSPC, after=after)
    try:
        opened.room.store.write(NEW, line(2))
    except StorageFull:
        assert opened.files() == before
        opened.disk.power_cut(torn_bytes=1000)
        assert opened.files() == before
    else:
        assert opened.files()["notes"] == b"more"


def test_after_a_full_disk_the_next_change_is_stored(opened: Opened) -> None:
    opened.disk.fail("write", errno.ENOSPC, after=9)
    with pytest.raises(StorageFull):
        opened.room.store.write(NEW, line(2, "x" * 1000))
    opened.room.store.write(NEW, line(2))
    assert opened.files()["brief.md"] == b"new"


@pytest.mark.hostile("S08")
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_running_out_of_descriptors_is_no_failure_of_the_disk(opened: Opened, code: int) -> None:
    before = opened.files()
    opened.disk.fail("rename", code)
    with pytest.raises(StorageBusy):
        opened.room.store.write(NEW, line(2))
    assert opened.files() == before
    opened.room.store.write(NEW, line(2))


@pytest.mark.hostile("S06")
@pytest.mark.parametrize("call", ["write", "sync", "link", "rename", "unlink", "sync_directory"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_failing_disk_puts_the_files_back_and_takes_no_more(
    opened: Opened, call: str, after: int
) -> None:
    before = opened.files()
    opened.disk.fail(call, errno.EIO, after=after)
    try:
        opened.room.store.write(NEW, line(2))
    except StorageFailed:
        assert opened.files() == before
        calls = len(opened.disk.calls)
        with pytest.raises(StorageFailed):
            opened.room.store.write(NEW, line(2))
        assert len(opened.disk.calls) == calls
    else:
        # What failed was only the removal of the old content.
        assert (call, after) in {("unlink", 1), ("sync_directory", 1)}
        assert opened.files()["messages.jsonl"] == line(1) + line(2)


@pytest.mark.hostile("S07")
def test_a_folder_that_was_removed_is_not_made_again(opened: Opened, tmp_path: Path) -> None:
    opened.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed):
        opened.room.store.write(NEW, b"")
    assert not opened.folder.exists()


@pytest.mark.hostile("S17")
def test_a_file_system_without_second_names_works_too(opened: Opened) -> None:
    opened.disk.fail("link", errno.EPERM, times=2)
    # Three calls for the new content, three for the old, then the log.
    opened.disk.fail("write", errno.ENOSPC, after=7)
    before = opened.files()
    with pytest.raises(StorageFull):
        opened.room.store.write({"brief.md": b"new"}, line(2))
    assert opened.files() == before
    opened.room.store.write({"brief.md": b"new"}, line(2))
    assert opened.files() == {**before, "brief.md": b"new", "messages.jsonl": line(1) + line(2)}


def test_entries_that_are_no_seats_are_written_back(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    path = folder_of(home) / "participants.json"
    odd = [{"alias": "bot", "kind": "system", "x": [1]}, 7, {"alias": "op", "kind": "human"}]
    path.write_text(f"[{path.read_text().strip()[1:-1]}, {str(odd)[1:-1]}]".replace("'", '"'))
    with open_room(home, ROOM, Records(), NOW) as room:
        assert [seat.alias for seat in room.stored.participants] == ["op"]
        assert len(room.warnings) == 1
        room.store.write({"participants.json": b'[{"alias":"op","is_host":true}]'}, b"")
    assert decode_plain(path.read_bytes()) == [{"alias": "op", "is_host": True}, *odd]
    assert decode_plain(path.with_name("participants.json.copy").read_bytes())[1:] == odd


@pytest.mark.hostile("S16")
@pytest.mark.parametrize("torn_bytes", [0, 40])
def test_a_power_cut_at_any_call_leaves_each_file_old_or_new(
    tmp_path: Path, torn_bytes: int
) -> None:
    for call in range(100):
        home = make_home(tmp_path / f"home{call}", lines=line(1))
        opened = Opened(home)
        opened.disk.cut_at = call
        acknowledged = 0
        with opened.ends, suppress(PowerCut):
            opened.room.store.write({"brief.md": b"new"}, line(2))
            acknowledged = 1
            opened.room.store.write({"brief.md": b"newer", "tokens.json": None}, line(3))
            acknowledged = 2
        opened.disk.power_cut(torn_bytes=torn_bytes)
        check_after_cut(home, acknowledged)
        if acknowledged == 2:
            break
    assert call > 30


def check_after_cut(home: Home, acknowledged: int) -> None:
    records = Records()
    with open_room(home, ROOM, records, NOW) as room:
        assert room.recovery.bad_count == 0
        assert [1, 2, 3][: 1 + acknowledged] == records.ids[: 1 + acknowledged]
        assert records.ids in ([1], [1, 2], [1, 2, 3])
        versions = ["old", "new", "newer"]
        assert versions.index(room.stored.brief) in (acknowledged, acknowledged + 1)
        # The state is never behind what the log tells.
        assert versions.index(room.stored.brief) >= len(records.ids) - 1
        if acknowledged == 2:
            assert not (folder_of(home) / "tokens.json").exists()
    assert not list(folder_of(home).glob("*.tmp-*"))
    assert not list(folder_of(home).glob(".*.tmp-*"))
