"""An answer that broke off before its participant's task had its turn."""

from typing import Any

import pytest
import trio

from agentgather.broker.answering import pass_on
from agentgather.broker.visit import Visit
from agentgather.wire.errors import Rejected
from agentgather.wire.link import Headers, Response
from tests.doubles.broker_stage import EVENT_FIELDS, JSON_FIELDS


class Broken:
    """A head, the first of a body, and a reset, all of which came at once."""

    is_ended = False
    has_news = True
    reset_code: str | None = "bad_host_response"

    def __init__(self, fields: Headers) -> None:
        self.head: Any = Response(stream=1, status=200, headers=fields)
        self.on_news = lambda: None
        self._data = [b"first"]

    def take(self) -> bytes:
        return self._data.pop() if self._data else b""

    def reset(self, code: str) -> None:
        raise AssertionError(code)


async def passed_on(fields: Headers) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    visit = Visit("GET", b"/status", b"", {}, False, trio.sleep_forever, send)
    await pass_on(Broken(fields), visit)
    return sent


async def test_an_answer_of_which_nothing_went_out_is_refused() -> None:
    with pytest.raises(Rejected, match="bad_host_response"):
        await passed_on(JSON_FIELDS)


async def test_of_an_event_stream_what_has_come_is_passed_on() -> None:
    start, *body = await passed_on(EVENT_FIELDS)
    assert start["status"] == 200
    assert b"".join(event["body"] for event in body) == b"first"
