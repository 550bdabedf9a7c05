"""GET and POST /messages."""

import json
from collections.abc import AsyncIterator

import pytest
import trio

from agentgather.storage.home import Home
from agentgather.wire.limits import (
    MAX_BODY_BYTES,
    MAX_PAGE_BYTES,
    MAX_PAGE_MESSAGES,
    MAX_TEXT_UNITS,
)
from tests.doubles.asgi_client import Reply
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import Table, open_table

pytestmark = VIRTUAL_TIME


# --- POST -------------------------------------------------------------------------------
async def test_a_post_is_answered_with_the_message_as_it_is_stored(table: Table) -> None:
    first = await table.host.post("/messages", {"text": "first"})
    assert first.status == 201
    assert first.body == (
        b'{"ok":true,"message":{"id":1,"room":"demo","ts":"2026-01-02T03:04:05.000Z",'
        b'"from":"host","type":"message","text":"first","mentions":[]}}\n'
    )
    draft = {
        "client_msg_id": "step:1",
        "reply_to": 1,
        "type": "question",
        "text": "@host @nobody @rev é😀",
    }
    second = await table.ada.post("/messages", draft)
    assert (
        second.body
        == (
            '{"ok":true,"message":{"id":2,"room":"demo","ts":"2026-01-02T03:04:05.000Z",'
            '"from":"ada","type":"question","text":"@host @nobody @rev é😀",'
            '"mentions":["host","rev"],"reply_to":1,"client_msg_id":"step:1"}}\n'
        ).encode()
    )
    stored = (table.folder / "messages.jsonl").read_bytes().splitlines()
    assert stored == [reply.body[21:-2] for reply in (first, second)]


@pytest.mark.hostile("J13")
async def test_what_a_sender_may_not_set_is_ignored(table: Table) -> None:
    forged = {
        "id": 99,
        "ts": "1999-01-01T00:00:00.000Z",
        "room": "other",
        "from": "host",
        "mentions": ["rev"],
        "is_host": True,
        "hidden_chars": True,
        "type": "system",
    }
    message = await table.ada.say("hi", **forged)
    assert message == {
        "id": 1,
        "room": "demo",
        "ts": "2026-01-02T03:04:05.000Z",
        "from": "ada",
        "type": "message",
        "text": "hi",
        "mentions": [],
    }


REFUSED = [
    ({}, "invalid_message"),
    ({"text": ""}, "invalid_message"),
    ({"text": " \n"}, "invalid_message"),
    ({"text": 1}, "invalid_message"),
    ({"text": None}, "invalid_message"),
    ({"text": ["x"]}, "invalid_message"),
    ({"text": {"a": 1}}, "invalid_message"),
    ({"text": "a", "reply_to": 0}, "invalid_reply_to"),
    ({"text": "a", "reply_to": -1}, "invalid_reply_to"),
    ({"text": "a", "reply_to": True}, "invalid_reply_to"),
    ({"text": "a", "reply_to": None}, "invalid_reply_to"),
    ({"text": "a", "reply_to": "1"}, "invalid_reply_to"),
    ({"text": "a", "reply_to": 1.5}, "invalid_reply_to"),
    ({"text": "a", "reply_to": 1.0}, "invalid_reply_to"),
    ({"text": "a", "reply_to": 2**53}, "invalid_reply_to"),
    ({"text": "a", "reply_to": 2**63}, "invalid_reply_to"),
    ({"text": "a", "reply_to": 10**400}, "invalid_reply_to"),
    ({"text": "a", "reply_to": 7}, "invalid_reply_to"),
    ({"text": "a", "reply_to": [1]}, "invalid_reply_to"),
    ({"text": "a", "client_msg_id": ""}, "invalid_client_msg_id"),
    ({"text": "a", "client_msg_id": "a b"}, "invalid_client_msg_id"),
    ({"text": "a", "client_msg_id": "a\n"}, "invalid_client_msg_id"),
    ({"text": "a", "client_msg_id": "é"}, "invalid_client_msg_id"),
    ({"text": "a", "client_msg_id": "x" * 129}, "invalid_client_msg_id"),
    ({"text": "a", "client_msg_id": 5}, "invalid_client_msg_id"),
    ({"text": "a", "client_msg_id": None}, "invalid_client_msg_id"),
    (None, "invalid_body"),
    ([], "invalid_body"),
    ("x", "invalid_body"),
    (42, "invalid_body"),
]


@pytest.mark.hostile("J01", "J07", "J08")
@pytest.mark.parametrize(("document", "code"), REFUSED)
async def test_a_draft_that_is_none_is_refused_and_leaves_no_trace(
    table: Table, document: object, code: str
) -> None:
    await table.ada.say("there is a message 1")
    reply = await table.ada.post("/messages", document)
    assert reply.outcome == (400, code)
    assert len(table.texts()) == 1
    assert (await table.ada.say("next"))["id"] == 2


@pytest.mark.hostile("J02", "J03", "J04", "J05")
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b'{"text":"a"}x', b'{"text":"a"}{}', b"{}{}", b"[1", b"nul", b"\x00"),
        *(
            b'{"text":"\xff"}',
            b'{"text":"\xc0\xaf"}',
            b'{"text":"\xed\xa0\x80"}',
            b'{"text":"\xf5"}',
        ),
        *(b'{"text":"a","other":"\xff"}', b'{"text":"a","\xff":1}', b'{"text":"a\nb"}'),
        *(b'{"text":"\\ud800"}', b'{"text":"\\udc00x"}', b'{"text":"a\\ud800\\u0041"}'),
        *(b'\xef\xbb\xbf{"text":"a"}', '{"text":"a"}'.encode("utf-16-le"), b'{"text":"a",}'),
        *('{"text":"a"}'.encode("utf-16"), b"{'text':'a'}", b'{"text":"\\x41"}', b'{"text":"a"'),
        *(b'{"text":"a","x":' + b"[" * 60_000, b"[" * 60_000, b'{"a":' * 12_000),
        *(b'{"text":"a","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",),
        *(b'{"text":"a","reply_to":NaN}', b'{"text":"a","reply_to":Infinity}', b'{"text":"a"}//'),
        *(b'{"text":"a","x":01}', b'{"text":"a","x":1e}', b'{"text":5}trailing', b"// x\n{}"),
    ],
)
async def test_a_body_that_is_no_json_in_strict_utf_8_is_refused(table: Table, body: bytes) -> None:
    reply = await table.ada.post("/messages", body=body)
    assert reply.outcome == (400, "invalid_json")
    assert table.texts() == []


@pytest.mark.hostile("J06")
async def test_the_last_of_two_equal_keys_counts_and_the_sender_is_the_token_s(
    table: Table,
) -> None:
    body = b'{"text":"a","text":"b","from":"host"}'
    message = (await table.ada.post("/messages", body=body)).json()["message"]
    assert (message["text"], message["from"]) == ("b", "ada")


@pytest.mark.hostile("J10")
@pytest.mark.parametrize("unit", ["a", "é", "😀"])
async def test_the_longest_text_is_taken_and_one_unit_more_is_not(table: Table, unit: str) -> None:
    each = len(unit.encode("utf-16-le")) // 2
    longest = unit * (MAX_TEXT_UNITS // each)
    draft = json.dumps({"text": longest}, ensure_ascii=False).encode()
    assert (await table.ada.post("/messages", body=draft)).status == 201
    draft = json.dumps({"text": longest + "a"}, ensure_ascii=False).encode()
    reply = await table.ada.post("/messages", body=draft)
    assert reply.outcome == (413, "message_too_large")
    assert table.texts() == [longest]


@pytest.mark.hostile("J10")
async def test_a_body_may_have_64_kib_and_no_more(table: Table) -> None:
    body = b'{"text":"a"}'
    assert (await table.ada.post("/messages", body=body.ljust(MAX_BODY_BYTES))).status == 201
    for claimed in (None, "12", "99999999999999"):
        headers = {} if claimed is None else {"content-length": claimed}
        reply = await table.ada.post(
            "/messages", body=body.ljust(MAX_BODY_BYTES + 1), headers=headers
        )
        assert reply.outcome == (413, "body_too_large")
    assert table.texts() == ["a"]


@pytest.mark.hostile("J11")
@pytest.mark.parametrize(
    "content_type",
    [
        *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
        *("application/jsonp", "text/json", "application/json; charset=latin-1", "application"),
        *("application/json, text/plain", "application/json; boundary=x", "json"),
    ],
)
async def test_a_body_of_another_type_is_refused_before_it_is_read(
    table: Table, content_type: str
) -> None:
    headers = {"content-type": content_type}
    for client in (table.ada, table.host):
        async with client.open(
            "POST", "/messages", body=None, length=12, headers=headers
        ) as exchange:
            await table.settled()
            assert exchange.reply().outcome == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
    ],
)
async def test_json_may_say_its_charset(table: Table, content_type: str) -> None:
    reply = await table.ada.post("/messages", {"text": "a"}, headers={"content-type": content_type})
    assert reply.status == 201


@pytest.mark.hostile("J12")
@pytest.mark.parametrize("coding", ["gzip", "br", "identity", "deflate"])
async def test_an_encoded_body_is_refused_before_it_is_read(table: Table, coding: str) -> None:
    headers = {"content-encoding": coding}
    async with table.ada.open("POST", "/messages", body=None, length=99, headers=headers) as one:
        await table.settled()
        assert one.reply().outcome == (415, "unsupported_media_type")


@pytest.mark.hostile("H25")
async def test_a_body_that_never_comes_is_given_up_after_15_seconds(table: Table) -> None:
    async with table.ada.open("POST", "/messages", body=None, length=12) as exchange:
        started = trio.current_time()
        while exchange.start is None:
            await exchange.progress.wait()
        await table.settled()
        assert trio.current_time() - started == 15
        assert exchange.reply().outcome == (408, "body_timeout")


@pytest.mark.hostile("H29")
async def test_a_sender_that_leaves_before_its_body_came_posts_nothing(table: Table) -> None:
    async with table.ada.open("POST", "/messages", body=None, length=12) as exchange:
        await table.settled()
        exchange.left.set()
    assert exchange.start is None
    assert table.texts() == []


ODD_TEXTS = [
    *(
        "nul \x00",
        "esc \x1b[2J",
        "separators \u2028 \u2029 \x85 \x0b \x0c \x1c",
        "bom \ufeff",
        "cr \r lf \n",
    ),
    *(
        "bidi \u202e \u2066",
        "tags \U000e0041\U000e007f",
        "variation a\ufe0f a\ufe00",
        "zero\u200bwidth",
    ),
    *("\u0600\u06dd", "a\u0300" * 50, "\ufffe\uffff", "\U0010ffff", '"\\/\b'),
]


@pytest.mark.hostile("J09")
async def test_odd_characters_come_back_as_they_were_each_message_on_one_line(
    table: Table,
) -> None:
    for text in ODD_TEXTS:
        assert (await table.ada.say(text))["text"] == text
    assert table.texts() == ODD_TEXTS
    page = (await table.rev.get("/messages")).json()
    assert [message["text"] for message in page["messages"]] == ODD_TEXTS
    hidden = [m["text"] for m in page["messages"] if m.get("hidden_chars")]
    for text in ODD_TEXTS[:4] + ODD_TEXTS[5:9]:
        assert text in hidden


async def test_an_observer_posts_nothing(table: Table) -> None:
    reply = await table.eve.post("/messages", {"text": "hi"})
    assert reply.outcome == (403, "observer_read_only")
    assert (await table.eve.get("/messages")).status == 200


# --- The same message twice --------------------------------------------------------------
KEYED = {"text": "hi", "client_msg_id": "k"}


@pytest.mark.hostile("J18")
async def test_the_same_key_and_text_again_is_the_same_message(table: Table) -> None:
    first = await table.ada.post("/messages", KEYED)
    again = await table.ada.post("/messages", KEYED | {"type": "handoff"})
    assert (first.status, again.status) == (201, 200)
    document = again.json()
    assert list(document) == ["ok", "message", "idempotent"]
    assert document["message"] == first.json()["message"]
    assert document["idempotent"] is True
    assert table.texts() == ["hi"]


@pytest.mark.hostile("J18")
async def test_the_same_key_for_another_text_is_a_conflict(table: Table) -> None:
    await table.ada.post("/messages", KEYED)
    reply = await table.ada.post("/messages", KEYED | {"text": "ho"})
    assert reply.outcome == (409, "idempotency_conflict")


async def test_a_key_is_its_sender_s_own(table: Table) -> None:
    assert (await table.ada.post("/messages", KEYED)).status == 201
    assert (await table.rev.post("/messages", KEYED | {"text": "ho"})).status == 201


@pytest.mark.hostile("J18")
async def test_a_key_is_known_after_a_restart_and_after_the_close(table: Table) -> None:
    first = (await table.ada.post("/messages", KEYED)).json()["message"]
    await table.host.post("/close")
    again = await table.ada.post("/messages", KEYED)
    assert (again.status, again.json()["message"]) == (200, first)
    assert (await table.ada.post("/messages", {"text": "new"})).outcome == (403, "room_closed")


@pytest.mark.hostile("J18")
async def test_equal_posts_at_once_are_stored_once(table: Table) -> None:
    replies: list[Reply] = []

    async def post() -> None:
        replies.append(await table.ada.post("/messages", KEYED))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(post)
    assert sorted(reply.status for reply in replies) == [200] * 19 + [201]
    assert len({json.dumps(reply.json()["message"]) for reply in replies}) == 1
    assert table.texts() == ["hi"]


# --- GET --------------------------------------------------------------------------------
async def fill(table: Table, count: int, text: str = "") -> None:
    # Four people, because each has a rate.
    clients = [table.host, table.ada]
    for number in range(1, count + 1):
        await clients[number % 2].say(f"{number}{text}")


async def test_pages_forward_and_backward_have_their_keys(table: Table) -> None:
    await fill(table, 5)
    forward = (await table.rev.get("/messages?since_id=1&limit=2")).json()
    assert list(forward) == ["ok", "messages", "next_since_id", "has_more"]
    assert [m["id"] for m in forward["messages"]] == [2, 3]
    assert (forward["next_since_id"], forward["has_more"]) == (3, True)
    backward = (await table.rev.get("/messages?before_id=4&limit=2")).json()
    assert list(backward) == ["ok", "messages", "has_more_before"]
    assert [m["id"] for m in backward["messages"]] == [2, 3]
    assert backward["has_more_before"] is True
    assert (await table.rev.get("/messages?before_id=3")).json()["has_more_before"] is False
    assert (await table.rev.get("/messages?before_id=0")).json()["messages"] == []


async def test_an_empty_log_is_an_empty_page(table: Table) -> None:
    assert (await table.rev.get("/messages")).body == (
        b'{"ok":true,"messages":[],"next_since_id":0,"has_more":false}\n'
    )
    assert (await table.rev.get("/messages?before_id=9")).body == (
        b'{"ok":true,"messages":[],"has_more_before":false}\n'
    )


@pytest.mark.hostile("J19")
@pytest.mark.parametrize("since_id", [2, 3, 999, 999_999_999_999_999])
async def test_a_cursor_at_or_past_the_end_is_set_to_it(table: Table, since_id: int) -> None:
    await fill(table, 2)
    page = (await table.rev.get(f"/messages?since_id={since_id}")).json()
    assert (page["messages"], page["next_since_id"], page["has_more"]) == ([], 2, False)


BAD_INTEGERS = [
    *("1e3", "0x10", "%205%20", "", "-1", "+5", "%2B5", "1_000", "%D9%A3", "9223372036854775808"),
    *("9" * 1024, "5.0", "1%0a", "%00", "null", "1,2", "\u0665".encode().hex(), "1%20", "NaN"),
]


@pytest.mark.hostile("J14")
@pytest.mark.parametrize("value", BAD_INTEGERS)
@pytest.mark.parametrize("name", ["since_id", "before_id", "limit"])
async def test_a_number_in_a_query_is_1_to_15_ascii_digits(
    table: Table, name: str, value: str
) -> None:
    reply = await table.ada.get(f"/messages?{name}={value}")
    assert reply.outcome == (400, f"invalid_{name}")


async def test_leading_zeros_and_the_greatest_number_are_read(table: Table) -> None:
    await fill(table, 3)
    assert len((await table.ada.get("/messages?since_id=000000000000001")).json()["messages"]) == 2
    page = await table.ada.get("/messages?before_id=999999999999999&limit=1")
    assert [m["id"] for m in page.json()["messages"]] == [3]


@pytest.fixture
async def home_of_600(home: Home) -> AsyncIterator[Table]:
    """A room whose log holds 600 messages."""
    line = (
        '{"id":%d,"room":"demo","ts":"2026-01-02T03:04:05.000Z","from":"ada",'
        '"type":"message","text":"x","mentions":[]}\n'
    )
    log = home.room_path("demo") / "messages.jsonl"
    log.write_text("".join(line % number for number in range(1, 601)))
    async with open_table(home) as table:
        yield table


@pytest.mark.hostile("J16")
async def test_a_limit_is_at_least_one_and_a_greater_one_than_500_is_500(
    home_of_600: Table,
) -> None:
    table = home_of_600
    assert (await table.ada.get("/messages?limit=0")).outcome == (400, "invalid_limit")
    for query in ("", "?limit=501", "?limit=1000000000"):
        page = (await table.ada.get(f"/messages{query}")).json()
        assert len(page["messages"]) == MAX_PAGE_MESSAGES
        assert page["has_more"] is True
    page = (await table.ada.get("/messages?before_id=601&limit=501")).json()
    assert [m["id"] for m in page["messages"]] == list(range(101, 601))


@pytest.mark.hostile("J16")
async def test_both_cursors_at_once_are_a_conflict(table: Table) -> None:
    reply = await table.ada.get("/messages?since_id=1&before_id=5")
    assert reply.outcome == (400, "conflicting_cursor")


@pytest.mark.hostile("J16")
async def test_a_page_is_at_most_256_kib_and_the_next_goes_on(table: Table) -> None:
    text = "x" * MAX_TEXT_UNITS
    for number in range(24):
        await (table.host, table.ada)[number % 2].say(text)
    since_id, found, pages = 0, [], 0
    while True:
        reply = await table.rev.get(f"/messages?since_id={since_id}")
        assert len(reply.body) <= MAX_PAGE_BYTES
        page = reply.json()
        found += [message["id"] for message in page["messages"]]
        pages += 1
        if not page["has_more"]:
            break
        since_id = page["next_since_id"]
    assert found == list(range(1, 25))
    assert pages == 3


@pytest.mark.hostile("S10")
async def test_a_log_that_is_full_takes_no_message_and_the_room_can_be_read_and_closed(
    home: Home,
) -> None:
    async with open_table(home, max_messages=2) as table:
        await table.rev.post("/join")
        await table.ada.say("1")
        await table.ada.say("2")
        assert (await table.ada.post("/messages", {"text": "3"})).outcome == (507, "room_log_full")
        assert (await table.bo.post("/join")).status == 200
        assert (await table.host.post("/brief", {"body": "new"})).status == 200
        assert (await table.host.post("/close")).status == 200
        assert table.texts()[-1] == "room closed"
        assert len((await table.ada.get("/messages")).json()["messages"]) == 6
