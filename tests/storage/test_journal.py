import errno
import os
import stat
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.storage.failures import StorageFailed, StorageFull
from agentgather.storage.files import UnsafeFile
from agentgather.storage.journal import Journal, open_journal, read_journal
from agentgather.storage.recovery import Recovery
from agentgather.wire.limits import MAX_LOG_LINE_BYTES
from agentgather.wire.records import decode_message, encode_message
from tests.doubles.lossy_disk import LossyDisk, PowerCut
from tests.storage.samples import NOW, ROOM, Records, line


def opened(path: Path) -> tuple[Records, Recovery]:
    """Open and close a log, as a restart does."""
    records = Records()
    journal, recovery = open_journal(path, ROOM, records, now_text=NOW)
    journal.close()
    return records, recovery


@pytest.mark.hostile("S02")
def test_a_log_that_is_cut_at_any_byte_of_its_last_line_keeps_the_lines_before(
    tmp_path: Path,
) -> None:
    before, last = line(1) + line(2, "é\u2028😀"), line(3, "gr\u00fc\u00dfe 😀")
    path = tmp_path / "messages.jsonl"
    for cut in range(len(last)):
        path.write_bytes(before + last[:cut])
        records, recovery = opened(path)
        assert records.ids == [1, 2]
        assert path.read_bytes() == before
        assert recovery.torn_bytes == cut
        if cut:
            assert recovery.torn is not None
            assert recovery.torn.read_bytes() == last[:cut]
            assert stat.S_IMODE(recovery.torn.stat().st_mode) == 0o600
            assert recovery.problems
            recovery.torn.unlink()
        else:
            assert recovery.torn is None
            assert recovery.problems == ()


@pytest.mark.hostile("S02")
@pytest.mark.parametrize(
    "tail", [b"\0" * 5000, b'{"id":3,"text":"\xe2\x82', line(3)[:-1], b"x" * 3_000_000]
)
def test_a_tail_without_a_line_end_is_set_aside_whatever_it_is(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + tail)
    records, recovery = opened(path)
    assert records.ids == [1]
    assert recovery.torn is not None
    assert recovery.torn.name == "messages.jsonl.torn-2026-11-21T080102.123Z"
    assert recovery.torn.read_bytes() == tail
    assert path.read_bytes() == line(1)


def test_a_second_torn_tail_in_the_same_instant_does_not_replace_the_first(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    for tail in (b"one", b"two"):
        path.write_bytes(line(1) + tail)
        opened(path)
    names = sorted(tmp_path.glob("messages.jsonl.torn-*"))
    assert sorted(name.read_bytes() for name in names) == [b"one", b"two"]


def test_reading_changes_nothing_and_reports_the_tail(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + b"torn")
    records = Records()
    recovery = read_journal(path, ROOM, records)
    assert (records.ids, recovery.torn, recovery.torn_bytes) == ([1], None, 4)
    assert path.read_bytes() == line(1) + b"torn"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_log_is_made_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    with pytest.raises(FileNotFoundError):
        read_journal(path, ROOM, Records())
    _, recovery = opened(path)
    assert recovery.was_missing
    assert recovery.problems
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert opened(path)[1].problems == ()


@pytest.mark.hostile("S03")
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_its_own_record_at_most(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "messages.jsonl"
    lines = [line(n, f"text number {n}") for n in range(1, 6)]
    data = bytearray(b"".join(lines))
    position %= len(data) - 1  # The last line end has its own test: that is a torn tail.
    data[position] ^= 1 << bit
    path.write_bytes(data)
    records, recovery = opened(path)
    damaged = bytes(data[:position]).count(b"\n")
    for number, entry in enumerate(lines):
        if number != damaged:
            assert entry[:-1] in records.lines
    if len(records.ids) < 5:
        assert recovery.problems


@pytest.mark.hostile("S03")
def test_two_records_without_a_line_end_between_them_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + line(2)[:-1] + line(3) + line(4))
    records, recovery = opened(path)
    assert records.ids == [1, 2, 3, 4]
    assert [bad.number for bad in recovery.bad] == [2]
    assert recovery.bad[0].offset == len(line(1))


def test_a_record_that_was_written_behind_a_torn_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + line(2)[:20] + line(2) + b"\0\0\0" + line(3))
    records, recovery = opened(path)
    assert records.ids == [1, 2, 3]
    assert recovery.bad_count == 2


@pytest.mark.hostile("S03")
def test_text_that_looks_like_a_record_is_never_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    forged = line(9, "forged")[:-1].decode()
    path.write_bytes(line(1, forged)[5:] + line(2, forged))
    records, _ = opened(path)
    assert records.ids == [2]


def test_a_bad_line_names_its_place_and_never_its_content(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    deep = b'{"secret":' * 100_000
    bad = [b"secret", b'{"secret":1}', b'["secret', line(9, "?")[:-1].replace(b"?", b"\xff"), deep]
    path.write_bytes(b"".join(line(n) + part + b"\n" for n, part in enumerate(bad, 1)))
    records, recovery = opened(path)
    assert records.ids == [1, 2, 3, 4, 5]
    assert [b.number for b in recovery.bad] == [2, 4, 6, 8, 10]
    assert [b.reason for b in recovery.bad] == [
        "not JSON",
        "a key is missing or has the wrong type",
        "a key is missing or has the wrong type",
        "not UTF-8",
        "nested too deeply",
    ]
    assert "secret" not in str(recovery)
    for found in recovery.bad:
        end = path.read_bytes().index(b"\n", found.offset)
        assert path.read_bytes()[found.offset : end] == bad[recovery.bad.index(found)]


def test_bad_lines_are_kept_to_a_thousand_and_counted_all(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b"bad\n" * 1_500 + line(1))
    records, recovery = opened(path)
    assert (records.ids, len(recovery.bad), recovery.bad_count) == ([1], 1_000, 1_500)


@pytest.mark.hostile("S04")
@pytest.mark.parametrize(
    ("ids", "gaps", "duplicates", "out_of_order"),
    [
        ([1, 2, 3], 0, 0, 0),
        ([1, 2, 2, 3], 0, 1, 0),
        ([1, 3, 2, 4], 1, 0, 1),
        ([1, 3, 2, 2, 4], 1, 1, 1),
        ([1, 5, 3, 2, 4, 9], 2, 0, 3),
        ([7, 8], 1, 0, 0),
    ],
)
def test_odd_ids_are_told_apart_and_delivered_by_position(
    tmp_path: Path, ids: list[int], gaps: int, duplicates: int, out_of_order: int
) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b"".join(line(n) for n in ids))
    records, recovery = opened(path)
    assert records.ids == ids
    assert recovery.last_id == max(ids)
    assert (recovery.gaps, recovery.duplicates, recovery.out_of_order) == (
        gaps,
        duplicates,
        out_of_order,
    )
    assert bool(recovery.problems) == (ids != [1, 2, 3])


@pytest.mark.hostile("S04")
def test_an_id_beyond_all_reason_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + line(2**53 - 1) + line(2))
    records, recovery = opened(path)
    assert (records.ids, recovery.last_id, recovery.bad_count) == ([1, 2], 2, 1)


@pytest.mark.hostile("S04")
def test_another_rooms_record_is_delivered_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + line(2, room="other") + line(3))
    records, recovery = opened(path)
    assert (records.ids, recovery.foreign) == ([1, 2, 3], 1)
    assert recovery.problems == ("1 record(s) of another room",)


@pytest.mark.hostile("J09")
def test_unicode_line_separators_do_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1, "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\rh") + line(2))
    assert opened(path)[0].ids == [1, 2]


@pytest.mark.hostile("S18")
@pytest.mark.parametrize("size", [MAX_LOG_LINE_BYTES + 1, 10 * 1024 * 1024])
def test_a_line_that_is_too_long_costs_neither_memory_nor_its_neighbours(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + b"x" * size + b"\n" + line(2))
    tracemalloc.start()
    records, recovery = opened(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert records.ids == [1, 2]
    assert [(b.number, b.offset) for b in recovery.bad] == [(2, len(line(1)))]
    assert peak < 8 * 1024 * 1024


def test_a_record_as_long_as_it_may_be_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    fits = line(1, "x" * (MAX_LOG_LINE_BYTES + 1 - len(line(1, ""))))
    assert len(fits) == MAX_LOG_LINE_BYTES + 1
    path.write_bytes(fits + line(2, "x" * (MAX_LOG_LINE_BYTES + 2 - len(line(2, "")))) + line(3))
    assert opened(path)[0].ids == [1, 3]


@pytest.mark.hostile("S18")
def test_a_million_empty_lines_are_counted_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1) + b"\n" * 1_000_000 + line(2))
    tracemalloc.start()
    records, recovery = opened(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (records.ids, recovery.blank, recovery.problems) == ([1, 2], 1_000_000, ())
    assert peak < 8 * 1024 * 1024


def test_records_come_in_our_form_whatever_form_they_have_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    odd = (
        b' {"text":"b", "id":2,"room":"demo","ts":"t","from":"x","type":"message",'
        b'"mentions":["op"],"new_key":{"id":7}}\r\n'
    )
    path.write_bytes(line(1) + odd + line(3))
    records, recovery = opened(path)
    assert recovery.problems == ()
    assert records.lines[1] == encode_message(decode_message(odd))
    assert records.lines[1].startswith(b'{"id":2,"room":"demo","ts":"t","from":"x"')
    assert path.read_bytes() == line(1) + odd + line(3)


@pytest.mark.hostile("J08")
def test_half_a_surrogate_pair_of_the_older_program_does_not_cost_the_record(
    tmp_path: Path,
) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1, "a?b\\").replace(b"?", b"\\ud83d") + line(2))
    records, recovery = opened(path)
    assert recovery.problems == ()
    assert decode_message(records.lines[0]).text == "a\ufffdb\\"


@pytest.mark.hostile("F03")
@pytest.mark.parametrize("what", ["link", "fifo", "directory", "dangling"])
def test_a_log_that_is_no_file_is_refused_at_once(tmp_path: Path, what: str) -> None:
    path = tmp_path / "messages.jsonl"
    target = tmp_path / "target"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    else:
        path.symlink_to(target)
        if what == "link":
            target.write_bytes(line(1))
    for read in (
        lambda: open_journal(path, ROOM, Records(), now_text=NOW),
        lambda: read_journal(path, ROOM, Records()),
    ):
        with pytest.raises(UnsafeFile):
            read()
    assert not target.exists() or target.read_bytes() == line(1)


# --- Appending ------------------------------------------------------------------------
@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(line(1))
    return path


@pytest.fixture
def disk(path: Path) -> LossyDisk:
    return LossyDisk(path.parent)


@pytest.fixture
def journal(path: Path, disk: LossyDisk) -> Journal:
    return open_journal(path, ROOM, Records(), now_text=NOW, disk=disk)[0]


@pytest.mark.hostile("S16")
def test_what_was_appended_survives_a_power_cut(
    path: Path, disk: LossyDisk, journal: Journal
) -> None:
    journal.append(line(2) + line(3))
    assert journal.size_bytes == path.stat().st_size
    disk.power_cut()
    assert opened(path)[0].ids == [1, 2, 3]


@pytest.mark.hostile("S21")
@pytest.mark.parametrize("call", ["write-half", "write"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_stores_nothing_and_takes_more_when_it_has_space(
    path: Path, disk: LossyDisk, journal: Journal, call: str, code: int
) -> None:
    disk.fail(call, code, after=1)
    with pytest.raises(StorageFull):
        journal.append(line(2))
    assert path.read_bytes() == line(1)
    journal.append(line(2, "again"))
    disk.power_cut(torn_bytes=100)
    assert path.read_bytes() == line(1) + line(2, "again")


def test_a_cut_back_is_durable_before_the_sender_is_told(
    path: Path, disk: LossyDisk, journal: Journal
) -> None:
    disk.fail("write", errno.ENOSPC, after=2)
    with pytest.raises(StorageFull):
        journal.append(line(2))
    assert disk.calls[-2:] == ["truncate", "sync"]


@pytest.mark.hostile("S06")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINVAL])
def test_a_failed_sync_is_final_and_never_tried_again(
    path: Path, disk: LossyDisk, journal: Journal, code: int
) -> None:
    disk.fail("sync", code)
    with pytest.raises(StorageFailed):
        journal.append(line(2))
    calls = len(disk.calls)
    with pytest.raises(StorageFailed):
        journal.append(line(2))
    assert len(disk.calls) == calls
    assert disk.calls.count("sync") == 2  # The one of the opening, and the failed one.
    disk.power_cut()
    assert opened(path)[0].ids == [1]


@pytest.mark.hostile("S06")
@pytest.mark.parametrize(("call", "code"), [("truncate", errno.EIO), ("sync", errno.EIO)])
def test_a_cut_back_that_fails_is_final(
    path: Path, disk: LossyDisk, journal: Journal, call: str, code: int
) -> None:
    disk.fail("write", errno.ENOSPC, after=1)
    disk.fail(call, code)
    with pytest.raises(StorageFailed):
        journal.append(line(2))
    with pytest.raises(StorageFailed):
        journal.append(line(2))


@pytest.mark.hostile("S06")
def test_a_failed_write_is_final(path: Path, disk: LossyDisk, journal: Journal) -> None:
    disk.fail("write", errno.EIO, after=1)
    with pytest.raises(StorageFailed):
        journal.append(line(2))
    with pytest.raises(StorageFailed):
        journal.append(line(2))
    assert path.read_bytes() == line(1)


@pytest.mark.hostile("S17")
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_sync_is_used_and_named_once(
    path: Path, disk: LossyDisk, code: int
) -> None:
    disk.fail("sync", code)
    journal, recovery = open_journal(path, ROOM, Records(), now_text=NOW, disk=disk)
    assert not recovery.can_sync
    assert len(recovery.problems) == 1
    journal.append(line(2))
    journal.close()
    assert disk.calls.count("sync") == 1
    assert opened(path)[0].ids == [1, 2]


@pytest.mark.hostile("S12")
def test_a_log_that_another_program_writes_to_is_left_alone(path: Path, journal: Journal) -> None:
    with path.open("ab") as other:
        other.write(line(2, "theirs"))
    with pytest.raises(StorageFailed):
        journal.append(line(2, "ours"))
    assert opened(path)[0].lines[1] == line(2, "theirs")[:-1]


@pytest.mark.hostile("S07")
def test_a_log_that_was_removed_takes_no_more(path: Path, journal: Journal) -> None:
    path.unlink()
    with pytest.raises(StorageFailed):
        journal.append(line(2))
    assert not path.exists()


def test_a_torn_tail_that_cannot_be_set_aside_stays_where_it_is(path: Path) -> None:
    path.write_bytes(line(1) + b"torn")
    disk = LossyDisk(path.parent)
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageFull):
        open_journal(path, ROOM, Records(), now_text=NOW, disk=disk)
    assert path.read_bytes() == line(1) + b"torn"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.hostile("S02", "S16")
def test_a_power_cut_while_a_torn_tail_is_set_aside_loses_none_of_it(tmp_path: Path) -> None:
    for call in range(50):
        path = tmp_path / str(call) / "messages.jsonl"
        path.parent.mkdir()
        path.write_bytes(line(1) + b"torn")
        disk = LossyDisk(path.parent)
        disk.cut_at = call
        is_open = False
        with suppress(PowerCut):
            open_journal(path, ROOM, Records(), now_text=NOW, disk=disk)[0].close()
            is_open = True
        disk.power_cut()
        in_log = path.read_bytes() == line(1) + b"torn"
        aside = [torn.read_bytes() for torn in path.parent.glob("*.torn-*")]
        assert in_log or (path.read_bytes() == line(1) and b"torn" in aside)
        assert opened(path)[0].ids == [1]
        if is_open:
            break
    assert call > 5
