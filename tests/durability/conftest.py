import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from agentgather.storage.home import Home
from agentgather.storage.seats import write_seat
from agentgather.wire.records import CurrentRoom
from tests.doubles.table import TOKENS, make_home
from tests.durability.zygote import Zygote

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def zygote(tmp_path: Path) -> AsyncIterator[Zygote]:
    folder = tmp_path / "zygote"
    folder.mkdir()
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.durability.mortal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    yield Zygote(process, folder)
    # Its children too, where a test has failed.
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        await stream.aclose()


@pytest.fixture
def pristine(tmp_path: Path) -> Home:
    """A home whose host can serve the room."""
    home = make_home(tmp_path / "pristine")
    seat = CurrentRoom(
        roomId="demo", alias="host", token=TOKENS["host"], baseUrl="http://127.0.0.1:1"
    )
    write_seat(home, seat, select=True)
    return home
