"""How many frames a peer may send that carry nothing and answer nothing. Pure."""

from typing import Final

from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import MAX_CONTROL_BURST, MAX_CONTROL_FRAMES_PER_SECOND

EXCUSED: Final = 2
"""Frames that one head or piece of a body of ours may cause: its credit, or an answer that was
on its way when its stream was closed, head and end."""


class Allowance:
    """A bucket that leaks: it holds ``MAX_CONTROL_BURST`` frames, and loses so many each second.

    It may outlive its link: who comes back at once has no new one.
    """

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
        if self._level > MAX_CONTROL_BURST:
            raise PeerViolation("rate_limited", "too many frames")

    def excuse(self) -> None:
        """Note that we sent something which the peer has reason to answer."""
        self._level = max(0.0, self._level - EXCUSED)
