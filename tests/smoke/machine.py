"""A machine with the built program, a shell, curl and coreutils, and nothing of ours."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.end_to_end.public.program import Program
from tests.end_to_end.terminal import CurlAgent
from tests.smoke.mounts import with_mounts

SECONDS: Final = 60
"""Nothing here takes as long, on however slow a machine; a first start unpacks a file."""
IDLE_STOP_SECONDS: Final = 2
"""An idle server has nobody to wait for: it takes a tenth of a second, and as long as it gets
no turn on a busy machine."""
# The card's loop takes sed, which every POSIX system has.
TOOLS: Final = ("sh", "curl", "sed", "cat", "env", "ls", "mkdir", "printf", "sleep", "touch")
_VERSION_FOLDER: Final = re.compile(r"\d+\.\d+\.\d+-[0-9a-f]{16}")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Machine:
    """One user of it, who works in ``folder``; there is no HOME, and no locale but C.

    ``mounts`` is a script of :mod:`tests.smoke.mounts`; ``cache`` a folder where the single
    file unpacks, which else is the machine's own; ``further`` is of the user's environment.
    """

    def __init__(
        self,
        folder: Path,
        program: Path,
        *,
        mounts: str = "",
        cache: Path | None = None,
        further: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.folder = folder
        self.program = program
        self.cache = cache or folder / "cache"
        self.work = folder / "work"
        self.temporary = folder / "tmp"
        tools = folder / "tools"
        for one in (folder, self.cache, self.work, self.temporary, tools):
            one.mkdir(exist_ok=True)
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None, f"the tests need {name}"
            (tools / name).symlink_to(found)
        self.environment = {
            "PATH": str(tools),
            "LC_ALL": "C",
            "TMPDIR": str(self.temporary),
            "AGENTGATHER_HOME": str(folder / "home"),
            "AGENTGATHER_UNPACK_DIR": str(self.cache),
            **further,
        }
        self.before = with_mounts(mounts, folder) if mounts else []
        self._programs: list[Program] = []
        self._agents: list[CurlAgent] = []

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end, whatever that is."""
        return self.shell('exec "$PROGRAM" "$@"', *arguments)

    def shell(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a line of sh, which has the program as PROGRAM."""
        return subprocess.run(
            [*self.before, "/bin/sh", "-c", script, "sh", *arguments],
            env={**self.environment, "PROGRAM": str(self.program)},
            cwd=self.work,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run the program; gives its output, or its errors where it is to fail."""
        done = self.attempt(*arguments)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        assert status != 0 or done.stderr == "", done.stderr
        return done.stdout if status == 0 else done.stderr

    def json(self, *arguments: str) -> dict[str, str]:
        document: dict[str, str] = json.loads(self.run(*arguments, "--json"))
        return document

    def start(self, name: str, *arguments: str) -> Program:
        """Start the program in the background, as ``name``."""
        started = Program(
            name,
            self.folder,
            [*self.before, str(self.program), *arguments],
            self.environment,
            cwd=self.work,
        )
        self._programs.append(started)
        started.start()
        return started

    def agent(self, name: str, card_command: str) -> CurlAgent:
        """Let an agent come that has sh, curl and the machine's tools."""
        further = {"PATH": self.environment["PATH"], "LC_ALL": "C"}
        came = CurlAgent(self.folder / name, card_command, further, shell="/bin/sh")
        self._agents.append(came)
        return came

    def unpacked(self) -> list[Path]:
        """Give all that is where the single file unpacks; each of it is a whole version."""
        found = sorted(self.cache.glob("agentgather-*/*"))
        assert all(_VERSION_FOLDER.fullmatch(path.name) for path in found), found
        return found

    def left_behind(self) -> list[Path]:
        """Give what is there and should not be, when programs run or have ended."""
        more = [] if len(self.unpacked()) <= 1 else self.unpacked()
        return [*self.temporary.iterdir(), *more]

    def end(self) -> None:
        """Leave nothing running."""
        for one in (*self._agents, *self._programs):
            one.end()
