"""A newcomer's shell: one `sh` for a page, and further terminals for what stays."""

import os
import re
import select
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.end_to_end.terminal import eventually

BLOCK_SECONDS: Final = 60
END_SECONDS: Final = 10
ATTEMPTS: Final = 3
SHOWN: Final = 1_000
"""How many characters of an output a failure shows."""
STAYS: Final = {
    r"agentgather up\b": "is open at",
    r"agentgather room serve\b": "Serving ",
    r"agentgather attend\b": "",
    r"agentgather broker serve\b": "broker at ",
    r"agentgather tunnel run\b": "is public at",
    r"\bmake\b.*\brun$": "Ctrl-C",
    r"curl -sN ": "event: ",
    r"(ssh -N|cloudflared|ngrok) ": "",
}
"""Commands that go on until Ctrl-C, and what they say when they are there."""
SERVES: Final = r"agentgather (up|room serve)\b|\bmake\b.*\brun$"
"""Of those the ones that want the room's port: the next takes the place of the one before."""


def stays(line: str) -> str | None:
    """Give what a command says when it is there; None if it comes to its end by itself."""
    found = (said for pattern, said in STAYS.items() if re.search(pattern, line))
    return next(found, None)


class Staying:
    """A command in a terminal of its own, where Ctrl-C ends it."""

    def __init__(self, script: Path, text: str, environment: Path, *, serves: bool) -> None:
        self.serves = serves
        self.output = script.with_suffix(".out")
        self._status = script.with_suffix(".status")
        script.write_text(text)
        ready = script.with_suffix(".ready")
        # A terminal's Ctrl-C reaches the shell too, which is to live until it has noted the status.
        around = f'trap : INT; trap \'echo $? > "{self._status}"\' EXIT; . "{environment}"; set -e'
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                ["sh", "-c", f'{around}; cd "$PWD"; : > "{ready}"; . "{script}"'],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(ready.exists)

    @property
    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def waits_to_say(self, text: str) -> None:
        def is_there() -> bool:
            assert text in self.said or self._process.poll() is None, self.said
            return text in self.said

        eventually(is_there)

    def end(self) -> None:
        """Press Ctrl-C, if it has not ended by itself; checks how it ended."""
        # One that comes while the command is being started is lost; a person presses it again.
        for _ in range(ATTEMPTS):
            if self._process.poll() is None:
                self._signal(signal.SIGINT)
        self.kill()
        assert self._status.read_text().strip() in ("0", "130"), self.said
        assert "Traceback" not in self.said

    def kill(self) -> None:
        """Leave nothing running, also of what a program started in a session of its own."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._signal(number)

    def _signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)


class Shell:
    """One shell from the first block to the last: what it exports and where it is, stays."""

    def __init__(self, folder: Path, home: Path, cwd: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir()
        self._folder = folder
        self._count = 0
        self._terminals: list[Staying] = []
        self._process = subprocess.Popen(
            ["sh"],
            env={"LC_ALL": "C.UTF-8", "HOME": str(home), **environment},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, text: str) -> str:
        """Run a block to its end and give what it printed; fails where a command does."""
        script = self._script()
        script.write_text(text)
        output = script.with_suffix(".out")
        self._tell(f'set -e; . "{script}" > "{output}" 2>&1 < /dev/null; set +e; echo done')
        answer = self._line()
        said = output.read_text("utf-8", "replace")
        assert answer == "done\n", f"a command failed; it said:\n{said[-SHOWN:]}"
        refused = re.search(r'^\{"ok":false.*', said, re.MULTILINE)
        assert not refused, f"it was refused:\n{said[-SHOWN:]}"
        return said

    def open_terminal(self, text: str) -> str:
        """Run a block whose last command stays; gives what it printed until it was there."""
        *before, last = text.replace("\\\n", " ").splitlines(keepends=True)
        said = self.run("".join(before)) if before else ""
        serves = re.search(SERVES, last) is not None
        if serves:
            self.end_terminals(serving_only=True)
        script = self._script()
        environment = script.with_suffix(".env")
        self.run(f'export -p > "{environment}"; echo "PWD=\'$PWD\'" >> "{environment}"')
        terminal = Staying(script, last, environment, serves=serves)
        self._terminals.append(terminal)
        terminal.waits_to_say(stays(last) or "")
        return said + terminal.said

    def end_terminals(self, *, serving_only: bool = False) -> None:
        """Press Ctrl-C in the terminals, the youngest first."""
        for terminal in reversed(self._terminals[:]):
            if terminal.serves or not serving_only:
                self._terminals.remove(terminal)
                terminal.end()

    def kill(self) -> None:
        """Leave nothing running."""
        for terminal in self._terminals:
            terminal.kill()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _script(self) -> Path:
        self._count += 1
        return self._folder / f"{self._count}.sh"

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], BLOCK_SECONDS)
        assert ready, "the block did not come to its end"
        return self._process.stdout.readline().decode()
