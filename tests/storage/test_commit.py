import errno
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from agentgather.storage.commit import Change, GroupCommit, Staged
from agentgather.storage.failures import StorageBusy, StorageFailed, StorageFull
from agentgather.storage.owned_room import open_room
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import MAX_COMMIT_BATCH, MAX_COMMIT_BYTES, MAX_STAGED, MAX_STAGED_BYTES
from tests.doubles.gated_store import GatedStore
from tests.doubles.lossy_disk import LossyDisk
from tests.storage.samples import NOW, ROOM, Records, folder_of, line, make_home


class Caller:
    """Stages numbered lines as a room does: each is decided on top of those before."""

    def __init__(self, store: GatedStore | None = None) -> None:
        self.store = store or GatedStore()
        self.commit = GroupCommit(self.store, on_durable=self.on_durable)
        self.applied: list[int] = []
        self.visible = 0
        self.handles: list[Staged] = []
        self.has_brief: dict[int, bool] = {}

    def stage(self, *files: tuple[str, bytes | None]) -> Staged:
        number = len(self.applied) + 1
        change = Change(line(number), files)
        staged = self.commit.stage(change, undo=partial(self.undo, number))
        self.applied.append(number)
        self.handles.append(staged)
        self.has_brief[number] = bool(files)
        return staged

    def undo(self, number: int) -> None:
        assert self.applied.pop() == number, "undone in another order than newest first"

    def on_durable(self, count: int) -> None:
        self.visible += count
        assert self.visible <= len(self.applied)


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def gated() -> Iterator[Caller]:
    caller = Caller(GatedStore(is_open=False))
    yield caller
    caller.store.gate.set()


async def settle(commit: GroupCommit) -> None:
    """Let everything that is staged become durable."""
    commit.close()
    await commit.run()


async def test_a_change_is_durable_and_visible_before_its_waiter_wakes(
    caller: Caller, nursery: trio.Nursery
) -> None:
    await nursery.start(caller.commit.run)
    staged = caller.stage(("brief.md", b"new"))
    await staged.wait_durable()
    assert caller.store.batches == [({"brief.md": b"new"}, line(1))]
    assert caller.visible == 1
    await staged.wait_durable()
    caller.commit.close()


async def test_what_arrives_while_the_disk_works_shares_one_write(
    gated: Caller, nursery: trio.Nursery
) -> None:
    await nursery.start(gated.commit.run)
    gated.stage()
    await wait_all_tasks_blocked()
    gated.stage(("brief.md", b"two"), ("tokens.json", b"{}"))
    gated.stage(("brief.md", b"three"))
    last = gated.stage(("tokens.json", None))
    assert gated.visible == 0
    gated.store.gate.set()
    await last.wait_durable()
    assert gated.store.batches == [
        ({}, line(1)),
        ({"brief.md": b"three", "tokens.json": None}, line(2) + line(3) + line(4)),
    ]
    assert gated.visible == 4
    gated.commit.close()


async def test_closing_stores_what_is_staged_and_takes_no_more(caller: Caller) -> None:
    staged = caller.stage()
    caller.commit.close()
    with pytest.raises(Unavailable, match="shutting_down"):
        caller.stage()
    await caller.commit.run()
    await staged.wait_durable()
    assert caller.visible == 1


async def test_closing_an_idle_commit_ends_it(caller: Caller, nursery: trio.Nursery) -> None:
    await nursery.start(caller.commit.run)
    await wait_all_tasks_blocked()
    caller.commit.close()


async def test_a_batch_holds_so_many_changes_and_no_more(caller: Caller) -> None:
    for _ in range(MAX_COMMIT_BATCH + 1):
        caller.stage()
    await settle(caller.commit)
    assert [lines.count(b"\n") for _, lines in caller.store.batches] == [MAX_COMMIT_BATCH, 1]


async def test_a_batch_holds_so_many_bytes_but_for_one_longer_change(caller: Caller) -> None:
    half = MAX_COMMIT_BYTES // 2
    caller.applied = [1, 2, 3, 4, 5]
    for size in (half - 100, half - 100, 200, MAX_COMMIT_BYTES, 1):
        caller.commit.stage(Change(b"x" * size), undo=lambda: None)
    await settle(caller.commit)
    assert [len(lines) for _, lines in caller.store.batches] == [
        2 * half - 200 + 200,
        MAX_COMMIT_BYTES,
        1,
    ]


@pytest.mark.hostile("S22")
async def test_the_change_past_the_bound_is_refused_and_the_one_before_is_not(
    gated: Caller, nursery: trio.Nursery
) -> None:
    await nursery.start(gated.commit.run)
    for _ in range(MAX_STAGED):
        gated.stage()
    with pytest.raises(Unavailable, match="overloaded") as refused:
        gated.stage()
    assert refused.value.retry_after == 1
    assert len(gated.applied) == MAX_STAGED
    gated.store.gate.set()
    await gated.handles[-1].wait_durable()
    assert gated.visible == MAX_STAGED
    await gated.stage().wait_durable()
    gated.commit.close()


@pytest.mark.hostile("S22")
async def test_staged_bytes_are_bounded_too(caller: Caller) -> None:
    big = b"x" * (MAX_STAGED_BYTES // 4)
    for _ in range(4):
        caller.stage(("notes", big))
    with pytest.raises(Unavailable, match="overloaded"):
        caller.stage()
    await settle(caller.commit)
    assert caller.visible == 4


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageFull("full"), "storage_full"),
        (StorageBusy("busy"), "overloaded"),
        (MemoryError(), "overloaded"),
    ],
)
async def test_a_batch_that_finds_no_space_is_undone_with_all_behind_it_and_more_is_taken(
    gated: Caller, nursery: trio.Nursery, error: Exception, code: str
) -> None:
    await nursery.start(gated.commit.run)
    first = gated.stage()
    await wait_all_tasks_blocked()
    behind = [gated.stage(), gated.stage()]
    gated.store.error = error
    gated.store.gate.set()
    for staged in (first, *behind):
        with pytest.raises(Unavailable, match=code):
            await staged.wait_durable()
    assert (gated.applied, gated.visible, gated.commit.failed) == ([], 0, False)
    await gated.stage().wait_durable()
    assert (gated.applied, gated.visible) == ([1], 1)
    gated.commit.close()


@pytest.mark.hostile("S06")
async def test_after_a_failed_disk_nothing_is_taken(
    gated: Caller, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    await nursery.start(gated.commit.run)
    first = gated.stage()
    await wait_all_tasks_blocked()
    second = gated.stage()
    gated.store.error = StorageFailed("input/output error")
    gated.store.gate.set()
    for staged in (first, second):
        with pytest.raises(Unavailable, match="storage_failed"):
            await staged.wait_durable()
    with pytest.raises(Unavailable, match="storage_failed"):
        gated.stage()
    assert gated.commit.failed
    assert (gated.applied, gated.store.batches) == ([], [])
    assert "read-only" in caplog.text
    gated.commit.close()


async def test_a_waiter_that_leaves_undoes_nothing(gated: Caller, nursery: trio.Nursery) -> None:
    await nursery.start(gated.commit.run)
    staged = gated.stage()
    with trio.move_on_after(0) as scope:
        await staged.wait_durable()
    assert scope.cancelled_caught
    gated.store.gate.set()
    await staged.wait_durable()
    assert gated.visible == 1
    gated.commit.close()


async def test_a_cancelled_writer_ends_its_batch_and_undoes_those_behind(gated: Caller) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(gated.commit.run)
        first = gated.stage()
        await wait_all_tasks_blocked()
        second = gated.stage()
        nursery.cancel_scope.cancel()
        gated.store.gate.set()
    await first.wait_durable()
    with pytest.raises(Unavailable, match="shutting_down"):
        await second.wait_durable()
    assert (gated.applied, gated.visible) == ([1], 1)
    assert len(gated.store.batches) == 1


async def test_a_bug_in_the_store_makes_the_room_read_only_and_leaves_nobody_waiting(
    caller: Caller,
) -> None:
    staged = caller.stage()
    caller.store.error = ZeroDivisionError()
    caller.commit.close()
    await caller.commit.run()
    with pytest.raises(Unavailable, match="storage_failed"):
        await staged.wait_durable()
    assert caller.applied == []
    assert caller.commit.failed


async def test_only_the_last_version_of_a_file_counts_against_what_may_be_staged(
    caller: Caller,
) -> None:
    roster = b"x" * (MAX_COMMIT_BYTES // 4)
    for _ in range(2 * MAX_STAGED_BYTES // len(roster)):
        caller.commit.stage(Change(files=(("participants.json", roster),)), undo=lambda: None)


# --- On a disk that loses and fails -----------------------------------------------------
FAULTS = st.sampled_from(
    [
        ("write", errno.ENOSPC),
        ("write", errno.EDQUOT),
        ("write-half", errno.ENOSPC),
        ("rename", errno.EMFILE),
        ("sync", errno.EIO),
        ("write", errno.EIO),
        ("sync_directory", errno.EIO),
        ("link", errno.EIO),
    ]
)
# What to do, how often or after how many calls, and the fault.
Step = tuple[str, int, tuple[str, int]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["stage", "stage with a file", "wait", "wait for all", "fail"]),
        st.integers(0, 5),
        FAULTS,
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.hostile("S21")
@given(steps=STEPS)
@settings(max_examples=300, deadline=None)
def test_what_was_acknowledged_is_there_in_order_and_what_was_undone_is_not(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    home = make_home(tmp_path_factory.mktemp("rooms") / "home")
    disk = LossyDisk(folder_of(home))
    with open_room(home, ROOM, Records(), NOW, disk=disk) as room:
        caller = Caller(GatedStore(room.store))
        trio.run(take_steps, caller, disk, steps)
    disk.power_cut()
    records = Records()
    with open_room(home, ROOM, records, NOW) as room:
        assert room.recovery.problems == ()
        assert records.ids == caller.applied == list(range(1, caller.visible + 1))
        briefs = [n for n in records.ids if caller.has_brief[n]]
        expected = f"brief {briefs[-1]}" if briefs else "the brief"
        # A disk that fails for good may fail in putting a small file back as well.
        assert room.stored.brief == expected or caller.commit.failed


async def take_steps(caller: Caller, disk: LossyDisk, steps: list[Step]) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(caller.commit.run)
        for what, count, (call, code) in steps:
            with suppress(Unavailable):
                if what == "fail":
                    disk.fail(call, code, after=count)
                elif what == "wait":
                    for _ in range(count):
                        await trio.lowlevel.checkpoint()
                elif what == "wait for all":
                    for staged in caller.handles[-1:]:
                        await staged.wait_durable()
                else:
                    for _ in range(count):
                        brief = b"brief %d" % (len(caller.applied) + 1)
                        caller.stage(*[("brief.md", brief)] if what != "stage" else [])
        caller.commit.close()
