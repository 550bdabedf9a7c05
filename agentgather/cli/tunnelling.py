"""A tunnel that this process runs: its state told to the person, and kept true on the disk."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final

import trio

from agentgather.cli.context import Context
from agentgather.cli.tunnel_watch import remember_granted
from agentgather.edge.exchange import App
from agentgather.storage.files import UnsafeFile
from agentgather.storage.stored_room import DamagedRoom, NewerSchema
from agentgather.storage.tunnel_files import note_tunnel
from agentgather.tunnel.client import run_tunnel
from agentgather.tunnel.events import Connecting, Ended, Lost, Opened, TunnelEvent, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder, Responder

_NOT_AGAIN: Final = frozenset({"superseded", "bad_broker"})
"""Ends after which the same tunnel would throw out another one, or end in the same way."""


class Teller:
    """Says each change of a tunnel's state in one line, and notes where the room is public.

    ``public_url`` is None until the tunnel opens for the first time; ``settled`` is set
    then, or when there is nothing more to hope for. Where it is public cannot be noted,
    ``on_unnoted`` is told why in the place of ``on_public``; without it that is a warning.
    ``again`` is the command that makes the room public from another process.
    """

    def __init__(
        self,
        context: Context,
        room: str,
        plan: TunnelPlan,
        on_public: Callable[[str | None], None] = lambda _url: None,
        *,
        on_unnoted: Callable[[str], None] | None = None,
        again: str = "",
    ) -> None:
        self.public_url: str | None = None
        self.settled = trio.Event()
        self.context = context
        self._room = room
        self.plan = plan
        self._on_public = on_public
        self._on_unnoted = on_unnoted
        self._again = again
        self._last: str | None = None

    def tell(self, event: TunnelEvent) -> None:
        """Take one change of state."""
        if isinstance(event, Opened):
            if self._open(event.public_url):
                self._say(f"{self._room} is public at {event.public_url}")
        elif isinstance(event, Lost):
            # At the same fault again, who reads along knows that it is tried again.
            self._say(f"no tunnel: {event.reason}", f"; next try in {event.retry_seconds:.0f} s")
        elif isinstance(event, Connecting) and self._last is None:
            self._say(f"connecting to {self.plan.broker}")

    def _open(self, public_url: str) -> bool:
        if public_url != self.public_url:
            if not self._note(public_url):
                return False
            self.public_url = public_url
            self._on_public(public_url)
        self.settled.set()
        return True

    def _note(self, public_url: str) -> bool:
        """Write down where the room is public; False if somebody else says that it can't be."""
        home, plan, may_tell = self.context.home, self.plan, True
        try:
            note_tunnel(home, self._room, public_url, plan.broker, plan.slug)
        except (OSError, UnsafeFile) as error:
            why = _why(error)
            if self._on_unnoted is not None:
                self._on_unnoted(why)
                may_tell = False
            else:
                self.context.say(f"warning: tunnel.json: {why}")
        try:
            remember_granted(home, self._room, plan)
        except OSError as error:
            self.context.say(f"warning: routes.json: {error.strerror}")
        except (DamagedRoom, NewerSchema, UnsafeFile) as error:
            self.context.say(f"warning: {error}")
        return may_tell

    def end(self) -> None:
        """Note that the room is not public any more, and will not be again."""
        self.public_url = None
        # Nobody believes the file of a tunnel that is over.
        with suppress(OSError):
            self.context.home.clear_tunnel(self._room)
        self._on_public(None)
        self.settled.set()

    def say_ended(self, ended: Ended) -> None:
        """Say why a room that is served on is not public any more, and what can be done."""
        self.context.say(f"the tunnel has ended: {ended.reason}")
        if ended.code not in _NOT_AGAIN:
            self.context.say(
                f"{self._room} is served on without it; to make it public again: {self._again}"
            )

    def _say(self, line: str, more: str = "") -> None:
        if line != self._last:
            self.context.say(line + more)
        self._last = line


def _why(error: OSError | UnsafeFile) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


async def serve_tunnel(teller: Teller, responder: Responder, stop: trio.Event) -> Ended:
    """Run a tunnel until ``stop`` or its end. The caller owns the room's tunnel."""
    context = teller.context
    ended = await run_tunnel(
        teller.plan, responder, stop=stop, on_event=teller.tell, entropy=context.entropy
    )
    teller.end()
    return ended


async def serve_app_through_tunnel(
    app: App,
    teller: Teller,
    stop: trio.Event,
    ownership: AbstractContextManager[object],
    over: trio.Event,
) -> None:
    """Do that for an application in this process, which goes on without it.

    ``ownership`` is that of the room's tunnel. It ends with the tunnel, and then ``over``
    is set: another process may make the room public.
    """
    with ownership:
        ended = await serve_tunnel(teller, AsgiResponder(app), stop)
    over.set()
    if ended.reason:
        teller.say_ended(ended)
