"""How many frames without a body a peer may send. Pure."""

from typing import Final

from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import MAX_CONTROL_FRAMES_PER_SECOND

FLOOD_SECONDS: Final = 10
"""How long a peer may send more of them than it may in the long run."""
MAX_BURST: Final = MAX_CONTROL_FRAMES_PER_SECOND * FLOOD_SECONDS


class Allowance:
    """A bucket that leaks: it holds ``MAX_BURST`` frames, and loses so many each second."""

    __slots__ = ("_at", "_level")

    def __init__(self, now: float) -> None:
        self._level = 0.0
        self._at = now

    def count(self, now: float) -> None:
        """Note that a frame came.

        Raises:
            PeerViolation: ``rate_limited``: it was one too many.

        """
        leaked = (now - self._at) * MAX_CONTROL_FRAMES_PER_SECOND
        self._level = max(0.0, self._level - leaked) + 1
        self._at = now
        if self._level > MAX_BURST:
            raise PeerViolation("rate_limited", "too many frames")
