"""What a receiver lets its peer send, in bytes: so much for each stream, and all in all.

Every stream may have its first credit outstanding or buffered at any time. What is more
than that comes out of one pool, so that a link never holds more than ``MAX_ROUTE_BUFFER_BYTES``
however many streams are read slowly: of those that are open, and of those that have ended
and were not taken yet, whose number is their owner's to bound. A stream whose sender runs
out of credit while its reader keeps up is given more each time, while the pool lasts.
"""

from typing import Final

from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import MAX_ROUTE_BUFFER_BYTES, MAX_WINDOW_BYTES

_GROWTH: Final = 4
"""How much larger a window gets at a time: from the first credit to the most in three steps."""


class Account:
    """One stream. ``window`` is what may still come, ``buffered`` what came and was not taken."""

    __slots__ = ("buffered", "is_open", "target", "window")

    def __init__(self, credit: int) -> None:
        self.window = self.target = credit
        self.buffered = 0
        self.is_open = True


class Ledger:
    """All streams of one end. ``extra`` is what they hold beyond their first credit."""

    def __init__(self, first_credit: int, max_streams: int, *, may_grow: bool) -> None:
        self.extra = 0
        self._first = first_credit
        self._pool = max(0, MAX_ROUTE_BUFFER_BYTES - max_streams * first_credit)
        self._most = MAX_WINDOW_BYTES if may_grow else first_credit
        self._late = 0

    def open(self) -> Account:
        """Give a new stream its first credit; the peer knows of it without being told."""
        return Account(self._first)

    def receive(self, account: Account, size: int) -> None:
        """Note that some of a body came.

        Raises:
            PeerViolation: ``flow_control``: there was no credit for it.

        """
        if size > account.window:
            raise PeerViolation("flow_control", "more than there was credit for")
        account.window -= size
        account.buffered += size

    def consume(self, account: Account, size: int, *, is_ended: bool) -> int:
        """Note that some was taken, and say how much credit to give for it; often none yet."""
        starved = account.window < account.target // _GROWTH
        before = self._extra_of(account)
        account.buffered -= size
        self.extra += self._extra_of(account) - before
        if is_ended or not account.is_open:
            return 0
        if starved and not account.buffered:
            account.target = min(account.target * _GROWTH, self._most)
        held = account.window + account.buffered
        room = self._first + self._pool - (self.extra - self._extra_of(account))
        credit = min(account.target, room) - held
        # Not for every byte: a window that is half open needs no frame of its own.
        if credit <= 0 or (credit < account.target // 2 and account.window > 0):
            return 0
        before = self._extra_of(account)
        account.window += credit
        self.extra += self._extra_of(account) - before
        return credit

    def close(self, account: Account) -> None:
        """Note that no more is wanted. What there was credit for may still come, and is dropped."""
        before = self._extra_of(account)
        self._late += account.window
        account.window = 0
        account.is_open = False
        self.extra += self._extra_of(account) - before

    def forgive(self, size: int) -> None:
        """Let ``size`` bytes come late: of a stream that was refused when it was opened."""
        self._late += size

    def receive_late(self, size: int) -> None:
        """Note that some came for a closed stream.

        Raises:
            PeerViolation: ``flow_control``: more than can have been on its way.

        """
        self._late -= size
        if self._late < 0:
            raise PeerViolation("flow_control", "more than there was credit for")

    def _extra_of(self, account: Account) -> int:
        return max(0, account.window + account.buffered - self._first)
