"""The room itself: /brief, /status, /attendance, /loop-guard, /close, /activity."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from agentgather.domain.text import format_time
from agentgather.edge.answers import Answer, json_answer
from agentgather.server.visits import Visit
from agentgather.wire.api import (
    ActivityAnswer,
    ActivityRest,
    ActivityRow,
    Attending,
    BriefAnswer,
    BriefDraft,
    CloseAnswer,
    LoopGuardAnswer,
    PolicyAnswer,
    PolicyDraft,
    StatusAnswer,
    encode,
)
from agentgather.wire.limits import MAX_ACTIVITY_ATTENDING, STALE_AFTER_MS
from agentgather.wire.names import Kind
from agentgather.wire.records import Participant

_brief: Final = msgspec.json.Decoder(BriefDraft)
_policy: Final = msgspec.json.Decoder(PolicyDraft)
_POLICY_CODES: Final = {"": "invalid_policy", "policy": "invalid_policy"}


async def get_brief(visit: Visit) -> Answer:
    """Show the brief."""
    brief = visit.live.room.public_brief()
    if visit.wants_html():
        html = await visit.live.render_brief(visit.seat, brief.body)
        visit.current_seat(visit.now)
        brief = msgspec.structs.replace(brief, html=html)
    return json_answer(200, encode(BriefAnswer(brief=brief)))


async def post_brief(visit: Visit) -> Answer:
    """Replace the brief."""
    live, now = visit.live, visit.now
    draft = visit.draft(_brief, {}, check=live.room.check_open)
    await live.set_brief(visit.seat, draft.body, now).wait_durable()
    return json_answer(200, encode(BriefAnswer(brief=live.room.public_brief())))


async def post_attendance(visit: Visit) -> Answer:
    """Set the attendance policy."""
    live, now = visit.live, visit.now
    draft = visit.draft(_policy, _POLICY_CODES, check=live.room.check_open)
    await live.set_policy(visit.seat, draft.policy, now).wait_durable()
    return json_answer(200, encode(PolicyAnswer(attendance_policy=draft.policy)))


async def post_loop_guard(visit: Visit) -> Answer:
    """Re-arm the loop guard."""
    live, now = visit.live, visit.now
    await live.rearm(visit.seat, now).wait_durable()
    remaining = live.room.guard.remaining(now.wall_ms)
    return json_answer(200, encode(LoopGuardAnswer(remaining=remaining)))


async def post_close(visit: Visit) -> Answer:
    """Close the room."""
    staged = visit.live.close(visit.seat, visit.now)
    if staged is not None:
        await staged.wait_durable()
    return json_answer(200, encode(CloseAnswer(room_status="closed")))


async def get_status(visit: Visit) -> Answer:
    """Show the room's facts and its roster. No sign of life."""
    live, state = visit.live, visit.live.room.state
    now = visit.now
    return json_answer(
        200,
        encode(
            StatusAnswer(
                room=state.id,
                me=visit.seat.alias,
                is_host=visit.seat.is_host,
                room_status=live.room.status,
                brief_version=state.brief_version,
                attendance_policy=state.attendance_policy,
                stale_after_ms=STALE_AFTER_MS,
                brief_updated_at=state.brief_updated_at,
                brief_updated_by=state.brief_updated_by,
                participants=[
                    live.presence.public(seat, state.attendance_policy, now)
                    for seat in live.room.roster
                ],
                expires_at=UNSET if state.expires_at is None else state.expires_at,
            )
        ),
    )


async def get_activity(visit: Visit) -> Answer:
    """Show the room over time: messages by participant, and who was here when."""
    live = visit.live
    picture = await live.activity.draw(visit.now.wall_ms)
    visit.current_seat(visit.now)
    rows = [
        ActivityRow(
            alias=alias, kind=_kind(live.room.roster.get(alias)), total=total, counts=counts
        )
        for alias, total, counts in picture.rows
    ]
    others: ActivityRest | UnsetType = UNSET
    if picture.others is not None:
        others = ActivityRest(total=picture.others.total, counts=picture.others.counts)
    return json_answer(
        200,
        encode(
            ActivityAnswer(
                since=format_time(picture.from_ms),
                until=format_time(picture.to_ms),
                bucket_ms=picture.bucket_ms,
                participants=rows,
                others=others,
                attending=[
                    Attending(
                        alias=alias,
                        spans=[
                            (span.start.text(), None if span.end is None else span.end.text())
                            for span in spans
                        ],
                    )
                    for alias, spans in live.presence.spans.latest(MAX_ACTIVITY_ATTENDING)
                ],
            )
        ),
    )


def _kind(seat: Participant | None) -> Kind:
    # A log can tell of somebody whom the roster does not, after a restore by hand.
    return seat.kind if seat is not None else "agent"
