"""The one task that sends on a link, and the turns of those who have something to send."""

from typing import Final

import trio

from agentgather.link.outgoing import Outgoing
from agentgather.link.transport import Transport
from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import UNREAD_ANSWER_SECONDS
from agentgather.wire.link import encode_frame


class Writer:
    """Sends what lies in an :class:`Outgoing`. ``is_torn``: half of a message was sent."""

    def __init__(self, transport: Transport, outgoing: Outgoing) -> None:
        self.is_torn = False
        self._transport: Final = transport
        self._outgoing: Final = outgoing
        self._turns = trio.lowlevel.ParkingLot()
        self._wake = trio.Event()
        self._is_stopping = False

    def wake(self) -> None:
        """Note that there may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Send what is there, and return. Nobody has to wait for a turn any more."""
        self._is_stopping = True
        self._turns.unpark_all()
        self._wake.set()

    async def wait_turn(self) -> None:
        """Return once one frame with a head or a body may be queued, in the order of asking."""
        if (self._turns or not self._outgoing.has_room) and not self._is_stopping:
            await self._turns.park()

    async def run(self) -> None:
        """Send until :meth:`stop`. Cancelled half-way it leaves half a message.

        Raises:
            LinkClosed: the transport is over.
            PeerViolation: ``heartbeat_timeout``: the other end takes nothing any more.

        """
        while True:
            while self._outgoing:
                frame = self._outgoing.pop()
                if self._turns and self._outgoing.has_room:
                    self._turns.unpark()
                self.is_torn = True
                with trio.move_on_after(UNREAD_ANSWER_SECONDS) as deadline:
                    await self._transport.send(encode_frame(frame))
                    self.is_torn = False
                if deadline.cancelled_caught:
                    raise PeerViolation("heartbeat_timeout", "what is sent is not taken")
            if self._turns:
                # Whoever had the last turn had nothing to send after all.
                self._turns.unpark()
                await trio.lowlevel.checkpoint()
                continue
            if self._is_stopping:
                return
            self._wake = trio.Event()
            await self._wake.wait()
