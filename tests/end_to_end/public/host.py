"""A host: a home, and the programs that serve its room and make it public."""

import json
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.program import Program
from tests.end_to_end.terminal import AGENTGATHER, Terminal

PUBLIC: Final = "is public at"
QUICK: Final = [sys.executable, "-m", "tests.end_to_end.public.quick_host"]


class Host:
    """The room ``slug`` of a home, public at ``broker`` under the same name.

    ``trust`` is what makes the broker's certificate good; ``is_quick``: it waits a tenth as
    long before it connects again.
    """

    def __init__(
        self,
        folder: Path,
        slug: str,
        broker: str,
        trust: Mapping[str, str],
        *,
        is_quick: bool = False,
        before: tuple[str, ...] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.slug = slug
        self.broker = broker
        self.home = folder / "home"
        self.terminal = Terminal(self.home, trust)
        self.room_files = self.home / "rooms" / slug
        program = [*before, *(QUICK if is_quick else AGENTGATHER)]
        self._programs: list[Program] = []
        self.up = self._program(folder, "up", program, "up", slug, "--port", "0", *self._tunnel())
        self.room = self._program(folder, "room", program, "room", "serve", "--port", "0")
        self.tunnel = self._program(
            folder, "tunnel", program, "tunnel", "run", "--broker", broker, "--subdomain", slug
        )

    def _tunnel(self) -> list[str]:
        return ["--tunnel", self.broker, "--subdomain", self.slug]

    def _program(self, folder: Path, name: str, program: list[str], *arguments: str) -> Program:
        made = Program(name, folder, [*program, *arguments], self.terminal.environment)
        self._programs.append(made)
        return made

    @property
    def token(self) -> str:
        found: str = json.loads((self.home / "current-room.json").read_text())["token"]
        return found

    def opens(self) -> str:
        """Make the room if there is none, and serve it publicly; gives the URL once it is."""
        before = self.up.has_said("is open at")
        self.up.start()
        self.up.waits_to_say("is open at", times=before + 1)
        return self.public_url()

    def serves(self) -> None:
        """Serve the room, and no more."""
        before = self.room.has_said("Serving ")
        self.room.start()
        self.room.waits_to_say("Serving ", times=before + 1)

    def tunnels(self) -> str:
        """Run the tunnel apart from the room; gives the public URL once it is open."""
        before = self.tunnel.has_said(PUBLIC)
        self.tunnel.start()
        self.tunnel.waits_to_say(PUBLIC, times=before + 1)
        return self.public_url()

    def public_url(self) -> str:
        url: str = json.loads((self.room_files / "tunnel.json").read_text())["public_base_url"]
        return url

    def local_url(self) -> str:
        url: str = json.loads((self.home / "current-room.json").read_text())["baseUrl"]
        return url

    def invite(self, alias: str, kind: str = "agent") -> dict[str, str]:
        return self.terminal.json("room", "invite", alias, "--kind", kind)

    def log(self) -> list[dict[str, Any]]:
        """Give all messages, off the disk."""
        text = (self.room_files / "messages.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def secrets(self) -> set[str]:
        """Give every token and secret that its files have."""
        found: set[str] = set()
        for file in self.home.rglob("*"):
            if file.is_file():
                found.update(re.findall(r"ag[phr]_[A-Za-z0-9_-]{20,}", file.read_text()))
        return found

    def said(self) -> str:
        """Give all that its tunnels said, and its rooms as errors."""
        return "".join(program.errors.read_text() for program in self._programs)

    def end(self) -> None:
        for program in self._programs:
            program.end()


def seconds_until_there(curl: Curl, url: str, token: str, *, at_most: float) -> float:
    """Wait until a room answers a participant, and say how long that was."""
    began = time.monotonic()
    while True:
        if curl(f"{url}/status", token=token).status == 200:
            return time.monotonic() - began
        passed = time.monotonic() - began
        assert passed < at_most, f"{url} was not back in {at_most} s"
        time.sleep(0.1)


def pause(*programs: Program) -> None:
    """Let a machine sleep: connections stay, nothing is answered."""
    for program in programs:
        program.send(signal.SIGSTOP)


def resume(*programs: Program) -> None:
    """Wake it up."""
    for program in programs:
        program.send(signal.SIGCONT)
