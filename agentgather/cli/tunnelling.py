"""A tunnel that this process runs: its state told to the person, and kept true on the disk."""

from collections.abc import Callable

import trio

from agentgather.cli.context import Context
from agentgather.edge.exchange import App
from agentgather.storage.tunnel_files import note_tunnel
from agentgather.tunnel.client import run_tunnel
from agentgather.tunnel.events import Connecting, Ended, Lost, Opened, TunnelEvent, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder, Responder


class Teller:
    """Says each change of a tunnel's state in one line, and notes where the room is public.

    ``public_url`` is None until the tunnel opens for the first time; ``settled`` is set
    then, or when there is nothing more to hope for.
    """

    def __init__(
        self,
        context: Context,
        room: str,
        plan: TunnelPlan,
        on_public: Callable[[str | None], None] = lambda _url: None,
    ) -> None:
        self.public_url: str | None = None
        self.settled = trio.Event()
        self.context = context
        self._room = room
        self.plan = plan
        self._on_public = on_public
        self._last: str | None = None

    def tell(self, event: TunnelEvent) -> None:
        """Take one change of state."""
        if isinstance(event, Opened):
            self._open(event.public_url)
            self._say(f"{self._room} is public at {event.public_url}")
        elif isinstance(event, Lost):
            # At the same fault again, who reads along knows that it is tried again.
            self._say(f"no tunnel: {event.reason}", f"; next try in {event.retry_seconds:.0f} s")
        elif isinstance(event, Connecting) and self._last is None:
            self._say(f"connecting to {self.plan.broker}")

    def _open(self, public_url: str) -> None:
        if public_url != self.public_url:
            self.public_url = public_url
            try:
                note_tunnel(
                    self.context.home, self._room, public_url, self.plan.broker, self.plan.slug
                )
            except OSError as error:
                self.context.say(f"warning: tunnel.json: {error.strerror}")
            self._on_public(public_url)
        self.settled.set()

    def end(self) -> None:
        """Note that the room is not public any more, and will not be again."""
        self.public_url = None
        self.context.home.clear_tunnel(self._room)
        self._on_public(None)
        self.settled.set()

    def _say(self, line: str, more: str = "") -> None:
        if line != self._last:
            self.context.say(line + more)
        self._last = line


async def serve_tunnel(teller: Teller, responder: Responder, stop: trio.Event) -> Ended:
    """Run a tunnel until ``stop`` or its end. The caller owns the room's tunnel."""
    context = teller.context
    ended = await run_tunnel(
        teller.plan, responder, stop=stop, on_event=teller.tell, entropy=context.entropy
    )
    teller.end()
    return ended


async def serve_app_through_tunnel(app: App, teller: Teller, stop: trio.Event) -> None:
    """Do that for an application in this process, which goes on without it."""
    ended = await serve_tunnel(teller, AsgiResponder(app), stop)
    if ended.reason:
        teller.context.say(f"the tunnel has ended: {ended.reason}")
