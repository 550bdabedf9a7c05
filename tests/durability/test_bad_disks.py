"""Disks that are full, that fail or take nothing, under the real program."""

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentgather.storage.home import Home
from tests.cli.outside.terminal import Served, Terminal
from tests.doubles.raw_http import RawReply, RawServer, eventually, post, request
from tests.doubles.table import TOKENS
from tests.durability.zygote import Zygote

SERVE = ("room", "serve", "--port", "0", "--json")
TEXT = "x" * 3_000


async def say(port: int, token: str, text: str = TEXT) -> RawReply:
    return await RawServer(port).ask(post(text, token))


async def texts(port: int, token: str) -> list[str]:
    page = await RawServer(port).ask(request("GET", "/messages?since_id=0", token=token))
    return [message["text"] for message in page.json()["messages"]]


Scarcity = Callable[[Path, Served], Any]


@contextmanager
def full_disk(home: Path, served: Served) -> Iterator[None]:
    """Let another file take the space that is left."""
    del served
    ballast = home.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    assert os.statvfs(ballast).f_bavail == 0
    yield
    ballast.unlink()


@contextmanager
def limited_files(home: Path, served: Served) -> Iterator[None]:
    """Let the kernel give the server's files not a byte more than the log has."""
    size_bytes = (home / "rooms" / "demo" / "messages.jsonl").stat().st_size
    limit = partial(resource.prlimit, served.process.pid, resource.RLIMIT_FSIZE)
    before = limit()
    limit((size_bytes + 10, before[1]))
    yield
    limit(before)


async def run_out_and_recover(terminal: Terminal, scarcity: Scarcity) -> None:
    terminal.run("room", "start", "demo", "--brief", "Goal: be there.")
    token = terminal.seat()["token"]
    served = terminal.serve()
    assert (await say(served.port, token)).status == 201
    with scarcity(terminal.home, served):
        for _ in range(3):
            refused = await say(served.port, token)
            assert refused.outcome == (507, "storage_full")
        # Who only reads and waits does not notice.
        assert await texts(served.port, token) == [TEXT]
    assert (await say(served.port, token, "there is space")).json()["message"]["id"] == 2
    served.process.kill()
    served.process.wait()
    again = terminal.serve()
    assert await texts(again.port, token) == [TEXT, "there is space"]
    again.stop()


async def test_a_served_room_on_a_full_disk_refuses_and_goes_on_when_there_is_space(
    small_disk: Path,
) -> None:
    terminal = Terminal(small_disk / "home")
    try:
        await run_out_and_recover(terminal, full_disk)
    finally:
        terminal.close()


async def test_a_served_room_whose_files_may_not_grow_refuses_and_goes_on_when_they_may(
    tmp_path: Path,
) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux sets the limits of another process")
    terminal = Terminal(tmp_path / "home")
    try:
        await run_out_and_recover(terminal, limited_files)
    finally:
        terminal.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENXIO])
async def test_a_room_whose_disk_fails_in_a_sync_is_read_only_until_it_is_served_again(
    zygote: Zygote, pristine: Home, code: int
) -> None:
    async def served(**fate: Any) -> tuple[int, int]:
        process = await zygote.start(pristine, *SERVE, **fate)
        await eventually(zygote.port)
        port = zygote.port()
        assert port is not None
        return process, port

    # The first sync is of the room's opening, the second of the line that says that ada came.
    process, port = await served(place="before sync messages.jsonl, 3", error=code)
    ada = TOKENS["ada"]
    assert (await say(port, ada, "before")).status == 201
    for _ in range(2):
        failed = await say(port, ada, "lost")
        assert failed.outcome == (503, "storage_failed")
    assert await texts(port, ada) == ["before"]
    os.kill(process, signal.SIGTERM)
    assert await zygote.ended() == 0
    assert "Traceback" not in zygote.said()
    # It was not tried again, not even at the end.
    assert [place for place in zygote.places() if "sync messages.jsonl" in place][-1:] == [
        "before sync messages.jsonl, 3"
    ]
    process, port = await served()
    assert await texts(port, ada) == ["before"]
    assert (await say(port, ada, "after")).json()["message"]["id"] == 2
    os.kill(process, signal.SIGTERM)
    assert await zygote.ended() == 0


def test_a_home_that_cannot_be_written_is_told_as_what_it_is(small_disk: Path) -> None:
    terminal = Terminal(small_disk / "home")
    terminal.run("room", "start", "demo", "--brief", "Goal: be there.")
    terminal.run("send", "host", "hello")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for command in (
        ("room", "serve", "--port", "0"),
        ("room", "start", "other"),
        ("room", "invite", "rev"),
        ("send", "host", "hello again"),
        ("room", "close"),
    ):
        done = terminal.try_(*command)
        assert (done.status, done.out) == (1, ""), (command, done)
        assert "Read-only file system" in done.err, command
        assert done.err.count("\n") == 1, command
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert [message["text"] for message in terminal.log()] == ["@host hello"]
