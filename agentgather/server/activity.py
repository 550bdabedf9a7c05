"""The picture of a room over time: an index that grows with the log, drawn on demand.

The first request reads the log once, later ones what is new. In slices: whoever else is in
the room does not stand still for a picture.
"""

from typing import Final

import msgspec
import trio

from agentgather.domain.activity import Activity, Picture
from agentgather.domain.log import Log
from agentgather.domain.text import parse_time
from agentgather.wire.limits import ACTIVITY_SLICE
from agentgather.wire.names import SYSTEM


class _Line(msgspec.Struct):
    """What the index takes of a message."""

    ts: str
    type: str
    sender: str = msgspec.field(name="from")


_decode: Final = msgspec.json.Decoder(_Line).decode


class ActivityIndex:
    """One per room. It holds nothing until somebody asks."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._activity = Activity()
        self._count = 0
        self._turn = trio.Lock()
        self._drawn: tuple[tuple[int, int], Picture] | None = None

    async def draw(self, now_ms: int) -> Picture:
        """Give the picture up to now. Cancelling loses nothing that was read."""
        async with self._turn:
            await self._extend()
            # As long as nothing is written, the counts are those of the second before.
            key = (self._count, now_ms // 1000)
            if self._drawn is None or self._drawn[0] != key:
                self._drawn = (key, await self._draw(now_ms))
            return self._drawn[1]

    async def _extend(self) -> None:
        while self._count < self._log.visible_count:
            entries = self._log.entries(self._count, self._count + ACTIVITY_SLICE // 10)
            for entry in entries:
                line = _decode(entry)
                ms = parse_time(line.ts)
                if ms is None:
                    # A line that somebody else wrote into the file.
                    continue
                if line.sender == line.type == SYSTEM:
                    self._activity.begin(ms)
                else:
                    self._activity.add(ms, line.sender)
            self._count += len(entries)
            await trio.lowlevel.checkpoint()

    async def _draw(self, now_ms: int) -> Picture:
        for picture in self._activity.draw(now_ms):
            if picture is not None:
                return picture
            await trio.lowlevel.checkpoint()
        raise AssertionError("the last is a picture")
