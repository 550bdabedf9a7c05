"""What the stories are told with: a home with a command line, an agent that is bash and curl."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

AGENTGATHER: Final = [sys.executable, "-m", "agentgather"]
DEADLINE_SECONDS: Final = 30
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Terminal:
    """A home of its own, with the command line in it. ``further`` is of its environment."""

    def __init__(self, home: Path, further: Mapping[str, str] = _NOTHING) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.parent),
            "AGENTGATHER_HOME": str(home),
            "LC_ALL": "C.UTF-8",
            **further,
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [*AGENTGATHER, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def json(self, *arguments: str) -> dict[str, str]:
        document: dict[str, str] = json.loads(self.run(*arguments, "--json"))
        return document

    def start(self, *arguments: str, output: Path | None = None) -> subprocess.Popen[str]:
        with (output or Path(os.devnull)).open("w") as stdout:
            return subprocess.Popen(
                [*AGENTGATHER, *arguments],
                env=self.environment,
                stdout=subprocess.PIPE if output is None else stdout,
                text=True,
            )


class CurlAgent:
    """An agent that has ``shell`` and curl, and does what the blocks of its card say."""

    def __init__(
        self,
        folder: Path,
        card_command: str,
        further: Mapping[str, str] = _NOTHING,
        *,
        shell: str = "bash",
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.shell = shell
        self.environment = {"PATH": os.environ["PATH"], **further}
        card = self.run(card_command)
        self.card = card
        self.blocks = re.findall(r"^```sh\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
        self.set_up, self.join, self.wait, self.loop, self.post, self.reply = self.blocks[:6]
        self.heard = folder / "heard.jsonl"
        self.loops: list[subprocess.Popen[bytes]] = []

    def run(self, script: str) -> str:
        done = subprocess.run(
            [self.shell, "-euc", script],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=40,
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def does(self, block: str) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self.run(self.set_up + block))
        return answer

    def starts_waiting(self) -> None:
        with self.heard.open("ab") as heard:
            self.loops.append(
                subprocess.Popen(
                    [self.shell, "-c", self.set_up + self.loop],
                    stdout=heard,
                    env=self.environment,
                    cwd=self.folder,
                    # With a group of its own, so that its curl ends with it.
                    start_new_session=True,
                )
            )

    def end(self) -> None:
        for loop in self.loops:
            with suppress(ProcessLookupError):
                os.killpg(loop.pid, signal.SIGKILL)
            loop.wait()

    def messages(self) -> list[dict[str, object]]:
        return [
            message
            for line in self.heard.read_text().splitlines()
            for message in json.loads(line).get("messages", [])
        ]

    def texts(self) -> list[str]:
        return [str(message["text"]) for message in self.messages()]


def eventually(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
