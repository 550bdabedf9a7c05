import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentgather.storage.files import UnsafeFile
from agentgather.storage.lock import RoomLocked, open_lock, read_holder

# Takes the lock and lets it go, one line of orders at a time.
OTHER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from agentgather.storage.lock import RoomLocked, open_lock
for order in sys.stdin:
    with ExitStack() as held:
        try:
            held.enter_context(open_lock(Path(sys.argv[1])))
        except RoomLocked:
            print("refused", flush=True)
        else:
            print("owned", flush=True)
        sys.stdin.readline()
    print("free", flush=True)
"""


class Other:
    """Another process that takes the lock when it is told to."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def others(path: Path) -> Iterator[list[Other]]:
    others = [Other(path), Other(path)]
    yield others
    for other in others:
        other.process.kill()
        other.process.communicate()


@pytest.mark.hostile("S11")
def test_of_two_processes_that_try_at_once_exactly_one_owns_the_room(others: list[Other]) -> None:
    for _ in range(200):
        for other in others:
            other.order()
        assert sorted(other.answer() for other in others) == ["owned", "refused"]
        for other in others:
            other.order()
        assert [other.answer() for other in others] == ["free", "free"]


@pytest.mark.hostile("S13")
def test_a_killed_holder_frees_the_lock_at_once(path: Path, others: list[Other]) -> None:
    others[0].order()
    assert others[0].answer() == "owned"
    with pytest.raises(RoomLocked), open_lock(path):
        pass
    assert read_holder(path) == others[0].process.pid
    others[0].process.kill()
    others[0].process.wait()
    assert read_holder(path) is None
    with open_lock(path):
        pass


@pytest.mark.hostile("S13")
def test_a_program_that_the_holder_started_does_not_keep_the_lock(path: Path) -> None:
    with ExitStack() as child_ends:
        with open_lock(path):
            child = subprocess.Popen(
                [sys.executable, "-c", "print('up', flush=True); input()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                close_fds=False,
            )
            child_ends.callback(child.communicate, b"\n")
            assert child.stdout is not None
            child.stdout.readline()
        with open_lock(path):
            pass


def test_a_forked_child_does_not_keep_the_lock(path: Path) -> None:
    read_end, write_end = os.pipe()
    with open_lock(path):
        child = os.fork()
        if child == 0:
            os.close(write_end)
            os.read(read_end, 1)
            os._exit(0)
    os.close(read_end)
    try:
        with open_lock(path):
            pass
    finally:
        os.close(write_end)
        os.waitpid(child, 0)


def test_the_same_process_cannot_own_a_room_twice(path: Path) -> None:
    with open_lock(path):
        with pytest.raises(RoomLocked), open_lock(path):
            pass
        assert read_holder(path) == os.getpid()
    with open_lock(path):
        pass


@pytest.mark.hostile("S13")
@pytest.mark.parametrize("content", [b"", b"1\n", b"garbage \xff", b"9" * 4000])
def test_what_an_old_lock_file_says_is_of_no_interest(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (2**33, 2**33))
    assert read_holder(path) is None
    with open_lock(path):
        assert path.read_bytes() == b"%d\n" % os.getpid()
    assert path.exists()


def test_nobody_owns_a_room_without_a_lock_file(path: Path) -> None:
    assert read_holder(path) is None
    assert not path.exists()


@pytest.mark.hostile("F03")
@pytest.mark.parametrize("what", ["link", "fifo", "directory"])
def test_a_lock_that_is_no_file_is_refused(path: Path, what: str) -> None:
    if what == "link":
        path.symlink_to(path.with_name("target"))
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(UnsafeFile), open_lock(path):
        pass
    assert not path.with_name("target").exists()
