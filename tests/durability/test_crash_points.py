"""Power cuts at every moment, and every disk that one may leave. `make crash-points` runs more."""

import pytest

from tests.doubles.folders import quick_folder
from tests.durability.crash_points import some_story, try_seed, try_story
from tests.durability.crashes import Crash, Held, lay_out
from tests.durability.recording_disk import (
    Entry,
    Mark,
    RecordingDisk,
    Rename,
    Start,
    Sync,
    SyncNames,
    Truncate,
    Write,
)

SEEDS = range(20)
DISKS = 300


@pytest.mark.parametrize("seed", SEEDS)
def test_no_power_cut_takes_what_was_acknowledged(seed: int) -> None:
    outcome = try_seed(seed)
    assert outcome.points == 1_000
    assert outcome.disks > 100
    assert outcome.faults == []


class ForgetfulDisk(RecordingDisk):
    """A disk that is never told to sync a file's content."""

    def sync(self, descriptor: int) -> None:
        pass


class NamelessDisk(RecordingDisk):
    """A disk that is never told to sync a directory's names."""

    def sync_directory(self, descriptor: int) -> None:
        pass


@pytest.mark.parametrize("recorder", [ForgetfulDisk, NamelessDisk])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_program_that_forgets_to_sync_is_found_out(
    seed: int, recorder: type[RecordingDisk]
) -> None:
    with quick_folder() as folder:
        outcome = try_story(folder, some_story(folder, seed, recorder), seed)
    assert len(outcome.faults) > 10


def test_the_same_numbers_give_the_same_points() -> None:
    first, second = (try_seed(7) for _ in range(2))
    assert first == second


# --- What a disk may hold --------------------------------------------------------------
START = Start({1: b"old", 2: b"tail"}, {0: {"a": 1, "b": 2}})


def disks(record: list[Entry], start: Start = START) -> list[Held]:
    crash = Crash(start, record, len(record))
    return [crash.held(seed) for seed in range(DISKS)]


def contents(record: list[Entry], node: int) -> set[bytes]:
    return {held.content[node] for held in disks(record)}


def test_what_was_synced_is_there_on_every_disk() -> None:
    assert contents([Write(1, 3, b"new"), Sync(1)], 1) == {b"oldnew"}
    assert contents([Truncate(1, 1), Sync(1)], 1) == {b"o"}


def test_of_what_was_not_synced_any_part_may_be_there() -> None:
    found = contents([Write(1, 3, b"new")], 1)
    assert {b"old", b"oldn", b"oldne", b"oldnew", b"old\0\0\0"} <= found
    assert all(one.startswith(b"old") for one in found)
    assert contents([Truncate(1, 1)], 1) == {b"old", b"o"}


def test_sectors_of_one_write_are_there_or_not_each_for_itself() -> None:
    found = contents([Write(1, 3, b"x" * 512 + b"y" * 512)], 1)
    assert b"old" + bytes(512) + b"y" * 512 in found
    assert b"old" + b"x" * 512 + bytes(512) in found


def test_writes_reach_the_disk_in_any_order() -> None:
    found = contents([Write(1, 3, b"one"), Write(1, 6, b"two")], 1)
    assert b"old\0\0\0two" in found


def test_a_sync_of_one_file_says_nothing_of_another() -> None:
    assert b"tail" in contents([Write(2, 4, b"!"), Sync(1)], 2)


def test_after_a_sync_that_failed_a_later_one_makes_nothing_sure_that_was_before() -> None:
    found = contents([Write(1, 3, b"one"), Sync(1, failed=True), Write(1, 6, b"two"), Sync(1)], 1)
    assert b"old\0\0\0two" in found
    assert all(one.endswith(b"two") for one in found)


def names(record: list[Entry]) -> list[dict[str, int]]:
    return [held.names[0] for held in disks(record)]


def test_names_change_when_their_directory_was_synced_and_perhaps_before() -> None:
    record: list[Entry] = [Rename(0, "a", 2, "b")]
    assert {tuple(sorted(found.items())) for found in names(record)} == {
        (("a", 1), ("b", 2)),
        (("a", 2),),
        (("a", 2), ("b", 2)),
    }
    assert all(found == {"a": 2} for found in names([*record, SyncNames(0)]))
    assert {"a": 1, "b": 2} in names([*record, SyncNames(0, failed=True), SyncNames(0)])


def test_a_new_name_is_no_part_of_its_file_s_sync() -> None:
    record: list[Entry] = [Rename(0, "c", 3), Write(3, 0, b"new"), Sync(3)]
    found = disks(record)
    assert {"c" in held.names[0] for held in found} == {True, False}
    assert {held.content[3] for held in found} == {b"new"}


def test_a_crash_knows_what_was_said_before_it() -> None:
    record: list[Entry] = [Mark("one"), Sync(1), Mark("two")]
    assert Crash(START, record, 2).said == ["one"]


# --- The record ------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(6))
def test_a_record_that_is_replayed_in_full_gives_the_files_as_they_are(seed: int) -> None:
    with quick_folder() as folder:
        story = some_story(folder, seed)
        crash = Crash(story.disk.start, story.disk.record, len(story.disk.record))
        lay_out(crash.whole(), story.disk.directories, folder / "replayed")
        files = [
            {
                path.relative_to(root): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file() and path.name != "lock"
            }
            for root in (folder / "story", folder / "replayed")
        ]
    assert files[0] == files[1]
    assert len(files[0]) > 4
