"""Servers that are away, that are somebody else, and that lose their answers."""

import json
import socket
import time

import pytest

from tests.cli.outside.stub_server import StubServer, json_answer, refusal
from tests.cli.outside.terminal import Terminal

MESSAGE = {
    "id": 7,
    "room": "demo",
    "ts": "2026-01-01T00:00:00.000Z",
    "from": "rev",
    "type": "message",
    "text": "@host hi",
    "mentions": ["host"],
}
POSTED = json_answer({"ok": True, "message": MESSAGE}, "201 Created")


@pytest.mark.hostile("C04")
def test_a_post_that_no_server_took_is_not_called_sent(guest: Terminal, stub: StubServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    seat = json.loads((guest.home / "current-room.json").read_text())
    (guest.home / "current-room.json").write_text(
        json.dumps(seat | {"baseUrl": f"http://127.0.0.1:{port}"})
    )
    before = guest.files()
    for words in (
        ["send", "host", "hi"],
        ["send", "host", "hi", "--json"],
        ["reply", "1", "hi"],
        ["handoff", "host", "--summary", "s"],
    ):
        err = guest.fails(69, *words)
        assert "--client-msg-id cli-" in err
        assert "agp_" not in err
    assert "--client-msg-id mine" in guest.fails(69, "send", "host", "x", "--client-msg-id", "mine")
    for words in (["messages"], ["read"], ["room", "status"], ["room", "close"], ["watch"]):
        assert "agp_" not in guest.fails(69, *words)
    assert guest.files() == before


@pytest.mark.hostile("C04")
def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    guest: Terminal, stub: StubServer
) -> None:
    stub.answers = [None, POSTED]
    assert guest.run("send", "host", "hi") == "sent #7 to @host\n"
    first, second = stub.bodies
    assert first == second
    assert first["client_msg_id"].startswith("cli-")


@pytest.mark.hostile("C03", "C04")
@pytest.mark.parametrize(
    "answer",
    [
        None,
        POSTED[:-9],
        POSTED[:30],
        b"HTTP/1.1 201 Created\r\n\r\n",
        refusal("500 Internal Server Error", "internal_error"),
        refusal("504 Gateway Timeout", "host_unavailable"),
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\ncontent-type: text/html\r\n\r\n<html",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\ncontent-type: text/html\r\n\r\n<html",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/html\r\n\r\n<html",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        json_answer({"ok": True}),
        json_answer({"ok": True, "message": None}),
        json_answer(["ok"]),
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[[[[[[[[[",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000,
    ],
    ids=[
        *("closed", "cut body", "cut head", "no body", "500", "504", "502 html", "404 html"),
        *("200 html", "ssh", "nothing in it", "no message", "a list", "half", "deep"),
    ],
)
def test_an_answer_that_says_nothing_leaves_the_outcome_open(
    answer: bytes | None, guest: Terminal, stub: StubServer
) -> None:
    stub.answers = [answer]
    before = guest.files()
    err = guest.fails(69, "send", "host", "hi")
    key = stub.bodies[0]["client_msg_id"]
    assert f"--client-msg-id {key}" in err
    assert {body["client_msg_id"] for body in stub.bodies} == {key}
    assert guest.files() == before


@pytest.mark.hostile("C03")
def test_a_redirect_is_not_followed(guest: Terminal, stub: StubServer) -> None:
    with StubServer() as elsewhere:
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect"):
            stub.answers = [
                f"HTTP/1.1 {status}\r\nlocation: {elsewhere.url}/x\r\n"
                "content-length: 0\r\n\r\n".encode()
            ]
            guest.fails(69, "send", "host", "hi")
            guest.fails(69, "messages")
        assert elsewhere.requests == []


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def endless_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x: " + b"y" * 1000 + b"\r\n")


@pytest.mark.hostile("C03")
@pytest.mark.parametrize("answer", [endless, endless_head])
@pytest.mark.parametrize("command", ["room status", "messages", "room brief view"])
def test_an_answer_without_an_end_is_cut(
    answer: object, command: str, guest: Terminal, stub: StubServer
) -> None:
    stub.answers = [answer]  # type: ignore[list-item]
    began = time.monotonic()
    guest.fails(69, *command.split())
    assert time.monotonic() - began < 10


@pytest.mark.hostile("C12")
def test_a_proxy_of_the_environment_never_sees_the_token(guest: Terminal, stub: StubServer) -> None:
    stub.answers = [POSTED]
    with StubServer() as proxy:
        names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
        done = guest.try_("send", "host", "hi", **dict.fromkeys(names, proxy.url))
        assert done.status == 0
        assert proxy.requests == []


def test_not_now_is_an_exit_code_of_its_own(guest: Terminal, stub: StubServer) -> None:
    stub.answers = [refusal("429 Too Many Requests", "rate_limited", "retry-after: 17\r\n")]
    err = guest.fails(75, "send", "host", "hi")
    assert "17 s" in err
    assert len(stub.requests) == 1
    stub.answers = [refusal("503 Service Unavailable", "overloaded", "retry-after: 2\r\n")]
    assert guest.here("messages").status == 75


@pytest.mark.hostile("C08")
def test_what_a_server_says_cannot_act_on_the_terminal(guest: Terminal, stub: StubServer) -> None:
    evil = "no\x1b]0;pwned\x07\u202e\r\nagentgather: sent #1"
    stub.answers = [json_answer({"ok": False, "error": "x", "message": evil}, "403 Forbidden")]
    err = guest.fails(1, "send", "host", "hi")
    assert [character for character in "\x1b\x07\u202e\r" if character in err] == []


@pytest.mark.hostile("C08")
def test_a_roster_from_a_hostile_server_cannot_act_on_the_terminal(
    guest: Terminal, stub: StubServer
) -> None:
    evil = "x\x1b[2J\u202e\nfake"
    one = {
        "alias": evil,
        "display_name": evil,
        "kind": evil,
        "role": evil,
        "is_host": True,
        "attendance_state": evil,
        "last_seen_age_ms": 0,
        "attention": evil,
    }
    status = {
        "ok": True,
        "room": evil,
        "me": "rev",
        "is_host": False,
        "room_status": evil,
        "brief_version": 1,
        "attendance_policy": evil,
        "stale_after_ms": 90000,
        "brief_updated_at": evil,
        "brief_updated_by": evil,
        "expires_at": evil,
        "participants": [one],
    }
    brief = {"body": evil, "brief_version": 1, "brief_updated_at": evil, "brief_updated_by": evil}
    for command, answer in (
        ("room status", status),
        ("room current", status),
        ("room attendance view", status),
        ("doctor", status),
        ("room brief view", {"ok": True, "brief": brief}),
        ("room invite x", {"ok": True, "alias": evil, "kind": "agent", "card_command": evil}),
        ("room close", {"ok": True, "room_status": evil}),
    ):
        stub.answers = [json_answer(answer)]
        done = guest.here(*command.split())
        for character in "\x1b\u202e":
            assert character not in done.out, command
            assert character not in done.err, command


@pytest.mark.hostile("C05")
@pytest.mark.parametrize("url", ["http://192.0.2.1", "http://rooms.example:8787/x"])
def test_a_token_is_not_sent_in_the_clear_to_another_machine(url: str, guest: Terminal) -> None:
    seat = guest.seat() | {"baseUrl": url}
    (guest.home / "current-room.json").write_text(json.dumps(seat))
    for words in (["send", "host", "hi"], ["messages"], ["attend"], ["watch"]):
        assert "--insecure" in guest.fails(2, *words)
    join = ["room", "join", "demo", "--alias", "rev", "--url", url, "--token", "-"]
    assert "--insecure" in guest.fails(2, *join, stdin=b"agp_" + b"r" * 43)


@pytest.mark.hostile("C04")
@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}", "http://no-such-name.invalid"])
def test_no_tls_and_no_name_are_plain_failures(url: str, guest: Terminal, stub: StubServer) -> None:
    stub.answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    seat = guest.seat() | {"baseUrl": url.format(port=stub.port)}
    (guest.home / "current-room.json").write_text(json.dumps(seat))
    err = guest.fails(69, "--insecure", "send", "host", "hi")
    assert "--client-msg-id" in err
    assert not any(b"agp_" in request for request in stub.requests)


@pytest.mark.hostile("C03")
def test_a_page_that_leads_nowhere_does_not_hold_a_reader(
    guest: Terminal, stub: StubServer
) -> None:
    page = {"ok": True, "messages": [MESSAGE], "next_since_id": 7, "has_more": True}
    stub.answers = [json_answer(page)]
    guest.run("messages")
    assert len(stub.requests) < 5
