"""One room of a soak: its host as a process, the network before it, and its people."""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any, Final

import trio

from tests.bench.seeds import LOG, seed_room, token
from tests.doubles.cutting_proxy import CuttingProxy
from tests.end_to_end.public.oracle import Broken, Client
from tests.end_to_end.public.program import Program
from tests.end_to_end.terminal import Terminal
from tests.soak.people import AGENTS, SEATS, Failure, People
from tests.soak.vitals import count_tasks

GRACE_SECONDS: Final = 2
"""What was asked when a tunnel dropped may be answered so long after it is back."""
AWAY: Final = frozenset({0, 502, 503, 504})
"""How a request may fail while its room is away; 0 is a connection that broke."""


class SoakRoom:
    """The room at ``slug``. ``proxy`` is between its host and the broker, if something is.

    ``outages`` are when its tunnel was dropped, from when to when. ``has_harm``: somebody in
    it means harm, so that others there may meet its limits.
    """

    def __init__(
        self,
        folder: Path,
        slug: str,
        port: int,
        *,
        proxy: CuttingProxy | None,
        has_harm: bool = False,
    ) -> None:
        self.slug = slug
        self.proxy = proxy
        self.has_harm = has_harm
        self.is_away = False
        self.outages: list[tuple[float, float]] = []
        self.people = People(port, slug, Random(slug))
        self._port = port
        home = folder / "home"
        self._files = seed_room(home, 0, SEATS)
        _make_agents(self._files / "participants.json")
        broker = f"http://127.0.0.1:{port if proxy is None else proxy.port}"
        command = [sys.executable, "-m", "agentgather", "room", "serve", "--port", "0"]
        command += ["--tunnel", broker, "--subdomain", slug]
        environment = Terminal(home).environment
        self.host = count_tasks(Program("host", folder, command, environment))

    async def answers(self) -> None:
        """Return once the room can be asked through the broker."""
        client = Client(self._port, f"/{self.slug}", token(0))
        while True:
            try:
                if (await client.ask("GET", "/status")).status == 200:
                    break
            except Broken:
                pass
            await trio.sleep(0.1)
        await client.close()

    async def warm(self) -> None:
        """Have done once what takes memory or a descriptor the first time it is done."""
        client = Client(self._port, f"/{self.slug}", token(0))
        for path in ("/status", "/messages?render=html", "/brief", "/activity"):
            assert (await client.ask("GET", path)).status == 200, path
        await client.close()

    async def close(self) -> None:
        """Close the room, as its host does."""
        client = Client(self._port, f"/{self.slug}", token(0))
        assert (await client.ask("POST", "/close", {})).status == 200
        await client.close()

    def log(self) -> list[dict[str, Any]]:
        """Give all messages, off the disk."""
        return [json.loads(line) for line in (self._files / LOG).read_text().splitlines()]

    def count(self) -> int:
        """Count the messages on the disk."""
        return (self._files / LOG).read_bytes().count(b"\n")

    def unexplained(self) -> list[Failure]:
        """Give what was asked in vain though there was no trouble that would say why."""
        return [failure for failure in self.people.failures if not self._is_explained(failure)]

    def _is_explained(self, failure: Failure) -> bool:
        if failure.status == 429:
            return self.has_harm
        return failure.status in AWAY and any(
            failure.began <= ended + GRACE_SECONDS and began <= failure.ended
            for began, ended in self.outages
        )


def _make_agents(roster: Path) -> None:
    seats = json.loads(roster.read_text())
    for seat in seats:
        if seat["alias"] in AGENTS:
            seat["kind"] = "agent"
    roster.write_text(json.dumps(seats))
