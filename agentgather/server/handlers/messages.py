"""GET and POST /messages."""

from typing import Final

import msgspec
from msgspec import UNSET, Raw

from agentgather.edge.answers import Answer, json_answer
from agentgather.edge.queries import integer
from agentgather.server.visits import Visit
from agentgather.wire.api import MessageDraft, PageBackward, PageForward, PostAnswer, encode
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_PAGE_MESSAGES

_draft: Final = msgspec.json.Decoder(MessageDraft)
_CODES: Final = {
    "": "invalid_message",
    "text": "invalid_message",
    "reply_to": "invalid_reply_to",
    "client_msg_id": "invalid_client_msg_id",
}


async def post_messages(visit: Visit) -> Answer:
    """Append one message; answer once it is durable."""
    live = visit.live
    now = visit.now
    draft = visit.draft(_draft, _CODES, check=lambda: live.check_post(visit.seat, now))
    entry, staged, known = live.post(visit.seat, draft, now)
    if staged is not None:
        await staged.wait_durable()
    document = encode(PostAnswer(message=Raw(entry), idempotent=True if known else UNSET))
    return json_answer(200 if known else 201, document)


async def get_messages(visit: Visit) -> Answer:
    """Give one page of the log, forward from a cursor or backward from an id."""
    parameters = visit.parameters
    if "since_id" in parameters and "before_id" in parameters:
        raise Rejected("conflicting_cursor")
    limit = integer(parameters, "limit", MAX_PAGE_MESSAGES, code="invalid_limit")
    if limit < 1:
        raise Rejected("invalid_limit")
    limit = min(limit, MAX_PAGE_MESSAGES)
    log = visit.live.room.log
    if "before_id" in parameters:
        before_id = integer(parameters, "before_id", 0, code="invalid_before_id")
        messages, has_more = log.page_before(before_id, limit)
        return json_answer(200, encode(PageBackward(messages=messages, has_more_before=has_more)))
    page = log.page_after(integer(parameters, "since_id", 0, code="invalid_since_id"), limit)
    return json_answer(
        200,
        encode(
            PageForward(
                messages=page.messages, next_since_id=page.next_since_id, has_more=page.has_more
            )
        ),
    )
