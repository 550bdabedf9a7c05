import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.wire.records import (
    Message,
    Participant,
    RoomState,
    Tokens,
    decode_message,
    decode_messages,
    decode_plain,
    encode_message,
    encode_messages,
    encode_plain,
    encode_roster,
    encode_small_file,
)

SLUGS = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,9}\Z")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.builds(
    Message,
    id=st.integers(1, 2**53 - 1),
    room=SLUGS,
    ts=st.just("2026-01-02T03:04:05.678Z"),
    sender=SLUGS,
    type=st.sampled_from(["message", "system", "from-a-newer-program"]),
    text=TEXTS,
    mentions=st.lists(SLUGS, max_size=3).map(tuple),
    reply_to=st.none() | st.integers(1, 2**53 - 1),
    client_msg_id=st.none() | st.just("k:1"),
    hidden_chars=st.booleans(),
)


@given(MESSAGES)
def test_a_message_is_one_line_and_comes_back_whole(message: Message) -> None:
    line = encode_message(message)
    assert b"\n" not in line
    assert b"\r" not in line
    assert decode_message(line) == message
    assert json.loads(line)["text"] == message.text


@given(st.lists(MESSAGES, max_size=5))
def test_many_messages_are_as_many_lines(messages: list[Message]) -> None:
    lines = encode_messages(messages)
    assert lines.count(b"\n") == len(messages)
    assert decode_messages(lines) == messages


def test_a_line_of_a_newer_program_is_read_with_the_keys_that_we_know() -> None:
    line = (
        b'{"id":7,"room":"demo","ts":"x","from":"ada","type":"poll","text":"a","mentions":[],'
        b'"new":{"a":[1]}}'
    )
    assert decode_message(line).type == "poll"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'{"id":0,"room":"d","ts":"","from":"a","type":"m","text":"","mentions":[]}',
        b'{"id":1.5,"room":"d","ts":"","from":"a","type":"m","text":"","mentions":[]}',
        b'{"id":9007199254740992,"room":"d","ts":"","from":"a","type":"m","text":"","mentions":[]}',
        b'{"id":1,"room":"d","ts":"","from":null,"type":"m","text":"","mentions":[]}',
        b'{"id":1,"room":"d","ts":"","from":"a","type":"m","mentions":[]}',
        b'{"id":1,"room":"d","ts":"","from":"a","type":"m","text":"\xff","mentions":[]}',
        b'{"id":1,"room":"d","ts":"","from":"a","type":"m","text":"","mentions":[]}x',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_message_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        decode_message(line)


STATE = {"id": "demo", "createdAt": "c", "updatedAt": "u", "later": {"kept": [1]}, "more": None}


def test_unknown_keys_of_a_small_file_survive_a_rewrite() -> None:
    state = RoomState.from_plain(STATE)
    state.status = "closed"
    plain = json.loads(encode_small_file(state))
    assert plain["later"] == {"kept": [1]}
    assert "more" in plain
    assert plain["status"] == "closed"
    assert "extra" not in plain


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "../x"),
        ("id", "Room\n"),
        ("status", "ajar"),
        ("attendance_policy", "all"),
        ("next_message_id", "7"),
        ("next_message_id", 1.5),
        ("expires_at", 5),
        ("createdAt", None),
    ],
)
def test_a_wrong_value_of_a_known_key_is_refused(key: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        RoomState.from_plain(STATE | {key: value})


def test_a_missing_key_is_refused_and_an_optional_one_has_its_default() -> None:
    with pytest.raises(msgspec.ValidationError):
        RoomState.from_plain({"id": "demo"})
    seat = Participant.from_plain({"alias": "ada"})
    assert (seat.kind, seat.is_host, seat.removed_at) == ("agent", False, None)


def test_a_key_named_extra_is_kept_like_any_other() -> None:
    seat = Participant.from_plain({"alias": "ada", "extra": {"a": 1}})
    assert json.loads(encode_roster([seat]))[0]["extra"] == {"a": 1}


def test_a_file_is_json_for_people_with_a_line_end() -> None:
    assert encode_plain({"a": [1]}) == b'{\n  "a": [\n    1\n  ]\n}\n'
    assert encode_small_file(Tokens(tokens={"ada": "agp_x"})).endswith(b"\n")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nan", b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"[" * 100_000, b"{}{}"],
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_plain(data)
