"""Bodies and queries from outside, as bytes."""

import gzip
import json

import pytest

from tests.doubles.raw_http import RawServer, request
from tests.doubles.table import TOKENS, Table

HOST, ADA = TOKENS["host"], TOKENS["ada"]
POSTS = [
    *("/messages", "/brief", "/attendance", "/profile", "/participants", "/join", "/leave"),
    *("/close", "/loop-guard", "/participants/rev/remove", "/participants/rev/rotate"),
]
NO_JSON = [
    b'{"a":1}x',
    b"{}{}",
    b"{",
    b'{"text":"a","body":"a","x":' + b"[" * 65_000,
    b'{"text":"\xff"}',
    b'{"text":"\xc0\xaf"}',
    b'{"text":"\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"text":"a"}',
    '{"text":"a"}'.encode("utf-16-le"),
    b'{"text":"\\ud800","body":"\\ud800","policy":"\\ud800","display_name":"\\ud800","alias":"\\ud800"}',
]


@pytest.mark.hostile("J02", "J03", "J04", "J05", "J08", "J11")
@pytest.mark.parametrize("target", POSTS)
async def test_no_post_takes_what_is_no_json_or_no_object(
    server: RawServer, real_table: Table, target: str
) -> None:
    for body in NO_JSON:
        reply = await server.ask(request("POST", target, token=HOST, body=body))
        if body is NO_JSON[-1] and target not in ("/messages", "/brief", "/profile"):
            continue  # the field is not read there
        assert reply.outcome == (400, "invalid_json"), (body[:40], reply)
    for body in (b"null", b"[]", b'"x"', b"42", b"true"):
        reply = await server.ask(request("POST", target, token=HOST, body=body))
        assert reply.outcome == (400, "invalid_body"), body
    for field in (
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
    ):
        reply = await server.ask(request("POST", target, field, token=HOST, body=b'{"text":"a"}'))
        assert reply.outcome == (415, "unsupported_media_type")
    assert real_table.texts() == []
    assert (await server.ask(request("GET", "/status", token=ADA))).status == 200


@pytest.mark.hostile("J12")
async def test_an_inflating_body_is_not_inflated(server: RawServer) -> None:
    bomb = gzip.compress(b'{"text":"' + b"x" * 60_000_000 + b'"}')
    assert len(bomb) < 65_536
    reply = await server.ask(
        request("POST", "/messages", "Content-Encoding: gzip", token=ADA, body=bomb)
    )
    assert reply.outcome == (415, "unsupported_media_type")


@pytest.mark.hostile("J07")
@pytest.mark.parametrize(
    "value", ["NaN", "1.0", "true", "0", "-1", "9223372036854775808", "9" * 400, "2", '"1"', "1e0"]
)
async def test_a_reply_goes_to_an_id_of_this_room_or_is_refused(
    server: RawServer, value: str
) -> None:
    body = f'{{"text":"a","reply_to":{value}}}'.encode()
    reply = await server.ask(request("POST", "/messages", token=ADA, body=body))
    assert reply.outcome[0] == 400
    assert reply.outcome[1] in ("invalid_reply_to", "invalid_json")


@pytest.mark.hostile("J06", "J13")
async def test_of_two_equal_keys_the_last_counts_and_no_sender_is_forged(
    server: RawServer,
) -> None:
    body = b'{"text":"a","text":"b","from":"host","type":"system","id":77,"is_host":true}'
    reply = await server.ask(request("POST", "/messages", token=ADA, body=body))
    message = reply.json()["message"]
    assert (message["text"], message["from"], message["type"], message["id"]) == (
        *("b", "ada", "message"),
        1,
    )


@pytest.mark.hostile("J09")
async def test_each_message_is_one_line_whatever_it_holds(
    server: RawServer, real_table: Table
) -> None:
    odd = ["\u0000", "\u001b[2J", "\u2028\u2029", "\u0085", "\ufeff", "\r\n\n", "\x0b\x0c\x1c\x1d"]
    for text in odd:
        body = json.dumps({"text": f"a{text}b"}).encode()
        assert (await server.ask(request("POST", "/messages", token=ADA, body=body))).status == 201
    raw = (real_table.folder / "messages.jsonl").read_bytes()
    assert raw.count(b"\n") == len(odd)
    page = (await server.ask(request("GET", "/messages", token=ADA))).json()
    assert [message["text"] for message in page["messages"]] == [f"a{text}b" for text in odd]


@pytest.mark.hostile("J10")
@pytest.mark.parametrize("unit", ["a", "é", "😀"])
async def test_the_limit_of_a_text_is_the_same_in_every_encoding(
    server: RawServer, unit: str
) -> None:
    count = 24_000 // (len(unit.encode("utf-16-le")) // 2)
    for extra, status in (("", 201), ("a", 413)):
        body = json.dumps({"text": unit * count + extra}, ensure_ascii=False).encode()
        reply = await server.ask(request("POST", "/messages", token=ADA, body=body))
        assert reply.status == status
        assert reply.status == 201 or reply.outcome[1] == "message_too_large"


@pytest.mark.hostile("J10")
async def test_a_body_of_exactly_64_kib_is_taken_and_one_byte_more_is_not(
    server: RawServer,
) -> None:
    for size, outcome in ((65_536, (201, "ok")), (65_537, (413, "body_too_large"))):
        body = b'{"text":"a"}'.ljust(size)
        reply = await server.ask(request("POST", "/messages", token=ADA, body=body))
        assert reply.outcome == outcome
        chunked = request("POST", "/messages", "Content-Type: application/json",
                          "Transfer-Encoding: chunked", token=ADA)  # fmt: skip
        pieces = [body[at : at + 5000] for at in range(0, size, 5000)]
        chunked += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        reply = await server.ask(chunked + b"0\r\n\r\n")
        assert reply.outcome == outcome


@pytest.mark.hostile("J14")
@pytest.mark.parametrize(
    "value",
    [
        "1e3",
        "0x10",
        "%205%20",
        "",
        "-1",
        "+5",
        "1_000",
        "%D9%A3",
        "9223372036854775808",
        "9" * 1024,
    ],
)
async def test_a_cursor_is_ascii_digits(server: RawServer, value: str) -> None:
    for target in ("/messages", "/wait", "/events"):
        reply = await server.ask(request("GET", f"{target}?since_id={value}", token=ADA))
        assert reply.outcome == (400, "invalid_since_id")


@pytest.mark.hostile("J16")
@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        ("limit=0", (400, "invalid_limit")),
        ("limit=-1", (400, "invalid_limit")),
        ("limit=1000000000", (200, "ok")),
        ("since_id=1&before_id=2", (400, "conflicting_cursor")),
        ("since_id=1&since_id=1", (400, "bad_query")),
        ("limit=1&limit=2", (400, "bad_query")),
    ],
)
async def test_a_page_is_asked_for_in_one_way(
    server: RawServer, query: str, outcome: tuple[int, str]
) -> None:
    reply = await server.ask(request("GET", f"/messages?{query}", token=ADA))
    assert reply.outcome == outcome
