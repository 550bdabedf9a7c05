"""Clauses of a request's body."""

from typing import Final

from agentgather.conformance.clause import API, Clause, Try, bodies, refused
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import same
from agentgather.wire.limits import MAX_BODY_BYTES

REQUESTS: Final = f"{API}#requests"
_NESTED: Final = b'{"text":"a","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
_TEXT: Final = b'{"text":"%b"}'


async def _last_key(room: Room) -> None:
    answer = await room.ask(
        "POST", "/messages", await room.human(), body=b'{"text":"first","text":"last"}'
    )
    same("the text", answer.document(201)["message"]["text"], "last")


async def _unknown_key(room: Room) -> None:
    await room.post(await room.human(), "with keys that nobody knows", colour="red", v=[1, {}])


async def _types(room: Room) -> None:
    human = await room.human()
    for given in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        fields = (f"Content-Type: {given}",)
        answer = await room.ask("POST", "/messages", human, sent={"text": given}, fields=fields)
        same(f"the text sent as {given}", answer.document(201)["message"]["text"], given)


async def _chunked(room: Room) -> None:
    human = await room.human()
    fields = ("Transfer-Encoding: chunked", "Content-Type: application/json")
    head = room.client.written("POST", "/messages", human.token, fields=fields)
    head = head.replace(b"Content-Length: 0\r\n", b"")
    body = b'7\r\n{"text"\r\na\r\n:"chunks"}\r\n0\r\n\r\n'
    answer = await room.client.raw(head + body)
    same("the text", answer.document(201)["message"]["text"], "chunks")


async def _bare(room: Room) -> None:
    human = await room.human()
    for body in (b"", b"{}", b'{"any":1}'):
        (await room.ask("POST", "/join", human, body=body)).document()


async def _largest(room: Room) -> None:
    text = "filled up to the last byte"
    start = b'{"text":"%b","x":"' % text.encode()
    body = start + b"x" * (MAX_BODY_BYTES - len(start) - 2) + b'"}'
    answer = await room.ask("POST", "/messages", await room.human(), body=body)
    same("the text", answer.document(201)["message"]["text"], text)


async def _expected(room: Room) -> None:
    human = await room.human()
    fields = ("Expect: 100-continue", "Content-Type: application/json")
    head = room.client.written("POST", "/messages", human.token, fields=fields)
    head = head.replace(b"Content-Length: 0", b"Content-Length: 70000")
    answer = await room.client.raw(head)
    room.client.fronted(answer)
    answer.refuses("body_too_large", "request_too_large")


def _as(media: str) -> Try:
    return Try("POST", "/messages", body=b'{"text":"x"}', fields=(f"Content-Type: {media}",))


CLAUSES: Final = (
    Clause("body.repeated-key", REQUESTS, "of a repeated key the last counts", _last_key),
    Clause("body.unknown-key", REQUESTS, "unknown keys are ignored", _unknown_key),
    Clause("body.type", REQUESTS, "`application/json`, with a charset too", _types),
    Clause("body.chunked", REQUESTS, "a body may come in chunks", _chunked),
    Clause("body.bare", REQUESTS, "a POST that needs no body takes none, or any object", _bare),
    Clause("body.largest", REQUESTS, "64 KiB are taken", _largest),
    Clause("body.expected", REQUESTS, "no 100 for a body that will be refused", _expected),
    refused(
        "body.other-type",
        REQUESTS,
        "a body of another type, or of none",
        "unsupported_media_type",
        *(_as(media) for media in ("text/plain", "application/x-www-form-urlencoded", "none")),
        _as("multipart/form-data; boundary=x"),
    ),
    refused(
        "body.encoded",
        REQUESTS,
        "a body with `Content-Encoding`",
        "unsupported_media_type",
        Try(
            "POST",
            "/messages",
            {"text": "x"},
            fields=("Content-Type: application/json", "Content-Encoding: gzip"),
        ),
    ),
    refused(
        "body.too-large",
        REQUESTS,
        "more than 64 KiB",
        ("body_too_large", "request_too_large"),
        *bodies("/messages", _TEXT % (b"x" * MAX_BODY_BYTES)),
    ),
    refused(
        "body.no-json",
        REQUESTS,
        "what is no JSON, or more than one document",
        "invalid_json",
        *bodies("/messages", b"{", b"{}{}", b'{"text":"a"}x', b"text=a", b"\xef\xbb\xbf{}"),
        *bodies("/messages", b'{"text":NaN}', b"{'text':1}", b'{"text":"a\nb"}'),
    ),
    refused(
        "body.not-utf8",
        REQUESTS,
        "strict UTF-8 and nothing else",
        "invalid_json",
        *bodies("/messages", *(_TEXT % part for part in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"))),
        *bodies("/messages", '{"text":"a"}'.encode("utf-16")),
    ),
    refused(
        "body.nested",
        REQUESTS,
        "a body that is nested without end",
        "invalid_json",
        *bodies("/messages", _NESTED),
    ),
    refused(
        "body.no-object",
        REQUESTS,
        "what is no object",
        ("invalid_body", "invalid_message"),
        *bodies("/messages", b"[]", b"null", b'"x"', b"42"),
    ),
)
