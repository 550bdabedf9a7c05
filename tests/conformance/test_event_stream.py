"""Events are read as any client of an event stream reads them, in whatever pieces they come."""

import pytest

from agentgather.conformance.event_stream import Event, EventStream
from agentgather.conformance.verdict import Broken

TWO = (
    "retry: 1000\r\n: a comment\r\nid: 7\r\nevent: message\r\n"
    'data: {"text":"\N{GRINNING FACE}"}\r\n\r\n'
    ": another comment\n\n"
    "\n"
    'data:{"text":"a\N{LINE SEPARATOR}b"}\n\n'
)


class Pieces:
    """A body that comes in pieces of so many bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]

    async def more(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
async def test_where_pieces_end_makes_no_difference(size: int) -> None:
    stream = EventStream(Pieces(TWO.encode(), size), 1.0)
    assert await stream.event() == Event("message", "7", {"text": "\N{GRINNING FACE}"})
    assert await stream.event() == Event("message", "", {"text": "a\N{LINE SEPARATOR}b"})
    await stream.end()


@pytest.mark.parametrize("block", ["event: ping", "data: {}\ndata: {}"])
async def test_an_event_has_one_line_of_data(block: str) -> None:
    with pytest.raises(Broken, match="lines, not 1"):
        await EventStream(Pieces(f"{block}\n\n".encode(), 1000), 1.0).event()
