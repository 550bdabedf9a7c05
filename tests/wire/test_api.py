"""Bodies and answers, as bytes."""

import json

import msgspec
import pytest

from agentgather.wire.api import (
    InviteDraft,
    MessageDraft,
    PageForward,
    PostAnswer,
    WaitAnswer,
    encode,
)

message = msgspec.json.Decoder(MessageDraft)


def test_what_a_sender_may_not_set_is_not_even_read() -> None:
    draft = message.decode(
        b'{"text":"a","id":9,"ts":"x","room":"y","from":"z","mentions":["q"],"is_host":true}'
    )
    assert draft == MessageDraft(text="a")


def test_the_last_of_two_equal_keys_counts() -> None:
    assert message.decode(b'{"text":"a","text":"b"}').text == "b"


@pytest.mark.parametrize(
    "value",
    ["0", "-1", "1.5", "true", "null", '"1"', "[]", "9007199254740992", "9" * 400, "1e400", "NaN"],
)
def test_an_id_is_a_whole_number_that_every_reader_holds(value: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        message.decode(f'{{"text":"a","reply_to":{value}}}'.encode())


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00x", "x\\ud800y", "\\udfff\\ud800"])
@pytest.mark.parametrize("field", ["text", "type", "client_msg_id"])
def test_half_of_a_surrogate_pair_is_refused(field: str, text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        message.decode(f'{{"text":"a","{field}":"{text}"}}'.encode())


@pytest.mark.parametrize("key", ["", "x" * 129, "a b", "a\\n", "\\u00e9"])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        message.decode(f'{{"text":"a","client_msg_id":"{key}"}}'.encode())


@pytest.mark.parametrize("field", ["kind", "role"])
@pytest.mark.parametrize("value", ['"host"', "null", "1", '"Agent"', '""'])
def test_an_invite_s_kind_and_role_are_from_their_lists(field: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"alias":"a","{field}":{value}}}'.encode(), type=InviteDraft)


def test_messages_are_spliced_into_an_answer_as_they_are() -> None:
    raw = msgspec.Raw(b'[{"id": 1,  "text":"\xc3\xa9"}]')
    answer = PageForward(messages=raw, next_since_id=1, has_more=False)  # type: ignore[arg-type]
    assert encode(answer) == (
        b'{"ok":true,"messages":[{"id": 1,  "text":"\xc3\xa9"}],"next_since_id":1,"has_more":false}'
    )


def test_an_answer_says_that_it_is_a_repetition_only_when_it_is_one() -> None:
    assert encode(PostAnswer(message=msgspec.Raw(b"{}"))) == b'{"ok":true,"message":{}}'
    again = PostAnswer(message=msgspec.Raw(b"{}"), idempotent=True)
    assert encode(again) == b'{"ok":true,"message":{},"idempotent":true}'


def test_the_wait_object_has_its_keys_in_their_order() -> None:
    answer = WaitAnswer(
        room="demo",
        room_status="open",
        participant="ada",
        heartbeat=True,
        messages=msgspec.Raw(b"[]"),  # type: ignore[arg-type]
        mentioned=False,
        next_since_id=0,
        keep_waiting=True,
        next_cmd=None,
    )
    keys = list(json.loads(encode(answer)))
    assert keys == [
        *("ok", "room", "room_status", "participant", "heartbeat", "messages", "mentioned"),
        *("next_since_id", "keep_waiting", "next_cmd", "has_more"),
    ]
