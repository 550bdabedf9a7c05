"""Whether the other end is there: pings, and the pongs that are due. Pure."""

from agentgather.link.outgoing import Outgoing
from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import PONG_SECONDS
from agentgather.wire.link import MAX_CREDIT, Ping


class Heartbeat:
    """One end's pings, one at a time. Nothing but its own pong answers a ping."""

    __slots__ = ("_asked_at", "_id", "_outgoing")

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._id = 0
        self._asked_at: float | None = None

    @property
    def is_alive(self) -> bool:
        """Whether every ping was answered."""
        return self._asked_at is None

    def ask(self, now: float, patience: float = PONG_SECONDS) -> None:
        """Send a ping, unless a pong is being waited for.

        Raises:
            PeerViolation: ``heartbeat_timeout``: it was waited for ``patience`` seconds.

        """
        if self._asked_at is None:
            self.ask_anew(now)
        elif now - self._asked_at >= patience:
            raise PeerViolation("heartbeat_timeout", "the other end went silent")

    def ask_anew(self, now: float) -> None:
        """Send a ping, and wait for no other pong than this one's."""
        self._id = (self._id + 1) % MAX_CREDIT
        self._asked_at = now
        self._outgoing.push(Ping(id=self._id))

    def hear(self, pong_id: int) -> None:
        """Take a pong. One that was not asked for says nothing."""
        if pong_id == self._id:
            self._asked_at = None
