"""The OpenAPI document: routes and structs from the code, and a row here for the rest.

A row says what the route table cannot: the query, the body, the answer, and the codes
that are this endpoint's own. What every endpoint may refuse is added to all.
"""

import re
from typing import Any, Final, NamedTuple

from agentgather.server.routes import ROUTES, Access, Route
from agentgather.wire import api
from agentgather.wire.errors import CODES, Refusal
from agentgather.wire.limits import HOLD_SECONDS, MAX_PAGE_MESSAGES, MAX_QUERY_INTEGER_DIGITS

API_VERSION: Final = "1"

_DIGITS: Final = f"^[0-9]{{1,{MAX_QUERY_INTEGER_DIGITS}}}$"
_TEXT: Final = "text/plain; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_STREAM: Final = "text/event-stream"


class Operation(NamedTuple):
    """What one endpoint takes and gives. ``answers`` are structs or media types by status.

    ``or_json`` says that 200 may also be a JSON object that no struct of ours describes.
    """

    summary: str
    answers: dict[int, type | str]
    query: tuple[str, ...] = ()
    body: type | None = None
    codes: tuple[str, ...] = ()
    or_json: bool = False


_STAYS_OPEN: Final = ("room_closed", "rate_limited")

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/healthz"): Operation("Say that the server answers.", {200: api.OkAnswer}),
    ("GET", "/"): Operation("The page. It holds no room data.", {200: _HTML}),
    ("GET", "/assets/{name}"): Operation("A file of the page.", {200: "*/*"}),
    ("GET", "/brief"): Operation(
        "The brief.", {200: api.BriefAnswer}, query=("render",), codes=("invalid_render",)
    ),
    ("POST", "/brief"): Operation(
        "Replace the brief.",
        {200: api.BriefAnswer},
        body=api.BriefDraft,
        codes=("brief_too_large", *_STAYS_OPEN),
    ),
    ("POST", "/attendance"): Operation(
        "Set the attendance policy.",
        {200: api.PolicyAnswer},
        body=api.PolicyDraft,
        codes=("invalid_policy", *_STAYS_OPEN),
    ),
    ("POST", "/loop-guard"): Operation(
        "Re-arm the loop guard.", {200: api.LoopGuardAnswer}, codes=_STAYS_OPEN
    ),
    ("GET", "/profile"): Operation("The caller's own seat.", {200: api.ProfileAnswer}),
    ("POST", "/profile"): Operation(
        "Take a display name.",
        {200: api.ProfileAnswer},
        body=api.ProfileDraft,
        codes=("invalid_display_name", "reserved_name", "display_name_taken", "rate_limited"),
    ),
    ("GET", "/card"): Operation(
        "The caller's Attend Card.",
        {200: _TEXT},
        query=("participant", "token", "base"),
        codes=("participant_mismatch", "invalid_base", "invite_used"),
    ),
    ("POST", "/join"): Operation("Take the seat up.", {200: api.JoinAnswer}, codes=_STAYS_OPEN),
    ("POST", "/leave"): Operation(
        "Leave the seat; the token stays valid.", {200: api.OkAnswer}, codes=("rate_limited",)
    ),
    ("GET", "/messages"): Operation(
        "One page of the log.",
        {200: api.PageForward},
        query=("since_id", "before_id", "limit", "render"),
        codes=(
            "invalid_since_id",
            "invalid_before_id",
            "invalid_limit",
            "conflicting_cursor",
            "invalid_render",
        ),
    ),
    ("POST", "/preview"): Operation(
        "Show a text as it would look.",
        {200: api.PreviewAnswer},
        body=api.PreviewDraft,
        codes=("rate_limited", "invalid_message", "message_too_large"),
    ),
    ("GET", "/activity"): Operation(
        "The room over time, for a picture of it.", {200: api.ActivityAnswer}
    ),
    ("GET", "/export"): Operation(
        "The whole room as a file, streamed.",
        {200: _TEXT},
        query=("format",),
        codes=("invalid_format",),
        or_json=True,
    ),
    ("POST", "/messages"): Operation(
        "Post a message. 200 if this sender posted it before under the same key.",
        {201: api.PostAnswer, 200: api.PostAnswer},
        body=api.MessageDraft,
        codes=(
            "observer_read_only",
            "loop_guard",
            "room_log_full",
            "message_too_large",
            "invalid_message",
            "invalid_reply_to",
            "invalid_client_msg_id",
            "idempotency_conflict",
            *_STAYS_OPEN,
        ),
    ),
    ("GET", "/wait"): Operation(
        "Wait for messages.",
        {200: api.WaitAnswer},
        query=("participant", "since_id", "for", "hold"),
        codes=(
            "participant_mismatch",
            "invalid_since_id",
            "invalid_hold",
            "invalid_for",
            "wait_limit",
            "overloaded",
        ),
    ),
    ("GET", "/events"): Operation(
        "The log as server-sent events.",
        {200: _STREAM},
        query=("participant", "since_id", "for", "render", "Last-Event-ID"),
        codes=(
            "participant_mismatch",
            "invalid_since_id",
            "invalid_for",
            "invalid_render",
            "wait_limit",
            "overloaded",
        ),
    ),
    ("GET", "/status"): Operation("The room's facts and its roster.", {200: api.StatusAnswer}),
    ("POST", "/close"): Operation(
        "Close the room.", {200: api.CloseAnswer}, codes=("rate_limited",)
    ),
    ("POST", "/participants"): Operation(
        "Invite somebody.",
        {201: api.InviteAnswer},
        body=api.InviteDraft,
        codes=(
            "invalid_alias",
            "reserved_name",
            "alias_taken",
            "roster_full",
            "invalid_kind",
            "invalid_role",
            "invalid_expiry",
            *_STAYS_OPEN,
        ),
    ),
    ("POST", "/participants/{alias}/remove"): Operation(
        "Remove a participant for good.",
        {200: api.ProfileAnswer},
        codes=("unknown_participant", "host_required", "rate_limited"),
    ),
    ("POST", "/participants/{alias}/rotate"): Operation(
        "Give a seat a new token.",
        {200: api.InviteAnswer},
        codes=("unknown_participant", "rate_limited"),
    ),
}

_WHO: Final[dict[Access, tuple[str, ...]]] = {
    Access.ANYONE: (),
    Access.LOOPBACK: ("not_found",),
    Access.WAITER: ("unauthorized", "forbidden", "invite_expired", "rate_limited", "bad_query"),
}
_SEATED: Final = (*_WHO[Access.WAITER], "participant_removed")
_EVERY: Final = ("insecure_remote", "bad_origin", "internal_error", "shutting_down")
_EVERY_GET: Final = ("unexpected_body",)
_EVERY_POST: Final = (
    "invalid_json",
    "invalid_body",
    "unsupported_media_type",
    "body_too_large",
    "body_timeout",
    "storage_full",
    "storage_failed",
    "overloaded",
)

_PARAMETERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "participant": ("Must be the token's own alias.", {"type": "string"}),
    "token": ("The token, for this endpoint alone; no Authorization then.", {"type": "string"}),
    "since_id": ("The last id that was read; exclusive.", {"type": "string", "pattern": _DIGITS}),
    "before_id": ("Read backward from this id; exclusive.", {"type": "string", "pattern": _DIGITS}),
    "limit": (
        f"Messages in the page; over {MAX_PAGE_MESSAGES} counts as {MAX_PAGE_MESSAGES}.",
        {"type": "integer", "minimum": 1, "default": MAX_PAGE_MESSAGES},
    ),
    "for": ("Wake only for what concerns the caller.", {"const": "me"}),
    "render": ("Give texts as safe HTML too; see rendered.md.", {"const": "html"}),
    "base": ("Name the room's public base URL, if it has one.", {"const": "public"}),
    "format": ("Markdown or JSON.", {"enum": ["md", "json"], "default": "md"}),
    "hold": (
        "The longest to wait, in seconds.",
        {"type": "integer", "minimum": 0, "maximum": HOLD_SECONDS, "default": HOLD_SECONDS},
    ),
    "Last-Event-ID": (
        "As since_id, and stronger; a reconnecting browser sends it.",
        {"type": "string", "pattern": _DIGITS},
    ),
}


def template(path: str) -> str:
    """Give a route's path as OpenAPI writes it; all assets are one."""
    if path.startswith("/assets/"):
        return "/assets/{name}"
    return re.sub(r"<([a-z]+)>", r"{\1}", path)


def codes_of(route: Route) -> tuple[str, ...]:
    """Name what an endpoint may refuse, without the shape of a request."""
    operation = OPERATIONS[route.method, template(route.path)]
    host = ("host_required",) if route.access is Access.HOST else ()
    codes = (
        *_WHO.get(route.access, _SEATED),
        *host,
        *operation.codes,
        *(_EVERY_POST if route.method == "POST" else _EVERY_GET),
        *_EVERY,
    )
    return tuple(dict.fromkeys(codes))


def openapi(schemas: dict[str, Any]) -> dict[str, Any]:
    """Give the document; ``schemas`` go in as its components."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        path = template(route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "agentgather room API",
            "version": API_VERSION,
            "description": "Generated by packaging/generate/spec.py. The words are in http-api.md.",
        },
        "servers": [{"url": "http://127.0.0.1:8787"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "responses": {
                "Refused": _refusal("A refusal.", {}),
                "Unauthorized": _refusal(
                    "No well-formed token.", {"WWW-Authenticate": {"schema": {"type": "string"}}}
                ),
                "Limited": _refusal(
                    "Too much, for now.",
                    {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
                ),
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "link": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
    }


def _operation(route: Route, path: str) -> dict[str, Any]:
    operation = OPERATIONS[route.method, path]
    described: dict[str, Any] = {
        "operationId": _operation_id(route.method, path),
        "summary": operation.summary,
        "description": f"Who: {route.access.value}.",
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{([a-z]+)\}", path)
    ]
    for name in operation.query:
        text, schema = _PARAMETERS[name]
        where = "header" if name == "Last-Event-ID" else "query"
        parameters.append({"name": name, "in": where, "description": text, "schema": schema})
    if parameters:
        described["parameters"] = parameters
    if route.method == "POST":
        described["requestBody"] = {
            "required": not route.bare,
            "content": _content(operation.body or api.NoDraft),
        }
    if route.access not in (Access.ANYONE, Access.LOOPBACK):
        described["security"] = [{"bearer": []}]
        if route.access is Access.CARD:
            described["security"].append({"link": []})
    described["responses"] = _responses(route, operation)
    return described


def _responses(route: Route, operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        content = _content(kind)
        if (route.method, route.path) == ("GET", "/messages"):
            backward = {"$ref": "#/components/schemas/PageBackward"}
            schema = content["application/json"]["schema"]
            content["application/json"]["schema"] = {"anyOf": [schema, backward]}
        if operation.or_json:
            content["application/json"] = {"schema": {"type": "object"}}
        responses[str(status)] = {"description": "Done.", "content": content}
    by_status: dict[int, list[str]] = {}
    for code in codes_of(route):
        by_status.setdefault(CODES[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        name = {401: "Unauthorized", 429: "Limited"}.get(status, "Refused")
        responses[str(status)] = _refused(name, ", ".join(f"`{code}`" for code in codes))
    responses["default"] = _refused("Refused", "A refusal of the request's shape; see errors.md.")
    return responses


def _refused(name: str, description: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{name}", "description": description}


def _refusal(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": _content(Refusal), "headers": headers}


def _content(kind: type | str) -> dict[str, Any]:
    if isinstance(kind, str):
        return {kind: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"[a-z]+", path) or ["page"]
    return method.lower() + "".join(word.capitalize() for word in words)
