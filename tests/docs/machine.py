"""The machine on which a page is tried: what its reader has, and who is at the other ends.

All of it is made when a block asks for it by one of its names, see `substitutions.py`.
"""

import hashlib
import os
import shutil
import sys
import tarfile
import threading
from collections import UserDict
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Final

from agentgather import __version__
from tests.docs.page import ROOT
from tests.docs.shell import Shell
from tests.end_to_end.public.broker import Broker
from tests.end_to_end.public.ports import ReservedPort

BRIEF: Final = (
    "Goal: a decision on how `parser.py` reports errors.\nDone when: both say *agreed*.\n"
)
PROGRAM: Final = f"""#!/bin/sh
exec "{Path(sys.executable).parent}/agentgather" "$@"
"""
"""What a release's one file is here: it runs the program that is tested."""
CHECKOUT: Final = ("Makefile", "agentgather", "packaging", "pyproject.toml", "tests")


class Machine(UserDict[str, str]):
    """A reader's account in ``folder``; the shell is in a copy of the repository there."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        super().__init__()
        self.folder = folder
        self.stack = stack
        self.trust: dict[str, str] = {}
        self.shell: Shell
        self._homes = 0
        self["folder"] = str(folder)
        self["as_root"] = " --as-root" if os.geteuid() == 0 else ""
        (folder / "backup").mkdir()
        (folder / "backups").mkdir()
        self.begin_anew()

    def __missing__(self, name: str) -> str:
        make = {
            "port": self.take_port,
            "broker": self._broker,
            "broker_port": self._broker,
            "metrics_port": self._broker,
            "state": self._broker,
            "release": self._release,
        }[name]
        make(name)
        return self[name]

    def begin_anew(self) -> None:
        """Go to an account that nobody has used, with the files that every reader has."""
        if self._homes:
            self.shell.end_terminals()
        self._homes += 1
        self.home = self.folder / f"home-{self._homes}"
        self.checkout = self.home / "agentgather"
        self.checkout.mkdir(parents=True)
        for name in CHECKOUT:
            (self.checkout / name).symlink_to(ROOT / name)
        # What is there is ready: no `make` may set up the environment that runs this.
        (self.checkout / ".venv").mkdir()
        for entry in Path(sys.prefix).iterdir():
            (self.checkout / ".venv" / entry.name).symlink_to(entry)
        ready = self.checkout / ".venv" / ".ready"
        ready.unlink(missing_ok=True)
        ready.touch()
        (self.checkout / "brief.txt").write_text(BRIEF)
        path = f"{self.home}/.local/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, **self.trust}
        scripts = self.folder / f"scripts-{self._homes}"
        self.shell = Shell(scripts, self.home, self.checkout, environment)
        self.stack.callback(self.shell.kill)

    def take_port(self, name: str) -> None:
        """Let ``name`` be a port that nobody has."""
        self[name] = str(self.stack.enter_context(ReservedPort()))

    def _broker(self, name: str) -> None:
        ports = [self.stack.enter_context(ReservedPort()) for _ in range(2)]
        url = f"http://127.0.0.1:{ports[0]}"
        broker = Broker(self.folder, url, port=ports[0], metrics_port=ports[1])
        self.stack.callback(broker.end)
        broker.start()
        self.is_behind(url, broker)

    def is_behind(self, url: str, broker: Broker) -> None:
        """Let ``url`` be where people reach a broker that runs."""
        self["broker"] = url
        self["broker_port"] = str(broker.port)
        self["metrics_port"] = str(broker.metrics_port)
        self["state"] = broker.environment["STATE_DIRECTORY"]

    def _release(self, name: str) -> None:
        """Serve what a release has, as far as a page downloads it."""
        folder = self.folder / "release"
        folder.mkdir()
        shutil.copy(ROOT / "packaging" / "install.sh", folder)
        for processor in ("x86_64", "aarch64"):
            program = f"agentgather-{__version__}-linux-{processor}"
            (folder / program).write_text(PROGRAM)
            with tarfile.open(folder / f"{program}.tar.gz", "w:gz") as archive:
                inside = tarfile.TarInfo(f"{program}/agentgather")
                inside.size, inside.mode = len(PROGRAM), 0o755
                archive.addfile(inside, BytesIO(PROGRAM.encode()))
        sums = "".join(
            f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
            for file in sorted(folder.iterdir())
        )
        (folder / "SHA256SUMS").write_text(sums)
        handler = partial(Quiet, directory=str(folder))
        server = self.stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        self.stack.callback(server.shutdown)
        self[name] = f"http://127.0.0.1:{server.server_port}"


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None:
        pass
