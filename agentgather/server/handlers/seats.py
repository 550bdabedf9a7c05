"""A participant's own seat: /join, /leave, /profile and /card."""

from typing import Final

import msgspec

from agentgather.domain.card import CardFacts, render_card
from agentgather.edge.answers import TEXT, Answer, json_answer
from agentgather.server.visits import Visit
from agentgather.wire.api import (
    JoinAnswer,
    OkAnswer,
    ProfileAnswer,
    ProfileDraft,
    PublicParticipant,
    encode,
)
from agentgather.wire.errors import Rejected

_profile: Final = msgspec.json.Decoder(ProfileDraft)
_CODES: Final = {"": "invalid_display_name", "display_name": "invalid_display_name"}


async def post_join(visit: Visit) -> Answer:
    """Take the seat up."""
    staged = visit.live.join(visit.seat, visit.now)
    if staged is not None:
        await staged.wait_durable()
    return json_answer(200, encode(JoinAnswer(participant=visit.seat.alias)))


async def post_leave(visit: Visit) -> Answer:
    """Leave the seat."""
    staged = visit.live.leave(visit.seat, visit.now)
    if staged is not None:
        await staged.wait_durable()
    return json_answer(200, encode(OkAnswer()))


async def get_profile(visit: Visit) -> Answer:
    """Show the caller as others see it."""
    return json_answer(200, encode(ProfileAnswer(participant=_public(visit))))


async def post_profile(visit: Visit) -> Answer:
    """Take a display name."""
    live, now = visit.live, visit.now
    draft = visit.draft(_profile, _CODES, check=lambda: live.check_write(visit.seat, now))
    await live.rename(visit.seat, draft.display_name, now).wait_durable()
    return json_answer(200, encode(ProfileAnswer(participant=_public(visit))))


async def get_card(visit: Visit) -> Answer:
    """Give the caller's Attend Card.

    The card of a single-use invite is given under ``?token=`` until its holder first acts;
    under an ``Authorization`` header it stays readable.
    """
    visit.check_participant()
    base = visit.parameters.get("base")
    if base not in (None, "public"):
        raise Rejected("invalid_base")
    seat = visit.seat
    if visit.by_link and seat.single_use and seat.claimed_at is not None:
        raise Rejected("invite_used", "this card was used; ask the host for a new one")
    live, room = visit.live, visit.live.room
    facts = CardFacts(
        # A host on loopback copies a card for somebody elsewhere.
        base_url=visit.base_url if base is None else visit.served.advertised(visit.base_url),
        room=room.state.id,
        room_status=room.status,
        brief=room.brief,
        brief_version=room.state.brief_version,
        policy=room.state.attendance_policy,
        hosts=tuple(p.alias for p in room.roster if p.is_host and p.removed_at is None),
        head=live.room.log.head,
    )
    return Answer(200, render_card(facts, seat, visit.token).encode(), TEXT)


def _public(visit: Visit) -> PublicParticipant:
    live = visit.live
    now = visit.now
    return live.presence.public(visit.current_seat(now), live.room.state.attendance_policy, now)
