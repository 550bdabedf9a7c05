"""What the host does with seats: invite, remove, rotate."""

from typing import Final

import msgspec

from agentgather.domain.tokens import TOKEN_ENTROPY_BYTES, mint_token
from agentgather.domain.urls import browser_url, card_command
from agentgather.edge.answers import Answer, json_answer
from agentgather.server.visits import Visit
from agentgather.wire.api import InviteAnswer, InviteDraft, ProfileAnswer, encode
from agentgather.wire.records import Participant

_draft: Final = msgspec.json.Decoder(InviteDraft)
_CODES: Final = {
    "": "invalid_alias",
    "alias": "invalid_alias",
    "kind": "invalid_kind",
    "role": "invalid_role",
    "expires_in_s": "invalid_expiry",
}


async def post_participants(visit: Visit) -> Answer:
    """Invite somebody: a seat, a token, a card."""
    live, now = visit.live, visit.now
    draft = visit.draft(_draft, _CODES, check=live.room.check_open)
    token = mint_token(live.entropy(TOKEN_ENTROPY_BYTES))
    seat, staged = live.invite(visit.seat, draft, token, now)
    await staged.wait_durable()
    return json_answer(201, _invite(visit, seat, token))


async def post_rotate(visit: Visit) -> Answer:
    """Give a seat a new token."""
    live, now = visit.live, visit.now
    token = mint_token(live.entropy(TOKEN_ENTROPY_BYTES))
    seat, staged = live.rotate(visit.seat, visit.alias, token, now)
    await staged.wait_durable()
    return json_answer(200, _invite(visit, seat, token))


async def post_remove(visit: Visit) -> Answer:
    """Remove a participant."""
    live, now = visit.live, visit.now
    seat, staged = live.remove(visit.seat, visit.alias, now)
    await staged.wait_durable()
    public = live.presence.public(seat, live.room.state.attendance_policy, now)
    return json_answer(200, encode(ProfileAnswer(participant=public)))


def _invite(visit: Visit, seat: Participant, token: str) -> bytes:
    # Whoever is invited may be elsewhere: the public URL, if there is one.
    base_url = visit.served.advertised(visit.base_url)
    return encode(
        InviteAnswer(
            room=visit.live.room.state.id,
            alias=seat.alias,
            kind=seat.kind,
            token=token,
            card_command=card_command(base_url, seat.alias, token),
            browser_url=browser_url(base_url, token),
        )
    )
