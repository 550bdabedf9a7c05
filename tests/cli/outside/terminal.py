"""A terminal: a home of its own, and the command line with everything real behind it.

Commands that come to an end run in this process, which is ten times as quick as one of
their own; what depends on a process (streams, environment, signals, what is imported)
gets one with ``try_`` or ``start``.
"""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from agentgather.cli.context import Context
from agentgather.cli.program import run_command
from agentgather.storage.home import Home

ROOT = Path(__file__).resolve().parents[3]

# A warning in the program is a fault of the program.
AGENTGATHER = [sys.executable, "-W", "error", "-m", "agentgather"]
DEADLINE_SECONDS = 20


class Done(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


class Terminal:
    """Runs commands, and checks of each that it ends as a command has to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: list[subprocess.Popen[str]] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.parent),
            "AGENTGATHER_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "LC_ALL": "C.UTF-8",
        }

    def try_(
        self, *arguments: str | bytes, stdin: bytes = b"", cwd: Path = ROOT, **environment: str
    ) -> Done:
        done = subprocess.run(
            [*AGENTGATHER, *arguments],
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            timeout=DEADLINE_SECONDS,
            cwd=cwd,
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        check_stderr(err)
        return Done(done.returncode, out, err)

    def here(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        context = Context(Home(self.home), io.BytesIO(stdin), out, err, self.environment)
        status = run_command(list(arguments), context)
        check_stderr(err.getvalue())
        return Done(status, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command that succeeds, and give what it prints."""
        done = self.here(*arguments, stdin=stdin)
        assert done.status == 0, (arguments, done)
        return done.out

    def fails(self, status: int, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command that fails, and give its one line of error."""
        done = self.here(*arguments, stdin=stdin)
        assert done.status == status, (arguments, done)
        assert done.out == "", (arguments, done)
        lines = done.err.splitlines()
        assert len(lines) == 1, (arguments, done)
        assert lines[0].startswith("agentgather: "), (arguments, done)
        return done.err

    def json(self, *arguments: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run a command with ``--json``; it prints one document and nothing else."""
        done = self.here(*arguments, "--json", stdin=stdin)
        assert done.status == 0, (arguments, done)
        assert done.err == "", (arguments, done)
        assert done.out.count("\n") == 1, (arguments, done)
        document: dict[str, Any] = json.loads(done.out)
        return document

    def json_lines(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def start(self, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
        """Start a command that goes on; its output is read with :func:`next_line`."""
        process = subprocess.Popen(
            [*AGENTGATHER, *arguments],
            env=self.environment,
            cwd=ROOT,
            text=True,
            encoding="utf-8",
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **more,
            },
        )
        self.running.append(process)
        return process

    def serve(self, *arguments: str, port: int = 0) -> "Served":
        process = self.start("room", "serve", "--port", str(port), "--json", *arguments)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=DEADLINE_SECONDS)
        document = json.loads(line)
        assert list(document)[:3] == ["ok", "room", "url"]
        return Served(process, document["url"])

    def seat(self) -> dict[str, str]:
        seat: dict[str, str] = json.loads((self.home / "current-room.json").read_text())
        return seat

    def files(self) -> dict[str, bytes]:
        """Give every file of the home, but the locks', by its path."""
        return {
            path.relative_to(self.home).as_posix(): path.read_bytes()
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and path.name != "lock"
        }

    def log(self, room: str = "demo") -> list[dict[str, Any]]:
        lines = (self.home / "rooms" / room / "messages.jsonl").read_bytes().splitlines()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


class Served(NamedTuple):
    """A server in a process of its own."""

    process: "subprocess.Popen[str]"
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(DEADLINE_SECONDS) == 0


def check_stderr(err: str) -> None:
    """No traceback, ever, and nothing that the program itself calls a bug."""
    for word in ("Traceback", "a bug", "Exception ignored", "ResourceWarning"):
        assert word not in err, err


def next_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def ended(process: "subprocess.Popen[str]") -> Done:
    """Await the end of a process."""
    process.wait(DEADLINE_SECONDS)
    # Not `communicate`, which would miss what `readline` has read ahead.
    out = process.stdout.read() if process.stdout is not None else ""
    err = process.stderr.read() if process.stderr is not None else ""
    check_stderr(err)
    return Done(process.returncode, out, err)


def eventually(what: Callable[[], object]) -> None:
    """Await what no line of output tells, such as a state of the kernel."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def texts(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages]
