"""GET /events: the same log as server-sent events, on the same cursor.

    event: status      at the start, and when the room's own facts change
    event: message     one per record; its id is the cursor to resume from
    event: heartbeat   every 15 s of silence; at once where the cursor is beyond the log
    event: closed      the stream is over for good; the reason is in it

A stream that ends without ``closed`` ended by accident or for a restart: connect again
with ``Last-Event-ID``. Nothing is buffered: a page of records is written, and the next one
only when the peer has taken it.
"""

import logging
from typing import Final

from agentgather.edge.answers import EVENT_STREAM, NO_STORE, SECURITY_HEADERS, Answer
from agentgather.edge.queries import integer
from agentgather.server.handlers.waits import hold_wait, parse_for
from agentgather.server.rendering import Record
from agentgather.server.visits import Visit
from agentgather.wire.api import ClosedEvent, HeartbeatEvent, StatusEvent, encode
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import (
    HEARTBEAT_SECONDS,
    MAX_PAGE_MESSAGES,
    MAX_RENDERED_PAGE_MESSAGES,
)

logger: Final = logging.getLogger(__name__)

_MESSAGE: Final = b"id: %d\nevent: message\ndata: %b\n\n"
_SEAT_ENDED: Final = ("participant_removed", "token_replaced")
_HEADERS = [(b"content-type", EVENT_STREAM), *SECURITY_HEADERS, NO_STORE]


async def get_events(visit: Visit) -> Answer | None:
    """Stream the log past a cursor until the room closes, the seat ends or the client leaves."""
    visit.check_participant()
    parameters = dict(visit.parameters)
    if visit.last_event_id is not None:
        # A browser repeats the first URL when it reconnects, and says here how far it got.
        parameters["since_id"] = visit.last_event_id
    since_id = integer(parameters, "since_id", 0, code="invalid_since_id")
    for_me = parse_for(visit)
    as_html = visit.wants_html()
    live, alias = visit.live, visit.seat.alias
    start = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
    if visit.method == "HEAD":
        await visit.send(start)
        # In two steps, so that the head is that of a GET: of unknown length.
        await visit.write(b"", more=True)
        await visit.write(b"", more=False)
        return None
    live.check_wait_limit(alias)
    live.attend(visit.seat, visit.now)
    with live.hub.seat(alias, for_me=for_me, stream=True) as waiter:
        live.presence.hold(alias, visit.now)
        try:
            await visit.send(start)
            shown: StatusEvent | None = None
            # A log that was set back: who asks is told at once, as a wait tells.
            is_beyond = since_id > live.room.log.head
            since_id = min(since_id, live.room.log.head)
            while True:
                live.hub.rearm(waiter)
                end = _end_reason(visit)
                chunks: list[bytes] = []
                status = _status(visit)
                if status != shown:
                    chunks.append(_event("status", encode(status)))
                    shown = status
                if is_beyond:
                    chunks.append(_heartbeat(since_id))
                    is_beyond = False
                if end not in _SEAT_ENDED:
                    records = _records(
                        visit, since_id, for_me=for_me and end is None, as_html=as_html
                    )
                    if as_html and records:
                        # What is known is told at once: others may be in line for the renderer.
                        if chunks:
                            await visit.write(b"".join(chunks), more=True)
                            chunks = []
                        records = await live.rendering.render_records(alias, records)
                        # Meanwhile the seat may have ended: then it is shown nothing more.
                        end = _end_reason(visit)
                    if records and end not in _SEAT_ENDED:
                        since_id = records[-1][0]
                        chunks += [_MESSAGE % record for record in records]
                        await visit.write(b"".join(chunks), more=True)
                        continue
                if end is not None:
                    chunks.append(_event("closed", encode(ClosedEvent(reason=end))))
                if chunks:
                    await visit.write(b"".join(chunks), more=end is None)
                if end is not None:
                    return None
                if live.hub.released:
                    break
                if waiter.woken:
                    continue
                if not await hold_wait(visit.receive, waiter, HEARTBEAT_SECONDS):
                    return None
                if not waiter.woken:
                    await visit.write(_heartbeat(since_id), more=True)
            await visit.write(b"", more=False)
        except Exception:
            # The head is out, so this can't be answered any more. Without an end the server
            # cuts the connection, and the client comes back to where it was.
            logger.exception("an event stream failed")
        finally:
            live.presence.release(alias, visit.now)
    return None


def _end_reason(visit: Visit) -> str | None:
    try:
        seat = visit.live.authenticate(visit.token, visit.now)
    except Rejected:
        return "token_replaced"
    if seat.removed_at is not None:
        return "participant_removed"
    return "room_closed" if visit.live.is_settled_closed else None


def _records(visit: Visit, since_id: int, *, for_me: bool, as_html: bool) -> list[Record]:
    log = visit.live.room.log
    if for_me and not log.concerns(visit.seat.alias, since_id):
        return []
    limit = MAX_RENDERED_PAGE_MESSAGES if as_html else MAX_PAGE_MESSAGES
    return log.records_after(since_id, limit)


def _status(visit: Visit) -> StatusEvent:
    room = visit.live.room
    return StatusEvent(
        room=room.state.id,
        room_status="closed" if visit.live.is_settled_closed else "open",
        brief_version=room.state.brief_version,
        attendance_policy=room.state.attendance_policy,
        roster_version=room.roster.version,
    )


def _heartbeat(since_id: int) -> bytes:
    return _event("heartbeat", encode(HeartbeatEvent(next_since_id=since_id)))


def _event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
