"""A real program: a process that can be killed and started again, its output in files."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.end_to_end.terminal import eventually

STOP_SECONDS: Final = 20
ROOT: Final = Path(__file__).resolve().parents[3]


class Program:
    """``command`` is run by :meth:`start`; what it says is in ``output`` and ``errors``."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path = ROOT,
    ) -> None:
        self.command = list(command)
        self.environment = dict(environment)
        self.cwd = cwd
        self.output = folder / f"{name}.out"
        self.errors = folder / f"{name}.err"
        for file in (self.output, self.errors):
            file.touch()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    def start(self) -> None:
        with self.output.open("ab") as output, self.errors.open("ab") as errors:
            self._process = subprocess.Popen(
                self.command, env=self.environment, stdout=output, stderr=errors, cwd=self.cwd
            )

    def waits_to_say(self, text: str, *, times: int = 1) -> None:
        """Return once it has said something, in all that it said since it first ran."""
        eventually(lambda: self.is_running() and self.has_said(text) >= times)

    def has_said(self, text: str) -> int:
        """Say how often it said something."""
        return self.output.read_text().count(text) + self.errors.read_text().count(text)

    def is_running(self) -> bool:
        """Say whether it runs. One that ended of itself fails the test that waits for it."""
        assert self._process is not None, "it was not started"
        assert self._process.poll() is None, (self.command, self.errors.read_text()[-2000:])
        return True

    def send(self, number: int) -> None:
        assert self._process is not None, "it was not started"
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(STOP_SECONDS)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Give its exit status."""
        assert self._process is not None, "it was not started"
        return self._process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM, *, within: float = STOP_SECONDS) -> int:
        """End it in order; gives its exit status."""
        self.send(number)
        return self.wait(within)

    def descriptors(self) -> int:
        """Count the files and sockets that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names are all we want

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))  # noqa: PTH208

    def end(self) -> None:
        """Leave nothing running."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
