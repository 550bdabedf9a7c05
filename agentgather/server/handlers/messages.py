"""GET and POST /messages."""

from typing import Final

import msgspec
from msgspec import UNSET, Raw

from agentgather.edge.answers import Answer, json_answer
from agentgather.edge.queries import integer
from agentgather.server.visits import Visit
from agentgather.wire.api import (
    MessageDraft,
    PageBackward,
    PageForward,
    PostAnswer,
    PreviewAnswer,
    PreviewDraft,
    encode,
    splice,
)
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_PAGE_MESSAGES, MAX_RENDERED_PAGE_MESSAGES

_draft: Final = msgspec.json.Decoder(MessageDraft)
_preview: Final = msgspec.json.Decoder(PreviewDraft)
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
    if visit.wants_html():
        return await _rendered_page(visit, min(limit, MAX_RENDERED_PAGE_MESSAGES))
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


async def _rendered_page(visit: Visit, limit: int) -> Answer:
    """Give a page whose messages have their HTML; it may be shorter than was asked for."""
    parameters, live = visit.parameters, visit.live
    log = live.room.log
    if "before_id" in parameters:
        before_id = integer(parameters, "before_id", 0, code="invalid_before_id")
        records, has_more = log.records_before(before_id, limit)
        # From the newest, so that a page that is cut lacks its oldest.
        page = await live.rendering.render_records(visit.seat.alias, records[::-1])
        visit.current_seat(visit.now)
        has_more = has_more or len(page) < len(records)
        backward = PageBackward(
            messages=splice(entry for _, entry in reversed(page)), has_more_before=has_more
        )
        return json_answer(200, encode(backward))
    since_id = integer(parameters, "since_id", 0, code="invalid_since_id")
    page = await live.rendering.render_records(visit.seat.alias, log.records_after(since_id, limit))
    visit.current_seat(visit.now)
    cursor = page[-1][0] if page else min(since_id, log.head)
    forward = PageForward(
        messages=splice(entry for _, entry in page),
        next_since_id=cursor,
        has_more=cursor < log.head and bool(page),
    )
    return json_answer(200, encode(forward))


async def post_preview(visit: Visit) -> Answer:
    """Show a text as it would look."""
    live, now = visit.live, visit.now
    draft = visit.draft(_preview, _CODES, check=lambda: live.check_preview(visit.seat, now))
    html = await live.preview(visit.seat, draft.text, now)
    return json_answer(200, encode(PreviewAnswer(html=html)))
