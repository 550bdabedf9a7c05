"""``send``, ``reply`` and ``handoff``."""

from pathlib import Path

import pytest

from agentgather.cli.http_client import NoAnswer, NotSent
from tests.cli.terminal import TOKEN, FakeRoom, Terminal, ok, posted, refused

KEY = "cli-" + "00" * 12


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path / "home")
    terminal.seat()
    return terminal


def room(terminal: Terminal, *answers: object) -> FakeRoom:
    terminal.room = FakeRoom(answers or (posted,))  # type: ignore[arg-type]
    return terminal.room


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("rev", "please", "look"), "@rev please look"),
        (("rev", "please look"), "@rev please look"),
        (("@rev", "hi"), "@rev hi"),
        (("--json", "rev", "hi"), "@rev hi"),
        (("rev", "hi", "--json"), "@rev hi"),
        (("rev", "--", "--help"), "@rev --help"),
        (("rev", "--", "-"), "@rev from stdin"),
        (("rev", "-"), "@rev from stdin"),
        (("rev", "--text", "-"), "@rev from stdin"),
        (("rev", "--text", "--json"), "@rev --json"),
        (("rev", "--text=a b"), "@rev a b"),
        (("rev", " spaced "), "@rev  spaced "),
    ],
)
def test_the_text_is_what_was_given(
    terminal: Terminal, arguments: tuple[str, ...], text: str
) -> None:
    asked = room(terminal)
    assert terminal.run("send", *arguments, stdin=b"from stdin\n").status == 0
    assert asked.bodies == [{"text": text, "client_msg_id": KEY}]
    assert asked.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_only_the_last_line_end_of_stdin_is_taken_away(terminal: Terminal) -> None:
    asked = room(terminal)
    terminal.run("send", "rev", "-", stdin=b" a\n\nb\r\n\n\n")
    assert asked.bodies[0]["text"] == "@rev  a\n\nb\r\n\n"


def test_what_was_sent_is_said(terminal: Terminal) -> None:
    room(terminal)
    assert terminal.run("send", "rev", "hi") == (0, "sent #7 to @rev\n", "")
    room(terminal)
    result = terminal.run("send", "rev", "hi", "--json")
    assert result.documents[0]["message"]["id"] == 7
    assert result.err == ""


def test_a_misspelt_alias_is_noticed(terminal: Terminal) -> None:
    room(terminal, ok({"message": {**_message(), "mentions": []}}))
    result = terminal.run("send", "rve", "hi")
    assert (result.status, result.out) == (0, "sent #7 to @rve\n")
    assert "nobody here is called rve" in result.err


def _message() -> dict[str, object]:
    return {"id": 7, "room": "demo", "ts": "t", "from": "host", "type": "message", "text": "x"}


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("rev",), b"", "empty"),
        (("rev", ""), b"", "empty"),
        (("rev", " \t"), b"", "empty"),
        (("rev", "-"), b"", "empty"),
        (("rev", "-"), b"\n", "empty"),
        (("rev", "-"), b"\xff\xfe", "not UTF-8"),
        (("rev", "-"), b"\xed\xa0\x80", "not UTF-8"),
        (("rev", "-"), b"a" * 1_000_000, "shorten"),
        (("rev", "\udcff"), b"", "not UTF-8"),
        (("rev", "a" * 24_000), b"", "24,00"),
        (("rev", "a", "--text", "b"), b"", "not both"),
        (("Rev", "a"), b"", "name"),
        (("rev\n", "a"), b"", "name"),
        (("оperator", "a"), b"", "name"),
        (("-x", "a"), b"", "no such option"),
        (("rev", "a", "--nonsense"), b"", "no such option"),
        (("rev", "a", "--client-msg-id", "a b"), b"", "client-msg-id"),
        (("rev", "a", "--client-msg-id", "k" * 129), b"", "client-msg-id"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    terminal: Terminal, arguments: tuple[str, ...], stdin: bytes, says: str
) -> None:
    terminal.room = FakeRoom(())
    result = terminal.run("send", *arguments, stdin=stdin)
    assert (result.status, result.out) == (2, "")
    assert says.lower() in result.err.lower()
    assert result.err.count("\n") == 1


def test_a_text_at_the_limit_goes_and_one_past_it_does_not(terminal: Terminal) -> None:
    room(terminal)
    assert terminal.run("send", "rev", "😀" * 11_997 + "a").status == 0
    assert terminal.run("send", "rev", "😀" * 11_998).status == 2


def test_a_lost_answer_is_asked_for_again_under_the_same_key(terminal: Terminal) -> None:
    asked = room(terminal, NoAnswer("lost"), NoAnswer("lost"), posted)
    assert terminal.run("send", "rev", "hi").status == 0
    assert asked.bodies == [{"text": "@rev hi", "client_msg_id": KEY}] * 3
    assert sum(terminal.slept) < 2


@pytest.mark.hostile("C04")
def test_an_outcome_that_stays_unknown_is_69_with_the_key(terminal: Terminal) -> None:
    room(terminal, *[NoAnswer("lost")] * 3)
    result = terminal.run("send", "rev", "hi", "--json")
    assert (result.status, result.out) == (69, "")
    assert "not acknowledged" in result.err
    assert f"agentgather send rev TEXT --client-msg-id {KEY}" in result.err
    assert TOKEN not in result.err


def test_a_server_that_is_not_there_is_69_at_once(terminal: Terminal) -> None:
    room(terminal, NotSent("connection refused"))
    result = terminal.run("reply", "7", "hi")
    assert result.status == 69
    assert "cannot be reached (connection refused)" in result.err
    assert f"agentgather reply 7 TEXT --client-msg-id {KEY}" in result.err
    assert terminal.slept == []


def test_a_bug_of_the_server_is_an_unknown_outcome(terminal: Terminal) -> None:
    asked = room(terminal, refused(500, "internal_error"), posted)
    assert terminal.run("send", "rev", "hi").status == 0
    assert asked.bodies[0] == asked.bodies[1]


@pytest.mark.parametrize(
    ("status", "code", "exit_status"),
    [
        (400, "invalid_message", 1),
        (401, "unauthorized", 1),
        (403, "room_closed", 1),
        (409, "idempotency_conflict", 1),
        (410, "participant_removed", 1),
        (413, "message_too_large", 1),
        (408, "body_timeout", 75),
        (429, "rate_limited", 75),
        (429, "loop_guard", 75),
        (503, "shutting_down", 75),
        (507, "storage_full", 75),
        (507, "room_log_full", 1),
        (418, "from_the_future", 1),
    ],
)
def test_a_refusal_is_told_from_try_again_later(
    terminal: Terminal, status: int, code: str, exit_status: int
) -> None:
    room(terminal, refused(status, code, "the server's words", retry_after=9))
    result = terminal.run("send", "rev", "hi", "--json")
    assert (result.status, result.out) == (exit_status, "")
    assert "the server's words" in result.err
    assert ("try again in 9 s" in result.err) == (exit_status == 75)


@pytest.mark.hostile("C08")
def test_the_servers_words_cannot_act_on_the_terminal(terminal: Terminal) -> None:
    room(terminal, refused(400, "invalid_message", "a\x1b[2Jb\nagentgather: c"))
    result = terminal.run("send", "rev", "hi")
    assert result.err == "agentgather: a\\x1b[2Jb\\nagentgather: c\n"


def test_a_reply_names_what_it_answers(terminal: Terminal) -> None:
    asked = room(terminal)
    assert terminal.run("reply", "3", "yes", "--client-msg-id", "k1").out == (
        "sent #7 in reply to #3\n"
    )
    assert asked.bodies == [{"text": "yes", "type": "reply", "reply_to": 3, "client_msg_id": "k1"}]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.0", "1_0", str(2**53)])
def test_a_reply_needs_the_id_of_a_message(terminal: Terminal, number: str) -> None:
    assert terminal.run("reply", "--", number, "yes").status == 2


def test_a_handoff_is_a_text_a_file_or_stdin(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("from the file\n")
    for given, text in (
        ("all done", "@rev all done"),
        (str(file), "@rev from the file"),
        ("-", "@rev from stdin"),
        ("a" * 5000, "@rev " + "a" * 5000),
    ):
        asked = room(terminal)
        result = terminal.run("handoff", "rev", "--summary", given, stdin=b"from stdin\n")
        assert result.out == "handed over to @rev in #7\n"
        (body,) = asked.bodies
        assert (body["text"], body["type"]) == (text, "handoff")


def test_a_handoff_has_a_bound_of_its_own(terminal: Terminal) -> None:
    room(terminal)
    assert terminal.run("handoff", "rev", "--summary", "a" * 12_000).status == 0
    assert terminal.run("handoff", "rev", "--summary", "a" * 12_001).status == 2
    assert terminal.run("handoff", "rev").status == 2


def test_without_a_seat_it_says_how_to_get_one(tmp_path: Path) -> None:
    result = Terminal(tmp_path / "none").run("send", "rev", "hi")
    assert result.status == 1
    assert "agentgather up NAME" in result.err
    assert "agentgather room start" in result.err
    assert not (tmp_path / "none").exists()
