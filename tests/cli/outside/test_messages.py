"""Reading the log: pages, cursors, lines."""

import json

import pytest

from agentgather.wire.records import Message, encode_messages
from tests.cli.outside.terminal import Terminal, texts


@pytest.fixture
def long(unserved: Terminal) -> Terminal:
    """A room with 1,203 messages, more than two pages."""
    log = unserved.home / "rooms" / "demo" / "messages.jsonl"
    log.write_bytes(
        encode_messages(
            [
                Message(
                    id=number,
                    room="demo",
                    ts="2026-01-01T00:00:00.000Z",
                    sender="host",
                    type="message",
                    text=f"text {number}",
                    mentions=[],
                )
                for number in range(1, 1204)
            ]
        )
    )
    return unserved


def test_a_log_of_many_pages_is_printed_whole(long: Terminal) -> None:
    long.serve()
    lines = long.run("messages").splitlines()
    assert lines[0] == "1 2026-01-01T00:00:00.000Z host: text 1"
    assert len(lines) == 1203
    assert [line["id"] for line in long.json_lines("messages")] == list(range(1, 1204))
    assert len(long.run("messages", "--since", "3", "--limit", "700").splitlines()) == 700
    assert long.run("messages", "--since", "1203") == "(no messages)\n"
    assert long.run("messages", "--since", "1203", "--json") == ""


def test_reading_moves_the_cursor_and_printing_does_not(long: Terminal) -> None:
    long.serve()
    long.run("messages")
    assert len(long.run("read").splitlines()) == 1203
    assert long.run("read") == "(no messages)\n"
    assert long.run("read", "--json") == ""
    cursor = long.home / "rooms" / "demo" / "cursors" / "host.json"
    assert json.loads(cursor.read_text())["sinceId"] == 1203
    long.run("send", "host", "news")
    assert texts(long.json_lines("read")) == ["@host news"]
    assert len(long.run("read", "--since", "1202").splitlines()) == 2
    cursor.write_text("damaged")
    assert len(long.run("read").splitlines()) == 1204


def test_a_json_line_is_the_message_as_it_is_on_the_wire(unserved: Terminal) -> None:
    unserved.run("send", "host", "hi", "--client-msg-id", "k")
    (line,) = unserved.json_lines("messages")
    assert list(line) == ["id", "room", "ts", "from", "type", "text", "mentions", "client_msg_id"]
    assert line == unserved.log()[0]
