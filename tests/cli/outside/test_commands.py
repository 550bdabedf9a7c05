"""Every command against a server: what it prints for people, and which keys for programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.outside.terminal import Terminal, texts

INVITE_KEYS = ["ok", "room", "alias", "kind", "token", "card_command", "browser_url"]


@pytest.mark.hostile("C07")
def test_starting_a_room_prints_where_it_is_and_no_token(
    open_terminal: Callable[[str], Terminal],
) -> None:
    terminal = open_terminal("home")
    document = terminal.json("room", "start", "demo", "--kind", "agent", "--alias", "lead")
    assert document == {
        "ok": True,
        "room": "demo",
        "alias": "lead",
        "kind": "agent",
        "baseUrl": "http://127.0.0.1:8787",
    }
    assert list(document) == ["ok", "room", "alias", "kind", "baseUrl"]
    shown = terminal.json("room", "start", "second", "--show-token")
    assert list(shown) == ["ok", "room", "alias", "kind", "baseUrl", "token"]
    assert shown["token"].startswith("agp_")
    text = terminal.run("room", "start", "third")
    assert "third" in text
    assert "agp_" not in text
    assert "agp_" in terminal.run("room", "start", "fourth", "--show-token")


def test_a_room_that_is_there_is_not_made_again(host: Terminal) -> None:
    before = host.files()
    err = host.fails(1, "room", "start", "demo", "--json")
    assert "room use demo" in err
    assert host.files() == before


def test_serving_says_where(open_terminal: Callable[[str], Terminal]) -> None:
    terminal = open_terminal("home")
    terminal.run("room", "start", "demo")
    process = terminal.start("room", "serve", "--port", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Serving demo at http://127.0.0.1:")
    assert terminal.json("room", "dashboard")["url"].rstrip("/") == line.split()[-1]


def test_an_invite_has_the_keys_that_programs_rely_on(host: Terminal) -> None:
    agent = host.json("room", "invite", "agent-1")
    assert list(agent) == INVITE_KEYS
    assert (agent["ok"], agent["room"], agent["alias"]) == (True, "demo", "agent-1")
    assert agent["kind"] == "agent"
    url = host.seat()["baseUrl"]
    token = agent["token"]
    assert agent["card_command"] == f'curl -s "{url}/card?participant=agent-1&token={token}"'
    assert agent["browser_url"] == f"{url}/#token={token}"
    more = host.json(
        "room", "invite", "person", "--kind=human", "--single-use", "--expires", "2h", "--observer"
    )
    assert list(more) == INVITE_KEYS
    assert more["kind"] == "human"
    text = host.run("room", "invite", "agent-2")
    assert 'curl -s "' in text
    text = host.run("room", "invite", "person-2", "--kind", "human")
    assert "/#token=agp_" in text


@pytest.mark.parametrize("alias", ["host", "system", "everyone", "admin"])
def test_what_may_not_be_invited_is_refused(alias: str, host: Terminal) -> None:
    before = host.run("room", "status", "--json")
    host.fails(2, "room", "invite", alias)
    after = host.run("room", "status", "--json")
    assert json.loads(before)["participants"][0]["alias"] == "host"
    assert len(json.loads(before)["participants"]) == len(json.loads(after)["participants"])


@pytest.mark.hostile("A13")
def test_an_alias_is_not_given_twice(host: Terminal) -> None:
    host.run("room", "invite", "twice")
    host.fails(1, "room", "invite", "twice")
    host.run("room", "remove", "twice")
    host.fails(1, "room", "invite", "twice")


def test_messages_are_sent_answered_and_handed_over(host: Terminal) -> None:
    host.run("room", "invite", "rev", "--kind", "agent")
    sent = host.json("send", "rev", "please", "look", "--client-msg-id", "k-1")
    number = sent["message"]["id"]
    assert sent["message"]["text"] == "@rev please look"
    assert sent["message"]["mentions"] == ["rev"]
    assert sent["message"]["client_msg_id"] == "k-1"
    again = host.json("send", "rev", "please look", "--client-msg-id", "k-1")
    assert again["idempotent"] is True
    assert again["message"]["id"] == number
    assert host.run("send", "rev", "more").strip() == f"sent #{number + 1} to @rev"
    host.fails(1, "send", "rev", "other words", "--client-msg-id", "k-1")
    replied = host.json("reply", str(number), "an answer")
    assert (replied["message"]["reply_to"], replied["message"]["type"]) == (number, "reply")
    assert f"#{number}" in host.run("reply", str(number), "another")
    host.fails(1, "reply", "999999", "to nothing")
    handed = host.json("handoff", "rev", "--summary", "all of it")
    assert (handed["message"]["type"], handed["message"]["text"]) == ("handoff", "@rev all of it")
    assert "@rev" in host.run("handoff", "rev", "--summary", "all")
    host.fails(2, "send", "rev", "x", "--client-msg-id", "no spaces")


def test_the_brief_and_the_policy_are_shown_and_set(host: Terminal) -> None:
    document = host.json("room", "brief", "view")
    assert list(document["brief"]) == [
        "body",
        "brief_version",
        "brief_updated_at",
        "brief_updated_by",
    ]
    version = document["brief"]["brief_version"]
    answer = host.json("room", "brief", "set", "Goal:", "other", "words")
    assert answer["brief"]["brief_version"] == version + 1
    assert host.run("room", "brief", "view").endswith("\nGoal: other words\n")
    host.fails(2, "room", "brief", "set")
    host.fails(2, "room", "brief", "set", "words", "--body", "and an option")
    policy = host.json("room", "attendance", "set", "all-foreground")
    assert policy["attendance_policy"] == "all-foreground"
    assert host.json("room", "attendance", "view")["attendance_policy"] == "all-foreground"
    assert "all-foreground" in host.run("room", "attendance", "view")
    assert "manual-ok" in host.run("room", "attendance", "set", "manual-ok")


def test_the_room_is_described(host: Terminal) -> None:
    status = host.json("room", "status")
    assert (status["room"], status["me"], status["room_status"]) == ("demo", "host", "open")
    text = host.run("room", "status")
    assert "demo" in text
    assert "host" in text
    current = host.json("room", "current")
    assert (current["ok"], current["current"]["roomId"]) == (True, "demo")
    assert "token" not in json.dumps(current)
    assert "demo" in host.run("room", "current")
    listed = host.json("room", "list")["rooms"]
    assert [(room["room"], room["selected"]) for room in listed] == [("demo", True)]
    assert "demo" in host.run("room", "list")
    assert host.seat()["baseUrl"] in host.run("room", "dashboard")
    assert "agp_" not in host.run("room", "dashboard")
    assert "#token=agp_" in host.run("room", "dashboard", "--show-token")


def test_the_operating_card_is_for_each_agent(terminal: Terminal) -> None:
    for agent in ("codex", "claude", "gemini"):
        card = terminal.run("instructions", "--agent", agent)
        assert "no authority" in card
        assert terminal.json("instructions", "--agent", agent)["instructions"].strip() == (
            card.strip()
        )


def test_a_seat_is_taken_left_rotated_and_removed(
    host: Terminal, open_terminal: Callable[[str], Terminal], tmp_path: Path
) -> None:
    url = host.seat()["baseUrl"]
    token = host.json("room", "invite", "ada", "--kind", "human")["token"]
    ada = open_terminal("ada")
    seat = ["room", "join", "demo", "--alias", "ada", "--url", url]
    joined = ada.json(*seat, "--token", "-", stdin=f" {token}\n".encode())
    assert (joined["ok"], joined["room"], joined["alias"]) == (True, "demo", "ada")
    assert token not in json.dumps(joined)
    assert ada.run("send", "host", "hello")
    path = tmp_path / "token"
    path.write_text(token)
    ada.run(*seat, "--token-file", str(path))
    assert texts(host.log())[-1] != "ada joined", "a second join in one stay is no news"
    ada.fails(1, "room", "close")
    ada.fails(1, "room", "invite", "friend")
    assert ada.json("room", "leave")["ok"] is True
    assert texts(host.log())[-1] == "ada left"
    ada.run("send", "host", "still here")

    rotated = host.json("room", "rotate", "ada")
    assert list(rotated) == INVITE_KEYS
    err = ada.fails(1, "send", "host", "hello")
    assert token not in err
    ada.run(*seat, "--token", "-", stdin=rotated["token"].encode())
    assert "removed ada" in host.run("room", "remove", "ada")
    ada.fails(1, "send", "host", "hello")
    host.fails(1, "room", "remove", "nobody")
    host.fails(1, "room", "rotate", "nobody")
    host.fails(1, "room", "remove", "host")


def test_a_token_of_another_seat_is_not_taken(
    host: Terminal, open_terminal: Callable[[str], Terminal]
) -> None:
    token = host.json("room", "invite", "bob")["token"]
    other = open_terminal("other")
    url = ["--url", host.seat()["baseUrl"], "--token", "-"]
    for words in (["demo", "--alias", "ada"], ["nemo", "--alias", "bob"]):
        done = other.here("room", "join", *words, *url, stdin=token.encode())
        assert done.status in (1, 2)
        assert "bob in demo" in done.err
        assert token not in done.err
    other.fails(1, "room", "join", "demo", "--alias", "bob", *url, stdin=b"agp_" + b"x" * 43)
    assert not other.home.exists()


def test_an_observer_reads_and_posts_nothing(
    host: Terminal, open_terminal: Callable[[str], Terminal]
) -> None:
    invited = host.json("room", "invite", "watcher", "--observer")
    watcher = open_terminal("watcher")
    watcher.run(
        *("room", "join", "demo", "--alias", "watcher", "--url", host.seat()["baseUrl"]),
        *("--token", "-"),
        stdin=invited["token"].encode(),
    )
    watcher.run("messages")
    watcher.fails(1, "send", "host", "hello")


def test_the_loop_guard_is_re_armed(host: Terminal) -> None:
    answer = host.json("room", "rearm")
    assert answer["ok"] is True
    assert host.run("room", "rearm")


def test_a_closed_room_says_so(unserved: Terminal) -> None:
    unserved.serve()
    assert unserved.json("room", "close") == {"ok": True, "room_status": "closed"}
    assert "closed" in unserved.run("room", "close")
    assert texts(unserved.log()) == ["room closed"]
    assert "closed" in unserved.fails(1, "send", "host", "too late")
    assert unserved.json("room", "current")["room_status"] == "closed"


def test_going_up_makes_a_room_serves_it_and_shows_the_way_in(
    open_terminal: Callable[[str], Terminal],
) -> None:
    terminal = open_terminal("home")
    process = terminal.start("up", "review", "--port=0", "--brief", "Goal: x", "--json")
    assert process.stdout is not None
    document = json.loads(process.stdout.readline())
    assert (document["ok"], document["room"], document["alias"]) == (True, "review", "host")
    assert document["browser_url"].startswith(document["url"] + "/#token=agp_")
    assert "Goal: x" in terminal.run("room", "brief", "view")
    process.terminate()
    assert process.wait(20) == 0
    again = terminal.start("up", "--port", "0")
    assert again.stdout is not None
    welcome = [again.stdout.readline() for _ in range(4)]
    assert "review" in welcome[0]
    assert any("/#token=agp_" in line for line in welcome)
    terminal.fails(1, "up", "review", "--brief", "another", "--port", "0")
