"""A host's answer on its way to the participant, as it comes.

    head --> whole in one piece --> sent in one piece
         --> pieces, each sent when it came --> end, or a cut where it broke off

While it waits for the host, the participant's task soon reads its own connection: a
participant who leaves ends the stream, and with it the held wait at the host.
"""

from typing import Final

import trio

from agentgather.broker.hosts import Asked
from agentgather.broker.inert import Head, inert_head
from agentgather.broker.visit import Visit
from agentgather.edge.bodies import ClientLeft, Receive, wait_gone
from agentgather.edge.exchange import ABORT
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import ANSWER_SECONDS
from agentgather.wire.link import Response

AWAY_RETRY_SECONDS: Final = 5
"""When to ask again for a host that is away."""
LEAST_BYTES: Final = 1024
"""What a host has to send of an answer in ``ANSWER_SECONDS``, unless it is an event stream:
a byte now and then would hold a place for ever."""

SOON_SECONDS: Final = 0.05
"""Nearly every answer has come by then. Until then the participant's connection is not looked
at: to begin that, and to break it off, costs an eighth of what a request costs here."""

_FINAL: Final = frozenset(
    {"bad_host_response", "response_too_large", "route_expired", "route_closed"}
)


async def pass_on(asked: Asked, visit: Visit) -> None:
    """Pass an answer on, to its end.

    Raises:
        Rejected: nothing of it was sent yet, and this is to be the answer.
        ClientLeft: the participant went away.

    """
    head = await _head(asked, visit)
    data = asked.take()
    is_bare = visit.method == "HEAD" or head.status == 204
    if asked.is_ended or is_bare:
        if not is_bare and head.length not in (None, len(data)):
            raise Rejected("bad_host_response")
        await _begin(visit, head)
        if visit.method == "HEAD" and head.length is None:
            # A body that is whole from the start gets its length, which of this one is not known.
            await _send_body(visit, b"", more=True)
        await _send_body(visit, b"" if is_bare else data, more=False)
        return
    if asked.reset_code is not None and not head.is_stream:
        # It broke off before anything of it had gone out.
        raise refused(asked.reset_code)
    await _begin(visit, head)
    sent = await _stream(asked, visit, head, data)
    if sent is None or head.length not in (None, sent):
        await visit.send({"type": ABORT})
    else:
        await _send_body(visit, b"", more=False)


async def _head(asked: Asked, visit: Visit) -> Head:
    """Wait for the head of the answer."""
    deadline = trio.current_time() + ANSWER_SECONDS
    while asked.head is None:
        if asked.reset_code is not None:
            raise refused(asked.reset_code)
        if not await _news(asked, visit.receive, deadline):
            raise Unavailable("host_unavailable", retry_after=AWAY_RETRY_SECONDS)
    assert isinstance(asked.head, Response)
    return inert_head(asked.head, visit.method)


async def _stream(asked: Asked, visit: Visit, head: Head, data: bytes) -> int | None:
    """Pass a body on until it ends, and say how long it was; None: it broke off."""
    sent = 0
    enough = 0
    deadline = trio.current_time() + ANSWER_SECONDS
    while True:
        if data:
            sent += len(data)
            if head.length is not None and sent > head.length:
                return None
            await _send_body(visit, data, more=True)
        if head.is_stream or sent >= enough:
            enough = sent + LEAST_BYTES
            deadline = trio.current_time() + ANSWER_SECONDS
        data = asked.take()
        if data:
            continue
        if asked.is_ended:
            return sent
        if asked.reset_code is not None or not await _news(asked, visit.receive, deadline):
            # An event stream that breaks off is an event stream that ended: it is resumed.
            return sent if head.is_stream else None


async def _news(asked: Asked, receive: Receive, deadline: float) -> bool:
    """Wait for something of the answer. False: it did not come in time."""
    came = trio.Event()
    asked.on_news = came.set
    if not asked.has_news:
        with trio.move_on_after(SOON_SECONDS):
            await came.wait()
    if asked.has_news:
        return True
    with trio.CancelScope(deadline=deadline) as scope:
        asked.on_news = scope.cancel
        if not asked.has_news:
            await wait_gone(receive)
            raise ClientLeft
    return asked.has_news


async def _begin(visit: Visit, head: Head) -> None:
    await visit.send(
        {"type": "http.response.start", "status": head.status, "headers": head.headers}
    )


async def _send_body(visit: Visit, data: bytes, *, more: bool) -> None:
    await visit.send({"type": "http.response.body", "body": data, "more_body": more})


def refused(code: str) -> Rejected:
    """Give the answer to a request whose stream was reset before its answer began."""
    if code == "shutting_down":
        return Unavailable(code, retry_after=2)
    if code in _FINAL:
        return Rejected(code)
    if code == "route_request_limit":
        return Unavailable(code, retry_after=1)
    return Unavailable("host_unavailable", retry_after=1)
