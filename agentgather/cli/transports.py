"""How a request reaches a room: over HTTP, or through the room's own files.

Where nothing listens at a seat's base URL and the room lies in this home, the same request
goes to the same application in this process, under the room's lock: the same rules, the
same writer, the same answer. A server that holds the lock keeps it from this process.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.failures import Unreachable
from agentgather.cli.http_client import NotSent, Reply, exchange
from agentgather.cli.request import Request
from agentgather.edge.origins import Served
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked, read_holder
from agentgather.storage.stored_room import LOCK_FILE

LOCKED_SECONDS: Final = 5
"""How long a locked room is asked again: a server may be starting, or another command is
in the middle of its one request."""
_PAUSE_SECONDS: Final = 0.1


class Transport(Protocol):
    """Carries one request."""

    def __call__(self, request: Request) -> Reply:
        """Send a request to the room, and wait for its whole answer.

        Raises:
            NotSent, NoAnswer, Unreachable: there is none.

        """


class HttpTransport:
    """To the server at a base URL."""

    def __init__(self, base: BaseUrl) -> None:
        self._base = base

    def __call__(self, request: Request) -> Reply:
        """See :class:`Transport`."""
        return exchange(
            self._base,
            request.method,
            request.target,
            request.headers,
            request.body,
            max_bytes=request.max_answer_bytes,
        )


class HostedTransport:
    """To a room that lives in this home: its server if one runs, else its files."""

    def __init__(
        self,
        home: Home,
        room: str,
        base: BaseUrl,
        *,
        public_urls: tuple[str, ...] = (),
        warn: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._home = home
        self._room = room
        self._base = base
        self._server = HttpTransport(base)
        self._public_urls = public_urls
        self._warn = warn
        self._sleep = sleep

    def __call__(self, request: Request) -> Reply:
        """See :class:`Transport`."""
        deadline = time.monotonic() + LOCKED_SECONDS
        while True:
            reply: Reply | None = None
            problem = "nothing that owns the room listens there"
            if self._may_be_served():
                try:
                    reply = self._server(request)
                except NotSent as error:
                    problem = str(error)
            if reply is not None and not is_foreign(request, reply):
                return reply
            try:
                return self._through_files(request)
            except RoomLocked:
                # Who answers there is most likely the room's own server after all.
                if reply is not None:
                    return reply
            if time.monotonic() >= deadline:
                break
            self._sleep(_PAUSE_SECONDS)
        holder = read_holder(self._home.room_path(self._room) / LOCK_FILE)
        who = f"process {holder}" if holder else "another process"
        raise Unreachable(
            f"{who} serves {self._room}, but not at {self._base.text} ({problem}); "
            f"start that server again, or see `agentgather doctor`"
        )

    def _may_be_served(self) -> bool:
        """Say whether some process owns the room, as its server does.

        If none does, whatever listens on its port is not to see the host's token. A room
        without a lock file is one that only the older program has served.
        """
        path = self._home.room_path(self._room) / LOCK_FILE
        return not path.exists() or read_holder(path) is not None

    def _through_files(self, request: Request) -> Reply:
        # Here, because Trio and the server cost 300 ms, and are needed only without one.
        from agentgather.cli.room_files import exchange_through_files

        served = Served(self._base.text, public_urls=self._public_urls)
        return exchange_through_files(self._home, self._room, served, request, self._warn)


def is_foreign(request: Request, reply: Reply) -> bool:
    """Say whether an answer may come from another room or program on the same port.

    None of these did what was asked, so it may be asked elsewhere.
    """
    if reply.status == 200 and request.target == "/card":
        return not reply.body.startswith(b"# ")
    if not reply.body.startswith(b"{") or b'"ok"' not in reply.body:
        return True
    refused = reply.status == 403
    return refused and (b'"forbidden"' in reply.body or b'"insecure_remote"' in reply.body)
