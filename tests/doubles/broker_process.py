"""``agentgather broker serve`` as a process, with all that it says kept."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.doubles.raw_http import RawServer

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
"""Nothing here takes as long, on however slow a machine."""


class BrokerProcess(RawServer):
    """A running broker. ``folder`` has its state, and what it writes to either stream."""

    def __init__(self, process: trio.Process, folder: Path, port: int) -> None:
        super().__init__(port)
        self.process = process
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"

    @property
    def said(self) -> bytes:
        """All that it has written to either stream."""
        return b"".join((self.folder / name).read_bytes() for name in ("stdout", "stderr"))

    async def wait(self) -> int:
        with trio.fail_after(SECONDS):
            return await self.process.wait()

    def sockets(self) -> list[tuple[int, int]]:
        """Give local and remote port of each TCP socket that it has; 0 of one that listens."""
        links = [_target(one) for one in Path(f"/proc/{self.process.pid}/fd").iterdir()]
        inodes = {found[1] for text in links if (found := re.fullmatch(r"socket:\[(\d+)\]", text))}
        found = []
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in inodes:
                    local, remote = (int(one.rpartition(":")[2], 16) for one in fields[1:3])
                    found.append((local if table.startswith("tcp") else -1, remote))
        return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""  # it was closed meanwhile


@asynccontextmanager
async def run_broker(folder: Path, *arguments: str) -> AsyncIterator[BrokerProcess]:
    """Run a broker on a free port, and kill it at the end if it is there yet."""
    await trio.Path(folder).mkdir(exist_ok=True)
    command = [sys.executable, "-W", "error", "-m", "agentgather", "broker", "serve"]
    command += ["--port", "0", "--state-dir", str(folder / "state"), *arguments]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=ROOT
        )
    try:
        with trio.fail_after(SECONDS):
            while True:
                said = (folder / "stderr").read_bytes()
                found = re.search(rb"broker at http://127\.0\.0\.1:(\d+)\n", said)
                if found:
                    break
                assert process.poll() is None, said
                await trio.sleep(0.02)
        yield BrokerProcess(process, folder, int(found[1]))
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()
            await process.wait()
