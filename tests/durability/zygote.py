"""Where mortal processes come from; see :mod:`tests.durability.mortal`."""

import json
from pathlib import Path

import trio

from agentgather.storage.home import Home

SECONDS = 30


class Zygote:
    """The process that forks the mortal ones."""

    def __init__(self, process: trio.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._received = b""

    async def start(
        self, home: Home, *arguments: str, place: str | None = None, error: int | None = None
    ) -> int:
        """Start a command that dies at a place or fails there; gives its process id."""
        for name in ("out", "err", "places"):
            (self._folder / name).unlink(missing_ok=True)
        job = {
            "arguments": arguments,
            "home": str(home.root),
            "folder": str(self._folder),
            "place": place,
            "error": error,
        }
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps(job).encode() + b"\n")
        return await self._number()

    async def ended(self) -> int:
        """Await its end, and give its status."""
        return await self._number()

    async def run(self, home: Home, *arguments: str, place: str | None = None) -> int:
        await self.start(home, *arguments, place=place)
        return await self.ended()

    def places(self) -> list[str]:
        """Give the places that it came by."""
        return (self._folder / "places").read_text().splitlines()

    def said(self) -> str:
        return (self._folder / "err").read_text()

    def port(self) -> int | None:
        """Give the port once the room is served."""
        out = self._folder / "out"
        line = out.read_text() if out.exists() else ""
        return int(json.loads(line)["url"].rpartition(":")[2]) if line.endswith("\n") else None

    async def _number(self) -> int:
        assert self._process.stdout is not None
        with trio.fail_after(SECONDS):
            while b"\n" not in self._received:
                data = await self._process.stdout.receive_some()
                assert data, "the process that forks is gone"
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return int(line)
