from typing import get_args

import pytest

from agentgather.wire import names


@pytest.mark.parametrize("text", ["a", "0", "room-1", "a" * 64, "a--b", "a-"])
def test_a_slug_is_1_to_64_lower_case_letters_digits_and_dashes(text: str) -> None:
    assert names.is_slug(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "-x", "--json", "A", "Room", "a_b", "a b", "a.b", "a/b", "..", ".", "a\\b"),
        *("room\n", "\nroom", "room\x00", "room\r", "room ", "é", "rооm", "ｒoom", "٣", "ß", "ſ"),
        *("a" * 65, "%2e%2e", "a\u200b", "CON"),
    ],
)
def test_nothing_else_is_a_slug(text: str) -> None:
    assert not names.is_slug(text)


@pytest.mark.parametrize("text", ["a", "A.b_c:d-9", "x" * 128, ".", "-", "2026-01-02T03:04:05Z"])
def test_a_message_key_is_1_to_128_of_its_alphabet(text: str) -> None:
    assert names.is_client_msg_id(text)


@pytest.mark.parametrize(
    "text", ["", "x" * 129, "a b", "a\n", "\na", "é", "a/b", "a+b", "a\x00", "٣"]
)
def test_nothing_else_is_a_message_key(text: str) -> None:
    assert not names.is_client_msg_id(text)


def test_each_list_of_names_holds_what_its_type_allows() -> None:
    assert get_args(names.Kind) == names.KINDS
    assert get_args(names.Role) == names.ROLES
    assert get_args(names.AttendancePolicy) == names.ATTENDANCE_POLICIES
    assert get_args(names.MessageType) == names.MESSAGE_TYPES


def test_the_room_s_own_type_is_none_that_a_sender_can_have() -> None:
    assert names.SYSTEM not in names.MESSAGE_TYPES
    assert names.SYSTEM in names.RESERVED_ALIASES


def test_every_reserved_alias_is_one_that_somebody_could_ask_for() -> None:
    assert all(names.is_slug(alias) for alias in names.RESERVED_ALIASES)
