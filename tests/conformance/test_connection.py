"""What comes on a connection is an answer, or it is said what it is instead."""

import pytest
import trio
import trio.testing

from agentgather.conformance.connection import Connection
from agentgather.conformance.verdict import Broken


async def answered(data: bytes) -> bytes:
    near, far = trio.testing.memory_stream_pair()
    await far.send_all(data)
    await far.send_eof()
    return (await Connection(near).answer()).body


async def test_an_answer_is_read_to_its_end() -> None:
    assert await answered(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab") == b"ab"
    assert await answered(b"HTTP/1.1 200 OK\r\n\r\nabc") == b"abc"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed without an answer"),
        (b"HTTP/1.1 2", "no whole HTTP answer"),
        (b"garbage\r\n\r\n", "no whole HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "no whole HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no whole HTTP answer"),
    ],
)
async def test_what_is_no_answer_is_named(data: bytes, what: str) -> None:
    with pytest.raises(Broken, match=what):
        await answered(data)
