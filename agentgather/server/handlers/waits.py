"""GET /wait: the held long-poll."""

import trio
from msgspec import UNSET

from agentgather.domain.urls import wait_command
from agentgather.edge.answers import Answer, json_answer
from agentgather.edge.bodies import Receive, wait_gone
from agentgather.edge.queries import integer
from agentgather.server.visits import Visit
from agentgather.server.wait_hub import Waiter
from agentgather.wire.api import WaitAnswer, encode
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import HOLD_SECONDS, MAX_PAGE_MESSAGES


async def get_wait(visit: Visit) -> Answer | None:
    """Answer when there is news past ``since_id``, or empty after the hold.

    Returns None when the client left meanwhile: there is nobody to answer.
    """
    visit.check_participant()
    since_id = integer(visit.parameters, "since_id", 0, code="invalid_since_id")
    hold = integer(visit.parameters, "hold", HOLD_SECONDS, code="invalid_hold")
    if hold > HOLD_SECONDS:
        raise Rejected("invalid_hold")
    for_me = parse_for(visit)
    live, alias = visit.live, visit.seat.alias
    if visit.seat.removed_at is not None:
        return _answer(visit, since_id, for_me=for_me)
    if visit.method == "HEAD":
        # Headers only, at once, and no sign of life.
        return _answer(visit, since_id, for_me=for_me)
    live.attend(visit.seat, visit.now)
    if hold and not _has_news(visit, since_id, for_me=for_me):
        live.check_wait_limit(alias)
        with live.hub.seat(alias, for_me=for_me) as waiter:
            live.presence.hold(alias, visit.now)
            try:
                if not await hold_wait(visit.receive, waiter, hold):
                    return None
            finally:
                live.presence.release(alias, visit.now)
    return _answer(visit, since_id, for_me=for_me)


def parse_for(visit: Visit) -> bool:
    """Read the parameter ``for``.

    Raises:
        Rejected: ``invalid_for``.

    """
    whom = visit.parameters.get("for")
    if whom not in (None, "me"):
        raise Rejected("invalid_for")
    return whom == "me"


async def hold_wait(receive: Receive, waiter: Waiter, seconds: float) -> bool:
    """Sleep until woken or for ``seconds``. False: the client left."""
    with trio.move_on_after(seconds) as waiter.scope:
        await wait_gone(receive)
        return False
    return True


def _has_news(visit: Visit, since_id: int, *, for_me: bool) -> bool:
    live = visit.live
    log = live.room.log
    if live.hub.released or live.is_settled_closed or since_id > log.head:
        return True
    return log.concerns(visit.seat.alias, since_id) if for_me else log.head > since_id


def _answer(visit: Visit, since_id: int, *, for_me: bool) -> Answer:
    live, room = visit.live, visit.live.room
    seat = live.authenticate(visit.token, visit.now)
    removed = seat.removed_at is not None
    closed = live.is_settled_closed
    alias = seat.alias
    if removed or (for_me and not closed and not room.log.concerns(alias, since_id)):
        page = room.log.page_after(since_id, 0)
    else:
        page = room.log.page_after(since_id, MAX_PAGE_MESSAGES)
    is_live = not removed and not closed
    goes_on = is_live or (closed and page.has_more and not removed)
    # Whoever is given messages reads them before it goes on with ``next_cmd``.
    heartbeat = is_live and page.size == 0
    return json_answer(
        200,
        encode(
            WaitAnswer(
                room=room.state.id,
                room_status="closed" if closed else "open",
                participant=alias,
                heartbeat=heartbeat,
                messages=page.messages,
                mentioned=alias in page.mentioned,
                next_since_id=page.next_since_id,
                keep_waiting=heartbeat,
                next_cmd=wait_command(visit.base_url, alias, page.next_since_id, for_me=for_me)
                if goes_on
                else None,
                has_more=page.has_more and not removed,
                participant_status="removed" if removed else UNSET,
            )
        ),
    )
