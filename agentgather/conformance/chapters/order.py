"""Clauses of the order of checks: of two faults, the earlier is the one that is answered."""

from typing import Final

from agentgather.conformance.clause import API, Clause, Try, refused
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import same
from agentgather.wire.limits import MAX_BODY_BYTES

ORDER: Final = f"{API}#order-of-checks"
_EVIL: Final = "Origin: https://evil.example"
_NO_JSON: Final = b"{"


async def _nothing(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    brief = await room.get("/brief", human)
    roster = (await room.status())["participants"]
    for target, sent in (
        ("/messages", {"text": ""}),
        ("/messages", {"text": "x", "reply_to": 0}),
        ("/brief", {"body": "x"}),
        ("/attendance", {"policy": "manual-ok"}),
        ("/participants", {"alias": room.unused_alias("refused"), "kind": "human"}),
    ):
        answer = await room.ask("POST", target, human, sent=sent)
        same(f"POST {target} was taken", answer.status < 400, False)
    same("the last id", await room.end(), end)
    same("the brief", await room.get("/brief", human), brief)
    after = (await room.status())["participants"]
    same("the roster", [one["alias"] for one in after], [one["alias"] for one in roster])


CLAUSES: Final = (
    Clause("order.nothing-changes", ORDER, "what is refused changes nothing", _nothing),
    refused(
        "order.origin-before-endpoint",
        ORDER,
        "another origin on an endpoint that is not there",
        "bad_origin",
        Try("GET", "/nothing", fields=(_EVIL,)),
        by=None,
    ),
    refused(
        "order.endpoint-before-token",
        ORDER,
        "an endpoint that is not there, without a token",
        "not_found",
        Try("GET", "/nothing"),
        Try("POST", "/nothing"),
        by=None,
    ),
    refused(
        "order.method-before-token",
        ORDER,
        "a method that the endpoint has not, without a token",
        "method_not_allowed",
        Try("POST", "/status"),
        Try("GET", "/join"),
        by=None,
    ),
    refused(
        "order.token-before-query",
        ORDER,
        "a broken query without a token",
        "unauthorized",
        Try("GET", "/messages?since_id=x"),
        Try("GET", "/wait?hold=0&hold=0"),
        by=None,
    ),
    refused(
        "order.token-before-body",
        ORDER,
        "a broken body without a token",
        "unauthorized",
        Try("POST", "/messages", body=_NO_JSON),
        by=None,
    ),
    refused(
        "order.permission-before-query",
        ORDER,
        "a participant with a broken query where only the host may be",
        "host_required",
        Try("GET", "/export?a=1&a=2"),
    ),
    refused(
        "order.permission-before-body",
        ORDER,
        "a participant with a broken body where only the host may be",
        "host_required",
        Try("POST", "/brief", body=_NO_JSON),
        Try("POST", "/participants", body=_NO_JSON),
    ),
    refused(
        "order.query-before-body",
        ORDER,
        "a broken query with a broken body",
        "bad_query",
        Try("POST", "/messages?a=1&a=2", body=_NO_JSON),
    ),
    refused(
        "order.type-before-json",
        f"{API}#requests",
        "a broken body of another type",
        "unsupported_media_type",
        Try("POST", "/messages", body=_NO_JSON, fields=("Content-Type: text/plain",)),
    ),
    refused(
        "order.size-before-json",
        ORDER,
        "a broken body that is too large",
        ("body_too_large", "request_too_large"),
        Try("POST", "/messages", body=b"{" * (MAX_BODY_BYTES + 1)),
    ),
    refused(
        "order.body-before-values",
        ORDER,
        "what is no object, of a host",
        "invalid_body",
        Try("POST", "/attendance", body=b"[]"),
        Try("POST", "/brief", body=b"null"),
        by=Seats.HOST,
    ),
)
