"""Server-sent events, as a client of a room reads them."""

import json
import re
from typing import Final, NamedTuple

import trio

from agentgather.conformance.answer import Document
from agentgather.conformance.connection import Body
from agentgather.conformance.verdict import Broken

_END: Final = re.compile(rb"\r?\n\r?\n")
MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""What may come at once: a page of 256 KiB, with its HTML, and then some."""


class Event(NamedTuple):
    """One event. ``id`` is empty where it has none."""

    name: str
    id: str
    data: Document


class EventStream:
    """Reads events from a body; each is due within ``seconds``."""

    def __init__(self, body: Body, seconds: float) -> None:
        self._body = body
        self._seconds = seconds
        self._received = b""

    async def event(self, *names: str, seconds: float | None = None) -> Event:
        """Give the next event of one of these names, or of any; others are passed over.

        Raises:
            Broken: it does not come, or the stream ends before.

        """
        wanted = " or ".join(names) or "at all"
        within = self._seconds if seconds is None else seconds
        with trio.move_on_after(within):
            while True:
                found = await self._next()
                if found is None:
                    raise Broken(f"the stream ends without an event {wanted}")
                if not names or found.name in names:
                    return found
        raise Broken(f"no event {wanted} within {within:g} s")

    async def end(self) -> None:
        """Return at the end of the stream.

        Raises:
            Broken: there is another event, or no end.

        """
        with trio.move_on_after(self._seconds):
            found = await self._next()
            if found is None:
                return
            raise Broken(f"after closed comes {found.name}")
        raise Broken("the stream goes on after closed")

    async def _next(self) -> Event | None:
        lines: list[str] = []
        while not lines:
            block = await self._block()
            if block is None:
                return None
            # A line that begins with a colon is a comment, and says nothing.
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        parts = [line.partition(":") for line in lines]
        fields = [(name, value.removeprefix(" ")) for name, _, value in parts]
        data = [value for name, value in fields if name == "data"]
        if len(data) != 1:
            raise Broken(f"the data of an event has {len(data)} lines, not 1")
        named = dict(fields)
        return Event(named.get("event", "message"), named.get("id", ""), json.loads(data[0]))

    async def _block(self) -> str | None:
        # Read as bytes, because a piece may end within a character or a line's end.
        while (end := _END.search(self._received)) is None:
            more = await self._body.more()
            if not more:
                return None
            self._received += more
            if len(self._received) > MAX_EVENT_BYTES:
                raise Broken(f"an event is over {MAX_EVENT_BYTES:,} bytes")
        block = self._received[: end.start()].decode("utf-8", "replace").replace("\r\n", "\n")
        self._received = self._received[end.end() :]
        return block
