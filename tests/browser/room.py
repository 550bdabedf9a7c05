"""A room as its host runs it: a home, and ``agentgather room serve`` in a process."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.conversation import write_conversation
from tests.browser.proxy import Proxy
from tests.end_to_end.public.ports import ReservedPort

AGENTGATHER: Final = [sys.executable, "-m", "agentgather"]
PATIENCE_SECONDS: Final = 20
NAME: Final = "demo"


class Seat(NamedTuple):
    """Somebody invited. ``link`` opens the page; ``card_command`` is for an agent."""

    alias: str
    token: str
    link: str
    card_command: str = ""


class Refused(AssertionError):
    """The room refused what a test asked for."""


class Room:
    """A served room. Everything that needs no browser is done over HTTP, as its people.

    ``messages`` are written into the log before it is first served. With ``proxied`` people
    reach it through :attr:`proxy`, under ``prefix``. ``url`` has no slash at its end.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brief: str = "Goal: say **hello**.",
        messages: int = 0,
        proxied: bool = False,
        prefix: str = "",
        strips_prefix: bool = False,
    ) -> None:
        self.home = folder / "home"
        self.name = NAME
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "AGENTGATHER_HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
        }
        self._held = ExitStack()
        self.port = self._held.enter_context(ReservedPort())
        self._direct = f"http://127.0.0.1:{self.port}"
        self._proxy = (
            Proxy(self.port, prefix=prefix, strips_prefix=strips_prefix)
            if proxied or prefix
            else None
        )
        self.url = self._proxy.url if self._proxy else self._direct
        self._server: subprocess.Popen[str] | None = None
        try:
            self._run("room", "start", NAME, "--brief", brief)
            if messages:
                write_conversation(self.home / "rooms" / NAME / "messages.jsonl", NAME, messages)
            token = json.loads((self.home / "current-room.json").read_text())["token"]
            self.host = Seat("host", token, f"{self.url}/#token={token}")
            self.seats = {"host": self.host}
            self.start()
        except BaseException:
            self.end()
            raise

    @property
    def proxy(self) -> Proxy:
        """What stands between people and the room, where it is ``proxied``."""
        assert self._proxy is not None, "open the room with proxied=True"
        return self._proxy

    # --- The process --------------------------------------------------------------------

    def start(self) -> None:
        """Serve the room; returns when it answers."""
        urls = ("--url", self.url) if self._proxy else ()
        server = subprocess.Popen(
            [*AGENTGATHER, "room", "serve", "--port", str(self.port), *urls],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._server = server
        assert server.stdout is not None
        told = server.stdout.readline()
        assert told.startswith(f"Serving {self.name} at "), f"the room is not served: {told!r}"

    def stop(self, *, kill: bool = False) -> None:
        """End the server in order, or in the middle of whatever it does."""
        server, self._server = self._server, None
        assert server is not None, "the room is not served"
        server.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        # One that was paused takes no other signal.
        server.send_signal(signal.SIGCONT)
        status = server.wait(PATIENCE_SECONDS)
        assert server.stdout is not None
        server.stdout.close()
        assert kill or status == 0, f"the server ended with {status}"

    def follow_with(self, name: str, *, brief: str = "Goal: say **hello**.") -> None:
        """Make another room in the home of one that is not served, and serve it in its place."""
        self._run("room", "start", name, "--brief", brief)
        token = json.loads((self.home / "current-room.json").read_text())["token"]
        self.name = name
        self.host = Seat("host", token, f"{self.url}/#token={token}")
        self.seats = {"host": self.host}
        self.start()

    def restart(self, *, kill: bool = False) -> None:
        """End the server and serve again, on the same port."""
        self.stop(kill=kill)
        self.start()

    def pause(self) -> None:
        """Let the host's machine sleep: connections stay, nothing is answered."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Wake the host's machine up."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Leave nothing running."""
        try:
            if self._server is not None:
                self.stop()
        finally:
            if self._proxy is not None:
                self._proxy.close()
            self._held.close()

    # --- Its people ---------------------------------------------------------------------

    def invite(
        self, alias: str, kind: str = "human", *, name: str | None = None, **draft: Any
    ) -> Seat:
        """Invite somebody. With a ``name`` they have joined and are asked for none."""
        invited = self.ask("POST", "/participants", "host", {"alias": alias, "kind": kind, **draft})
        seat = Seat(alias, invited["token"], invited["browser_url"], invited["card_command"])
        self.seats[alias] = seat
        if name is not None:
            self.ask("POST", "/profile", alias, {"display_name": name})
            self.ask("POST", "/join", alias)
        return seat

    def post(self, alias: str, text: str, **draft: Any) -> int:
        """Post as somebody; gives the id. ``draft`` is type, reply_to, client_msg_id."""
        answer = self.ask("POST", "/messages", alias, {"text": text, **draft})
        return int(answer["message"]["id"])

    def messages(self, since_id: int = 0) -> list[dict[str, Any]]:
        """Give up to 500 messages past an id."""
        found: list[dict[str, Any]] = self.ask("GET", f"/messages?since_id={since_id}")["messages"]
        return found

    def status(self) -> dict[str, Any]:
        """Give the host's view of the room."""
        return self.ask("GET", "/status")

    def remove(self, alias: str) -> None:
        """Remove somebody."""
        self.ask("POST", f"/participants/{alias}/remove")

    def rotate(self, alias: str) -> Seat:
        """Give somebody a new token; the old one ends."""
        answer = self.ask("POST", f"/participants/{alias}/rotate")
        seat = Seat(alias, answer["token"], answer["browser_url"], answer["card_command"])
        self.seats[alias] = seat
        return seat

    def set_brief(self, text: str) -> None:
        """Replace the brief."""
        self.ask("POST", "/brief", "host", {"body": text})

    def set_attendance(self, policy: str) -> None:
        """Set the attendance policy."""
        self.ask("POST", "/attendance", "host", {"policy": policy})

    def close(self) -> None:
        """Close the room for good. It is still served."""
        self.ask("POST", "/close")

    def ask(self, method: str, path: str, who: str = "host", body: Any = None) -> dict[str, Any]:
        """Ask the room something as an alias that was invited, or with a token; past the proxy.

        Raises:
            Refused: the status is not 2xx.

        """
        token = self.seats[who].token if who in self.seats else who
        headers = {"Authorization": f"Bearer {token}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False).encode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise Refused(f"{method} {path}: {response.status} {text!r}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [*AGENTGATHER, *arguments],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=PATIENCE_SECONDS,
        )
