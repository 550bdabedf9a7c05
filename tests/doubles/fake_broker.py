"""A broker without a network: each dial gives a pair of queues, and a task at the other end."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from agentgather.link.channel import Channel
from agentgather.link.handshake import receive_claim
from agentgather.link.machine import End
from agentgather.link.transport import LinkClosed, Transport
from agentgather.wire.link import (
    NONCE_BYTES,
    Refused,
    Register,
    Registered,
    encode_frame,
)

BROKER: Final = "https://broker.example"
_QUEUED: Final = 64


class QueueTransport:
    """One end of a connection; see :class:`agentgather.link.transport.Transport`."""

    def __init__(
        self,
        sender: trio.MemorySendChannel[bytes | LinkClosed],
        receiver: trio.MemoryReceiveChannel[bytes | LinkClosed],
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self.is_silent = False
        """Whether what is sent gets lost, as in a blackhole."""

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_silent:
            return
        try:
            await self._sender.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkClosed(1006) from None

    async def receive(self) -> bytes | str:
        try:
            message = await self._receiver.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise LinkClosed(1006) from None
        if isinstance(message, LinkClosed):
            raise message
        return message

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        if not self.is_silent:
            with suppress(trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                self._sender.send_nowait(LinkClosed(code, reason))
        self.cut()

    def cut(self) -> None:
        """End the connection without a word."""
        self._sender.close()


def transport_pair() -> tuple[QueueTransport, QueueTransport]:
    """Give the two ends of one connection."""
    to_one, from_other = trio.open_memory_channel[bytes | LinkClosed](_QUEUED)
    to_other, from_one = trio.open_memory_channel[bytes | LinkClosed](_QUEUED)
    return QueueTransport(to_other, from_other), QueueTransport(to_one, from_one)


class Visit:
    """One connection at the broker's end."""

    def __init__(self, transport: QueueTransport) -> None:
        self.transport = transport
        self.claim: Register | None = None
        self.channel: Channel | None = None

    async def challenge(self) -> Register:
        self.claim = await receive_claim(self.transport, bytes(NONCE_BYTES))
        return self.claim

    async def register(self, public_url: str | None = None) -> Channel:
        """Take a registration, and give the link."""
        claim = await self.challenge()
        url = public_url if public_url is not None else f"{BROKER}/{claim.slug}"
        frame = Registered(public_url=url, lease_seconds=900, lifetime_seconds=28_800)
        await self.transport.send(encode_frame(frame))
        self.channel = Channel(End.BROKER, self.transport)
        return self.channel

    async def refuse(self, code: str, *, retry_after_s: int | None = None) -> None:
        await self.challenge()
        frame = Refused(code=code, message="no such luck", retry_after_s=retry_after_s)
        await self.transport.send(encode_frame(frame))


Behaviour = Callable[[Visit], Awaitable[None]]


class FakeBroker:
    """Does at each dial what the next of ``behaviours`` says; the last one again and again.

    A behaviour that is an exception is raised at the dial.
    """

    def __init__(self, *behaviours: Behaviour | Exception) -> None:
        self.behaviours = list(behaviours)
        self.dialled_at: list[float] = []
        self.visits: list[Visit] = []

    @asynccontextmanager
    async def dial(self, broker: str) -> AsyncIterator[Transport]:
        assert broker == BROKER
        self.dialled_at.append(trio.current_time())
        number = min(len(self.dialled_at), len(self.behaviours)) - 1
        behaviour = self.behaviours[number]
        await trio.lowlevel.checkpoint()
        if isinstance(behaviour, Exception):
            raise behaviour
        ours, theirs = transport_pair()
        visit = Visit(theirs)
        self.visits.append(visit)
        raised: Exception | None = None
        async with trio.open_nursery() as nursery:

            async def behave() -> None:
                # The host went, and the broker with it.
                with suppress(LinkClosed):
                    await behaviour(visit)
                theirs.cut()

            nursery.start_soon(behave)
            try:
                yield ours
            except Exception as error:
                raised = error
            nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised

    @property
    def pauses(self) -> list[float]:
        """How long it was between two dials."""
        times = self.dialled_at
        return [after - before for before, after in itertools.pairwise(times)]


async def hang_up(_visit: Visit) -> None:
    """End the connection at once."""


async def say_nothing(_visit: Visit) -> None:
    await trio.sleep_forever()


async def serve_for_ever(visit: Visit) -> None:
    channel = await visit.register()
    await channel.run()


def serve_for(seconds: float) -> Behaviour:
    """Serve a link for so long, and cut it."""

    async def behave(visit: Visit) -> None:
        channel = await visit.register()
        with trio.move_on_after(seconds):
            await channel.run()

    return behave


def end_with(code: str, *, after: float = 1) -> Behaviour:
    """Serve a link for so long, and end it with a reason."""

    async def behave(visit: Visit) -> None:
        channel = await visit.register()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            await trio.sleep(after)
            channel.end(code)

    return behave


def refuse_with(code: str, *, retry_after_s: int | None = None) -> Behaviour:
    async def behave(visit: Visit) -> None:
        await visit.refuse(code, retry_after_s=retry_after_s)
        await trio.sleep_forever()

    return behave
