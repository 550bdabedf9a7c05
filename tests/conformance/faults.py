"""For each clause one fault of a server that it finds.

A clause that refuses something is found broken by a server that refuses nothing, which is
the fault of all that are not named here.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tests.conformance.faulty_server import OK, Fault, Reply

PAST: Final = 999_999_999_999_999


def _refuse_nothing(reply: Reply) -> Reply:
    return replace(OK, status=200) if reply.status >= 400 else reply


REFUSES_NOTHING: Final = Fault(what="it refuses nothing", answer=_refuse_nothing)


def _say_another_code(reply: Reply) -> Reply:
    return (
        reply.saying(reply.document() | {"error": "another_code"}) if _is_refusal(reply) else reply
    )


def _is_refusal(reply: Reply) -> bool:
    return reply.status >= 400 and b'"error"' in reply.body


WRONG_CODES: Final = Fault(what="its codes are its own", answer=_say_another_code)


def _grown(found: Any) -> Any:
    if isinstance(found, dict):
        return {"newer": 1} | {key: _grown(value) for key, value in found.items()}
    return [_grown(one) for one in found] if isinstance(found, list) else found


def _grow(reply: Reply) -> Reply:
    if not dict(reply.fields).get("content-type", "").startswith("application/json"):
        return reply
    # The head of what would be longer, whose length nobody knows here.
    return reply.saying(_grown(reply.document())) if reply.body else reply.without("content-length")


def _grow_event(block: str) -> str:
    lines = block.split("\n")
    return "\n".join(
        f"data: {json.dumps(_grown(json.loads(line[6:])))}" if line.startswith("data: ") else line
        for line in lines
    )


NEWER: Final = Fault(
    what="it has keys that nobody knows yet, which is none", answer=_grow, event=_grow_event
)


def says(what: str, asked: str, change: Callable[[Any], object], *, status: int = 0) -> Fault:
    """Alter the document of each answer of 2xx, or of one status."""

    def answer(reply: Reply) -> Reply:
        if reply.status != status and (status or not 200 <= reply.status < 300):
            return reply
        document = reply.document()
        changed = change(document)
        return reply.saying(document if changed is None else changed)

    return Fault(what=what, asked=asked, answer=answer)


def puts(what: str, asked: str, **values: object) -> Fault:
    """Put other values into each answer of 2xx."""
    return says(what, asked, lambda document: document | values)


def answers(what: str, asked: str, status: int) -> Fault:
    """Answer with another status."""
    return Fault(what=what, asked=asked, answer=lambda reply: replace(reply, status=status))


def posted(what: str, **values: object) -> Fault:
    """Alter the message that a post is answered with."""

    def change(document: Any) -> None:
        document["message"].update(values)

    return says(what, "POST /messages", change)


def read(
    what: str, change: Callable[[dict[str, Any]], object], asked: str = "GET /messages"
) -> Fault:
    """Alter each message that is read."""

    def each(document: Any) -> None:
        for message in document["messages"]:
            change(message)

    return says(what, asked, each)


def asks(what: str, asked: str, before: bytes, after: bytes) -> Fault:
    """Alter what the server is asked."""
    return Fault(what=what, asked=asked, request=lambda data: data.replace(before, after, 1))


def lacks(name: str, asked: str = "") -> Fault:
    """Leave a header out."""
    return Fault(what=f"no {name}", asked=asked, answer=lambda reply: reply.without(name))


def has(name: str, value: str, asked: str = "") -> Fault:
    """Have a header with another value."""
    return Fault(
        what=f"{name}: {value}", asked=asked, answer=lambda reply: reply.having(name, value)
    )


def tells(what: str, name: str, change: Callable[[Any], object]) -> Fault:
    """Alter the data of each event of a name, in all streams."""

    def event(block: str) -> str:
        if f"event: {name}" not in block.split("\n"):
            return block
        lines = []
        for line in block.split("\n"):
            if line.startswith("data: "):
                data = json.loads(line[6:])
                changed = change(data)
                line = f"data: {json.dumps(data if changed is None else changed)}"
            lines.append(line)
        return "\n".join(lines)

    return Fault(what=what, asked="GET /events", event=event)


def withholds(name: str) -> Fault:
    """Never send an event of a name."""
    return Fault(
        what=f"no event {name}",
        asked="GET /events",
        event=lambda block: "" if f"event: {name}" in block else block,
    )


def _body(what: str, asked: str, change: Callable[[bytes], bytes]) -> Fault:
    return Fault(
        what=what, asked=asked, answer=lambda reply: replace(reply, body=change(reply.body))
    )


def _another_page(count: list[int]) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        count[0] += 1
        return body + b"<!-- %d -->" % count[0]

    return change


def _reordered(document: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(document.items()))


def _each_participant(**values: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for one in document["participants"]:
            one.update(values)

    return change


FAULTS: Final = {
    # --- Requests ---------------------------------------------------------------------
    "request.http-1-0": answers("it does not speak HTTP/1.0", "GET /status HTTP/1.0", 505),
    "request.one-after-another": says("one key is missing", "GET /brief", lambda d: d.pop("brief")),
    "request.head": lacks("content-type", "HEAD /"),
    "request.no-upgrade": answers("it changes the protocol", "Upgrade: h2c", 101),
    "request.no-preface": Fault(what="it speaks HTTP/2", asked="PRI", instead=OK),
    "host.loopback": answers("it takes one name only", "GET /brief", 403),
    "origin.own": answers("it takes no origin", "GET /brief", 403),
    "origin.followed": answers("nobody may come from elsewhere", "GET / ", 403),
    "origin.no-cors": has("access-control-allow-origin", "*"),
    "body.repeated-key": posted("the first key counts", text="first"),
    "body.unknown-key": answers("it refuses unknown keys", "POST /messages", 400),
    "body.type": answers("it refuses a charset", "POST /messages", 415),
    "body.chunked": answers("it takes no chunks", "POST /messages", 411),
    "body.bare": answers("it wants a body", "POST /join", 400),
    "body.largest": answers("it takes less", "POST /messages", 413),
    "query.unknown": answers("it refuses unknown parameters", "GET /messages?limit=1&colour", 400),
    # --- Answers ----------------------------------------------------------------------
    "answer.type": has("content-type", "application/json", "GET /status"),
    "answer.line": _body("no line end", "GET /status", bytes.strip),
    "answer.utf8": _body(
        "escapes", "GET /messages", lambda body: json.dumps(json.loads(body)).encode() + b"\n"
    ),
    "answer.length": Fault(
        what="more than it says", asked="GET /brief", answer=lambda r: replace(r, behind=b"\n")
    ),
    "answer.refusal": says("another order", "GET /nothing", _reordered, status=404),
    "answer.csp": has("content-security-policy", "default-src 'self' 'unsafe-inline'", "GET /"),
    "answer.nosniff": lacks("x-content-type-options", "GET /nothing"),
    "answer.referrer": lacks("referrer-policy", "GET /card"),
    "answer.opener": lacks("cross-origin-opener-policy"),
    "answer.resource": has("cross-origin-resource-policy", "cross-origin"),
    "answer.no-store": has("cache-control", "no-cache", "GET /messages"),
    "answer.no-server": has("server", "any/1.0", "POST /"),
    "answer.no-compression": has("content-encoding", "gzip", "GET /card"),
    # --- Tokens -----------------------------------------------------------------------
    "token.form": puts("a short one", "POST /participants", token="agp_short"),
    "token.challenge": lacks("www-authenticate"),
    # --- Messages ---------------------------------------------------------------------
    "message.keys": says(
        "another order", "POST /messages", lambda d: d | {"message": _reordered(d["message"])}
    ),
    "message.ids": says(
        "a gap", "POST /messages", lambda d: d["message"].update(id=d["message"]["id"] * 2)
    ),
    "message.visible": puts("not there yet", "GET /messages?since_id", messages=[]),
    "message.untrimmed": says(
        "trimmed",
        "POST /messages",
        lambda d: d["message"].update(text=d["message"]["text"].strip()),
    ),
    "message.types": posted("one type for all", type="message"),
    "message.mentions": posted("nobody is mentioned", mentions=[]),
    "message.hidden": says(
        "it says nothing",
        "POST /messages",
        lambda d: d["message"].pop("hidden_chars", None) and None,
    ),
    "message.longest": answers("it takes less", "POST /messages", 413),
    "post.unknown-type": posted("it keeps any type", type="opinion"),
    "post.sender": posted("the sender says who it is", **{"from": "host"}),
    "post.again": says(
        "it does not say so", "POST /messages", lambda d: d.pop("idempotent", None) and None
    ),
    "post.key-is-ones-own": posted("all share the keys", id=1),
    "messages.forward": puts("there is never more", "GET /messages", has_more=False),
    "messages.backward": says(
        "newest first", "GET /messages?before_id", lambda d: d["messages"].reverse()
    ),
    "messages.from-the-start": puts("an empty page", "GET /messages HTTP", messages=[]),
    "messages.past-the-end": puts("it goes on there", "GET /messages?since", next_since_id=PAST),
    "messages.great-limit": answers("it refuses it", "GET /messages?since", 400),
    "messages.html": read("the text as it is", lambda m: m.update(html=m["text"])),
    "preview.html": puts("the text as it is", "POST /preview", html="**x** <b onclick=y>z"),
    # --- Waits ------------------------------------------------------------------------
    "wait.object": says("another order", "GET /wait", _reordered),
    "wait.behind": puts("it says nothing", "GET /wait", messages=[], heartbeat=True),
    "wait.next-cmd": puts("another URL", "GET /wait", next_cmd='curl -s "http://localhost/wait"'),
    "wait.nothing": puts("it says to stop", "GET /wait", keep_waiting=False),
    "wait.hold": asks("it holds nothing", "GET /wait", b"hold=1", b"hold=0"),
    "wait.past-the-end": puts("it goes on there", "GET /wait", next_since_id=PAST),
    "wait.woken": asks("it sleeps through", "GET /wait", b"/wait?", b"/wait?for=me&"),
    "wait.mentioned": puts("it says no", "GET /wait", mentioned=False),
    "wait.none-lost": says(
        "it passes one over", "GET /wait", lambda d: d | {"next_since_id": d["next_since_id"] + 1}
    ),
    "wait.named": answers("it names nobody", "GET /wait?participant", 403),
    "wait.removed": says(
        "it does not say so", "GET /wait", lambda d: d.pop("participant_status", None) and None
    ),
    "wait.head": answers("it has no HEAD", "HEAD /wait", 405),
    "for-me.mention": puts("it says nothing", "GET /wait", heartbeat=True, messages=[]),
    "for-me.reply": puts("it says nothing", "GET /wait", heartbeat=True, messages=[]),
    "for-me.brief": puts("it says nothing", "GET /wait", messages=[]),
    "for-me.policy": puts("it says nothing", "GET /wait", messages=[]),
    "for-me.others": asks("everything ends it", "GET /wait", b"for=me&", b""),
    # --- Events -----------------------------------------------------------------------
    "events.head": has("cache-control", "no-cache", "GET /events"),
    "events.status": withholds("status"),
    "events.messages": Fault(
        what="no ids", asked="GET /events", event=lambda block: block.replace("id: ", "number: ")
    ),
    "events.resumed": asks("it begins anew", "GET /events", b"Last-Event-ID", b"X-Event-ID"),
    "events.past-the-end": tells("it goes on", "heartbeat", lambda d: {"next_since_id": PAST}),
    "events.changed": tells("it never changes", "status", lambda d: d | {"attendance_policy": ""}),
    "events.for-me": withholds("message"),
    "events.html": tells("no HTML", "message", lambda d: d.pop("html", None) and None),
    "events.removed": withholds("closed"),
    "events.rotated": tells("another reason", "closed", lambda d: {"reason": "room_closed"}),
    "events.heartbeat": withholds("status"),
    # --- Seats ------------------------------------------------------------------------
    "join.answer": puts("another", "POST /join", participant="host"),
    "join.lines": read("other words", lambda m: m.update(text=m["text"].replace("joined", "came"))),
    "leave.answer": puts("not done", "POST /leave", ok=False),
    "attendance.attention": says("always so", "GET /status", _each_participant(attention="manual")),
    "attendance.reading": says("seen", "GET /status", _each_participant(last_seen_age_ms=0)),
    "attendance.held": says("not seen", "GET /status", _each_participant(last_seen_age_ms=7)),
    "attendance.policies": says(
        "nobody has to", "GET /status", _each_participant(attendance_required=False)
    ),
    "profile.own": says("more", "GET /profile", lambda d: d["participant"].update(token_hash="x")),
    "profile.name": says(
        "spaces are kept",
        "POST /profile",
        lambda d: d["participant"].update(display_name=f" {d['participant']['display_name']}"),
    ),
    "card.text": _body("another URL", "GET /card", lambda b: b.replace(b"AG_BASE", b"AG_URL")),
    "card.link": has("cache-control", "private", "GET /card"),
    # --- The room ---------------------------------------------------------------------
    "status.keys": puts("another", "GET /status", me="host"),
    "status.participants": says("a token", "GET /status", _each_participant(token_hash="x")),
    "brief.set": says(
        "no new version", "POST /brief", lambda d: d["brief"].update(brief_version=1)
    ),
    "brief.longest": answers("it takes less", "POST /brief", 413),
    "brief.html": says(
        "the text as it is", "GET /brief", lambda d: d["brief"].update(html=d["brief"]["body"])
    ),
    "policy.set": puts("another", "POST /attendance", attendance_policy="manual-ok"),
    "activity.counts": says(
        "wrong sums",
        "GET /activity",
        lambda d: [one.update(total=99) for one in d["participants"]] and None,
    ),
    "healthz.here": puts("it says more", "GET /healthz", room="demo"),
    "invite.answer": says("another order", "POST /participants", _reordered),
    "invite.default": puts("a person", "POST /participants", kind="human"),
    "invite.observer": answers("observers can't join", "POST /join", 403),
    "remove.answer": says(
        "it does not say when",
        "POST /participants",
        lambda d: d.get("participant", {}).pop("removed_at", None) and None,
    ),
    "remove.last-host": REFUSES_NOTHING,
    "loop-guard.rearm": puts("one less", "POST /loop-guard", remaining=29),
    "page.same-for-all": _body("a page for each", "GET / ", _another_page([0])),
    "page.assets": has("etag", 'W/"x"', "GET /assets"),
    "page.unchanged": asks("it sends it again", "GET /assets", b"If-None-Match", b"X-None"),
    "export.json": says("no messages", "GET /export", lambda d: d | {"messages": []}),
    "export.markdown": _body("as it is", "GET /export", lambda b: b + b"\n# with a heading\n"),
    # --- Deadlines, limits, the close -------------------------------------------------
    "deadline.hold": asks("it holds nothing", "GET /wait", b"/wait?", b"/wait?hold=0&"),
    "invite.claimed": answers("it ends with the time", "GET /brief", 410),
    "deadline.body": Fault(what="it waits for no body", asked="POST /messages", instead=OK),
    "deadline.headers": Fault(what="it waits for no head", asked="GET /brief", instead=OK),
    "limit.page": puts("there is never more", "GET /", has_more=False),
    "limit.freed": answers("no wait is ever freed", "GET /wait", 429),
    "close.once": puts("it stays open", "POST /close", room_status="open"),
    "close.waits": puts("it goes on", "GET /wait", next_cmd="curl"),
    "close.streams": withholds("closed"),
    "close.again": says(
        "it does not say so", "POST /messages", lambda d: d.pop("idempotent", None) and None
    ),
    "close.works": answers("nobody reads it", "GET /profile", 403),
}
"""By clause."""
