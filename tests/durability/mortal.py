"""The real program, which kills itself at a place that the test names.

    python -m tests.durability.mortal

A test-only way in: it puts a disk that dies in the place of the system's and then runs the
command line as `agentgather` does. What ships has no such place. So that hundreds of deaths
do not each pay for the imports, this process loads the program once and forks for each job.

It reads jobs as lines of JSON, ``{"arguments": [...], "home": "...", "folder": "...",
"place": "..." or null, "error": 5 or null}``, and answers each with the process's id, and when
it has ended with its status (negative: a signal). The process's output is in ``folder`` as
``out`` and ``err``, and every place that it came by, one a line, in ``places``: what it was
about to do or had done, to which file, and for which time. With an ``error`` it does not die
at the place: the call fails there with that errno.
"""

import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agentgather.cli import room_files, serving  # noqa: F401 - loaded once, for all
from agentgather.cli.commands import invite, messages, serve, start  # noqa: F401
from agentgather.cli.program import run_process
from agentgather.page import render  # noqa: F401
from agentgather.server.staging import Staging
from tests.durability.stand_in import SYSTEM, StandIn, stand_in

_MOST_SECONDS: Final = 120
_RANDOM: Final = re.compile(r"\.tmp-[0-9a-f]{16}")


class MortalDisk(StandIn):
    """The system's disk, with a place before and after every call, and within writes."""

    def __init__(self, place: str | None, places: int, error: int | None) -> None:
        self._fatal = place
        self._error = error
        self._places = places
        self._times: Counter[str] = Counter()

    def come_by(self, place: str) -> None:
        """Die here, if this is the place."""
        self._times[place] += 1
        numbered = f"{place}, {self._times[place]}"
        os.write(self._places, f"{numbered}\n".encode())
        if numbered == self._fatal:
            if self._error is not None:
                raise OSError(self._error, os.strerror(self._error))
            os.kill(os.getpid(), signal.SIGKILL)

    def is_next(self, place: str) -> bool:
        """Say whether :meth:`come_by` would not return."""
        return f"{place}, {self._times[place] + 1}" == self._fatal

    def __getattr__(self, name: str) -> Any:
        call: Callable[..., Any] = getattr(SYSTEM, name)

        def mortal(subject: int | Path, *further: Any) -> Any:
            what = f"{name} {_name_of(subject)}"
            self.come_by(f"before {what}")
            result = call(subject, *further)
            self.come_by(f"after {what}")
            return result

        return mortal

    def write(self, descriptor: int, data: memoryview) -> int:
        what = f"write {_name_of(descriptor)}"
        self.come_by(f"before {what}")
        for part, count in (("1 byte", 1), ("half", len(data) // 2), ("all but 1", len(data) - 1)):
            place = f"after {part} of {what}"
            if self.is_next(place):
                SYSTEM.write(descriptor, data[:count])
            self.come_by(place)
        written: int = SYSTEM.write(descriptor, data)
        self.come_by(f"after {what}")
        return written


def _name_of(subject: int | Path) -> str:
    path = Path(f"/proc/self/fd/{subject}").readlink() if isinstance(subject, int) else subject
    return _RANDOM.sub(".tmp-*", path.name)


def _die_at_announcements(disk: MortalDisk) -> None:
    """Let the room die when something is durable and nobody knows, and before anybody hears."""
    announce = Staging._on_durable

    def mortal(staging: Staging, count: int) -> None:
        disk.come_by("before the announcement")
        announce(staging, count)
        disk.come_by("before the answer")

    Staging._on_durable = mortal  # type: ignore[method-assign]


def _become(job: dict[str, Any]) -> int:
    """Be the program; gives its exit status."""
    # A test that was ended itself ends nobody; without this its room would be served for ever.
    signal.alarm(_MOST_SECONDS)
    folder = Path(job["folder"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, flags, 0o600), number)
    places = os.open(folder / "places", flags | os.O_APPEND, 0o600)
    os.environ["AGENTGATHER_HOME"] = job["home"]
    disk = MortalDisk(job["place"], places, job["error"])
    stand_in(disk)
    _die_at_announcements(disk)
    return run_process(job["arguments"])


def main() -> None:
    # One at a time, and not ahead: the child would read the next job a second time.
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            status = 70
            try:
                status = _become(json.loads(line))
            finally:
                os._exit(status)
        print(child, flush=True)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    main()
