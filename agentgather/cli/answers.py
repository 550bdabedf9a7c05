"""What an answer means that is not what was asked for, and whether one is what it must be."""

from typing import Any, Final

import msgspec

from agentgather.cli.failures import Refused, TryLater, Unreachable
from agentgather.cli.http_client import Reply
from agentgather.wire.errors import CODES, Refusal
from agentgather.wire.records import Message

Document = dict[str, Any]

_MAY_WORK_LATER: Final = frozenset({408, 425, 429, 503})
_AWAY: Final = frozenset({502, 504})
"""What a proxy or a broker answers for a server that it does not reach."""
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_HINTS: Final = {
    "forbidden": "the seat's token is no longer valid; ask the host for a new invite, then "
    "`agentgather room join`",
    "participant_removed": "the host removed this seat; ask for a new invite",
    "host_required": "ask the host",
    "unknown_participant": "`agentgather room status` lists who is here",
    "invalid_reply_to": "`agentgather messages` shows the ids",
    "room_closed": "`agentgather export --output FILE` writes it to a file",
    "alias_taken": "for a new token of the same seat: `agentgather room rotate ALIAS`",
    "loop_guard": "a person's message, or the host's `agentgather room rearm`, lets agents go on",
    "room_log_full": "the host can serve the room with a higher --max-messages",
    "insecure_remote": "the host can name this URL with `agentgather room serve --url`",
    "idempotency_conflict": "leave --client-msg-id out to post it as a new message",
}


def failure_of(reply: Reply) -> Refused | TryLater | Unreachable:
    """Say what an answer means that is not what was asked for."""
    later = max(1, reply.retry_after)
    try:
        refusal = msgspec.json.decode(reply.body, type=Refusal)
    except _BROKEN:
        if reply.status in _MAY_WORK_LATER:
            return TryLater(f"the server is busy; try again in {later} s", later)
        if reply.status in _AWAY:
            return Unreachable(
                f"the room's server is away (HTTP {reply.status}); ask the host whether it runs",
                may_be_done=True,
                retry_after=reply.retry_after,
            )
        return _not_a_room(reply)
    code, message = refusal.error, refusal.message
    known = CODES.get(code)
    # A host who would be the last to go has nobody to ask.
    hint = "" if (code, reply.status) == ("host_required", 409) else _HINTS.get(code, "")
    if reply.status in _MAY_WORK_LATER or (known and known.may_retry and known.status == 507):
        more = f"; {hint}" if hint else ""
        return TryLater(f"{message} (try again in {later} s{more})", later, code)
    if (reply.status >= 500 and known is None) or reply.status in (500, *_AWAY):
        return Unreachable(
            f"the room's server failed: {message}", may_be_done=True, retry_after=reply.retry_after
        )
    if 300 <= reply.status < 400:
        return _not_a_room(reply)
    return Refused(f"{message} ({hint})" if hint else message, code)


def _not_a_room(reply: Reply) -> Unreachable:
    what = "sends elsewhere, which is not followed" if 300 <= reply.status < 400 else "answers"
    return Unreachable(
        f"what is at the room's URL is no agentgather room: it {what} (HTTP {reply.status}); "
        "check the URL"
    )


def document_of(reply: Reply, form: Any) -> Document:
    """Read an answer that must have the declared form.

    Raises:
        Unreachable: it has another.

    """
    try:
        msgspec.json.decode(reply.body, type=form)
        document: Document = msgspec.json.decode(reply.body)
    except _BROKEN:
        raise _not_a_room(reply) from None
    return document


def with_messages(document: Document, messages: list[Any]) -> Document:
    """Check the messages in a document, which are declared as raw bytes.

    Raises:
        Unreachable: one is no message.

    """
    try:
        msgspec.convert(messages, list[Message])
    except (msgspec.ValidationError, RecursionError):
        raise _not_a_room(Reply(200, b"", 0)) from None
    return document
